/* Fixed-point conversions between cycles and nanoseconds. */
#include "clock.h"

#define HZ_MIN 100000ull
#define HZ_MAX 16000000000ull

typedef unsigned __int128 u128;

static u64 scale(u64 value, u64 factor, u32 shift)
{
	u128 product = (u128)value * factor >> shift;

	return product > UINT64_MAX ? UINT64_MAX : (u64)product;
}

bool clock_init(struct clock *c, u64 hz, cycles_t start, u64 wall_clock, cycles_t wall_tsc)
{
	if (hz < HZ_MIN || hz > HZ_MAX)
		return false;
	c->hz = hz;
	c->start = start;
	c->ns_per_cycle = (NS_PER_SECOND << CLOCK_NS_SHIFT) / hz;
	c->cycles_per_ns = (hz << CLOCK_CYCLES_SHIFT) / NS_PER_SECOND;
	c->wall_clock = wall_clock;
	if (start >= wall_tsc)
		c->wall_clock += clock_ns(c, start - wall_tsc);
	else
		c->wall_clock -= clock_ns(c, wall_tsc - start);
	return true;
}

u64 clock_ns(const struct clock *c, cycles_t cycles)
{
	return scale(cycles, c->ns_per_cycle, CLOCK_NS_SHIFT);
}

cycles_t clock_cycles(const struct clock *c, u64 ns)
{
	return scale(ns, c->cycles_per_ns, CLOCK_CYCLES_SHIFT);
}

cycles_t clock_deadline(const struct clock *c, u64 ns)
{
	cycles_t cycles = clock_cycles(c, ns);

	/* both factors are rounded down: a few cycles more reach ns for sure */
	while (cycles < UINT64_MAX - c->start && clock_ns(c, cycles) < ns)
		cycles += 1 + clock_cycles(c, ns - clock_ns(c, cycles)) / 2;
	return cycles >= UINT64_MAX - c->start ? UINT64_MAX : c->start + cycles;
}
