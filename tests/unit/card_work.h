/*
 * A network card's driver at work on the build host: the client of its session (a switch's uplink
 * in practice), the turns of the main loop, and frames in both directions that tell their number,
 * so that what is lost, changed or out of order is found.
 */
#pragma once

#include "drivers/netcard/run.h"
#include "tests/unit/fake_device.h"

#define WORK_FRAME_MIN 64u /* bytes of a frame that can be told from others */
#define WORK_FRAME_MAX (NET_MTU + NET_LINK_HEAD)

struct card_work {
	struct device device;
	struct card_facts facts;
	struct card_server server;
	const struct card_driver *driver;
	struct net_end client;
	bool dead; /* the driver has given up */
	u32 resets;
	u64 now;
	u32 shift;     /* from an index of `received` to that of the piece in `free` */
	u32 next_sent; /* number of the next frame that the client sends */
	u32 next_out;  /* the least number that may come out of the card */
	u32 next_in;   /* number of the next frame to come in */
	u32 next_got;  /* the least number that the client may get */
	u32 out;       /* frames that came out, */
	u32 got;       /* that the client got, */
	u32 empty;     /* pieces that it passed over */
	u32 wrong;     /* changed or out of order */
	u32 damaged;   /* times that the server broke the session */
};

/* Starts a driver on the fake device, which is set up. False: it did not. */
bool card_work_start(struct card_work *w, const struct card_driver *driver);

/* A turn of the driver's main loop. */
void card_work_turn(struct card_work *w);

/* The card is found too slow. */
void card_work_reset(struct card_work *w);

/* The client follows its connection, takes what came, and posts pieces again. */
void card_work_client(struct card_work *w);

/* The client begins anew. */
void card_work_restart(struct card_work *w);

/* The client sends a frame of `bytes` in `pieces`, with an unfinished checksum or not. False: no
 * room. */
bool card_work_send(struct card_work *w, u32 bytes, u32 pieces, bool csum);

/* A frame came out of the card. */
void card_work_out(struct card_work *w, const u8 *frame, u32 bytes);

/* Makes the next frame to come in. */
void card_work_in(struct card_work *w, u8 frame[WORK_FRAME_MAX], u32 bytes);
