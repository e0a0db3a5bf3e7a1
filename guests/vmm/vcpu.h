/* What handlers do to a vCPU: registers, exceptions, and moving on to the next instruction. */
#pragma once

#include "guests/vmm/host.h"
#include "guests/vmm/cpu/x86.h"

/* Makes register groups current in the run page. Call before changing a field of a group. */
static inline void vcpu_need(struct vcpu *v, u64 groups)
{
	if ((v->run->valid & groups) != groups)
		host_fetch(v, groups & ~v->run->valid);
}

/* Exceptions for the guest, delivered at the next entry; the instruction has not completed. */
void vcpu_raise(struct vcpu *v, u8 vector);
void vcpu_raise_error(struct vcpu *v, u8 vector, u32 error);
void vcpu_page_fault(struct vcpu *v, u64 address, u32 error);
#define vcpu_gp(v) vcpu_raise_error(v, VECTOR_GP, 0)
#define vcpu_ud(v) vcpu_raise(v, VECTOR_UD)

/* The slow side of vcpu_skip: single step, resume flag, a length that is not known. */
void vcpu_skip_slow(struct vcpu *v);

/* vcpu_skip for a file without announcements (journal.h), with the run page at hand: what is stored
 * there might be v->run for all the compiler knows. */
static inline void vcpu_skip_in(struct vcpu *v, struct run_page *run)
{
	u64 length = run->exit_length;
	u64 rip = run->rip + length;

	/* a carry into bit 32 is none outside 64-bit mode */
	if (unlikely(!length || (run->rflags & (RFLAGS_TF | RFLAGS_RF)) || (u32)rip < length)) {
		vcpu_skip_slow(v);
		return;
	}
	run->rip = rip;
	if (unlikely(run->shadow & ~SHADOW_NMI)) /* a store costs: journal.h */
		run->shadow &= SHADOW_NMI;
	run->dirty |= GROUP_RIP;
}

/* The instruction that exited is done: goes on to the next. GROUP_RIP is current. For handlers of
 * exits only. */
void vcpu_skip(struct vcpu *v);

/* The same, and RAX is its result. */
void vcpu_answer(struct vcpu *v, u64 rax);

/* Moves to `rip`, behind an instruction that emulation completed; trap: RFLAGS.TF was set at its
 * start. */
void vcpu_complete(struct vcpu *v, u64 rip, bool trap);

/* Privilege level, 0-3. Needs GROUP_SEG and GROUP_CR, which it fetches. */
u32 vcpu_cpl(struct vcpu *v);

/* The guest's time-stamp counter now. */
static inline u64 vcpu_tsc(const struct vcpu *v)
{
	return tsc_now() + v->state->tsc_offset;
}

/* Sets the offset between host and guest TSC. */
void vcpu_set_tsc_offset(struct vcpu *v, u64 offset);

/*
 * Brings a vCPU's registers to their state after reset or INIT (SDM vol. 3, table 10-1), all dirty.
 * INIT leaves MSRs, MTRRs, clocks and the FPU.
 */
void vcpu_reset(struct vcpu *v);
void vcpu_init_signal(struct vcpu *v);

/* Logs all registers and the code bytes at RIP. */
void vcpu_report(struct vcpu *v, const char *what);

/* Reports and ends the guest: the VMM cannot do what it did. A debugger may look at it before. */
void vcpu_fail(struct vcpu *v, const char *why);
