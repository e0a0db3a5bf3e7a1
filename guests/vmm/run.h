/* The loop of a thread that is a vCPU. */
#pragma once

#include "guests/vmm/machine.h"

/* Runs the vCPU until the guest ends, then tells root. The first vCPU's thread also does the
 * machine's timers. */
_Noreturn void run_guest(struct vcpu *v);
