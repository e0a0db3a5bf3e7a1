/*
 * TLB shoot-down by generation.
 *
 * Each address space counts generations: an unmap raises `generation` after it cleared the entries.
 * A CPU remembers which generation it last flushed to, and flushes on its next switch to the space
 * if that is older. CPUs that use the space now are sent an IPI; whoever unmapped waits until each
 * of them has caught up. So a CPU that does not run the space is never disturbed, and none runs on
 * stale entries.
 */
#pragma once

#include "kernel/abi/types.h"

#define TLB_MAX_CPUS 256

struct tlb_space {
	u64 generation;                /* starts at 1 */
	u64 active[TLB_MAX_CPUS / 64]; /* CPUs that run in the space now */
	u64 flushed[TLB_MAX_CPUS]; /* per CPU: generation of its last flush; 0: never ran here */
};

void tlb_init(struct tlb_space *s);

/*
 * CPU `cpu` starts to use the space: marks it active, then tells whether the CPU must flush its
 * entries for the space first (and records that it did). Called with interrupts off, right before
 * the hardware switch.
 */
bool tlb_enter(struct tlb_space *s, unsigned cpu);

/*
 * CPU `cpu` has left the space: the hardware walks other tables by now. Tagged entries may stay
 * behind.
 */
void tlb_leave(struct tlb_space *s, unsigned cpu);

/*
 * After entries were cleared: raises the generation and returns it; fills `cpus` with those that
 * are active and must be sent an IPI (the calling CPU too, if it is active).
 */
u64 tlb_invalidate(struct tlb_space *s, u64 cpus[TLB_MAX_CPUS / 64]);

/*
 * On the IPI: true if CPU `cpu`, which is active in the space, must flush now; records it. Others
 * may see the record before the flush is made, so this is for spaces that the hardware does not
 * walk in between: a guest's, after its exit.
 */
bool tlb_catch_up(struct tlb_space *s, unsigned cpu);

/*
 * The same in two steps, for the host space that is loaded, where speculation could walk a table
 * freed too early: tlb_pending returns the generation that CPU `cpu` must flush to, 0 if it need
 * not; after the flush, tlb_done records it.
 */
u64 tlb_pending(const struct tlb_space *s, unsigned cpu);
void tlb_done(struct tlb_space *s, unsigned cpu, u64 generation);

/* True once CPU `cpu` is not active in the space or has flushed to generation `g` or later. */
bool tlb_passed(const struct tlb_space *s, unsigned cpu, u64 g);

/* True if CPU `cpu` must flush before it uses the space's translations; a look only, for fast
 * paths. */
static inline bool tlb_stale(const struct tlb_space *s, unsigned cpu)
{
	return __atomic_load_n(&s->generation, __ATOMIC_RELAXED) != s->flushed[cpu];
}
