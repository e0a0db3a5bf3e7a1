/* Steal time, TLB flushes of a vCPU that is away, and ends of interrupts without exits. */
#include "guests/vmm/cpu/msr.h"
#include "guests/vmm/pv/pveoi.h"
#include "guests/vmm/pv/steal.h"
#include "guests/vmm/mmio.h"
#include "tests/unit/machine_host.h"

#define AREA   0x50000u
#define WORD   0x60000u
#define VECTOR 0x51u

static struct vcpu *v;
static struct steal_area *area;
static u32 *word;

static void setup(void)
{
	v = host_setup(false);
	area = (struct steal_area *)(host_ram + AREA);
	word = (u32 *)(host_ram + WORD);
	lapic_write(&host_machine, v->lapic, LAPIC_SVR, 4, 0x1ff);
}

static bool in_service(u8 vector)
{
	return v->lapic->page->word[(LAPIC_ISR + vector / 32 * 16) / 4] >> vector % 32 & 1;
}

/* What the kernel does when it delivers a vector. */
static void deliver(u8 vector)
{
	__atomic_fetch_and(
		&v->lapic->pending->vector[vector / 64], ~BIT(vector % 64), __ATOMIC_SEQ_CST);
	v->lapic->page->word[(LAPIC_ISR + vector / 32 * 16) / 4] |= 1u << vector % 32;
}

/* An exit after which the vCPU is entered again. */
static void window(void)
{
	host_exit(v, EXIT_WINDOW, 0);
}

TEST(steal_msr)
{
	u64 value;

	setup();
	area->version = 7; /* left over: becomes even, and another one */
	CHECK(msr_write(v, MSR_KVM_STEAL_TIME, AREA | STEAL_ENABLE));
	CHECK_EQ(area->version, 8);
	CHECK_EQ(area->steal, 0);
	CHECK(msr_read(v, MSR_KVM_STEAL_TIME, &value));
	CHECK_EQ(value, AREA | STEAL_ENABLE);
	for (u64 bit = 2; bit < 64; bit <<= 1)
		CHECK(!msr_write(v, MSR_KVM_STEAL_TIME, AREA | STEAL_ENABLE | bit));
	CHECK(!msr_write(v, MSR_KVM_STEAL_TIME, HOST_RAM | STEAL_ENABLE));
	CHECK(!msr_write(v, MSR_KVM_STEAL_TIME, (~0ull << 6) | STEAL_ENABLE));
	CHECK_EQ(v->state->steal_msr, AREA | STEAL_ENABLE);
	CHECK(msr_write(v, MSR_KVM_STEAL_TIME, 0));
	host.waited = 1000;
	steal_update(v);
	CHECK_EQ(area->version, 8);
}

TEST(steal_time_adds_up)
{
	setup();
	CHECK(msr_write(v, MSR_KVM_STEAL_TIME, AREA | STEAL_ENABLE));
	host.waited = 3000; /* cycles of 1 ns */
	steal_update(v);
	CHECK_EQ(area->steal, 3000);
	CHECK_EQ(area->version, 4);
	host.waited = 9000;
	steal_update(v); /* too soon */
	CHECK_EQ(area->steal, 3000);
	v->steal_next = 0;
	steal_update(v);
	CHECK_EQ(area->steal, 9000);
	v->steal_next = 0;
	steal_update(v); /* nothing new: nothing written */
	CHECK_EQ(area->version, 6);
	/* A fresh VMM's thread begins at 0, and the guest's figure goes on. */
	v->steal_seen = 0;
	v->steal_next = 0;
	host.waited = 500;
	steal_update(v);
	CHECK_EQ(area->steal, 9500);
}

static void ask_for_flush(void)
{
	CHECK_EQ(area->preempted, STEAL_PREEMPTED);
	area->preempted |= STEAL_FLUSH_TLB;
}

static void ask_for_nothing(void)
{
	CHECK_EQ(area->preempted, STEAL_PREEMPTED);
}

/* A vCPU that gives its CPU up says so meanwhile, and does what others wanted of it before it runs.
 */
TEST(flush_of_a_vcpu_that_is_away)
{
	setup();
	CHECK(msr_write(v, MSR_KVM_STEAL_TIME, AREA | STEAL_ENABLE));
	host.wait = ask_for_nothing;
	host_exit(v, EXIT_PAUSE, 2);
	CHECK_EQ(area->preempted, 0);
	CHECK(!(v->run->dirty & GROUP_FLUSH));
	host.wait = ask_for_flush;
	host_exit(v, EXIT_PAUSE, 2);
	CHECK_EQ(area->preempted, 0);
	CHECK(v->run->dirty & GROUP_FLUSH);
	/* While it runs a request is the guest's error, and costs nothing. */
	area->preempted = STEAL_FLUSH_TLB;
	host.wait = ask_for_nothing;
	host_exit(v, EXIT_PAUSE, 2);
	CHECK(!(v->run->dirty & GROUP_FLUSH));
	CHECK(msr_write(v, MSR_KVM_STEAL_TIME, 0));
	area->preempted = 0;
	host.wait = NULL;
	host_exit(v, EXIT_PAUSE, 2);
	CHECK_EQ(area->preempted, 0);
}

