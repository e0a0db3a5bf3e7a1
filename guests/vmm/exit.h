/* What the VMM does at each kind of exit. */
#pragma once

#include "guests/vmm/vcpu.h"

/* Sets which register groups the kernel exports at each kind of exit. */
void exit_export(struct run_page *run);

/* Handles the exit in the run page, of any kind, and settles what follows from it. Returns the
 * kind, below EXIT_KIND_COUNT. */
u32 exit_handle(struct vcpu *v);

/* Goes on where a VMM died: handles its exit anew, and looks for events that it had taken. */
void exit_take_over(struct vcpu *v);

/* CPUID entries that depend on the vCPU, and leaves that are out of range. */
void exit_cpuid_slow(struct vcpu *v);

/* Logs how many exits of each kind there were. */
void exit_log_counts(const struct vcpu *v);

/*
 * The shortest way through CPUID; nothing is to be settled after it, but it must be committed:
 * exit_quick_done. False: not a constant entry; nothing is done. run and policy are the vCPU's; a
 * loop has them in registers.
 */
static inline bool exit_cpuid_quick(
	struct vcpu *v, struct run_page *run, const struct cpuid_policy *policy)
{
	const struct cpuid_entry *e = cpuid_find(policy, (u32)run->gpr[RAX]);

	if (unlikely(!e || !cpuid_plain(e)))
		return false;
	journal_exit_keep(v->log, run);
	run->gpr[RAX] = e->regs.eax;
	run->gpr[RBX] = e->regs.ebx;
	run->gpr[RCX] = e->regs.ecx;
	run->gpr[RDX] = e->regs.edx;
	vcpu_skip_in(v, run);
	return true;
}

/* journal_commit where nothing was noted and no lock was taken. */
static inline void exit_quick_done(struct vcpu *v, const struct run_page *run)
{
	__atomic_store_n(&v->log->word, run->sequence << JOURNAL_SEQUENCE_SHIFT, __ATOMIC_RELEASE);
}

/* Name of an exit kind. */
const char *exit_name(u32 kind);
