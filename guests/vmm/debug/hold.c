/* Holding all vCPUs, and letting them go. */
#include "debug.h"
#include "gdb.h"
#include "guests/vmm/console.h"
#include "guests/vmm/host.h"
#include "guests/vmm/journal.h"
#include "guests/vmm/lock.h"
#include "guests/vmm/smp.h"
#include "guests/vmm/vcpu.h"

#define MAIL_HELD (MAIL_HOLD | MAIL_REPORT) /* what is opened while a vCPU is held */

void debug_halt(struct machine *m)
{
	if (__atomic_exchange_n(&m->debug.hold, 1, __ATOMIC_SEQ_CST))
		return;
	for (u32 i = 0; i < m->vcpus; i++) {
		if (vcpu_is_own(&m->vcpu[i]))
			m->vcpu[i].pause = true;
		else
			vcpu_post(&m->vcpu[i], MAIL_HOLD);
	}
}

bool debug_all_held(const struct machine *m)
{
	u64 all = ~0ull >> (64 - m->vcpus);

	return __atomic_load_n(&m->debug.held, __ATOMIC_SEQ_CST) == all;
}

/* The kernel's timer would fire though guest time stands still: it is set anew at the end. */
static void stop_timer(struct vcpu *v)
{
	u64 armed = __atomic_exchange_n(&v->run->timer, 0, __ATOMIC_SEQ_CST);

	if (v->state->timer_set && !armed)
		lapic_timer_fired(v->machine, v->lapic);
	v->state->timer_set = 0;
	v->lapic->state->todo |= LAPIC_TODO_TIMER;
	v->run->dirty |= GROUP_CONTROL;
}

void debug_park(struct vcpu *v)
{
	struct debug_vcpu *d = &v->debug;
	u32 size = v->machine->fpu_size;

	stop_timer(v);
	host_fetch(v, GROUP_ALL_REG); /* takes over what is dirty, the timer too */
	debug_disarm(v);
	memset(d->fpu, 0, sizeof(d->fpu));
	d->fpu_read = host_fpu_read(v, 0, d->fpu, size < DEBUG_FPU_SIZE ? size : DEBUG_FPU_SIZE);
	d->fpu_dirty = false;
	__atomic_store_n(&d->action, DEBUG_STAY, __ATOMIC_SEQ_CST);
	__atomic_fetch_or(&v->machine->debug.held, BIT(v->index), __ATOMIC_SEQ_CST);
	if (v->index)
		host_signal(v->machine->vcpu[0].event, BIT(VCPU_BIT_MAIL));
}

void debug_leave(struct vcpu *v)
{
	struct debug_vcpu *d = &v->debug;
	u32 size = v->machine->fpu_size;

	if (d->fpu_dirty &&
		!host_fpu_write(v, 0, d->fpu, size < DEBUG_FPU_SIZE ? size : DEBUG_FPU_SIZE))
		log_line("vcpu %u: the FPU refuses what the debugger wrote", v->index);
	debug_arm(v, __atomic_load_n(&d->action, __ATOMIC_SEQ_CST));
}

static bool is_released(struct vcpu *v)
{
	return __atomic_load_n(&v->debug.action, __ATOMIC_SEQ_CST) != DEBUG_STAY ||
	       __atomic_load_n(&v->machine->stop, __ATOMIC_SEQ_CST);
}

static void open_held(struct vcpu *v)
{
	if (__atomic_fetch_and(&v->post->mail, ~(u32)MAIL_HELD, __ATOMIC_SEQ_CST) & MAIL_REPORT) {
		machine_lock(v);
		vcpu_report(v, "is held by the debugger");
		journal_commit(v);
	}
}

/* The thread that talks to the debugger, and serves the devices while other vCPUs run. Events that
 * come while time stands still are kept. */
static void hold_first(struct vcpu *v)
{
	struct machine *m = v->machine;
	u64 kept = 0;

	for (;;) {
		cycles_t deadline = TIME_NEVER;
		bool frozen;
		u64 bits;

		open_held(v);
		machine_lock(v);
		if (debug_all_held(m) && !m->debug.stopped_at) {
			m->debug.stopped_at = tsc_now();
			console_flush(m); /* so that what the guest wrote is seen now */
		}
		gdb_attend(m);
		frozen = debug_all_held(m);
		if (!frozen && m->rearm)
			machine_deadline(m);
		if (!frozen)
			deadline = m->deadline;
		journal_commit(v);
		if (is_released(v))
			break;
		bits = host_wait(v->wake_mask, deadline);
		kept |= bits & m->wake_mask;
		machine_events(v, frozen ? bits & ~m->wake_mask : bits | kept, !bits);
		if (!frozen)
			kept = 0;
	}
	machine_events(v, kept, false);
}

void debug_hold(struct vcpu *v)
{
	struct machine *m = v->machine;

	while (debug_wanted(v)) {
		debug_park(v);
		if (v->index == 0) {
			hold_first(v);
		} else {
			while (!is_released(v)) {
				host_wait(BIT(VCPU_BIT_MAIL), TIME_NEVER);
				open_held(v);
			}
		}
		__atomic_fetch_and(&m->debug.held, ~BIT(v->index), __ATOMIC_SEQ_CST);
		debug_leave(v);
	}
}

/* Guest time goes on where it stopped. */
static void time_goes_on(struct machine *m)
{
	cycles_t lost = tsc_now() - m->debug.stopped_at;

	if (!m->debug.stopped_at)
		return;
	m->debug.stopped_at = 0;
	m->clock.start += lost;
	m->state->start_tsc = m->clock.start;
	for (u32 i = 0; i < m->vcpus; i++)
		vcpu_set_tsc_offset(&m->vcpu[i], m->state->vcpu[i].tsc_offset - lost);
	machine_rearm(m);
}

void debug_resume(struct machine *m, const u8 *action)
{
	time_goes_on(m);
	__atomic_store_n(&m->debug.hold, 0, __ATOMIC_SEQ_CST);
	for (u32 i = 0; i < m->vcpus; i++) {
		struct vcpu *v = &m->vcpu[i];

		if (v->debug.why == DEBUG_WHY_FAILED)
			machine_end(m, MACHINE_FAILED);
		if (action[i] == DEBUG_STAY)
			continue;
		v->debug.why = DEBUG_WHY_NONE;
		__atomic_fetch_and(&m->debug.held, ~BIT(i), __ATOMIC_SEQ_CST);
		__atomic_store_n(&v->debug.action, action[i], __ATOMIC_SEQ_CST);
		if (i)
			host_signal(v->event, BIT(VCPU_BIT_MAIL));
	}
}
