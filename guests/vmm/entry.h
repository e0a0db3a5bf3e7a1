/* The processor's state at a guest's entry point, as the boot protocols ask for it. */
#pragma once

#include "guests/vmm/boot/boot.h"
#include "guests/vmm/vcpu.h"

/* Puts the GDT into guest memory and the registers into the run page; the vCPU was reset before. */
void entry_set(struct vcpu *v, const struct boot_entry *entry);
