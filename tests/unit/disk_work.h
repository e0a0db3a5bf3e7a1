/*
 * Clients of a disk driver on the build host, each with a range of the disk: random requests of all
 * kinds, of which every answer is checked against what was written before. The main loop of
 * disk/run.c without its system calls is in disk_work_turn.
 */
#pragma once

#include "drivers/disk/run.h"
#include "tests/unit/fake_device.h"

#define WORK_SECTORS 512u /* of each client's range; ranges lie one after another */
#define WORK_DEPTH   24u  /* requests of a client under way */

struct work_op {
	bool busy;
	bool sent;
	struct block_request request;
	u8 value;
};

struct work_client {
	struct block_end end;
	bool connected;
	struct work_op op[WORK_DEPTH];
	u8 content[WORK_SECTORS]; /* the byte that fills each sector */
	bool known[WORK_SECTORS]; /* false after a DISCARD */
	bool busy[WORK_SECTORS];
	u64 answers;
	u64 errors;
};

struct work {
	const struct disk_driver *driver;
	struct device device;
	struct disk_geometry geometry;
	struct disk_server server;
	struct work_client client[FAKE_CLIENTS];
	u32 clients;
	u32 resets;
	bool dead; /* a reset failed */
	u64 now;
	bool tolerant; /* errors of the device are none of the test's */
	u32 wrong;     /* answers with an error, or data that are not what was written */
	u32 stray;     /* answers to what was not asked */
};

/* Opens the driver on the fake device that stands ready, and connects `clients` clients. False: the
 * driver does not open. */
bool disk_work_start(struct work *w, const struct disk_driver *driver, u32 clients);

/* A turn of the driver's main loop. */
void disk_work_turn(struct work *w);

/* Client `n` goes on with its connection and takes answers; with `more` it asks for something new
 * if it can. */
void disk_work_client(struct work *w, u32 n, bool more);

/* Client `n` begins a new connection, as after a restart: what was not answered is sent again. */
void disk_work_restart(struct work *w, u32 n);

/* Requests that are not answered. */
u32 disk_work_open(const struct work *w);

/* Counts in w->wrong the sectors of `medium` that are not as the clients know them. */
void disk_work_compare(struct work *w, const u8 *medium);
