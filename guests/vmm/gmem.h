/*
 * The guest's RAM as the VMM sees it. The guest chooses every address: only these functions turn
 * one into a pointer. The bytes can change at any time under the reader: read once, then check.
 */
#pragma once

#include "kernel/abi/types.h"

#define GMEM_MAX_RANGES 8

struct gmem_range {
	gpa_t base; /* page-aligned */
	u64 size;   /* bytes, page-aligned, not 0; base + size does not wrap */
	u8 *host;   /* where it is mapped here */
};

struct gmem {
	u32 ranges;
	struct gmem_range range[GMEM_MAX_RANGES]; /* sorted by base, none overlaps another */
};

/*
 * Adds a range, and joins it with those that it continues here as well as for the guest.
 * False: it is malformed, overlaps another, or the table is full; then nothing changes.
 */
bool gmem_add(struct gmem *g, gpa_t base, u64 size, void *host);

/* Where [gpa, gpa + size) is mapped; NULL unless all of it is RAM of one range. size may be 0. */
static inline void *gmem_at(const struct gmem *g, gpa_t gpa, u64 size)
{
	for (u32 i = 0; i < g->ranges; i++) {
		const struct gmem_range *r = &g->range[i];
		u64 offset = gpa - r->base;

		/* gpa below base makes the offset huge, so it fails the first comparison */
		if (likely(offset < r->size && size <= r->size - offset))
			return r->host + offset;
	}
	return NULL;
}

/* The guest-physical address of what is mapped at `at`; GMEM_NOWHERE: that is no RAM. */
#define GMEM_NOWHERE (~0ull)
gpa_t gmem_gpa(const struct gmem *g, const void *at);

/* Copies out of RAM; false, and nothing done, unless all of it is RAM. */
bool gmem_read(const struct gmem *g, gpa_t gpa, void *to, u64 size);

/* Copies into RAM; false, and nothing done, unless all of it is RAM. */
bool gmem_write(const struct gmem *g, gpa_t gpa, const void *from, u64 size);

/* Bytes of RAM in all ranges. */
u64 gmem_total(const struct gmem *g);
