/* Fuzzes the local APIC: its page, its MSRs, interrupts that come in, and its timer. */
#include "guests/vmm/dev/lapic.h"
#include "tests/fuzz/device_fuzz.h"

/* What outlives a VMM: the state, the page and the pending word. */
struct apic {
	struct lapic lapic;
	struct run_pending pending;
	struct lapic_page page;
};

static struct lapic_view view_of(void *state)
{
	struct apic *a = state;

	return (struct lapic_view){&a->lapic, &a->page, &a->pending};
}

/* The guest's TSC counts nanoseconds here. */
static u64 tsc(const struct machine *m)
{
	return m->now;
}

static void init(void *state)
{
	struct lapic_view v = view_of(state);

	lapic_init(&v, 0,
		(struct lapic_features){
			.address_bits = 40, .bsp = true, .x2apic = true, .tsc_deadline = true});
}

static void reset(struct machine *m, void *state)
{
	struct lapic_view v = view_of(state);

	lapic_reset(m, &v);
}

static u32 read(struct machine *m, void *state, u8 where, unsigned size)
{
	struct lapic_view v = view_of(state);
	u64 value;

	if (!lapic_in_page_mode(&v)) {
		if (!lapic_rdmsr(m, &v, LAPIC_MSR_BASE + where, tsc(m), &value))
			require(value == 0);
		return 0;
	}
	return lapic_read(m, &v, (u32)where * 4, size);
}

static void write(struct machine *m, void *state, u8 where, unsigned size, u32 value)
{
	struct lapic_view v = view_of(state);

	if (lapic_in_page_mode(&v))
		lapic_write(m, &v, (u32)where * 4, size, value);
	else
		lapic_wrmsr(m, &v, LAPIC_MSR_BASE + where, tsc(m), value);
}

static void write_msr(struct machine *m, struct lapic_view *v, const struct fuzz_op *op)
{
	static const u32 msrs[] = {LAPIC_MSR_APIC_BASE, LAPIC_MSR_TSC_DEADLINE};
	u64 value = op->value;

	if (op->where & 1)
		value += m->now;
	else
		value &= LAPIC_BASE_ENABLE | LAPIC_BASE_X2APIC | LAPIC_BASE_BSP;
	lapic_wrmsr(m, v, msrs[op->where & 1], tsc(m), value | (op->shift & 1 ? 0 : 0xfee00000));
}

/* The run page's timer, as the VMM handles it. */
static void timer(struct machine *m, struct lapic_view *v, u32 value)
{
	struct lapic_timer t;

	if (value & 1)
		lapic_timer_fired(m, v);
	t = lapic_timer_next(m, v, tsc(m));
	require(!(v->state->todo & LAPIC_TODO_TIMER));
	require(t.clock <= LAPIC_TIMER_TSC);
	if ((value & 1) && t.periodic)
		require(t.time > m->now);
	if (t.clock != LAPIC_TIMER_OFF)
		require(t.vector >= LAPIC_VECTOR_LOWEST);
}

static void outside(struct machine *m, void *state, const struct fuzz_op *op)
{
	struct lapic_view v = view_of(state);
	struct lapic_ipi ipi;

	switch (op->size % 8) {
	case 0:
	case 1:
		write_msr(m, &v, op);
		break;
	case 2:
		lapic_accept(&v, (u8)op->value, op->where & 1);
		break;
	case 3:
		if (lapic_parse_message(
			    LAPIC_MESSAGE_BASE | (u64)op->where << 12 | (op->shift & 12), op->value,
			    &ipi))
			lapic_route(m, &v, 1, 1, &ipi);
		break;
	case 4:
		lapic_lint(m, &v, op->where & 1, op->value & 1);
		break;
	case 5:
		if (op->where & 1)
			lapic_eoi(m, &v);
		else
			lapic_eoi_vector(m, &v, (u8)op->value);
		break;
	case 6:
		timer(m, &v, op->value);
		break;
	case 7:
		if (op->where & 1)
			lapic_init_signal(m, &v);
		else
			lapic_virtual_wire(&v);
		break;
	}
}

/* x2APIC implies the enable bit, and no illegal vector is ever requested. */
static void check(struct machine *m, void *state)
{
	struct lapic_view v = view_of(state);
	u64 base = v.state->base;

	(void)m;
	require(!(base & LAPIC_BASE_X2APIC) || (base & LAPIC_BASE_ENABLE));
	require(!(v.pending->vector[0] & (BIT(LAPIC_VECTOR_LOWEST) - 1)));
	require(lapic_extint(&v) == lapic_extint(&v));
	require(!(v.state->lint_level & ~3u));
}

static const struct fuzz_device device = {sizeof(struct apic), sizeof(struct lapic), LAPIC_MAGIC,
	LAPIC_VERSION, -1, init, reset, read, write, NULL, outside, check};

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	return fuzz_device(&device, data, size);
}
