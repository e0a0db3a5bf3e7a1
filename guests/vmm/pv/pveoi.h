/*
 * KVM's paravirtual end of interrupt: while bit 0 of a word in the guest's memory is set, the guest
 * ends an interrupt by clearing it, without an exit (Linux, Documentation/virt/kvm/x86/msr.rst,
 * MSR_KVM_PV_EOI_EN).
 *
 * The kernel delivers interrupts, and does not see guest memory. So the bit is set beforehand,
 * while no vector is in service, and RUN_EOI_SKIP with it: the kernel then delivers one
 * edge-triggered vector, and leaves all that needs to know whether it has ended to pveoi_settle.
 * All by the vCPU's own thread.
 */
#pragma once

#include "guests/vmm/machine.h"

#define PVEOI_ENABLE BIT(0) /* of MSR_KVM_PV_EOI */
#define PVEOI_SKIP   1u     /* of the word */

enum pveoi_seen {       /* vcpu_post.eoi_seen: what this exit has found; 0: it has not looked */
	PVEOI_RUNS = 1, /* the bit is set: the guest has not ended anything */
	PVEOI_ENDED = 2,
};

/* WRMSR of MSR_KVM_PV_EOI; false: #GP. */
bool pveoi_enable(struct vcpu *v, u64 value);

/* The guest has cleared the bit or not: ends the vector in service for it. */
void pveoi_take(struct vcpu *v);

/* Makes the local APIC current before its registers are looked at. */
static inline void pveoi_sync(struct vcpu *v)
{
	if (v->state->eoi_armed)
		pveoi_take(v);
}

/* After a VMM died: the bit is not set where what had set it was rolled back. */
void pveoi_resume(struct vcpu *v);

/* Before the vCPU is entered: lets the next interrupt end without an exit, or takes that back. */
void pveoi_settle(struct vcpu *v);
