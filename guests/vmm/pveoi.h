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

enum pveoi_armed { /* vcpu_state.eoi_armed */
	PVEOI_OFF = 0,
	PVEOI_ARMED = 1,
	PVEOI_TAKEN_BACK = 2, /* the bit is being cleared: the guest has not ended anything */
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

/* Before the vCPU is entered: lets the next interrupt end without an exit, or takes that back. */
void pveoi_settle(struct vcpu *v);
