/*
 * KVM's steal time: how long a vCPU could have run and did not, told in the guest's memory; and in
 * the same place, whether it is off its CPU, so that others need not interrupt it to have its TLB
 * flushed (Linux, Documentation/virt/kvm/x86/msr.rst, MSR_KVM_STEAL_TIME; cpuid.rst,
 * KVM_FEATURE_PV_TLB_FLUSH). All by the vCPU's own thread.
 */
#pragma once

#include "guests/vmm/machine.h"

#define STEAL_ENABLE    BIT(0) /* of MSR_KVM_STEAL_TIME */
#define STEAL_PREEMPTED 1u     /* steal_area.preempted */
#define STEAL_FLUSH_TLB 2u     /* set by the guest's other vCPUs, only beside STEAL_PREEMPTED */

struct steal_area {
	u64 steal;   /* ns */
	u32 version; /* odd while it is being written */
	u32 flags;   /* 0 */
	u8 preempted;
	u8 reserved[47];
};
static_assert(sizeof(struct steal_area) == 64);

/* WRMSR of MSR_KVM_STEAL_TIME; false: #GP. */
bool steal_enable(struct vcpu *v, u64 value);

/* Brings the guest's figure up to date, if STEAL_PERIOD_US have passed since the last time. */
void steal_update(struct vcpu *v);
#define STEAL_PERIOD_US 1000u

/*
 * The vCPU is off its CPU from steal_leave to steal_return, and does not run in between. After it
 * the guest's translations are dropped before its next instruction, if others asked for that.
 */
void steal_leave(struct vcpu *v);
void steal_return(struct vcpu *v);
