/* The map of physical memory as sorted ranges that do not overlap. No EFI in here. */
#pragma once

#include "kernel/abi/boot.h"

struct ranges {
	struct boot_range *range;
	u32 count;
	u32 capacity; /* at least 3 */
};

/*
 * Says what [base, base + size) is; what was said about it before no longer holds. FREE ranges
 * shrink to whole pages, others grow to them. Neighbours of one type and index become one. If there
 * is no room, the smallest FREE ranges are forgotten (then nobody uses that memory), and then
 * DEVICE ones.
 */
void ranges_put(struct ranges *ranges, u64 base, u64 size, u32 type, u32 index);

/* Forgets, in the same order, as many ranges as it takes until there are at most `limit`. */
void ranges_limit(struct ranges *ranges, u32 limit);
