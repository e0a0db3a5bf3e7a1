/*
 * How fast a program's lines are taken for the log: some at once, then so many in a second. Who
 * logs without end waits for its turn and takes nobody else's place in the log. Pure.
 */
#pragma once

#include "kernel/abi/types.h"

#define PACE_BURST  100u /* lines */
#define PACE_SECOND 100u

struct pace {
	cycles_t due; /* when a program that has logged nothing at once would have its next line */
};

/* Whether a line may be taken at `now` (TSC, of `tsc_hz`), which it then counts. */
static inline bool pace_take(struct pace *p, u64 tsc_hz, cycles_t now)
{
	u64 line = tsc_hz / PACE_SECOND;

	if (p->due < now)
		p->due = now;
	if (p->due - now > (PACE_BURST - 1) * line)
		return false;
	p->due += line;
	return true;
}
