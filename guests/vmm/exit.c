/* The dispatch table of exits, and the handlers that fit on a line or two. */
#include "exit.h"
#include "console.h"
#include "control.h"
#include "guests/vmm/debug/debug.h"
#include "guests/vmm/cpu/emulate.h"
#include "guests/vmm/pv/hypercall.h"
#include "interrupt.h"
#include "lock.h"
#include "guests/vmm/cpu/msr.h"
#include "portio.h"
#include "guests/vmm/pv/pveoi.h"
#include "guests/vmm/pv/steal.h"
#include "guests/vmm/cpu/task.h"

#define YIELD_US 20u

static void exit_ignore(struct vcpu *v)
{
	(void)v;
}

/* What it was for is done by settling. */
static void exit_window(struct vcpu *v)
{
	v->lapic->state->todo |= LAPIC_TODO_DELIVER;
}

static void exit_cpuid(struct vcpu *v)
{
	if (!exit_cpuid_quick(v, v->run, v->cpuid))
		exit_cpuid_slow(v);
}

/* Whoever holds what this one spins for may wait for its CPU. */
static void exit_pause(struct vcpu *v)
{
	cycles_t now = tsc_now();

	vcpu_skip(v);
	steal_leave(v);
	host_wait(0, now + tsc_from_us(v->machine->clock.hz, YIELD_US));
	steal_return(v);
	v->watch->waited += tsc_now() - now;
}

static void exit_wbinvd(struct vcpu *v)
{
	vcpu_skip(v); /* caches are coherent, and no device of the guest bypasses them */
}

static void exit_eoi(struct vcpu *v)
{
	lapic_eoi_vector(v->machine, v->lapic, (u8)v->run->exit.eoi.vector);
}

/* What is not the debugger's goes to the guest as if it had not exited. */
static void exit_exception(struct vcpu *v)
{
	u8 vector = v->run->exit.exception.vector & 31;

	if (debug_exception(v))
		return;
	if (vector == VECTOR_PF)
		vcpu_page_fault(v, v->run->exit.exception.address, v->run->exit.exception.error);
	else if (BIT(vector) & (BIT(8) | BIT(10) | BIT(11) | BIT(12) | BIT(13) | BIT(17)))
		vcpu_raise_error(v, vector, v->run->exit.exception.error);
	else
		vcpu_raise(v, vector);
}

static void exit_shutdown(struct vcpu *v)
{
	vcpu_fail(v, "triple fault");
}

static void exit_entry_failed(struct vcpu *v)
{
	vcpu_fail(v, "the processor refuses this state");
}

static void exit_unknown(struct vcpu *v)
{
	vcpu_fail(v, "an exit of unknown kind");
}

static const struct {
	const char *name;
	void (*handle)(struct vcpu *v);
	u64 export; /* GROUP_* that the handler needs nearly always */
} kinds[EXIT_KIND_COUNT] = {
	[EXIT_NONE] = {"none", exit_ignore, GROUP_RIP},
	[EXIT_IO] = {"io", port_exit, GROUP_RIP},
	[EXIT_MEMORY] = {"memory", emulate_memory_exit, GROUP_RIP | GROUP_CR | GROUP_SEG},
	[EXIT_CPUID] = {"cpuid", exit_cpuid, GROUP_RIP},
	[EXIT_RDMSR] = {"rdmsr", msr_exit_read, GROUP_RIP},
	[EXIT_WRMSR] = {"wrmsr", msr_exit_write, GROUP_RIP},
	[EXIT_HLT] = {"hlt", hypercall_hlt, GROUP_RIP},
	[EXIT_CR] = {"cr", control_cr_exit, GROUP_RIP | GROUP_CR | GROUP_SEG},
	[EXIT_DR] = {"dr", exit_unknown, GROUP_ALL_REG},
	[EXIT_HYPERCALL] = {"hypercall", hypercall_exit, GROUP_RIP},
	[EXIT_WINDOW] = {"window", exit_window, GROUP_RIP},
	[EXIT_SHUTDOWN] = {"shutdown", exit_shutdown, GROUP_ALL_REG},
	[EXIT_EXCEPTION] = {"exception", exit_exception, GROUP_RIP},
	[EXIT_INSTRUCTION] = {"instruction", control_instruction_exit, GROUP_RIP},
	[EXIT_ENTRY_FAILED] = {"failed entry", exit_entry_failed, GROUP_ALL_REG},
	[EXIT_TASK_SWITCH] = {"task switch", task_exit, GROUP_ALL_REG},
	[EXIT_XSETBV] = {"xsetbv", control_xsetbv_exit,
		GROUP_RIP | GROUP_CR | GROUP_SEG | GROUP_XCR},
	[EXIT_WBINVD] = {"wbinvd", exit_wbinvd, GROUP_RIP},
	[EXIT_PAUSE] = {"pause", exit_pause, GROUP_RIP},
	[EXIT_EOI] = {"eoi", exit_eoi, GROUP_RIP},
	[EXIT_INIT] = {"init", exit_ignore, GROUP_RIP},
	[EXIT_UNKNOWN] = {"unknown", exit_unknown, GROUP_ALL_REG},
};

