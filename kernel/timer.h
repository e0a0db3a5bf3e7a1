/* Per-CPU timers: a pairing heap of absolute TSC deadlines behind one one-shot hardware timer. */
#pragma once

#include "kernel/abi/types.h"

struct timer {
	struct timer *child;
	struct timer *next; /* sibling */
	struct timer
		*prev; /* sibling before, or parent of the first; NULL: not queued, or the root */
	cycles_t deadline;
	void (*expire)(struct timer *t);
	bool queued;
};

struct timer_heap {
	struct timer *root;
};

/* Pure heap operations, also for unit tests. */
void timer_insert(struct timer_heap *h, struct timer *t);
void timer_remove(struct timer_heap *h, struct timer *t);

/* Queues `t` on this CPU for `deadline`, moving it if it is queued; TIME_NEVER only removes it. */
void timer_arm(struct timer *t, cycles_t deadline);

/* Removes `t` from this CPU's heap. */
void timer_cancel(struct timer *t);

/* Runs what has expired and programs the hardware for the next deadline. */
void timer_interrupt(void);
