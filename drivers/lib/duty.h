/*
 * How much of its CPU a program takes that others can keep busy and whose priority is above theirs:
 * one part in DUTY_SHARE in the long run, but some of it at once. Pure.
 */
#pragma once

#include "kernel/abi/types.h"

#define DUTY_SHARE    4u
#define DUTY_BURST_US 40000ull /* DUTY_SHARE times what it may take at once */

struct duty {
	cycles_t due; /* when what it took till now is its share of the time */
};

/* It ran from `from` to `now`, TSC; `burst`: DUTY_BURST_US. Returns until when it has to rest; 0:
 * it need not. */
static inline cycles_t duty_spend(struct duty *d, cycles_t from, cycles_t now, cycles_t burst)
{
	if (d->due < from)
		d->due = from;
	d->due += (now - from) * DUTY_SHARE;
	return d->due > now + burst ? d->due - burst : 0;
}
