/*
 * A `block` session of a client with a volume in memory: requests are carried out one after another
 * as they are taken, so nothing is under way when the connection changes. No system call is made
 * here; `signal` says when the client's event bit must be set.
 */
#pragma once

#include "drivers/protocols/block.h"
#include "drivers/ramdisk/volume.h"

#define DISK_MAX_SECTORS 512u   /* of a READ or WRITE */
#define DISK_MAX_CLEAR   32768u /* of a DISCARD or WRITE_ZEROES */
#define DISK_TURN        8u     /* requests for one client before the next has its turn */

struct disk {
	struct block_end end;
	struct volume *volume;
	bool signal; /* set the client's event bit, and clear this */
	u64 damages; /* times that the client broke the session */
};

/* Begins to serve `volume` to the client of the session at `memory`, `size` bytes. `name`: of the
 * volume, for the client's guest. */
void disk_start(struct disk *d, void *memory, u64 size, struct volume *volume, const char *name);

/* One turn: follows the connection, carries out up to DISK_TURN requests. True if more may wait. */
bool disk_turn(struct disk *d);
