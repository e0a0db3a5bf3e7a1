/* Registers of the local APIC, and its page in xAPIC mode: see lapic.h. */
#include "guests/vmm/dev/lapic_parts.h"

#define REGISTER_STRIDE 16u
#define BANK_END(bank)  ((bank) + 8 * LAPIC_BANK_STRIDE)
#define PRIORITY_CLASS  0xf0u
#define DFR_ONES        0x0fffffffu /* bits that read as one */

/* Bits that software can write; without CMCI, which the version register does not announce. */
static const struct {
	u32 offset;
	u32 writable;
} lvts[] = {
	{LAPIC_LVT_TIMER, LAPIC_LVT_VECTOR | LAPIC_LVT_MASKED | LAPIC_LVT_TIMER_MODE},
	{LAPIC_LVT_THERMAL, LAPIC_LVT_VECTOR | LAPIC_LVT_DELIVERY | LAPIC_LVT_MASKED},
	{LAPIC_LVT_PERF, LAPIC_LVT_VECTOR | LAPIC_LVT_DELIVERY | LAPIC_LVT_MASKED},
	{LAPIC_LVT_LINT0, LAPIC_LVT_VECTOR | LAPIC_LVT_DELIVERY | LAPIC_LVT_POLARITY |
				  LAPIC_LVT_LEVEL | LAPIC_LVT_MASKED},
	{LAPIC_LVT_LINT1, LAPIC_LVT_VECTOR | LAPIC_LVT_DELIVERY | LAPIC_LVT_POLARITY |
				  LAPIC_LVT_LEVEL | LAPIC_LVT_MASKED},
	{LAPIC_LVT_ERROR, LAPIC_LVT_VECTOR | LAPIC_LVT_MASKED},
};

u32 lapic_lvt_writable(const struct lapic_view *v, u32 offset)
{
	for (size_t i = 0; i < ARRAY_SIZE(lvts); i++) {
		if (lvts[i].offset != offset)
			continue;
		if (offset == LAPIC_LVT_TIMER && !v->state->has_deadline)
			return lvts[i].writable & ~LAPIC_LVT_TSC_DEADLINE;
		return lvts[i].writable;
	}
	return 0;
}

/* 32 vectors of the pending word's. */
static u32 pending(const u64 word[4], u32 bank)
{
	return (u32)(__atomic_load_n(&word[bank / 2], __ATOMIC_RELAXED) >> bank % 2 * 32);
}

/* ISR, TMR and IRR as the guest is to see them: with what the kernel has not moved there yet. */
static u32 read_bank(const struct lapic_view *v, u32 offset)
{
	u32 bank = offset / LAPIC_BANK_STRIDE % (LAPIC_VECTORS / 32);
	u32 edge;
	u32 level;

	if (offset < LAPIC_TMR) /* at each end of interrupt */
		return lapic_get(v, offset);
	edge = pending(v->pending->vector, bank);
	level = pending(v->pending->level, bank);
	return offset >= LAPIC_IRR ? lapic_get(v, offset) | edge | level
				   : (lapic_get(v, offset) & ~edge) | level;
}

/* Returns the highest vector of a bank; 0, which is none, if there is no bit. */
static u8 highest(const struct lapic_view *v, u32 bank)
{
	for (u32 i = LAPIC_VECTORS / 32; i-- > 0;) {
		u32 bits = read_bank(v, bank + i * LAPIC_BANK_STRIDE);

		if (bits)
			return (u8)(i * 32 + 31 - (u32)__builtin_clz(bits));
	}
	return 0;
}

/* Processor priority (SDM vol. 3, 11.8.3.1). */
static u32 read_ppr(const struct lapic_view *v)
{
	u32 tpr = lapic_get(v, LAPIC_TPR);
	u32 isr = highest(v, LAPIC_ISR);

	return (tpr & PRIORITY_CLASS) >= (isr & PRIORITY_CLASS) ? tpr : isr & PRIORITY_CLASS;
}

/* Arbitration priority (APM vol. 2, 16.6.4). */
static u32 read_apr(const struct lapic_view *v)
{
	u32 tpr = lapic_get(v, LAPIC_TPR);
	u32 irr = highest(v, LAPIC_IRR) & PRIORITY_CLASS;
	u32 isr = highest(v, LAPIC_ISR) & PRIORITY_CLASS;

	if ((tpr & PRIORITY_CLASS) >= irr && (tpr & PRIORITY_CLASS) > isr)
		return tpr;
	return irr > isr ? irr : isr;
}

