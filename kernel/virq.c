/*
 * Interrupt delivery into guests in software (SDM vol. 3, 11.8): pending word to IRR, IRR to ISR,
 * the priorities between.
 */
#include "kernel/kernel.h"
#include "kernel/virq.h"

static volatile u32 *reg(struct vcpu *v, u32 base, unsigned vector)
{
	return (volatile u32 *)(v->apic + base + vector / 32 * 16);
}

int virq_highest(struct vcpu *v, u32 base)
{
	for (int word = 7; word >= 0; word--) {
		u32 bits = *(volatile u32 *)(v->apic + base + word * 16);

		if (bits)
			return word * 32 + 31 - __builtin_clz(bits);
	}
	return -1;
}

void virq_request(struct vcpu *v, unsigned vector)
{
	__atomic_or_fetch(&v->run->pending.vector[vector / 64], BIT(vector % 64), __ATOMIC_SEQ_CST);
	__atomic_store_n(&v->run->pending.control, 1, __ATOMIC_SEQ_CST);
}

static u64 take(u64 *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED)
		       ? __atomic_exchange_n(word, 0, __ATOMIC_SEQ_CST)
		       : 0;
}

void virq_merge(struct vcpu *v)
{
	/* Cleared before the vectors are taken: one that is set now sets it again. */
	__atomic_store_n(&v->run->pending.control, 0, __ATOMIC_SEQ_CST);
	for (unsigned i = 0; i < 4; i++) {
		u64 valid = i == 0 ? ~0xffffull : ~0ull; /* 0-15 are no interrupts */
		u64 edge = take(&v->run->pending.vector[i]) & valid;
		u64 level = take(&v->run->pending.level[i]) & valid;

		for (unsigned half = 0; half < 64 && (edge | level); half += 32) {
			volatile u32 *tmr = reg(v, APIC_TMR, i * 64 + half);

			*tmr = (*tmr & ~(u32)(edge >> half)) | (u32)(level >> half);
			*reg(v, APIC_IRR, i * 64 + half) |= (u32)((edge | level) >> half);
		}
	}
	v->irr_check = true;
}

int virq_deliverable(struct vcpu *v)
{
	int irr = virq_highest(v, APIC_IRR);
	int isr;

	if (irr < 16) {
		v->irr_check = false;
		return -1;
	}
	isr = virq_highest(v, APIC_ISR);
	/* PPR from ISR alone: the TPR is the window's business, for the guest may lower it without
	 * an exit. */
	if (isr >= 0 && irr >> 4 <= isr >> 4)
		return -1;
	return irr;
}

bool virq_may_skip_eoi(struct vcpu *v)
{
	unsigned words = 0;
	u32 bad = 0;

	for (unsigned i = 0; i < 256; i += 32) {
		u32 irr = *reg(v, APIC_IRR, i);

		words += irr != 0;
		bad |= *reg(v, APIC_ISR, i) | (irr & (irr - 1)) | (irr & *reg(v, APIC_TMR, i));
	}
	return !words || (words == 1 && !bad);
}

bool virq_above_tpr(struct vcpu *v, int vector)
{
	return vector >> 4 > (v->apic[APIC_TPR] >> 4);
}

void virq_end(struct vcpu *v, int vector)
{
	*reg(v, APIC_ISR, (unsigned)vector) &= ~(1u << vector % 32);
}

void virq_accept(struct vcpu *v, int vector)
{
	*reg(v, APIC_IRR, (unsigned)vector) &= ~(1u << vector % 32);
	*reg(v, APIC_ISR, (unsigned)vector) |= 1u << vector % 32;
}