void exit_export(struct run_page *run)
{
	for (u32 i = 0; i < EXIT_KIND_COUNT; i++)
		run->export[i] = kinds[i].export;
}

const char *exit_name(u32 kind)
{
	return kinds[kind < EXIT_KIND_COUNT ? kind : EXIT_UNKNOWN].name;
}

void exit_cpuid_slow(struct vcpu *v)
{
	struct run_page *run = v->run;
	const struct cpuid_entry *e = cpuid_find(v->cpuid, (u32)run->gpr[RAX]);
	u32 subleaf = (u32)run->gpr[RCX];
	struct cpuid_regs r = {0};

	if (e) {
		struct cpuid_vcpu vcpu = {
			.apic_id = v->lapic->state->id,
			.apic_enabled = v->lapic->state->base & LAPIC_BASE_ENABLE,
		};

		/* the kernel lets most writes to CR4 and all of XCR0's pass by: ask when it matters
		 */
		if (e->dynamic == CPUID_FEATURES) {
			vcpu_need(v, GROUP_CR);
			vcpu.cr4 = run->cr4;
		} else if (e->dynamic == CPUID_XSTATE) {
			vcpu_need(v, GROUP_XCR);
			vcpu.xcr0 = run->xcr0;
		}
		r = cpuid_resolve(v->cpuid, e, subleaf, &vcpu);
	}
	run->gpr[RBX] = r.ebx;
	run->gpr[RCX] = r.ecx;
	run->gpr[RDX] = r.edx;
	vcpu_answer(v, r.eax);
}

u32 exit_handle(struct vcpu *v)
{
	u32 kind = v->run->exit_kind;

	if (kind >= EXIT_KIND_COUNT)
		kind = EXIT_UNKNOWN;
	journal_exit_keep(v->log, v->run);
	kinds[kind].handle(v);
	machine_settle(v);
	return kind;
}

void exit_take_over(struct vcpu *v)
{
	struct machine *m = v->machine;

	v->run->dirty |= GROUP_FLUSH; /* what others asked for may have been rolled back */
	pveoi_resume(v);
	if (v->again) {
		log_line("vcpu %u: exit %llu (%s) at rip %llx is handled anew", v->index,
			(unsigned long long)v->run->sequence, exit_name(v->run->exit_kind),
			(unsigned long long)v->run->rip);
		exit_handle(v);
	}
	if (v->index == 0) {
		machine_lock(v);
		machine_timers(m);
		console_event(m);
	}
}

void exit_log_counts(const struct vcpu *v)
{
	char line[200];
	int used = 0;

	for (u32 i = 1; i < EXIT_KIND_COUNT && used >= 0 && used < (int)sizeof(line); i++) {
		u64 count = watch_count(&v->watch->kind[i]);

		if (count)
			used += format(line + used, sizeof(line) - (size_t)used, " %s %llu",
				kinds[i].name, (unsigned long long)count);
	}
	if (used)
		log_line("exits of vcpu %u:%s", v->index, line);
}
