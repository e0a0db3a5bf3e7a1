/* Enters the guest, and handles what comes back. */
#include "run.h"
#include "console.h"
#include "guests/vmm/debug/debug.h"
#include "guests/vmm/debug/gdb.h"
#include "exit.h"
#include "interrupt.h"
#include "journal.h"
#include "lock.h"
#include "smp.h"
#include "guests/vmm/pv/steal.h"

/* vcpu_run came back without an exit: an event or the deadline. Mail is for machine_settle. */
static void handle_wake(struct vcpu *v, status_t status, u64 bits)
{
	struct machine *m = v->machine;

	debug_show_interrupts(v);
	if (status != STATUS_EVENT && status != STATUS_TIMEOUT) {
		log_line("vcpu %u cannot run: %s", v->index, status_text(status));
		machine_end(m, MACHINE_FAILED);
	} else if (v->index == 0) {
		machine_events(v, status == STATUS_EVENT ? bits : 0, status == STATUS_TIMEOUT);
	}
	if (v->index == 0 && status == STATUS_EVENT && bits & m->debug.line.own_bit) {
		machine_lock(v);
		gdb_attend(m);
	}
	machine_settle(v);
}

/* The first thread to come here tells root; the lock stays taken, so no device does anything more.
 */
_Noreturn static void end_guest(struct vcpu *v)
{
	static const enum root_stop_reason reasons[] = {
		[MACHINE_RUNS] = ROOT_STOP_ERROR,
		[MACHINE_POWERED_OFF] = ROOT_STOP_POWEROFF,
		[MACHINE_RESET] = ROOT_STOP_RESET,
		[MACHINE_FAILED] = ROOT_STOP_ERROR,
	};
	struct machine *m = v->machine;

	while (__atomic_exchange_n(&m->ending, 1, __ATOMIC_SEQ_CST))
		host_wait(0, TIME_NEVER);
	console_drain(v);
	machine_lock(v);
	gdb_guest_ended(m, m->stop == MACHINE_FAILED);
	machine_virtio_drain(m);
	for (u32 i = 0; i < m->vcpus; i++)
		exit_log_counts(&m->vcpu[i]);
	host_stop(reasons[m->stop]);
}

/* The vCPU must not run now: the machine stopped, a debugger holds it, or it waits for a start-up
 * IPI. */
static void handle_pause(struct vcpu *v)
{
	do {
		debug_hold(v);
		vcpu_wait_startup(v);
	} while (debug_wanted(v));
	v->pause = false;
	if (v->machine->stop)
		end_guest(v);
	machine_settle(v);
}

_Noreturn void run_guest(struct vcpu *v)
{
	struct run_page *run = v->run;
	const struct cpuid_policy *policy = v->cpuid;
	struct watch_vcpu *watch = v->watch;
	u32 cpuids = 0;

	exit_export(run);
	if (v->index == 0)
		v->wake_mask |= v->machine->wake_mask | BIT(ROOT_BIT_REPORT);
	steal_return(v); /* whoever ran the vCPU before may have ended in between */
	journal_begin(v);
	if (v->machine->resumed)
		exit_take_over(v);
	machine_settle(v);
	for (;;) {
		u32 kind = EXIT_NONE;
		cycles_t start = 0;
		status_t status;
		bool cpuid;
		u64 bits;

		while (unlikely(v->pause))
			handle_pause(v);
		status = sys_vcpu_run(v->cap, v->wake_mask, v->deadline, &bits);
		cpuid = status == STATUS_OK && run->exit_kind == EXIT_CPUID;
		if (!cpuid || ++cpuids % WATCH_EACH == 0)
			start = tsc_now();
		if (cpuid && exit_cpuid_quick(v, run, policy)) {
			exit_quick_done(v, run);
			if (unlikely(start))
				watch_add(watch, EXIT_CPUID, tsc_now() - start, WATCH_EACH);
			continue;
		}
		if (unlikely(!start))
			start = tsc_now();
		if (unlikely(status != STATUS_OK))
			handle_wake(v, status, bits);
		else
			kind = exit_handle(v);
		watch_add(watch, kind, tsc_now() - start, 1);
	}
}
