/* The local APIC's MSRs: IA32_APIC_BASE, the x2APIC's registers, and IA32_TSC_DEADLINE. */
#include "guests/vmm/dev/lapic_parts.h"

#define REGISTER_STRIDE 16u
#define LOW_HALF        0xffffffffull
#define HIGH_SHIFT      32
#define ICR_X2_MIRROR   (LAPIC_ICR + 4) /* hardware with APIC-register virtualization reads there */
#define LVT_READ_ONLY   (LAPIC_LVT_PENDING | LAPIC_LVT_REMOTE_IRR)

static bool write_base(struct lapic_view *v, u64 value)
{
	struct lapic *s = v->state;
	u64 allowed = LAPIC_BASE_BSP | LAPIC_BASE_ENABLE;
	u64 mode = value & (LAPIC_BASE_ENABLE | LAPIC_BASE_X2APIC);
	u64 old = s->base & (LAPIC_BASE_ENABLE | LAPIC_BASE_X2APIC);

	if (s->has_x2apic)
		allowed |= LAPIC_BASE_X2APIC;
	if (value & (PAGE_SIZE - 1) & ~allowed || value >= s->base_limit)
		return false;
	/* SDM vol. 3, 11.12.5 and fig. 11-27: the ways between the modes. */
	if (mode == LAPIC_BASE_X2APIC || (mode & LAPIC_BASE_X2APIC && old == 0) ||
		(old & LAPIC_BASE_X2APIC && mode == LAPIC_BASE_ENABLE))
		return false;
	__atomic_store_n(&s->base, value, __ATOMIC_RELAXED);
	s->todo |= LAPIC_TODO_BASE | LAPIC_TODO_EXTINT;
	if (mode == 0 && old != 0)
		lapic_reset_registers(v);
	if (mode != old)
		lapic_set_identity(v);
	return true;
}

static bool write_x2_icr(struct machine *m, struct lapic_view *v, u64 value)
{
	u32 icr = (u32)value & LAPIC_ICR_WRITABLE;

	if ((u32)value & ~(LAPIC_ICR_WRITABLE | LAPIC_ICR_PENDING))
		return false;
	lapic_set(v, LAPIC_ICR, icr);
	lapic_set(v, LAPIC_ICR_HIGH, (u32)(value >> HIGH_SHIFT));
	lapic_set(v, ICR_X2_MIRROR, (u32)(value >> HIGH_SHIFT));
	lapic_send_ipi(m, v, icr, (u32)(value >> HIGH_SHIFT));
	return true;
}

static bool write_self_ipi(struct machine *m, struct lapic_view *v, u32 vector)
{
	if (vector & ~LAPIC_ICR_VECTOR)
		return false;
	lapic_send_ipi(m, v, (u32)LAPIC_TO_SELF << LAPIC_ICR_SHORTHAND_SHIFT | vector, 0);
	return true;
}

/* Whether an x2APIC register takes these bits (SDM vol. 3, 11.12.1.3, table 11-6). */
static bool x2_write_allowed(const struct lapic_view *v, u32 offset, u32 value)
{
	u32 writable = lapic_lvt_writable(v, offset);

	switch (offset) {
	case LAPIC_TPR:
		return !(value & ~LAPIC_TPR_WRITABLE);
	case LAPIC_EOI:
	case LAPIC_ESR:
		return value == 0;
	case LAPIC_SVR:
		return !(value & ~LAPIC_SVR_WRITABLE);
	case LAPIC_TIMER_INITIAL:
		return true;
	case LAPIC_TIMER_DIVIDE:
		return !(value & ~LAPIC_DIVIDE_WRITABLE);
	default:
		return writable && !(value & ~(writable | LVT_READ_ONLY));
	}
}

bool lapic_wrmsr(struct machine *m, struct lapic_view *v, u32 msr, u64 guest_tsc, u64 value)
{
	u32 offset = (msr - LAPIC_MSR_BASE) * REGISTER_STRIDE;

	(void)guest_tsc;
	if (msr == LAPIC_MSR_APIC_BASE)
		return write_base(v, value);
	if (msr == LAPIC_MSR_TSC_DEADLINE) {
		if (v->state->has_deadline)
			lapic_timer_set_deadline(v, value);
		return v->state->has_deadline;
	}
	if (msr < LAPIC_MSR_BASE || msr >= LAPIC_MSR_END || !lapic_is_x2apic(v))
		return false;
	if (offset == LAPIC_ICR)
		return write_x2_icr(m, v, value);
	if (value & ~LOW_HALF)
		return false;
	if (offset == LAPIC_SELF_IPI)
		return write_self_ipi(m, v, (u32)value);
	return x2_write_allowed(v, offset, (u32)value) &&
	       lapic_write_register(m, v, offset, (u32)value);
}

bool lapic_rdmsr(struct machine *m, struct lapic_view *v, u32 msr, u64 guest_tsc, u64 *value)
{
	u32 offset = (msr - LAPIC_MSR_BASE) * REGISTER_STRIDE;
	u32 low = 0;

	*value = 0;
	if (msr == LAPIC_MSR_APIC_BASE) {
		*value = v->state->base;
		return true;
	}
	if (msr == LAPIC_MSR_TSC_DEADLINE) {
		if (v->state->has_deadline)
			*value = lapic_timer_deadline(v, guest_tsc);
		return v->state->has_deadline;
	}
	if (msr < LAPIC_MSR_BASE || msr >= LAPIC_MSR_END || !lapic_is_x2apic(v))
		return false;
	if (!lapic_read_register(m, v, offset, &low))
		return false;
	*value = low;
	if (offset == LAPIC_ICR)
		*value |= (u64)lapic_get(v, LAPIC_ICR_HIGH) << HIGH_SHIFT;
	return true;
}
