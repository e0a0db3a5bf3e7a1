/* The local APIC's timer (SDM vol. 3, 11.5.4). Counts follow from the time; nothing ticks here. */
#include "guests/vmm/dev/lapic_parts.h"

static u32 timer_mode(const struct lapic_view *v)
{
	return lapic_get(v, LAPIC_LVT_TIMER) & LAPIC_LVT_TIMER_MODE;
}

/* Cycles of the clock, which are nanoseconds, for one count: 1 to 128 (SDM vol. 3, fig. 11-10). */
static u64 divisor(u32 divide)
{
	u32 code = (divide & LAPIC_DIVIDE_LOW) | (divide & LAPIC_DIVIDE_HIGH) >> 1;

	return 1ull << (code + 1) % 8;
}

static u64 period_ns(const struct lapic_view *v)
{
	return lapic_get(v, LAPIC_TIMER_INITIAL) * divisor(lapic_get(v, LAPIC_TIMER_DIVIDE));
}

/* Moves the expiry on to the first one after `time`, in periodic mode; else stops the timer. */
static void advance(struct lapic_view *v, u64 time)
{
	struct lapic *s = v->state;
	u64 period = period_ns(v);

	if (s->timer_expiry == MACHINE_NEVER || s->timer_expiry > time)
		return;
	if (timer_mode(v) != LAPIC_LVT_PERIODIC || period == 0)
		s->timer_expiry = MACHINE_NEVER;
	else
		s->timer_expiry += ((time - s->timer_expiry) / period + 1) * period;
}

/* Nanoseconds to the next expiry; 0 if the timer is stopped. */
static u64 remaining(struct machine *m, struct lapic_view *v)
{
	u64 now = machine_now(m);
	u64 expiry = v->state->timer_expiry;
	u64 period = period_ns(v);

	if (expiry == MACHINE_NEVER)
		return 0;
	if (now < expiry)
		return expiry - now;
	/* It is over, though the kernel may not have fired it yet. */
	if (timer_mode(v) != LAPIC_LVT_PERIODIC || period == 0)
		return 0;
	return period - (now - expiry) % period;
}

/* The guest set a time: what the run page has now, or had when it fired, is an older one. */
static void programmed(struct lapic_view *v)
{
	v->state->timer_given = 0;
	v->state->todo |= LAPIC_TODO_TIMER;
}

u32 lapic_timer_count(struct machine *m, struct lapic_view *v)
{
	u64 cycles = divisor(lapic_get(v, LAPIC_TIMER_DIVIDE));

	return (u32)((remaining(m, v) + cycles - 1) / cycles);
}

void lapic_timer_set_initial(struct machine *m, struct lapic_view *v, u32 count)
{
	if (timer_mode(v) == LAPIC_LVT_TSC_DEADLINE)
		return;
	lapic_set(v, LAPIC_TIMER_INITIAL, count);
	v->state->timer_expiry = count ? machine_now(m) + period_ns(v) : MACHINE_NEVER;
	programmed(v);
}

void lapic_timer_set_divide(struct machine *m, struct lapic_view *v, u32 value)
{
	u64 count = lapic_timer_count(m, v);

	lapic_set(v, LAPIC_TIMER_DIVIDE, value & LAPIC_DIVIDE_WRITABLE);
	if (count == 0)
		return;
	v->state->timer_expiry = machine_now(m) + count * divisor(value);
	programmed(v);
}

/* Between deadline mode and the others a change of mode disarms (SDM vol. 3, 11.5.4.1). */
void lapic_timer_set_lvt(struct lapic_view *v, u32 value)
{
	bool was_deadline = timer_mode(v) == LAPIC_LVT_TSC_DEADLINE;

	lapic_set(v, LAPIC_LVT_TIMER, value);
	v->state->todo |= LAPIC_TODO_TIMER;
	if (was_deadline == (timer_mode(v) == LAPIC_LVT_TSC_DEADLINE))
		return;
	lapic_set(v, LAPIC_TIMER_INITIAL, 0);
	v->state->timer_expiry = MACHINE_NEVER;
	v->state->tsc_deadline = 0;
}

u64 lapic_timer_deadline(struct lapic_view *v, u64 guest_tsc)
{
	if (timer_mode(v) != LAPIC_LVT_TSC_DEADLINE || v->state->tsc_deadline <= guest_tsc)
		return 0;
	return v->state->tsc_deadline;
}

void lapic_timer_set_deadline(struct lapic_view *v, u64 value)
{
	if (timer_mode(v) != LAPIC_LVT_TSC_DEADLINE)
		return;
	v->state->tsc_deadline = value;
	programmed(v);
}

struct lapic_timer lapic_timer_next(struct machine *m, struct lapic_view *v, u64 guest_tsc)
{
	struct lapic *s = v->state;
	u32 lvt = lapic_get(v, LAPIC_LVT_TIMER);
	struct lapic_timer timer = {
		.clock = LAPIC_TIMER_OFF, .vector = (u8)(lvt & LAPIC_LVT_VECTOR)};

	s->todo &= ~(u32)LAPIC_TODO_TIMER;
	if (s->timer_masked) {
		advance(v, machine_now(m));
		if (s->tsc_deadline <= guest_tsc)
			s->tsc_deadline = 0;
	}
	s->timer_masked = (lvt & LAPIC_LVT_MASKED) != 0;
	s->timer_given = 0;
	if (s->timer_masked || timer.vector < LAPIC_VECTOR_LOWEST || !lapic_is_on(v))
		return timer;
	if (timer_mode(v) == LAPIC_LVT_TSC_DEADLINE && s->tsc_deadline) {
		timer.clock = LAPIC_TIMER_TSC;
		timer.time = s->tsc_deadline;
	} else if (timer_mode(v) != LAPIC_LVT_TSC_DEADLINE && s->timer_expiry != MACHINE_NEVER) {
		timer.clock = LAPIC_TIMER_NS;
		timer.time = s->timer_expiry;
		timer.periodic = timer_mode(v) == LAPIC_LVT_PERIODIC;
	}
	s->timer_given = timer.clock != LAPIC_TIMER_OFF;
	return timer;
}

void lapic_timer_fired(struct machine *m, struct lapic_view *v)
{
	struct lapic *s = v->state;
	u64 now = machine_now(m);

	s->todo |= LAPIC_TODO_TIMER;
	if (!s->timer_given)
		return;
	s->timer_given = 0;
	/* The clocks need not agree to the last cycle: it fired, so its time has come. */
	if (timer_mode(v) == LAPIC_LVT_TSC_DEADLINE)
		s->tsc_deadline = 0;
	else if (timer_mode(v) != LAPIC_LVT_PERIODIC)
		s->timer_expiry = MACHINE_NEVER;
	else if (period_ns(v) < LAPIC_PERIOD_MIN_NS)
		advance(v, now + LAPIC_PERIOD_MIN_NS);
	else
		advance(v, now > s->timer_expiry ? now : s->timer_expiry);
}
