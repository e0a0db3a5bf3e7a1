/*
 * Ends of interrupts without exits, against a guest that knows what it handles: whatever comes
 * when, each vector is delivered as soon as priorities let it in and not before, and
 * level-triggered ones end by an exit. The kernel's part is done here as kernel/abi/run.h tells it
 * (RUN_EOI_SKIP).
 */
#include "guests/vmm/cpu/msr.h"
#include "guests/vmm/mmio.h"
#include "guests/vmm/pv/pveoi.h"
#include "tests/unit/machine_host.h"

#define WORD    0x60000u
#define STEPS   400000u
#define VECTORS 256u
#define LEVEL   0x80u /* vectors with this bit are level-triggered */

static struct vcpu *v;
static u32 *word;
static u64 random_state;
static bool requested[VECTORS];
static u8 handled[VECTORS / 16]; /* what the guest handles, the innermost last */
static u32 depth;
static bool masked; /* IF is clear */
static u64 skipped, windows;

static u32 random_below(u32 limit)
{
	random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
	return (u32)(random_state >> 33) % limit;
}

static u32 *bank(u32 base, u32 vector)
{
	return &v->lapic->page->word[(base + vector / 32 * 16) / 4];
}

static int highest_in(u32 base)
{
	for (int i = VECTORS - 1; i >= 0; i--) {
		if (*bank(base, (u32)i) >> i % 32 & 1)
			return i;
	}
	return -1;
}

static int highest_requested(void)
{
	for (int i = VECTORS - 1; i >= 0; i--) {
		if (requested[i])
			return i;
	}
	return -1;
}

static int highest_handled(void)
{
	return depth ? handled[depth - 1] >> 4 : 0;
}

/* Is there a vector that the guest must be given? */
static bool is_due(void)
{
	return highest_requested() >> 4 > highest_handled() && highest_requested() >= 0;
}

/* The kernel's way into the guest. False: the VMM is to look. */
static bool enter(void)
{
	int irr, isr;

	for (u32 i = 0; i < VECTORS; i += 32) {
		u32 edge = (u32)(v->lapic->pending->vector[i / 64] >> i % 64);
		u32 level = (u32)(v->lapic->pending->level[i / 64] >> i % 64);

		*bank(LAPIC_TMR, i) = (*bank(LAPIC_TMR, i) & ~edge) | level;
		*bank(LAPIC_IRR, i) |= edge | level;
	}
	memset(v->lapic->pending, 0, sizeof(*v->lapic->pending));
	while ((irr = highest_in(LAPIC_IRR)) >= 0 && !masked) {
		u32 count = 0;

		isr = highest_in(LAPIC_ISR);
		for (u32 i = 0; i < VECTORS; i++)
			count += *bank(LAPIC_IRR, i) >> i % 32 & 1;
		if ((v->run->flags & RUN_EOI_SKIP) &&
			(count > 1 || isr >= 0 || *bank(LAPIC_TMR, (u32)irr) >> irr % 32 & 1))
			return false;
		if (isr >= 0 && irr >> 4 <= isr >> 4)
			break;
		CHECK(requested[irr]);
		CHECK_EQ(irr, highest_requested());
		CHECK(irr >> 4 > highest_handled());
		*bank(LAPIC_IRR, (u32)irr) &= ~(1u << irr % 32);
		*bank(LAPIC_ISR, (u32)irr) |= 1u << irr % 32;
		requested[irr] = false;
		handled[depth++] = (u8)irr;
	}
	return true;
}

static void run(void)
{
	u32 asked = 0;

	machine_settle(v);
	while (!enter()) {
		CHECK(++asked <= 2); /* what the VMM makes of it is not asked for again */
		windows++;
		host_exit(v, EXIT_WINDOW, 0);
	}
	v->run->exit_kind = EXIT_IO;
	CHECK(masked || !is_due());
}

static void request(void)
{
	u8 vector = (u8)(16 + random_below(random_below(4) ? 48 : VECTORS - 16));

	lapic_accept(v->lapic, vector, vector & LEVEL);
	requested[vector] = true;
	run();
}

static void end_innermost(void)
{
	u8 vector;

	if (!depth)
		return;
	vector = handled[--depth];
	if (*word & PVEOI_SKIP) {
		*word &= ~PVEOI_SKIP;
		skipped++;
		CHECK(!(vector & LEVEL));
		/* The kernel does not know: so nothing may wait for it, but for a window. */
		CHECK(masked || !is_due());
	} else {
		mmio_write(v, LAPIC_DEFAULT_BASE + LAPIC_EOI, 4, 0);
		run();
	}
}

static void random_steps(u64 seed)
{
	v = host_setup(false);
	word = (u32 *)(host_ram + WORD);
	memset(requested, 0, sizeof(requested));
	depth = 0;
	masked = false;
	random_state = seed;
	lapic_write(&host_machine, v->lapic, LAPIC_SVR, 4, 0x1ff);
	CHECK(msr_write(v, MSR_KVM_PV_EOI, WORD | PVEOI_ENABLE));
	run();
	for (u32 i = 0; i < STEPS; i++) {
		switch (random_below(16)) {
		case 0:
		case 1:
			request();
			break;
		case 2:
			masked = !masked;
			if (!masked)
				run(); /* the window */
			break;
		case 3: /* an exit that has to do with the APIC, or any other */
			if (random_below(2))
				CHECK(msr_write(v, MSR_TSC_DEADLINE, 0));
			run();
			break;
		case 4: /* off and on again */
			if (random_below(64) == 0) {
				CHECK(msr_write(v, MSR_KVM_PV_EOI, 0));
				run();
				CHECK(msr_write(v, MSR_KVM_PV_EOI, WORD | PVEOI_ENABLE));
				run();
			}
			break;
		default:
			end_innermost();
		}
	}
}

TEST(pveoi_random_against_a_guest)
{
	for (u64 seed = 1; seed <= 5; seed++)
		random_steps(seed);
	CHECK(skipped > STEPS / 10);
	CHECK(windows > STEPS / 100);
}
