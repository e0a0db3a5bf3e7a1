/*
 * The table of a function's MSI-X messages, as device models keep it (PCI Local Bus Specification
 * 3.0, 6.8.2). Software accesses it by double words; the VMM hands a quad word over as two.
 */
#pragma once

#include "guests/vmm/dev/pci.h"

#define MSIX_CAPABILITY 0x11u /* ID */

/* Offsets in the capability, and bits of its message control. */
#define MSIX_CONTROL 2
#define MSIX_TABLE   4
#define MSIX_PBA     8
#define MSIX_ENABLE  0x8000u
#define MSIX_MASK    0x4000u
#define MSIX_BIR     7u

#define MSIX_ENTRY 16u /* bytes */
#define MSIX_NONE  (~0u)

struct msix_vector {
	u64 address;
	u32 data;
	u32 control;
};
#define MSIX_VECTOR_MASKED 0x1u

/* An access of `size` bytes at `offset` of a table of `count` entries. Whatever is no double word
 * of an entry reads as 0 and is not written. msix_table_write returns the entry whose mask bit was
 * written, or MSIX_NONE. */
u32 msix_table_read(const struct msix_vector *table, u32 count, u32 offset, unsigned size);
u32 msix_table_write(struct msix_vector *table, u32 count, u32 offset, unsigned size, u32 value);

/*
 * Adds the capability for `vectors` messages (1 to 2048): where the table and the pending bits are,
 * `table` and `pba` tell in the form of their registers, offset | base address register. Returns
 * its offset, or 0 if there is no room.
 */
u8 msix_add(struct pci_function *f, u32 vectors, u32 table, u32 pba);

/* May the message of an entry be sent now? It is a write to memory. `capability` is where the
 * function's is in configuration space. */
bool msix_sendable(const struct pci_function *f, u8 capability, const struct msix_vector *entry);