bool lapic_read_register(struct machine *m, struct lapic_view *v, u32 offset, u32 *value)
{
	if (offset >= LAPIC_ISR && offset < BANK_END(LAPIC_IRR)) {
		*value = read_bank(v, offset);
		return true;
	}
	switch (offset) {
	case LAPIC_ID:
	case LAPIC_VERSION_REG:
	case LAPIC_TPR:
	case LAPIC_LDR:
	case LAPIC_SVR:
	case LAPIC_ESR:
	case LAPIC_ICR:
	case LAPIC_TIMER_INITIAL:
	case LAPIC_TIMER_DIVIDE:
		*value = lapic_get(v, offset);
		return true;
	case LAPIC_PPR:
		*value = read_ppr(v);
		return true;
	case LAPIC_TIMER_CURRENT:
		*value = lapic_timer_count(m, v);
		return true;
	}
	*value = lapic_get(v, offset);
	return lapic_lvt_writable(v, offset) != 0;
}

bool lapic_may_skip_eoi(const struct lapic_view *v)
{
	u32 words = 0;
	u32 bad = 0;
	u32 in_service = 0;

	for (u32 i = 0; i < 8; i++) {
		u32 at = i * LAPIC_BANK_STRIDE;
		u32 irr = read_bank(v, LAPIC_IRR + at);

		words += irr != 0;
		if (irr)
			bad |= (irr & (irr - 1)) | (irr & read_bank(v, LAPIC_TMR + at));
		in_service |= lapic_get(v, LAPIC_ISR + at);
	}
	return !in_service && words <= 1 && !bad;
}

void lapic_eoi_vector(struct machine *m, struct lapic_view *v, u8 vector)
{
	if (!(lapic_get(v, lapic_bank(LAPIC_TMR, vector)) & lapic_bit(vector)))
		return;
	lapic_lint_eoi(v, vector);
	if (!(lapic_get(v, LAPIC_SVR) & LAPIC_SVR_NO_EOI_CAST))
		lapic_eoi_broadcast(m, v->state, vector);
}

void lapic_eoi(struct machine *m, struct lapic_view *v)
{
	u8 vector = highest(v, LAPIC_ISR);
	u32 offset = lapic_bank(LAPIC_ISR, vector);

	if (vector == 0)
		return;
	lapic_set(v, offset, lapic_get(v, offset) & ~lapic_bit(vector));
	v->state->todo |= LAPIC_TODO_DELIVER;
	lapic_eoi_vector(m, v, vector);
}

static void set_tpr(struct lapic_view *v, u32 value)
{
	lapic_set(v, LAPIC_TPR, value & LAPIC_TPR_WRITABLE);
	v->state->todo |= LAPIC_TODO_DELIVER;
}

static void write_lvt(struct lapic_view *v, u32 offset, u32 value)
{
	u32 lvt = value & lapic_lvt_writable(v, offset);

	if (!(lapic_get(v, LAPIC_SVR) & LAPIC_SVR_ENABLE))
		lvt |= LAPIC_LVT_MASKED;
	if (offset == LAPIC_LVT_TIMER) {
		lapic_timer_set_lvt(v, lvt);
		return;
	}
	if (offset == LAPIC_LVT_LINT0) {
		v->state->todo |= LAPIC_TODO_EXTINT;
		if (lvt & LAPIC_LVT_LEVEL)
			lvt |= lapic_get(v, offset) & LAPIC_LVT_REMOTE_IRR;
	}
	lapic_set(v, offset, lvt);
	if (offset == LAPIC_LVT_LINT0)
		lapic_lint_sense(v);
}

/* Software-disabling masks all LVT entries (SDM vol. 3, 11.4.7.2). */
static void write_svr(struct lapic_view *v, u32 value)
{
	lapic_set(v, LAPIC_SVR, value & LAPIC_SVR_WRITABLE);
	v->state->todo |= LAPIC_TODO_TIMER | LAPIC_TODO_EXTINT;
	if (value & LAPIC_SVR_ENABLE)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(lvts); i++)
		lapic_set(v, lvts[i].offset, lapic_get(v, lvts[i].offset) | LAPIC_LVT_MASKED);
}

static void latch_errors(struct lapic_view *v)
{
	lapic_set(v, LAPIC_ESR, __atomic_exchange_n(&v->state->esr_pending, 0, __ATOMIC_RELAXED));
}

