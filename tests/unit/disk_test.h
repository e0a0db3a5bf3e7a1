/*
 * What the tests of disk drivers share: one driver on a model of its device, with clients that work
 * (disk_work.h). A test defines `model`.
 */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "tests/unit/disk_work.h"
#include "tests/unit/test.h"

struct disk_model {
	const struct disk_driver *driver;
	bool (*step)(void); /* the device takes a request, by the rules; false: there is none */
	const u8 *medium;
	const u32 *rules;   /* that the driver has broken */
	void (*idle)(void); /* fake_device.idle */
	bool suppressed;    /* not each step interrupts */
};

static const struct disk_model model;
static struct work w;

void check_failed(const char *at, int line, const char *what)
{
	test_fail(at, line, "%s", what);
	abort();
}

static inline bool start(u32 clients)
{
	if (model.idle)
		fake_device.idle = model.idle;
	return disk_work_start(&w, model.driver, clients);
}

/* It is not started, with a line in the log. */
static inline void refused(const char *line)
{
	fake_device.last[0] = 0;
	CHECK(!start(1));
	if (!strstr(fake_device.last, line))
		test_fail(__FILE__, __LINE__, "\"%s\" is not \"%s\"", fake_device.last, line);
}

/* Turns, without anything new, until all is answered. */
static void settle(void)
{
	for (int i = 0; i < 8000 && disk_work_open(&w) > 0 && !w.dead; i++) {
		disk_work_turn(&w);
		for (u32 c = 0; c < w.clients; c++)
			disk_work_client(&w, c, false);
		model.step();
	}
	CHECK_EQ(disk_work_open(&w), 0);
}

/* All clients ask; `restarts`: now and then one begins anew. */
static void work_ask(bool restarts)
{
	for (u32 c = 0; c < w.clients; c++) {
		disk_work_client(&w, c, true);
		if (restarts && random() % 40 == 0)
			disk_work_restart(&w, c);
	}
}

/* After work with a device that keeps to the rules, the driver has kept them too, and all is well.
 */
static void work_end(void)
{
	settle();
	disk_work_compare(&w, model.medium);
	CHECK_EQ(w.wrong + w.stray, 0);
	CHECK_EQ(*model.rules, 0);
	CHECK_EQ(fake_device.wild, 0);
	CHECK_EQ(w.resets, 0);
}

/* Work with a device that takes many requests at once and keeps to the rules. */
static inline void work(u32 turns, bool restarts)
{
	for (u32 i = 0; i < turns; i++) {
		u32 steps = (u32)random() % 20;

		work_ask(restarts);
		disk_work_turn(&w);
		for (u32 k = 0; k < steps && model.step(); k++)
			;
	}
	work_end();
}

/* With a device that takes one request at a time: work, in steps of both. */
static inline void work_alone(u32 turns, bool restarts, u32 steps)
{
	for (u32 i = 0; i < turns; i++) {
		work_ask(restarts);
		for (u32 k = 0; k < steps; k++) {
			disk_work_turn(&w);
			if (random() % 4)
				model.step();
		}
	}
	work_end();
}

static inline u64 progress(void)
{
	return w.server.done + (model.driver->progress ? *model.driver->progress : 0);
}

/*
 * The driver takes a turn only when the client has asked or an interrupt has come, and misses none.
 * Each must count as progress, or the device would be taken for one that floods (lib/flood.h).
 */
static inline void interrupts(u32 rounds)
{
	disk_work_turn(&w);
	for (u32 i = 0; i < rounds; i++) {
		disk_work_client(&w, 0, true);
		disk_work_turn(&w);
		while (model.step()) {
			u64 before = progress();

			CHECK(fake_device.interrupts || model.suppressed);
			if (!fake_device.interrupts)
				continue;
			disk_work_turn(&w);
			CHECK(progress() > before);
		}
		disk_work_client(&w, 0, false);
		CHECK_EQ(disk_work_open(&w), 0);
	}
	CHECK_EQ(w.wrong + w.stray, 0);
}

/* One client has several requests under way. */
static inline void ask_much(void)
{
	for (u32 i = 0; i < 4; i++) {
		disk_work_turn(&w);
		disk_work_client(&w, 0, i > 1);
	}
	disk_work_turn(&w);
	CHECK(disk_work_open(&w) > 8);
}
