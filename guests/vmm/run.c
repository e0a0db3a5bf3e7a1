/* Enters the guest, and handles what comes back. */
#include "run.h"
#include "console.h"
#include "exit.h"
#include "interrupt.h"

/* vcpu_run came back without an exit: an event or the deadline. */
static void handle_wake(struct vcpu *v, status_t status, u64 bits)
{
	struct machine *m = v->machine;

	if (status == STATUS_EVENT) {
		if (bits & m->console.own_bit)
			console_event(m);
		machine_virtio_event(m, bits);
	} else if (status == STATUS_TIMEOUT) {
		machine_timers(m);
	} else {
		log_line("vcpu %u cannot run: %s", v->index, status_text(status));
		machine_end(m, MACHINE_FAILED);
	}
	machine_settle(v);
}

_Noreturn static void end_guest(struct vcpu *v)
{
	static const enum root_stop_reason reasons[] = {
		[MACHINE_RUNS] = ROOT_STOP_ERROR,
		[MACHINE_POWERED_OFF] = ROOT_STOP_POWEROFF,
		[MACHINE_RESET] = ROOT_STOP_RESET,
		[MACHINE_FAILED] = ROOT_STOP_ERROR,
	};
	struct machine *m = v->machine;

	console_drain(m);
	machine_virtio_drain(m);
	exit_log_counts(v);
	host_stop(reasons[m->stop]);
}

_Noreturn void run_guest(struct vcpu *v)
{
	struct machine *m = v->machine;
	struct run_page *run = v->run;
	const struct cpuid_policy *policy = v->cpuid;

	exit_export(run);
	machine_settle(v);
	for (;;) {
		u64 bits;
		status_t status = sys_vcpu_run(v->cap, m->wake_mask, m->deadline, &bits);

		if (likely(status == STATUS_OK)) {
			if (run->exit_kind == EXIT_CPUID && exit_cpuid_quick(v, run, policy)) {
				v->exits[EXIT_CPUID]++;
				continue;
			}
			exit_handle(v);
		} else {
			handle_wake(v, status, bits);
		}
		if (unlikely(m->stop))
			end_guest(v);
	}
}
