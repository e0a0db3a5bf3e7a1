/* Which local APIC an interrupt message concerns, and what becomes of it there. */
#include "guests/vmm/dev/lapic_parts.h"

#define CLUSTER_SHIFT        4 /* xAPIC: cluster and member in the logical ID */
#define CLUSTER_MEMBERS      0xfu
#define X2_CLUSTER_MEMBERS   0xffffu
#define XAPIC_DEST_MASK      0xffu
#define PENDING_NOTIFICATION 1ull
#define NO_APIC              0xffffffffu
#define VECTOR_WORD_BITS     64

bool lapic_accept(struct lapic_view *v, u8 vector, bool level)
{
	u64 *pending = level ? v->pending->level : v->pending->vector;

	if (vector < LAPIC_VECTOR_LOWEST || !lapic_is_on(v) ||
		!(lapic_get(v, LAPIC_SVR) & LAPIC_SVR_ENABLE))
		return false;
	__atomic_fetch_or(&pending[vector / VECTOR_WORD_BITS], BIT(vector % VECTOR_WORD_BITS),
		__ATOMIC_SEQ_CST);
	return !(__atomic_fetch_or(&v->pending->control, PENDING_NOTIFICATION, __ATOMIC_SEQ_CST) &
		 PENDING_NOTIFICATION);
}

void lapic_error(struct lapic_view *v, u32 bits)
{
	u32 lvt = lapic_get(v, LAPIC_LVT_ERROR);

	__atomic_fetch_or(&v->state->esr_pending, bits, __ATOMIC_RELAXED);
	if (!(lvt & LAPIC_LVT_MASKED))
		lapic_accept(v, (u8)(lvt & LAPIC_LVT_VECTOR), false);
}

static bool matches_x2apic(u32 id, u32 destination, bool logical)
{
	u32 cluster = id / X2APIC_CLUSTER_SIZE;

	if (!logical)
		return destination == id;
	return destination >> LAPIC_X2_CLUSTER_SHIFT == cluster &&
	       destination & X2_CLUSTER_MEMBERS & 1u << id % X2APIC_CLUSTER_SIZE;
}

static bool matches_xapic(const struct lapic_view *v, u32 destination, bool logical)
{
	u32 ldr = lapic_get(v, LAPIC_LDR) >> LAPIC_XAPIC_ID_SHIFT;

	if (destination > XAPIC_DEST_MASK)
		return false;
	if (!logical)
		return destination == v->state->id;
	if (lapic_get(v, LAPIC_DFR) == LAPIC_DFR_FLAT)
		return destination & ldr;
	return destination >> CLUSTER_SHIFT == ldr >> CLUSTER_SHIFT &&
	       destination & ldr & CLUSTER_MEMBERS;
}

bool lapic_matches(const struct lapic_view *v, u32 destination, bool logical)
{
	if (!lapic_is_on(v))
		return false;
	if (destination == LAPIC_BROADCAST)
		return true;
	if (lapic_is_x2apic(v))
		return matches_x2apic(v->state->id, destination, logical);
	return matches_xapic(v, destination, logical);
}

bool lapic_parse_message(u64 address, u32 data, struct lapic_ipi *ipi)
{
	u32 destination = (u32)(address >> LAPIC_MESSAGE_DEST_SHIFT) & XAPIC_DEST_MASK;

	if ((address & LAPIC_MESSAGE_MASK) != LAPIC_MESSAGE_BASE)
		return false;
	*ipi = (struct lapic_ipi){
		.destination = destination == XAPIC_DEST_MASK ? LAPIC_BROADCAST : destination,
		.vector = (u8)(data & LAPIC_MESSAGE_VECTOR),
		.delivery = (u8)((data & LAPIC_MESSAGE_DELIVERY) >> LAPIC_ICR_DELIVERY_SHIFT),
		.shorthand = LAPIC_TO_DESTINATION,
		.logical = (address & LAPIC_MESSAGE_LOGICAL) != 0,
		.level = (data & LAPIC_MESSAGE_LEVEL) != 0,
		.assert = !(data & LAPIC_MESSAGE_LEVEL) || data & LAPIC_MESSAGE_ASSERT,
	};
	return true;
}

void lapic_deliver(struct machine *m, struct lapic_view *v, const struct lapic_ipi *ipi)
{
	switch (ipi->delivery) {
	case LAPIC_FIXED:
	case LAPIC_LOWEST:
		if (ipi->vector < LAPIC_VECTOR_LOWEST)
			lapic_error(v, LAPIC_ESR_RECEIVE_ILLEGAL);
		else if (ipi->assert && lapic_accept(v, ipi->vector, ipi->level))
			lapic_got_vector(m, v->state);
		break;
	case LAPIC_NMI:
		lapic_got_nmi(m, v->state);
		break;
	case LAPIC_INIT:
		if (ipi->assert)
			lapic_got_init(m, v->state);
		break;
	case LAPIC_STARTUP:
		lapic_got_startup(m, v->state, ipi->vector);
		break;
	}
}