TEST(eoi_msr)
{
	u64 value;

	setup();
	CHECK(!msr_write(v, MSR_KVM_PV_EOI, WORD | 3));
	CHECK(!msr_write(v, MSR_KVM_PV_EOI, HOST_RAM | PVEOI_ENABLE));
	CHECK(!msr_write(v, MSR_KVM_PV_EOI, ~3ull | PVEOI_ENABLE));
	machine_settle(v);
	CHECK_EQ(*word, 0);
	*word = 0xabcd0000;
	CHECK(msr_write(v, MSR_KVM_PV_EOI, WORD | PVEOI_ENABLE));
	machine_settle(v);
	CHECK_EQ(*word, 0xabcd0001);
	CHECK(v->run->flags & RUN_EOI_SKIP);
	CHECK(msr_read(v, MSR_KVM_PV_EOI, &value));
	CHECK_EQ(value, WORD | PVEOI_ENABLE);
	CHECK(msr_write(v, MSR_KVM_PV_EOI, 0));
	machine_settle(v);
	CHECK_EQ(*word, 0xabcd0000);
	CHECK(!(v->run->flags & RUN_EOI_SKIP));
}

static void arm(void)
{
	setup();
	CHECK(msr_write(v, MSR_KVM_PV_EOI, WORD | PVEOI_ENABLE));
	machine_settle(v);
	CHECK_EQ(*word, 1);
}

/* The guest ends a vector by clearing the bit; the next look at the APIC finds it ended. */
TEST(eoi_by_the_word)
{
	arm();
	deliver(VECTOR);
	window();
	CHECK(in_service(VECTOR));
	CHECK_EQ(*word, 0); /* one in service: it ends by an exit after all */
	CHECK(!(v->run->flags & RUN_EOI_SKIP));
	lapic_write(&host_machine, v->lapic, LAPIC_EOI, 4, 0);
	machine_settle(v);
	CHECK(!in_service(VECTOR));
	CHECK_EQ(*word, 1); /* the next may */
	deliver(VECTOR);
	*word = 0;
	CHECK_EQ(mmio_read(v, LAPIC_DEFAULT_BASE + LAPIC_ISR + VECTOR / 32 * 16, 4), 0);
	machine_settle(v);
	CHECK_EQ(*word, 1);
	CHECK(v->run->dirty & GROUP_APIC); /* lower ones may be let in now */
	deliver(VECTOR);
	*word = 0;
	window();
	CHECK(!in_service(VECTOR));
	CHECK_EQ(*word, 1);
	CHECK(v->run->flags & RUN_EOI_SKIP);
}

/* The guest may write EOI all the same. */
TEST(eoi_by_exit_with_the_bit_set)
{
	arm();
	deliver(VECTOR);
	mmio_write(v, LAPIC_DEFAULT_BASE + LAPIC_EOI, 4, 0);
	machine_settle(v);
	CHECK(!in_service(VECTOR));
	CHECK_EQ(*word, 1);
}

/* A nested one ends first; the other by an exit, in whose course both are gone. */
TEST(eoi_of_nested_vectors)
{
	arm();
	deliver(VECTOR);
	deliver(VECTOR + 0x20);
	*word = 0;
	mmio_write(v, LAPIC_DEFAULT_BASE + LAPIC_EOI, 4, 0);
	CHECK(!in_service(VECTOR) && !in_service(VECTOR + 0x20));
	machine_settle(v);
	CHECK_EQ(*word, 1);
}

/* A level-triggered vector must be known to end; so must one of several. */
TEST(eoi_that_must_exit)
{
	arm();
	CHECK(lapic_accept(v->lapic, VECTOR, true));
	window();
	CHECK_EQ(*word, 0);
	CHECK(!(v->run->flags & RUN_EOI_SKIP));
	arm();
	lapic_accept(v->lapic, VECTOR, false);
	window();
	CHECK_EQ(*word, 1);
	lapic_accept(v->lapic, VECTOR + 1, false);
	window();
	CHECK_EQ(*word, 0);
	arm();
	lapic_accept(v->lapic, VECTOR, false);
	lapic_accept(v->lapic, 0x91, false);
	window();
	CHECK_EQ(*word, 0);
}

/* A VMM that died at any point of these: the next one ends nothing that has not ended. */
TEST(eoi_after_a_death)
{
	arm();
	deliver(VECTOR);
	v->post->eoi_seen = PVEOI_RUNS; /* taken back: the bit is cleared already, or not */
	*word = 0;
	window();
	CHECK(in_service(VECTOR));
	CHECK_EQ(*word, 0);
	CHECK(!(v->run->flags & RUN_EOI_SKIP));
	arm();
	deliver(VECTOR);
	v->post->eoi_seen = PVEOI_RUNS;
	window();
	CHECK(in_service(VECTOR));
	CHECK_EQ(*word, 0);
	arm();
	deliver(VECTOR);
	v->post->eoi_seen = PVEOI_ENDED; /* and the bit was set for the next one */
	window();
	CHECK(!in_service(VECTOR));
	CHECK_EQ(v->post->eoi_seen, 0);
	arm();
	v->state->eoi_armed = 0; /* rolled back: the bit is not */
	v->run->flags &= ~RUN_EOI_SKIP;
	pveoi_resume(v);
	CHECK_EQ(*word, 0);
	window();
	CHECK_EQ(*word, 1);
	CHECK(v->run->flags & RUN_EOI_SKIP);
}

/* INIT switches both off. */
TEST(paravirtual_init)
{
	arm();
	CHECK(msr_write(v, MSR_KVM_STEAL_TIME, AREA | STEAL_ENABLE));
	vcpu_init_signal(v);
	CHECK(!v->state->eoi_armed && !v->state->eoi_msr && !v->state->steal_msr);
	CHECK(!(v->run->flags & RUN_EOI_SKIP));
}
