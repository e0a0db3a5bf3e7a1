/*
 * The main loop of a disk driver: volumes, sessions, requests that are not answered in time. What
 * is the device's own is in struct disk_driver.
 */
#pragma once

#include "drivers/disk/server.h"
#include "drivers/lib/device.h"

struct disk_driver {
	/*
	 * Brings the device from whatever state it is in to one in which it takes requests, with
	 * interrupts; steps 2, 4 and 5 of device.h. g->unit is set before. False, with a line in
	 * the log: it cannot.
	 */
	bool (*open)(struct device *d, struct disk_geometry *g);

	/* True if one more request can be submitted, of any kind that the geometry allows. */
	bool (*room)(void);

	/* Gives the device a request, which stays in its place until it is done; it may wait for
	 * kick until it is told. */
	void (*submit)(u32 tag, const struct disk_request *r);
	void (*kick)(void);

	/*
	 * Hands to disk_server_done what the device has finished; `bits` are the event bits that
	 * were set since the last call. Interrupts are on afterwards, and nothing waits that came
	 * before they were. False, with a line in the log: the device broke a rule, or asks for a
	 * reset.
	 */
	bool (*poll)(struct disk_server *s, u64 bits);

	/* Resets the device and sets it up again: nothing that was submitted is under way. False,
	 * with a line in the log: it does not work any more. */
	bool (*reset)(void);

	/* Microseconds until poll is to be called though nothing has happened; ~0: never. NULL:
	 * never at all. */
	u64 (*due)(void);

	/* True if the program has more to serve than the disk, and so goes on when nobody uses
	 * that. NULL: it has not. */
	bool (*serves_others)(void);

	/* Counts what the device's interrupts were for besides requests that are done; a device
	 * that sends more than some hundred a second for nothing is heard less often (lib/flood.h).
	 * NULL: each is for a request. */
	const u64 *progress;

	u64 timeout_us;   /* after which a request will not be answered any more */
	const char *unit; /* property of the device's node for g->unit; NULL: there is one disk */
};

/* Serves the disk; returns the program's exit code. */
int disk_run(struct start_info *info, const struct disk_driver *driver);
