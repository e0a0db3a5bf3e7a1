/* Wiring of the interrupt controllers, and what they ask of the run page. */
#include "interrupt.h"
#include "guests/vmm/debug/debug.h"
#include "lock.h"
#include "guests/vmm/pv/pveoi.h"
#include "smp.h"
#include "guests/vmm/pv/steal.h"
#include "vcpu.h"

#define PIT_PIN   2 /* of the I/O APIC, as the MADT says */
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
	(void)level; /* it is asked for when the mail is opened */
	/* Wired to the bootstrap processor's LINT0 alone: nobody uses it at others. */
	vcpu_post(&m->vcpu[0], MAIL_INTR);
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

static struct vcpu *vcpu_of(struct machine *m, const struct lapic *lapic)
{
	return &m->vcpu[lapic - m->state->lapic];
}

void lapic_eoi_broadcast(struct machine *m, struct lapic *source, u8 vector)
{
	struct vcpu *v = vcpu_of(m, source);

	machine_lock(v);
	ioapic_eoi(m, &m->state->ioapic, vector);
}

void lapic_send(struct machine *m, struct lapic *source, const struct lapic_ipi *ipi)
{
	lapic_route(m, m->lapic, m->vcpus, vcpu_of(m, source)->index, ipi);
}

void lapic_got_nmi(struct machine *m, struct lapic *target)
{
	struct vcpu *v = vcpu_of(m, target);

	if (!vcpu_post(v, MAIL_NMI))
		vcpu_post(v, MAIL_NMI_TWO);
}

void lapic_got_init(struct machine *m, struct lapic *target)
{
	struct vcpu *v = vcpu_of(m, target);

	/* It would begin at the reset vector, and there is no firmware. */
	if (target->bsp) {
		log_line("the guest sent INIT to vcpu %u: reset", v->index);
		machine_end(m, MACHINE_RESET);
		return;
	}
	/* A start-up IPI from before it is none after it. */
	__atomic_fetch_and(&v->post->mail, ~(u32)MAIL_STARTUP, __ATOMIC_SEQ_CST);
	vcpu_post(v, MAIL_INIT);
}

void lapic_got_startup(struct machine *m, struct lapic *target, u8 page)
{
	vcpu_post_startup(vcpu_of(m, target), page);
}

void lapic_got_vector(struct machine *m, struct lapic *target)
{
	vcpu_nudge(vcpu_of(m, target));
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
	v->state->timer_set = at;
	v->state->periodic = at && timer.periodic ? at : TIME_NEVER;
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

/*
 * True: it waits for an interrupt window. A processor may open the NMI window in the shadow of STI,
 * where it takes no NMI from an entry (SDM vol. 3, 26.2 and 27.3.1.5).
 */
static bool settle_nmi(struct vcpu *v)
{
	struct run_page *run = v->run;
	bool wanted, sti;

	if (v->state->nmis && (run->valid & GROUP_RIP) && !run->shadow &&
		!(run->inject & INJECT_VALID)) {
		v->state->nmis--;
		inject(v, INJECT_TYPE_NMI | INJECT_VECTOR(VECTOR_NMI));
	}
	wanted = v->state->nmis != 0;
	sti = (run->shadow & SHADOW_STI) && (run->rflags & RFLAGS_IF);
	flag_set(v, RUN_NMI_WINDOW, wanted && !sti);
	return wanted && sti;
}

/* True: an interrupt of the PIC waits for a window. */
static bool settle_extint(struct vcpu *v)
{
	struct pic *pic = &v->machine->state->pic;
	bool wanted = lapic_extint(v->lapic);

	if (wanted) {
		machine_lock(v);
		wanted = pic_output(pic);
		if (wanted && can_take(v)) {
			inject(v, INJECT_TYPE_INTR | INJECT_VECTOR(pic_ack(v->machine, pic)));
			wanted = pic_output(pic);
		}
	}
	return wanted;
}

void interrupt_settle(struct vcpu *v)
{
	struct lapic *lapic = v->lapic->state;
	struct machine *m = v->machine;
	cycles_t deadline;
	bool window = false;

	while (__atomic_load_n(&v->post->mail, __ATOMIC_SEQ_CST))
		vcpu_open_mail(v);
	if (v->state->timer_set && !v->run->timer) { /* the kernel let it fire */
		v->state->timer_set = 0;
		lapic_timer_fired(v->machine, v->lapic);
	}
	if (lapic->todo & LAPIC_TODO_TIMER)
		timer_program(v);
	if (v->state->eoi_msr)
		pveoi_settle(v);
	if (v->state->steal_msr)
		steal_update(v);
	if (lapic->todo & LAPIC_TODO_DELIVER)
		v->run->dirty |= GROUP_APIC;
	flag_set(v, RUN_X2APIC, lapic_in_x2apic_mode(v->lapic));
	if (lapic->todo)
		lapic->todo = 0; /* BASE and EXTINT are looked at in any case */
	deadline = v->state->periodic;
	if (unlikely(debug_hides(v))) {
		cycles_t late = tsc_now() + tsc_from_us(m->clock.hz, DEBUG_HIDE_US);

		deadline = late < deadline ? late : deadline;
	} else {
		if (v->state->nmis || (v->run->flags & RUN_NMI_WINDOW))
			window = settle_nmi(v);
		if (lapic->bsp)
			window |= settle_extint(v);
	}
	flag_set(v, RUN_WINDOW, window);
	if (v->index == 0) {
		/* Only this thread writes the deadline; who sets `rearm` leaves mail. */
		if (__atomic_load_n(&m->rearm, __ATOMIC_RELAXED)) {
			machine_lock(v);
			machine_deadline(m);
		}
		if (m->deadline < deadline)
			deadline = m->deadline;
	}
	if (v->deadline != deadline) /* a store costs more */
		v->deadline = deadline;
}
