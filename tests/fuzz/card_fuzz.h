/*
 * Fuzzes a network card's driver between its client and its card: the input is what the card does,
 * right or wrong, down to single words of the memory that it may write and of its registers, and
 * when the client sends, comes and goes. At the end the card keeps the rules again, and unless the
 * driver has given up, all that is sent must come out.
 */
#pragma once

#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tests/unit/card_work.h"

#define STEPS_MAX 300u
#define SETTLE    40
#define QUEUES    (sizeof(struct net_session) - offsetof(struct net_session, client))

/* One act; the input is an array of these. */
struct act {
	u8 kind;
	u8 what;
	u16 place;
	u32 value;
};
static_assert(sizeof(struct act) == 8);

enum act_kind {
	CLIENT,  /* the client goes on */
	RESTART, /* and begins anew */
	SEND,    /* it sends */
	OUT,     /* the card transmits */
	IN,      /* a frame comes in */
	TURN,    /* the driver has its turn */
	WRITE,   /* the card writes a word into the driver's memory */
	PIECE,   /* the client writes one into its queues */
	SPURIOUS,
	GARBLE,  /* registers read otherwise for a while */
	TIMEOUT, /* the driver finds the card too slow */
	KINDS,
};

/* What a model of a card can do, in several ways of which 0 is right. */
struct card_model {
	bool (*transmit)(u32 way);
	bool (*receive)(const u8 *frame, u32 bytes, u32 way);
	u32 ways;
	void (*mend)(void); /* it keeps the rules from now on, with its link up */
	const u32 *rules;   /* that the driver has broken */
};

static struct card_work w;

void check_failed(const char *file, int line, const char *what);
void check_failed(const char *file, int line, const char *what)
{
	(void)file;
	(void)line;
	(void)what;
	abort();
}

static void scribble(u8 *at, const struct act *a)
{
	if (at)
		memcpy(at, &a->value, 1u << a->what % 3);
	else
		fake_device.wild--;
}

static u32 size_of(u32 value)
{
	return WORK_FRAME_MIN + value % (WORK_FRAME_MAX - WORK_FRAME_MIN + 1);
}

/* Does one act. True: from now on frames need not be what they were, and a card that does what it
 * was told may reach for anything. */
static bool act(const struct act *a, const struct card_model *m)
{
	u8 frame[WORK_FRAME_MAX];
	u32 way = a->what % 4 ? 0 : a->value % m->ways; /* mostly as it should */

	switch (a->kind % KINDS) {
	case CLIENT:
		card_work_client(&w);
		return false;
	case RESTART:
		card_work_restart(&w);
		return false;
	case SEND:
		card_work_send(&w, size_of(a->value), 1 + a->what % CARD_PIECES, a->place & 1);
		return false;
	case OUT:
		m->transmit(way);
		return way != 0;
	case IN:
		card_work_in(&w, frame, size_of(a->value));
		m->receive(frame, size_of(a->value), way);
		return way != 0;
	case WRITE:
		scribble(fake_memory(FAKE_DMA_BUS + ((u64)a->place << a->what / 3 % 4), 4), a);
		return true;
	case PIECE: /* lengths, places and flags of what is sent and posted */
		memcpy((u8 *)&w.client.session->client + a->place % QUEUES / 4 * 4, &a->value, 4);
		return true;
	case SPURIOUS:
		fake_device.interrupts |= (u64)a->value << 32;
		return false;
	case GARBLE:
		fake_device.garble = a->value;
		fake_device.garbled = a->what;
		return true;
	case TIMEOUT:
		card_work_reset(&w);
		return false;
	default:
		card_work_turn(&w);
		return false;
	}
}

/* A client that begins anew, and a card that works, lose nothing. */
static void mend(const struct card_model *m)
{
	u32 before;

	fake_device.garbled = 0;
	m->mend();
	card_work_restart(&w);
	card_work_reset(&w);
	for (int i = 0; i < SETTLE && !w.dead; i++) {
		card_work_turn(&w);
		card_work_client(&w);
		while (m->transmit(0))
			;
	}
	if (w.dead)
		return;
	before = w.out;
	w.next_out = w.next_sent;
	w.wrong = 0;
	require(w.server.connected && card_work_send(&w, WORK_FRAME_MIN, 1, false));
	card_work_turn(&w);
	require(m->transmit(0) && w.out == before + 1 && w.wrong == 0);
	card_work_turn(&w);
	require(net_transmitting(&w.client) == 0);
}

/* Runs an input on the driver, whose card stands ready. */
static void run(
	const u8 *data, size_t size, const struct card_driver *driver, const struct card_model *m)
{
	bool dirty = size > 0 && data[0] & 0x80; /* registers are wrong from the start */
	struct act a;

	if (dirty) {
		fake_device.garbled = data[0] & 0x7f;
		memcpy(&fake_device.garble, data, size < 4 ? size : 4);
	}
	if (!card_work_start(&w, driver))
		return;
	for (u32 i = 0; i < STEPS_MAX && (i + 1) * sizeof(a) <= size; i++) {
		memcpy(&a, data + i * sizeof(a), sizeof(a));
		dirty |= act(&a, m);
		require(w.server.tags <= w.facts.frames && w.server.posted <= w.facts.buffers);
		require(dirty || (w.wrong == 0 && w.damaged == 0 && w.server.damages == 0));
		fuzz_operations++;
	}
	require(dirty || (fake_device.wild == 0 && *m->rules == 0));
	mend(m);
}