static bool concerns(const struct lapic_view *v, u32 index, u32 source, const struct lapic_ipi *ipi)
{
	switch ((enum lapic_shorthand)ipi->shorthand) {
	case LAPIC_TO_SELF:
		return index == source;
	case LAPIC_TO_ALL:
		return lapic_is_on(v);
	case LAPIC_TO_OTHERS:
		return index != source && lapic_is_on(v);
	case LAPIC_TO_DESTINATION:
		return lapic_matches(v, ipi->destination, ipi->logical);
	}
	return false;
}

/* Lowest-priority arbitration by task priority (SDM vol. 3, 11.6.2.4). */
static void route_lowest(struct machine *m, struct lapic_view *views, u32 count, u32 source,
	const struct lapic_ipi *ipi)
{
	u32 best = NO_APIC;
	u32 best_tpr = 0;

	for (u32 i = 0; i < count; i++) {
		u32 tpr = lapic_get(&views[i], LAPIC_TPR);

		if (!concerns(&views[i], i, source, ipi) ||
			!(lapic_get(&views[i], LAPIC_SVR) & LAPIC_SVR_ENABLE))
			continue;
		if (best == NO_APIC || tpr < best_tpr) {
			best = i;
			best_tpr = tpr;
		}
	}
	if (best != NO_APIC)
		lapic_deliver(m, &views[best], ipi);
}

void lapic_route(struct machine *m, struct lapic_view *views, u32 count, u32 source,
	const struct lapic_ipi *ipi)
{
	if (ipi->delivery == LAPIC_LOWEST) {
		route_lowest(m, views, count, source, ipi);
		return;
	}
	for (u32 i = 0; i < count; i++)
		if (concerns(&views[i], i, source, ipi))
			lapic_deliver(m, &views[i], ipi);
}

static u32 lvt_delivery(u32 lvt)
{
	return (lvt & LAPIC_LVT_DELIVERY) >> LAPIC_ICR_DELIVERY_SHIFT;
}

/* A level on LINT0 in fixed mode requests until it is gone, once for each EOI. */
void lapic_lint_sense(struct lapic_view *v)
{
	u32 lvt = lapic_get(v, LAPIC_LVT_LINT0);

	if (lvt_delivery(lvt) != LAPIC_FIXED || !(lvt & LAPIC_LVT_LEVEL) ||
		!(v->state->lint_level & BIT(0)) || lvt & (LAPIC_LVT_MASKED | LAPIC_LVT_REMOTE_IRR))
		return;
	lapic_set(v, LAPIC_LVT_LINT0, lvt | LAPIC_LVT_REMOTE_IRR);
	lapic_accept(v, (u8)(lvt & LAPIC_LVT_VECTOR), true);
}

void lapic_lint_eoi(struct lapic_view *v, u8 vector)
{
	u32 lvt = lapic_get(v, LAPIC_LVT_LINT0);

	if (!(lvt & LAPIC_LVT_REMOTE_IRR) || (lvt & LAPIC_LVT_VECTOR) != vector)
		return;
	lapic_set(v, LAPIC_LVT_LINT0, lvt & ~LAPIC_LVT_REMOTE_IRR);
	lapic_lint_sense(v);
}

void lapic_lint(struct machine *m, struct lapic_view *v, unsigned pin, bool level)
{
	u32 bit = 1u << pin % 2;
	bool rises = level && !(v->state->lint_level & bit);
	u32 lvt = lapic_get(v, pin % 2 ? LAPIC_LVT_LINT1 : LAPIC_LVT_LINT0);

	v->state->lint_level = level ? v->state->lint_level | bit : v->state->lint_level & ~bit;
	if (pin % 2 == 0)
		v->state->todo |= LAPIC_TODO_EXTINT;
	if (!lapic_is_on(v)) {
		if (rises && pin % 2)
			lapic_got_nmi(m, v->state);
		return;
	}
	if (pin % 2 == 0)
		lapic_lint_sense(v);
	if (!rises || lvt & LAPIC_LVT_MASKED)
		return;
	if (lvt_delivery(lvt) == LAPIC_NMI) {
		lapic_got_nmi(m, v->state);
	} else if (lvt_delivery(lvt) == LAPIC_FIXED && (pin % 2 || !(lvt & LAPIC_LVT_LEVEL))) {
		lapic_accept(v, (u8)(lvt & LAPIC_LVT_VECTOR), false);
	}
}

bool lapic_extint(const struct lapic_view *v)
{
	u32 lvt = lapic_get(v, LAPIC_LVT_LINT0);

	if (!lapic_is_on(v))
		return v->state->bsp; /* its LINT0 is the INTR pin then */
	return !(lvt & LAPIC_LVT_MASKED) && lvt_delivery(lvt) == LAPIC_EXTINT;
}
