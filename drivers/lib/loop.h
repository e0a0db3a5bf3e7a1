/*
 * The main loop of a driver or server: its wait for events, in which it answers root's heartbeat
 * (protocols/pulse.h), and faults that the operator injects.
 *
 *	loop_open(info, NULL);
 *	for (;;) {
 *		bool again = ...one turn of work...;
 *		u64 bits = loop_wait(again ? 0 : TIME_NEVER);
 *	}
 *
 * Only the first thread may use these. A program that never calls loop_open is not asked.
 */
#pragma once

#include "drivers/lib/channel.h"
#include "drivers/lib/lib.h"

/* What only the program itself can do wrong; NULL: it cannot. */
struct loop_faults {
	/* Tells its device to read and write memory that it was not given; `number` differs each
	 * time. */
	void (*wild_dma)(u32 number);
};

/* Says that from now on the loop answers. `faults` may be NULL. */
void loop_open(const struct start_info *info, const struct loop_faults *faults);

/* Limits the messages of the program's device, the bits from START_BIT_OWN on, as loop_wait does
 * those of peers; see flood_add_device. After loop_open. */
void loop_watch_device(const u64 *counter, const u64 *other);

/*
 * From now on the program rests after turns in which it took more than its share of its CPU
 * (duty.h), so that what it serves cannot, by its priority, keep drivers and guests from running.
 */
void loop_limit(void);

/*
 * The end of a turn: answers, carries out an injected fault, and waits for any bit of the thread's
 * event until `deadline` (TSC). 0: there is more to do, so it does not wait and returns 0, nor does
 * it after an injected fault. Returns the bits that were set, root's own among them; 0 after the
 * deadline. A peer that sets its bit too often with nothing new is told of to root, and does not
 * wake the program for a moment (flood.h): so look at every session in each turn.
 */
u64 loop_wait(cycles_t deadline);

/* The same for `us` microseconds from now on, at most an hour; 0: it does not wait. */
u64 loop_wait_us(const struct start_info *info, u64 us);

/*
 * Tells root that the peer of the session with that capability (`cap` of the START_SESSION) broke
 * the protocol; root judges who is to be restarted. Any thread.
 */
void loop_peer_broken(cap_t session);

/* Tells root of a byte session that has just been found broken; *was_broken, false at first, is
 * what the last look found. */
static inline void loop_look_at(const struct channel *c, bool *was_broken)
{
	bool broken = channel_broken(c);

	if (broken && !*was_broken)
		loop_peer_broken(c->peer);
	*was_broken = broken;
}

/* --- inject.c --- */

/* Does what enum pulse_fault names; returns from PULSE_BAD_RING, PULSE_STALE_RING and
 * PULSE_WILD_DMA. */
void inject_fault(
	const struct start_info *info, const struct loop_faults *faults, u32 fault, u32 number);
