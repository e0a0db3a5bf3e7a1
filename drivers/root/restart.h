/* The restart limit of a node: at most so many restarts within so many seconds. Pure. */
#pragma once

#include "kernel/abi/types.h"

#define RESTART_TIMES_MAX 32u

struct restart_history {
	u32 count; /* restarts that were allowed, ever */
	u64 second[RESTART_TIMES_MAX];
};

/*
 * Asks whether one more restart is allowed at time `now` (seconds) under <times seconds>, and notes
 * it if so. `times` above RESTART_TIMES_MAX counts as that.
 */
static inline bool restart_allowed(struct restart_history *h, u32 times, u32 seconds, u64 now)
{
	if (times > RESTART_TIMES_MAX)
		times = RESTART_TIMES_MAX;
	if (times == 0)
		return false;
	if (h->count >= times) {
		u64 then = h->second[(h->count - times) % RESTART_TIMES_MAX];

		if (now - then < seconds)
			return false;
	}
	h->second[h->count++ % RESTART_TIMES_MAX] = now;
	return true;
}