void lapic_send_ipi(struct machine *m, struct lapic_view *v, u32 icr, u32 destination)
{
	struct lapic_ipi ipi = {
		.destination = destination,
		.vector = (u8)(icr & LAPIC_ICR_VECTOR),
		.delivery = (u8)((icr & LAPIC_ICR_DELIVERY) >> LAPIC_ICR_DELIVERY_SHIFT),
		.shorthand = (u8)((icr & LAPIC_ICR_SHORTHAND) >> LAPIC_ICR_SHORTHAND_SHIFT),
		.logical = (icr & LAPIC_ICR_LOGICAL) != 0,
		/* The trigger mode is for the INIT de-assert only (SDM vol. 3, 11.6.1). */
		.level = false,
		.assert = icr & LAPIC_ICR_ASSERT || !(icr & LAPIC_ICR_LEVEL),
	};

	if (ipi.delivery <= LAPIC_LOWEST) {
		if (ipi.vector < LAPIC_VECTOR_LOWEST) {
			lapic_error(v, LAPIC_ESR_SEND_ILLEGAL);
			return;
		}
		ipi.assert = true;
	}
	if (ipi.shorthand == LAPIC_TO_SELF) {
		/* Not valid: INIT and the like to itself (SDM vol. 3, table 11-4). */
		if (ipi.delivery <= LAPIC_LOWEST || ipi.delivery == LAPIC_NMI)
			lapic_deliver(m, v, &ipi);
		return;
	}
	lapic_send(m, v->state, &ipi);
}

static void write_icr(struct machine *m, struct lapic_view *v, u32 value)
{
	u32 destination = lapic_get(v, LAPIC_ICR_HIGH) >> LAPIC_XAPIC_ID_SHIFT;

	lapic_set(v, LAPIC_ICR, value & LAPIC_ICR_WRITABLE);
	if (destination == LAPIC_XAPIC_BROADCAST)
		destination = LAPIC_BROADCAST;
	lapic_send_ipi(m, v, value & LAPIC_ICR_WRITABLE, destination);
}

bool lapic_write_register(struct machine *m, struct lapic_view *v, u32 offset, u32 value)
{
	switch (offset) {
	case LAPIC_TPR:
		set_tpr(v, value);
		return true;
	case LAPIC_EOI:
		lapic_eoi(m, v);
		return true;
	case LAPIC_SVR:
		write_svr(v, value);
		return true;
	case LAPIC_ESR:
		latch_errors(v);
		return true;
	case LAPIC_TIMER_INITIAL:
		lapic_timer_set_initial(m, v, value);
		return true;
	case LAPIC_TIMER_DIVIDE:
		lapic_timer_set_divide(m, v, value);
		return true;
	}
	if (!lapic_lvt_writable(v, offset))
		return false;
	write_lvt(v, offset, value);
	return true;
}

bool lapic_in_page_mode(const struct lapic_view *v)
{
	return lapic_is_on(v) && !lapic_is_x2apic(v);
}

bool lapic_in_x2apic_mode(const struct lapic_view *v)
{
	return lapic_is_x2apic(v);
}

u32 lapic_read(struct machine *m, struct lapic_view *v, u32 offset, unsigned size)
{
	u32 within = offset % REGISTER_STRIDE;
	u32 value;

	offset -= within;
	if (offset >= PAGE_SIZE || within + size > sizeof(u32))
		return 0;
	switch (offset) {
	case LAPIC_DFR:
	case LAPIC_ICR_HIGH:
		value = lapic_get(v, offset);
		break;
	case LAPIC_APR:
		value = read_apr(v);
		break;
	case LAPIC_EOI: /* write-only */
	case LAPIC_RRD:
		value = 0;
		break;
	default:
		if (!lapic_read_register(m, v, offset, &value)) {
			lapic_error(v, LAPIC_ESR_ILLEGAL_REGISTER);
			return 0;
		}
	}
	return value >> within * 8 & device_mask(size);
}

