/*
 * Hardware task switches (SDM vol. 3, chapter 8 "Task Management"; APM vol. 2, 12), which neither
 * vendor's hardware makes for a guest.
 */
#pragma once

#include "guests/vmm/vcpu.h"

/*
 * EXIT_TASK_SWITCH: makes the switch, or gives the guest the fault that it ends in, in the old
 * task's context or in the new one's as the manuals have it. All registers are exported.
 */
void task_exit(struct vcpu *v);
