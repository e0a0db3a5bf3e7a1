/*
 * KVM's paravirtual clock, which Linux and others use: a structure in the guest's memory that tells
 * how its TSC becomes nanoseconds (Linux, Documentation/virt/kvm/x86/msr.rst).
 */
#pragma once

#include "guests/vmm/machine.h"

#define KVMCLOCK_ENABLE BIT(0) /* of MSR_KVM_SYSTEM */

/* The TSC of the guest changed, or the clock was enabled: writes the structure anew, if it is
 * enabled. */
void kvmclock_update(struct vcpu *v);

/* WRMSR of MSR_KVM_SYSTEM; false: #GP. */
bool kvmclock_enable(struct vcpu *v, u64 value);

/* WRMSR of MSR_KVM_WALL: writes the wall clock at 0 ns once; false: #GP. */
bool kvmclock_wall(struct machine *m, u64 gpa);

/* How a TSC of `hz` becomes nanoseconds: ns = (cycles << shift) * multiplier >> 32; a negative
 * shift is right. */
void kvmclock_scale(u64 hz, u32 *multiplier, s8 *shift);
