/* The firmware's memory map. */
#pragma once

#include "kernel/abi/boot.h"
#include "kernel/abi/status.h"

/* Reads the map as it is now. Returns OK, or NO_MEMORY. Call it again after allocations that
 * matter. */
status_t map_read(void);

/* Bytes of memory that will be free when the boot services are gone. */
u64 map_ram(void);

/* Whether [base, base + size) is memory, of whatever use. */
bool map_is_memory(paddr_t base, u64 size);

/*
 * Finds room for at most *size bytes of free memory that start at a multiple of BOOT_BLOCK_ALIGN
 * and end below 4 GiB: the highest that holds *size, else the largest. Returns its base, or 0 if
 * there is none at all; sets *size to what fits there, a multiple of BOOT_BLOCK_ALIGN.
 */
paddr_t map_find_block(u64 *size);

/*
 * Leaves the boot services. On OK they are gone, and the map is the final one; else DAMAGED: the
 * firmware refuses, and nothing of it may be used but a reset.
 */
status_t map_exit(void);

/* Writes info->range from the final map, with the boot files, the kernel block and the trampoline.
 */
void map_to_ranges(struct boot_info *info);
