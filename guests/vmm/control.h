/* Exits for control registers, XSETBV, hypercalls and instructions that the machine does not have.
 */
#pragma once

#include "guests/vmm/machine.h"

void control_cr_exit(struct vcpu *v);
void control_xsetbv_exit(struct vcpu *v);
void control_instruction_exit(struct vcpu *v);
