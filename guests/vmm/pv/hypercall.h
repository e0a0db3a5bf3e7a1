/* KVM's hypercalls that stock kernels make (Linux, Documentation/virt/kvm/x86/hypercalls.rst). */
#pragma once

#include "guests/vmm/machine.h"

#define HYPERCALL_KICK_CPU 5
#define HYPERCALL_SEND_IPI 10
#define HYPERCALL_NO_SYS   (-1000ll) /* KVM_ENOSYS */
#define HYPERCALL_NO_PERM  (-1ll)    /* KVM_EPERM */
#define HYPERCALL_INVALID  (-22ll)   /* KVM_EINVAL */

/* EXIT_HYPERCALL: number in RAX, arguments in RBX, RCX, RDX, RSI; result in RAX. */
void hypercall_exit(struct vcpu *v);

/* EXIT_HLT: comes to the VMM only when a kick was there before the HLT. */
void hypercall_hlt(struct vcpu *v);

/* MAIL_UNHALT: the vCPU leaves HLT, or its next HLT is none. Its own thread. */
void hypercall_unhalt(struct vcpu *v);
