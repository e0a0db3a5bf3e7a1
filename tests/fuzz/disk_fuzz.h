/*
 * Fuzzes a disk driver between its clients and its device: the input is what the device does, right
 * or wrong, down to single words of the memory that it may write and of its registers, and when the
 * clients ask, come and go. At the end the device keeps the rules again, and unless the driver has
 * given up, every client must be answered.
 */
#pragma once

#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tests/unit/disk_work.h"

#define STEPS_MAX 300u
#define SETTLE    3000

/* One act; the input is an array of these. */
struct act {
	u8 kind;
	u8 what;
	u16 place;
	u32 value;
};
static_assert(sizeof(struct act) == 8);

enum act_kind {
	CLIENT,  /* a client goes on, and asks */
	RESTART, /* and begins anew */
	STEP,    /* the device takes a request */
	TURN,    /* the driver has its turn */
	WRITE,   /* the device writes a word into the driver's memory */
	SPURIOUS,
	GARBLE,  /* registers read otherwise for a while */
	TIMEOUT, /* the driver finds the device too slow */
	KINDS,
};

static struct work w;
static void (*heal)(
	void); /* what is around the device keeps the rules again; NULL: it always did */

void check_failed(const char *file, int line, const char *what);
void check_failed(const char *file, int line, const char *what)
{
	(void)file;
	(void)line;
	(void)what;
	abort();
}

static void reset_device(void)
{
	if (w.dead)
		return;
	w.dead = !w.driver->reset();
	if (!w.dead) {
		disk_server_again(&w.server, w.now);
		w.driver->kick();
	}
}

/* Anything that the device can write: `place` is a multiple of 2. True: it was memory. */
static bool scribble(const struct act *a)
{
	u32 width = 1u << a->what % 3;
	u8 *at = fake_memory(FAKE_DMA_BUS + ((u64)a->place << a->what / 3 % 4), width);

	if (!at) {
		fake_device.wild--;
		return false;
	}
	memcpy(at, &a->value, width);
	return true;
}

/* Does one act; `step` makes the device take a request in one of `kinds` ways. True: the device has
 * changed the driver's memory, which a device that keeps the rules then may read. */
static bool act(const struct act *a, bool (*step)(u32 kind), u32 kinds)
{
	switch (a->kind % KINDS) {
	case CLIENT:
		disk_work_client(&w, a->what % w.clients, a->value & 1);
		return false;
	case RESTART:
		disk_work_restart(&w, a->what % w.clients);
		return false;
	case STEP: /* mostly as it should */
		step(a->what % 4 ? 0 : a->value % kinds);
		return false;
	case WRITE:
		return scribble(a);
	case SPURIOUS:
		fake_device.interrupts |= (u64)a->value << 32;
		return false;
	case GARBLE:
		fake_device.garble = a->value;
		fake_device.garbled = a->what;
		return false;
	case TIMEOUT:
		reset_device();
		return false;
	default:
		disk_work_turn(&w);
		return false;
	}
}

/* Runs an input on the driver, whose device stands ready; `rules` counts what it has broken. */
static void run(const u8 *data, size_t size, const struct disk_driver *driver,
	bool (*step)(u32 kind), u32 kinds, const u32 *rules)
{
	bool crooked = size > 0 && data[0] & 0x80; /* registers are wrong from the start */
	bool dirty = crooked;
	struct act a;

	srandom(1);
	if (crooked) {
		fake_device.garbled = data[0] & 0x7f;
		memcpy(&fake_device.garble, data, size < 4 ? size : 4);
	}
	if (!disk_work_start(&w, driver, FAKE_CLIENTS))
		return;
	w.tolerant = true;
	for (u32 i = 0; i < STEPS_MAX && (i + 1) * sizeof(a) <= size; i++) {
		memcpy(&a, data + i * sizeof(a), sizeof(a));
		dirty |= act(&a, step, kinds) || a.kind % KINDS == GARBLE;
		require(w.server.busy <= w.geometry.tags);
		fuzz_operations++;
	}
	require(w.stray == 0);
	require(dirty || (fake_device.wild == 0 && *rules == 0));
	fake_device.garbled = 0;
	if (heal)
		heal();
	reset_device();
	for (int i = 0; i < SETTLE && !w.dead && (disk_work_open(&w) > 0 || i < 8); i++) {
		disk_work_turn(&w);
		for (u32 c = 0; c < w.clients; c++)
			disk_work_client(&w, c, false);
		step(0);
	}
	/* with a doorbell in the wrong place requests are too late for ever, and run.c gives up */
	require(w.dead || crooked || disk_work_open(&w) == 0);
	require(w.stray == 0);
}
