/*
 * Tests of interrupt delivery against a model of IRR, ISR and the priorities, SDM vol. 3 11.8.3 and
 * 11.8.4. The kernel asks two questions for what the model answers in one: what IRR and ISR would
 * let in, and whether the TPR lets it.
 */
#include <pthread.h>
#include <sched.h>
#include "kernel/virq.h"
#include "tests/unit/test.h"

#define VECTORS  256u
#define STEPS    300000u
#define REQUESTS 500000u
#define WAITS    1000000000u /* looks at a vector before it counts as lost: seconds */

/* Offsets in the APIC page, SDM vol. 3 table 11-1 */
#define TPR 0x80u
#define ISR 0x100u
#define TMR 0x180u
#define IRR 0x200u

static struct run_page run_page;
static u8 apic[PAGE_SIZE] __attribute__((aligned(PAGE_SIZE)));
static struct vcpu vcpu;
static u64 random_state;

/* What the kernel is to agree with. */
static struct {
	bool pending[VECTORS]; /* requested, not merged */
	bool irr[VECTORS];
	bool isr[VECTORS];
	u8 tpr;
} model;

static u32 random_below(u32 limit)
{
	random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
	return (u32)(random_state >> 33) % limit;
}

static void reset(void)
{
	memset(&run_page, 0, sizeof(run_page));
	memset(apic, 0, sizeof(apic));
	memset(&vcpu, 0, sizeof(vcpu));
	memset(&model, 0, sizeof(model));
	vcpu.run = &run_page;
	vcpu.apic = apic;
	random_state = 7;
}

static u8 *apic_byte(u32 base, unsigned vector)
{
	return &apic[base + vector / 32 * 16 + vector / 8 % 4];
}

static bool apic_bit(u32 base, unsigned vector)
{
	return *apic_byte(base, vector) >> vector % 8 & 1;
}

static void model_merge(void)
{
	for (unsigned v = 0; v < VECTORS; v++) {
		if (v >= 16)
			model.irr[v] |= model.pending[v];
		model.pending[v] = false;
	}
}

static int model_highest(const bool *set)
{
	for (int v = VECTORS - 1; v >= 0; v--)
		if (set[v])
			return v;
	return -1;
}

/* The vector that goes to the processor now, or -1, by the processor priority register. */
static int model_deliverable(u8 tpr)
{
	int irr = model_highest(model.irr);
	int isr = model_highest(model.isr);
	u8 isr_class = isr < 0 ? 0 : isr & 0xf0;
	u8 ppr = (tpr & 0xf0) >= isr_class ? tpr : isr_class;

	return irr >= 16 && (irr & 0xf0) > (ppr & 0xf0) ? irr : -1;
}

/* All of the page but TPR, ISR and IRR must stay as it was: zero. */
static void check_page(void)
{
	for (u32 at = 0; at < PAGE_SIZE; at++) {
		bool registers = at >= ISR && at < IRR + 0x80 && !(at >= ISR + 0x80 && at < IRR);

		if (at != TPR && !(registers && at % 16 < 4))
			CHECK_EQ(apic[at], 0);
	}
	for (unsigned v = 0; v < VECTORS; v++) {
		CHECK_EQ(apic_bit(IRR, v), model.irr[v]);
		CHECK_EQ(apic_bit(ISR, v), model.isr[v]);
	}
}

static void check_delivery(void)
{
	int want = model_deliverable(model.tpr);
	int vector = virq_deliverable(&vcpu);

	CHECK_EQ(vector, model_deliverable(0));
	CHECK_EQ(vector >= 0 && virq_above_tpr(&vcpu, vector) ? vector : -1, want);
}

static void end_of_interrupt(void)
{
	int v = model_highest(model.isr);

	if (v < 0)
		return;
	model.isr[v] = false;
	*apic_byte(ISR, (unsigned)v) &= (u8) ~(1u << v % 8);
}