void lapic_write(struct machine *m, struct lapic_view *v, u32 offset, unsigned size, u32 value)
{
	if (offset >= PAGE_SIZE || offset % REGISTER_STRIDE || size != sizeof(u32))
		return;
	switch (offset) {
	case LAPIC_ID: /* read-only, as on processors with x2APIC */
	case LAPIC_VERSION_REG:
	case LAPIC_APR:
	case LAPIC_PPR:
	case LAPIC_RRD:
	case LAPIC_TIMER_CURRENT:
		break;
	case LAPIC_LDR:
		lapic_set(v, offset, value & LAPIC_LDR_WRITABLE);
		break;
	case LAPIC_DFR:
		lapic_set(v, offset, (value & LAPIC_DFR_WRITABLE) | DFR_ONES);
		break;
	case LAPIC_ICR:
		write_icr(m, v, value);
		break;
	case LAPIC_ICR_HIGH:
		lapic_set(v, offset, value & LAPIC_LDR_WRITABLE);
		break;
	default:
		if (offset >= LAPIC_ISR && offset < BANK_END(LAPIC_IRR))
			break;
		if (!lapic_write_register(m, v, offset, value))
			lapic_error(v, LAPIC_ESR_ILLEGAL_REGISTER);
	}
}

void lapic_reset_registers(struct lapic_view *v)
{
	struct lapic *s = v->state;

	for (size_t i = 0; i < ARRAY_SIZE(v->page->word); i++)
		__atomic_store_n(&v->page->word[i], 0, __ATOMIC_RELAXED);
	for (size_t i = 0; i < ARRAY_SIZE(v->pending->vector); i++) {
		__atomic_store_n(&v->pending->vector[i], 0, __ATOMIC_SEQ_CST);
		__atomic_store_n(&v->pending->level[i], 0, __ATOMIC_SEQ_CST);
	}
	for (size_t i = 0; i < ARRAY_SIZE(lvts); i++)
		lapic_set(v, lvts[i].offset, LAPIC_LVT_MASKED);
	lapic_set(v, LAPIC_VERSION_REG, LAPIC_VERSION_VALUE);
	lapic_set(v, LAPIC_DFR, LAPIC_DFR_FLAT);
	lapic_set(v, LAPIC_SVR, LAPIC_SVR_VECTOR);
	s->timer_expiry = MACHINE_NEVER;
	s->tsc_deadline = 0;
	s->timer_masked = 1;
	__atomic_store_n(&s->esr_pending, 0, __ATOMIC_RELAXED);
	s->todo |= LAPIC_TODO_DELIVER | LAPIC_TODO_TIMER | LAPIC_TODO_EXTINT;
}

void lapic_set_identity(struct lapic_view *v)
{
	u32 id = v->state->id;

	if (!lapic_is_x2apic(v)) {
		lapic_set(v, LAPIC_ID, id << LAPIC_XAPIC_ID_SHIFT);
		return;
	}
	lapic_set(v, LAPIC_ID, id);
	lapic_set(v, LAPIC_LDR,
		id / X2APIC_CLUSTER_SIZE << LAPIC_X2_CLUSTER_SHIFT |
			1u << id % X2APIC_CLUSTER_SIZE);
}

void lapic_virtual_wire(struct lapic_view *v)
{
	write_svr(v, LAPIC_SVR_ENABLE | LAPIC_SVR_VECTOR);
	if (v->state->bsp)
		write_lvt(v, LAPIC_LVT_LINT0, (u32)LAPIC_EXTINT << LAPIC_ICR_DELIVERY_SHIFT);
	write_lvt(v, LAPIC_LVT_LINT1, (u32)LAPIC_NMI << LAPIC_ICR_DELIVERY_SHIFT);
}

void lapic_init_signal(struct machine *m, struct lapic_view *v)
{
	(void)m;
	lapic_reset_registers(v);
	lapic_set_identity(v);
}

void lapic_reset(struct machine *m, struct lapic_view *v)
{
	struct lapic *s = v->state;
	u64 base = LAPIC_DEFAULT_BASE | LAPIC_BASE_ENABLE | (s->bsp ? LAPIC_BASE_BSP : 0);

	__atomic_store_n(&s->base, base, __ATOMIC_RELAXED);
	s->todo |= LAPIC_TODO_BASE;
	lapic_init_signal(m, v);
}

void lapic_init(struct lapic_view *v, u32 id, struct lapic_features features)
{
	*v->state = (struct lapic){
		.header = device_header(LAPIC_MAGIC, LAPIC_VERSION, sizeof(*v->state)),
		.base_limit = BIT(features.address_bits % 64),
		.id = id,
		.bsp = features.bsp,
		.has_x2apic = features.x2apic,
		.has_deadline = features.tsc_deadline,
	};
	lapic_reset(NULL, v);
}
