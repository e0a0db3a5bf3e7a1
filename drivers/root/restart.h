/* The restart limit of a node, and how long it waits: at most so many restarts within so many
 * seconds, each after a longer pause than the one before. Pure. */
#pragma once

#include "kernel/abi/types.h"

#define RESTART_TIMES_MAX    32u
#define RESTART_DELAY_MS_MAX 10000u

struct restart_history {
	u32 count; /* restarts that were allowed, ever */
	u64 second[RESTART_TIMES_MAX];
};

/* True if one more restart is allowed at time `now` (seconds) under <times seconds>. `times` above
 * RESTART_TIMES_MAX counts as that. */
static inline bool restart_possible(
	const struct restart_history *h, u32 times, u32 seconds, u64 now)
{
	if (times > RESTART_TIMES_MAX)
		times = RESTART_TIMES_MAX;
	return times > 0 &&
	       (h->count < times ||
		       now - h->second[(h->count - times) % RESTART_TIMES_MAX] >= seconds);
}

/* The same, and notes the restart if it is allowed. */
static inline bool restart_allowed(struct restart_history *h, u32 times, u32 seconds, u64 now)
{
	if (!restart_possible(h, times, seconds, now))
		return false;
	h->second[h->count++ % RESTART_TIMES_MAX] = now;
	return true;
}

/*
 * Milliseconds to wait before a restart that restart_allowed has noted: none if it is the only one
 * within `seconds`, `first` at the second, and twice as long each time after that, up to
 * RESTART_DELAY_MS_MAX.
 */
static inline u32 restart_delay(const struct restart_history *h, u32 first, u32 seconds, u64 now)
{
	u64 delay = first;
	u32 known = h->count < RESTART_TIMES_MAX ? h->count : RESTART_TIMES_MAX;
	u32 recent = 0;

	while (recent < known &&
		now - h->second[(h->count - 1 - recent) % RESTART_TIMES_MAX] < seconds)
		recent++;
	if (recent < 2)
		return 0;
	for (u32 i = 2; i < recent && delay < RESTART_DELAY_MS_MAX; i++)
		delay *= 2;
	return delay < RESTART_DELAY_MS_MAX ? (u32)delay : RESTART_DELAY_MS_MAX;
}
