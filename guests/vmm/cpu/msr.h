/*
 * MSRs as the guest sees them: a table of those that the machine has. All others give #GP.
 * Those that the kernel can switch are the guest's own, without exits; the table knows them too.
 */
#pragma once

#include "guests/vmm/machine.h"

/* Reads or writes an MSR for the guest; false: #GP. */
bool msr_read(struct vcpu *v, u32 msr, u64 *value);
bool msr_write(struct vcpu *v, u32 msr, u64 value);

/* EXIT_RDMSR and EXIT_WRMSR. */
void msr_exit_read(struct vcpu *v);
void msr_exit_write(struct vcpu *v);
