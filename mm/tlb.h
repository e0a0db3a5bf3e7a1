/*
 * TLB shoot-down by generation.
 *
 * Each address space counts generations: whoever clears entries raises `generation`, and then sees
 * to it that every CPU looks at it once (a job visits them) before the memory gets another owner. A
 * CPU remembers for each space to which generation it has flushed its entries; it looks when it
 * enters the space, after it has loaded its tables, and at a visit if it is in the space. So none
 * uses a stale entry after its visit: it was in the space and has flushed, or it flushes when it
 * enters.
 */
#pragma once

#include "kernel/abi/types.h"

#define TLB_MAX_CPUS 256

struct tlb_space {
	u64 generation;            /* starts at 1 */
	u64 flushed[TLB_MAX_CPUS]; /* per CPU: generation of its last flush; 0: never ran here */
};

static inline void tlb_init(struct tlb_space *s)
{
	*s = (struct tlb_space){.generation = 1};
}

/* After entries were cleared. */
static inline void tlb_invalidate(struct tlb_space *s)
{
	__atomic_add_fetch(&s->generation, 1, __ATOMIC_SEQ_CST);
}

/* True if CPU `cpu` must flush before it uses the space's translations. */
static inline bool tlb_stale(const struct tlb_space *s, unsigned cpu)
{
	return __atomic_load_n(&s->generation, __ATOMIC_RELAXED) != s->flushed[cpu];
}

/* CPU `cpu` flushes its entries for the space now, so before it uses them again. False: it need
 * not. */
static inline bool tlb_catch_up(struct tlb_space *s, unsigned cpu)
{
	u64 generation = __atomic_load_n(&s->generation, __ATOMIC_SEQ_CST);
	bool stale = s->flushed[cpu] != generation;

	s->flushed[cpu] = generation;
	return stale;
}