static void accept_one(void)
{
	int v = virq_deliverable(&vcpu);

	if (v < 0 || !virq_above_tpr(&vcpu, v))
		return;
	virq_accept(&vcpu, v);
	model.irr[v] = false;
	model.isr[v] = true;
}

/* Once in a while what a VMM might put there: any vector in IRR or ISR. */
static void poke(void)
{
	unsigned v = random_below(VECTORS);
	bool *set = random_below(2) ? model.irr : model.isr;

	set[v] = true;
	*apic_byte(set == model.irr ? IRR : ISR, v) |= (u8)(1u << v % 8);
}

static void random_steps(unsigned vectors)
{
	reset();
	for (unsigned step = 0; step < STEPS; step++) {
		unsigned v = random_below(vectors) + VECTORS - vectors;

		switch (random_below(16)) {
		case 0:
		case 1:
		case 2:
			virq_request(&vcpu, v);
			model.pending[v] = true;
			CHECK(run_page.pending.control);
			break;
		case 3:
		case 4:
			virq_merge(&vcpu);
			model_merge();
			CHECK(!run_page.pending.control);
			CHECK(vcpu.irr_check);
			break;
		case 5:
		case 6:
		case 7:
			accept_one();
			break;
		case 8:
		case 9:
		case 10:
			end_of_interrupt();
			break;
		case 11:
			model.tpr = apic[TPR] = random_below(3) ? 0 : (u8)random_below(256);
			break;
		case 12:
			if (step % 64 == 0)
				poke();
			break;
		default:
			check_delivery();
		}
		if (step % 256 == 0)
			check_page();
	}
	check_page();
}

TEST(random_against_model)
{
	random_steps(VECTORS);
	random_steps(40);
	random_steps(17);
}

/* Each requested vector with some of each class in service, and every class of the TPR. */
TEST(priorities_of_pairs)
{
	for (unsigned irr = 0; irr < VECTORS; irr++)
		for (unsigned isr = irr % 5; isr < VECTORS; isr += 5) {
			reset();
			model.isr[isr] = isr >= 16;
			*apic_byte(ISR, isr) |= (u8)(model.isr[isr] << isr % 8);
			virq_request(&vcpu, irr);
			virq_merge(&vcpu);
			model.irr[irr] = irr >= 16;
			for (unsigned class = 0; class < 16; class ++) {
				model.tpr = apic[TPR] = (u8)(class << 4 | (irr & 15));
				check_delivery();
			}
		}
}

/* Exceptions' vectors are no interrupts: neither from the pending words nor in IRR. */
TEST(vectors_below_16)
{
	reset();
	for (unsigned v = 0; v < 16; v++)
		virq_request(&vcpu, v);
	virq_merge(&vcpu);
	check_page();
	CHECK_EQ(virq_deliverable(&vcpu), -1);
	CHECK(!vcpu.irr_check);
	*apic_byte(IRR, 3) = 1 << 3;
	vcpu.irr_check = true;
	CHECK_EQ(virq_deliverable(&vcpu), -1);
	CHECK(!vcpu.irr_check);
	virq_request(&vcpu, 16);
	virq_merge(&vcpu);
	CHECK_EQ(virq_deliverable(&vcpu), 16);
}

/* A vector that waits for one in service is looked at again: irr_check stays. */
TEST(blocked_is_remembered)
{
	reset();
	virq_request(&vcpu, 0x51);
	virq_merge(&vcpu);
	virq_accept(&vcpu, 0x51);
	virq_request(&vcpu, 0x52);
	virq_merge(&vcpu);
	CHECK_EQ(virq_deliverable(&vcpu), -1);
	CHECK(vcpu.irr_check);
	virq_request(&vcpu, 0x60);
	virq_merge(&vcpu);
	CHECK_EQ(virq_deliverable(&vcpu), 0x60);
}

