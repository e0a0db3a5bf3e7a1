/* Times: the host's TSC, and the nanoseconds of the guest's monotonic time that begin with the
 * guest. */
#pragma once

#include "kernel/abi/types.h"

#define NS_PER_SECOND 1000000000ull

struct clock {
	u64 hz;            /* of the TSC */
	cycles_t start;    /* host TSC at 0 ns */
	u64 wall_clock;    /* Unix time in ns at 0 ns */
	u64 ns_per_cycle;  /* << CLOCK_NS_SHIFT */
	u64 cycles_per_ns; /* << CLOCK_CYCLES_SHIFT */
};

#define CLOCK_NS_SHIFT     32
#define CLOCK_CYCLES_SHIFT 30

/*
 * Sets up a clock.
 *
 * hz:         100 kHz to 16 GHz (the factors then fit)
 * start:      host TSC at 0 ns
 * wall_clock: Unix time in ns when the TSC was wall_tsc
 *
 * False: hz is out of range.
 */
bool clock_init(struct clock *c, u64 hz, cycles_t start, u64 wall_clock, cycles_t wall_tsc);

/* Cycles to nanoseconds and back, rounded down. Results that do not fit saturate. */
u64 clock_ns(const struct clock *c, cycles_t cycles);
cycles_t clock_cycles(const struct clock *c, u64 ns);

/* Host TSC at which clock_ns of the time since `start` is at least `ns`; ~0 if never. */
cycles_t clock_deadline(const struct clock *c, u64 ns);
