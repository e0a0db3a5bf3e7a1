/*
 * The window: every frame that the kernel owns (boot pool, domains' pools) appears at WINDOW_BASE +
 * its physical address; nothing else does. On the host, unit tests set window_offset to a buffer of
 * theirs.
 */
#pragma once

#include "kernel/abi/types.h"

#ifdef HOST_TEST
extern u64 window_offset;
#define WINDOW_BASE window_offset
#else
#define WINDOW_BASE 0xffff800000000000ull
#endif
#define WINDOW_SIZE BIT(46) /* physical addresses that the window covers */

static inline void *window_va(paddr_t pa)
{
	return (void *)(WINDOW_BASE + pa);
}

static inline paddr_t window_pa(const void *va)
{
	return (u64)va - WINDOW_BASE;
}
