/* Wiring of the interrupt controllers, and what they ask of the run page. */
#include "interrupt.h"
#include "vcpu.h"

#define PIT_PIN   2 /* of the I/O APIC, as the MADT says */
#define NMIS_MAX  2 /* one in service and one pending, as in the processor */
#define NO_SOURCE (~0u)

void machine_line(struct machine *m, u32 line, bool level)
{
	if (line < 16)
		pic_set_line(m, &m->state->pic, line, level);
	if (line != PIT_PIN)
		ioapic_set_pin(m, &m->state->ioapic, line == PIT_LINE ? PIT_PIN : line, level);
}

void machine_intr(struct machine *m, bool level)
{
	for (u32 i = 0; i < m->vcpus; i++)
		lapic_lint(m, &m->lapic[i], 0, level);
}

void machine_message(struct machine *m, u64 address, u32 data)
{
	struct lapic_ipi ipi;

	if (lapic_parse_message(address, data, &ipi))
		lapic_route(m, m->lapic, m->vcpus, NO_SOURCE, &ipi);
}

void ioapic_changed(struct machine *m)
{
	(void)m; /* every EOI is seen: no bitmap of those that must exit */
}

void lapic_eoi_broadcast(struct machine *m, u8 vector)
{
	ioapic_eoi(m, &m->state->ioapic, vector);
}

static struct vcpu *vcpu_of(struct machine *m, const struct lapic *lapic)
{
	return &m->vcpu[lapic - m->state->lapic];
}

void lapic_send(struct machine *m, struct lapic *source, const struct lapic_ipi *ipi)
{
	lapic_route(m, m->lapic, m->vcpus, vcpu_of(m, source)->index, ipi);
}

void lapic_got_nmi(struct machine *m, struct lapic *target)
{
	struct vcpu_state *s = vcpu_of(m, target)->state;

	if (s->nmis < NMIS_MAX)
		s->nmis++;
}

void lapic_got_init(struct machine *m, struct lapic *target)
{
	/* the only processor: nobody could start it again but firmware, which is not there */
	log_line("the guest sent INIT to vcpu %u: reset", vcpu_of(m, target)->index);
	machine_end(m, MACHINE_RESET);
}

void lapic_got_startup(struct machine *m, struct lapic *target, u8 page)
{
	/* a processor that runs ignores it (SDM vol. 3, 9.4.4) */
	(void)m;
	(void)target;
	(void)page;
}

void lapic_got_vector(struct machine *m, struct lapic *target)
{
	/* its own thread looks at the pending word when it enters the guest */
	(void)m;
	(void)target;
}

/* Host TSC at which the LAPIC's timer is due; 0: never. */
static cycles_t timer_due(struct vcpu *v, const struct lapic_timer *timer, cycles_t now)
{
	u64 guest_now = now + v->state->tsc_offset;
	cycles_t at = TIME_NEVER;

	if (timer->clock == LAPIC_TIMER_NS)
		at = clock_deadline(&v->machine->clock, timer->time);
	else if (timer->clock == LAPIC_TIMER_TSC && timer->time <= guest_now)
		at = now;
	else if (timer->clock == LAPIC_TIMER_TSC && timer->time - guest_now < TIME_NEVER - now)
		at = now + (timer->time - guest_now);
	return at == TIME_NEVER ? 0 : at;
}

/* Puts the LAPIC's timer into the run page. */
static void timer_program(struct vcpu *v)
{
	cycles_t now = tsc_now();
	u64 guest_now = now + v->state->tsc_offset;
	struct lapic_timer timer = lapic_timer_next(v->machine, v->lapic, guest_now);
	cycles_t at = timer_due(v, &timer, now);
	struct run_page *run = v->run;

	if (at && at <= now) { /* it is due: without the kernel's timer */
		lapic_accept(v->lapic, timer.vector, false);
		lapic_timer_fired(v->machine, v->lapic);
		timer = lapic_timer_next(v->machine, v->lapic, guest_now);
		at = timer_due(v, &timer, now);
	}
	if (at != run->timer || timer.vector != run->timer_vector) {
		run->timer = at;
		run->timer_vector = timer.vector;
		run->dirty |= GROUP_CONTROL;
	}
	v->timer_set = at;
	if (at && timer.periodic) {
		v->periodic = at;
		v->machine->rearm = true;
	} else if (v->periodic != TIME_NEVER) {
		v->periodic = TIME_NEVER;
		v->machine->rearm = true;
	}
}

/* Can an external interrupt be injected at once? */
static bool can_take(const struct vcpu *v)
{
	const struct run_page *run = v->run;

	return (run->valid & GROUP_RIP) && (run->rflags & RFLAGS_IF) &&
	       !(run->shadow & (SHADOW_STI | SHADOW_MOV_SS)) && !(run->inject & INJECT_VALID);
}

static void inject(struct vcpu *v, u64 event)
{
	struct run_page *run = v->run;

	run->inject = INJECT_VALID | event;
	run->inject_length = 0;
	run->dirty |= GROUP_INJECT;
	if (run->activity == ACTIVITY_HLT) {
		run->activity = ACTIVITY_ACTIVE;
		run->dirty |= GROUP_RIP;
	}
}

/* Sets a RUN_* flag or clears it. */
static void flag_set(struct vcpu *v, u64 flag, bool on)
{
	u64 flags = on ? v->run->flags | flag : v->run->flags & ~flag;

	if (flags == v->run->flags)
		return;
	v->run->flags = flags;
	v->run->dirty |= GROUP_CONTROL;
}

static void settle_nmi(struct vcpu *v)
{
	struct run_page *run = v->run;

	if (v->state->nmis && (run->valid & GROUP_RIP) && !(run->shadow & SHADOW_NMI) &&
		!(run->shadow & SHADOW_MOV_SS) && !(run->inject & INJECT_VALID)) {
		v->state->nmis--;
		inject(v, INJECT_TYPE_NMI | INJECT_VECTOR(VECTOR_NMI));
	}
	flag_set(v, RUN_NMI_WINDOW, v->state->nmis != 0);
}

static void settle_extint(struct vcpu *v)
{
	struct pic *pic = &v->machine->state->pic;
	bool wanted = pic_output(pic) && lapic_extint(v->lapic);

	if (wanted && can_take(v)) {
		inject(v, INJECT_TYPE_INTR | INJECT_VECTOR(pic_ack(v->machine, pic)));
		wanted = pic_output(pic);
	}
	flag_set(v, RUN_WINDOW, wanted);
}

void interrupt_settle(struct vcpu *v)
{
	struct lapic *lapic = v->lapic->state;

	if (v->timer_set && !v->run->timer) { /* the kernel let it fire */
		v->timer_set = 0;
		lapic_timer_fired(v->machine, v->lapic);
	}
	if (lapic->todo & LAPIC_TODO_TIMER)
		timer_program(v);
	if (lapic->todo & LAPIC_TODO_DELIVER)
		v->run->dirty |= GROUP_APIC;
	lapic->todo = 0; /* BASE and EXTINT are looked at in any case */
	if (v->state->nmis || (v->run->flags & RUN_NMI_WINDOW))
		settle_nmi(v);
	settle_extint(v);
	if (v->machine->rearm)
		machine_deadline(v->machine);
}
