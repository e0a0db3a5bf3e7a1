/*
 * The map of the machine's RAM that root may give out: extents in address order, each free or
 * taken. Pure bookkeeping; memory.h does the system calls.
 */
#pragma once

#include "kernel/abi/types.h"

#define EXTENTS_MAX 2048
#define LARGE_PAGE  0x200000ull   /* 2 MiB */
#define HUGE_PAGE   0x40000000ull /* 1 GiB */

struct extent {
	paddr_t base;
	u64 size;
	u32 range; /* index of the boot range that it lies in */
	bool taken;
};

struct extents {
	u32 count;
	struct extent extent[EXTENTS_MAX];
};

/* Adds a free range; ranges come in address order. False if the table is full. */
bool extents_add(struct extents *x, u32 range, paddr_t base, u64 size);

/*
 * Takes `size` bytes (whole pages, not 0). Large ones (2 MiB and more) are aligned to 2 MiB, and to
 * 1 GiB if they are that large and such a place is free; small ones come from the smallest extent
 * that fits, at its end, so that large places stay whole. False if there is no such place; else
 * *out is the extent as it was cut.
 */
bool extents_take(struct extents *x, u64 size, struct extent *out);

/* Gives back the extent that starts at `base`; false if none that is taken does. */
bool extents_give(struct extents *x, paddr_t base);

/*
 * Free bytes; bytes in all; the largest size that extents_take would give at once: in whole large
 * pages, or if there is none free, less than one.
 */
u64 extents_free(const struct extents *x);
u64 extents_total(const struct extents *x);
u64 extents_largest(const struct extents *x);
