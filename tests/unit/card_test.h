/*
 * What the tests of network cards' drivers share: one driver on a model of its card, with a client
 * that works (card_work.h). A test defines `model`.
 */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "tests/unit/card_work.h"
#include "tests/unit/test.h"

struct card_model {
	bool (*transmit)(void); /* the card sends a frame; false: there is none */
	/* It receives one, in one of its ways, of which 0 is right; false: it has no room. */
	bool (*receive)(const u8 *frame, u32 bytes, u32 way);
	const u32 *rules; /* that the driver has broken */
};

static const struct card_model model;
static struct card_work w;

void check_failed(const char *at, int line, const char *what)
{
	test_fail(at, line, "%s", what);
	abort();
}

/* The client connects. */
static void connect(void)
{
	for (u32 i = 0; i < 4; i++) {
		card_work_turn(&w);
		card_work_client(&w);
	}
	card_work_turn(&w);
	CHECK(w.server.connected && w.server.link);
}

static u32 some_size(void)
{
	return WORK_FRAME_MIN + (u32)random() % (WORK_FRAME_MAX - WORK_FRAME_MIN + 1);
}

static bool comes_in(u32 bytes, u32 way)
{
	u8 frame[WORK_FRAME_MAX];

	card_work_in(&w, frame, bytes);
	return model.receive(frame, bytes, way);
}

/* Nothing was broken, and the device touched only what it was given. */
static void clean(void)
{
	CHECK_EQ(w.wrong, 0);
	CHECK_EQ(w.damaged, 0);
	CHECK_EQ(w.server.damages, 0);
	CHECK_EQ(*model.rules, 0);
	CHECK_EQ(fake_device.wild, 0);
}

static void settle(void)
{
	for (u32 i = 0; i < 20; i++) {
		while (model.transmit())
			;
		card_work_turn(&w);
		card_work_client(&w);
	}
}

/* Frames both ways; `restarts`: now and then the client begins anew. */
static void work(u32 turns, bool restarts)
{
	for (u32 i = 0; i < turns; i++) {
		u32 out = (u32)random() % 30;

		for (u32 k = (u32)random() % 30; k > 0; k--)
			card_work_send(
				&w, some_size(), 1 + (u32)random() % CARD_PIECES, random() & 1);
		for (u32 k = (u32)random() % 30; k > 0; k--)
			comes_in(some_size(), 0);
		card_work_turn(&w);
		while (out-- > 0 && model.transmit())
			;
		card_work_client(&w);
		if (restarts && random() % 20 == 0)
			card_work_restart(&w);
	}
	settle();
}
