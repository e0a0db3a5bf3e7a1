/* Devices in the guest-physical address space. */
#pragma once

#include "guests/vmm/machine.h"

/*
 * An access of 1, 2, 4 or 8 bytes at an address that is not RAM and that does not cross an
 * eight-byte boundary more than its own size does. Where nothing is, reads give ones and writes
 * have no effect.
 */
u64 mmio_read(struct vcpu *v, gpa_t gpa, unsigned size);
void mmio_write(struct vcpu *v, gpa_t gpa, unsigned size, u64 value);

/* Is there a device at this address? */
bool mmio_backed(const struct vcpu *v, gpa_t gpa);
