/*
 * Pools: the frames that pay for a domain's kernel objects and page tables.
 *
 * A pool hands out zeroed 4 KiB frames, and small objects in powers of two from 64 bytes to 2 KiB
 * cut from its frames. It takes its free lists from the free memory itself. Every function takes
 * the pool's own lock.
 */
#pragma once

#include "mm/lock.h"
#include "mm/window.h"

#define POOL_CLASSES 6 /* 64, 128, 256, 512, 1024, 2048 bytes */

struct pool { /* all zero at first */
	struct spinlock lock;
	u64 free_frames;  /* in frame_list and fresh ranges */
	u64 total_frames; /* ever added */
	void *frame_list; /* freed frames: each one's first word names the next */
	void *class_list[POOL_CLASSES];
	paddr_t fresh; /* frames [fresh, fresh_end) were never used; the ranges after them are in
			  fresh_list */
	paddr_t fresh_end;
	void *fresh_list; /* further ranges: the first frame of each holds {next, bytes} */
};

/*
 * Adds the frames of [base, base + size), which lie in the window and belong to nobody else;
 * page-aligned, size > 0. They need not be zero.
 */
void pool_add(struct pool *p, paddr_t base, u64 size);

/* Returns a zeroed frame, or NULL when the pool is empty. */
void *pool_frame_alloc(struct pool *p);

/* Gives a frame back. NULL is ignored. */
void pool_frame_free(struct pool *p, void *frame);

/* Returns `size` (1 to 4096) zeroed bytes, aligned to the power of two that holds them (at least
 * 64), or NULL. */
void *pool_alloc(struct pool *p, size_t size);

/* Gives back what pool_alloc(size) returned; the same size. NULL is ignored. */
void pool_free(struct pool *p, void *object, size_t size);
