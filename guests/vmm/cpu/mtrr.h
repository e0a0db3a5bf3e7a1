/*
 * Memory type range registers (SDM vol. 3, 12.11). They are kept for the guest to read back; the
 * nested page tables and the guest's PAT decide the memory types.
 */
#pragma once

#include "kernel/abi/types.h"

#define MTRR_VARIABLE 8
#define MTRR_FIXED    11

struct mtrr {
	u64 default_type;
	u64 fixed[MTRR_FIXED];
	u64 base[MTRR_VARIABLE];
	u64 mask[MTRR_VARIABLE];
};

/* Is `msr` one of these registers? */
bool mtrr_is(u32 msr);

/* Reads one; `msr` satisfies mtrr_is. */
u64 mtrr_read(const struct mtrr *s, u32 msr);

/* Writes one; false: #GP. physical_bits: MAXPHYADDR of the guest. */
bool mtrr_write(struct mtrr *s, u32 msr, u64 value, u32 physical_bits);