/* At most one vector is requested; if one is, it is edge-triggered and none is in service. */
TEST(end_that_may_be_skipped)
{
	for (unsigned irr = 16; irr < VECTORS; irr++)
		for (unsigned other = 16; other < VECTORS; other += irr % 7 + 1) {
			reset();
			*apic_byte(ISR, other) |= (u8)(1u << other % 8);
			CHECK(virq_may_skip_eoi(&vcpu));
			*apic_byte(IRR, irr) |= (u8)(1u << irr % 8);
			CHECK(!virq_may_skip_eoi(&vcpu));
			*apic_byte(ISR, other) = 0;
			CHECK(virq_may_skip_eoi(&vcpu));
			*apic_byte(TMR, other) |= (u8)(1u << other % 8);
			CHECK_EQ(virq_may_skip_eoi(&vcpu), irr != other);
			*apic_byte(TMR, other) = 0;
			*apic_byte(IRR, other) |= (u8)(1u << other % 8);
			CHECK_EQ(virq_may_skip_eoi(&vcpu), irr == other);
		}
}

static u32 accepted[VECTORS];
static bool producer_over;

/* Requests one vector after another; each second one must be accepted before long. */
static void *request_many(void *unused)
{
	u64 seed = 1;

	(void)unused;
	for (unsigned i = 0; i < REQUESTS; i++) {
		unsigned v;
		u32 before;
		u64 waits = 0;

		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		v = 16 + (unsigned)(seed >> 40) % (i % 4 ? 48 : VECTORS - 16);
		before = __atomic_load_n(&accepted[v], __ATOMIC_ACQUIRE);
		virq_request(&vcpu, v);
		while (i % 2 && __atomic_load_n(&accepted[v], __ATOMIC_ACQUIRE) == before)
			if (++waits > WAITS)
				break;
			else if (waits % 256 == 0)
				sched_yield();
		if (waits > WAITS) {
			test_fail(__FILE__, __LINE__, "vector %#x was lost", v);
			break;
		}
	}
	__atomic_store_n(&producer_over, true, __ATOMIC_SEQ_CST);
	return NULL;
}

/* No request is lost between another CPU and the vCPU's: whoever sees `control` clear may rest. */
TEST(requests_from_another_cpu)
{
	pthread_t thread;
	bool over = false;

	reset();
	pthread_create(&thread, NULL, request_many, NULL);
	while (!over) {
		over = __atomic_load_n(&producer_over, __ATOMIC_SEQ_CST);
		while (__atomic_load_n(&run_page.pending.control, __ATOMIC_SEQ_CST)) {
			virq_merge(&vcpu);
			for (int v = virq_deliverable(&vcpu); v >= 0; v = virq_deliverable(&vcpu)) {
				virq_accept(&vcpu, v);
				*apic_byte(ISR, (unsigned)v) = 0;
				__atomic_add_fetch(&accepted[v], 1, __ATOMIC_RELEASE);
			}
		}
	}
	pthread_join(thread, NULL);
	for (unsigned i = 0; i < 4; i++)
		CHECK_EQ(run_page.pending.vector[i], 0);
}

TEST(trigger_follows_the_request)
{
	reset();
	run_page.pending.level[1] = BIT(0) | BIT(40);
	virq_merge(&vcpu);
	CHECK(apic_bit(IRR, 64) && apic_bit(TMR, 64) && apic_bit(TMR, 104));
	CHECK_EQ(run_page.pending.level[1], 0);
	run_page.pending.vector[1] = BIT(40);
	virq_merge(&vcpu);
	CHECK(apic_bit(IRR, 104) && !apic_bit(TMR, 104) && apic_bit(TMR, 64));
	run_page.pending.level[0] = 0xffff; /* no interrupts */
	virq_merge(&vcpu);
	CHECK(!apic_bit(IRR, 3) && !apic_bit(TMR, 3));
	virq_accept(&vcpu, 104);
	CHECK(apic_bit(ISR, 104));
	virq_end(&vcpu, 104);
	CHECK(!apic_bit(ISR, 104));
}
