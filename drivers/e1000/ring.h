/*
 * The descriptor rings of an Intel gigabit Ethernet controller in memory (Software Developer's
 * Manual 3.2, 3.4; 82574 Datasheet 7.1, 7.2). Pure.
 *
 * The card may be hostile: descriptors are written, and only status, errors and length are read
 * back, each once, of descriptors that were given to it. In which order they are done is the
 * driver's knowledge.
 */
#pragma once

#include "drivers/e1000/regs.h"
#include "drivers/netcard/server.h"

#define E1000_TX_DESCS  512u
#define E1000_TX_FRAMES 255u
#define E1000_RX_DESCS  256u /* one stays empty: equal indices are an empty ring (3.2.6) */

struct e1000_tx {
	struct e1000_tx_desc *desc;
	u64 bus;
	u32 head; /* the oldest descriptor that the card has */
	u32 tail;
	u32 first; /* the oldest frame, of `frames` */
	u32 frames;
	struct {
		u32 tag;
		u32 descs; /* 0: it is not transmitted */
	} frame[E1000_TX_FRAMES];
};

struct e1000_rx {
	struct e1000_rx_desc *desc;
	u64 bus;
	u32 head;
	u32 tail;
};

/* Empties a ring, whose memory is set. The card does not use it. */
void e1000_tx_init(struct e1000_tx *t);
void e1000_rx_init(struct e1000_rx *r);

/* True if one more frame of CARD_PIECES can be added. */
bool e1000_tx_room(const struct e1000_tx *t);

/* Adds a frame, for which there is room. One whose checksum lies where the card does not reach
 * (behind byte 255) is not transmitted, and done with when those before it are. */
void e1000_tx_add(struct e1000_tx *t, u32 tag, const struct card_frame *f);

/* Takes the oldest frame if the card is done with it. */
bool e1000_tx_take(struct e1000_tx *t, u32 *tag);

/* Adds a buffer of E1000_BUFFER bytes, of which a frame takes at most 1522. There are fewer than
 * E1000_RX_DESCS - 1. */
void e1000_rx_add(struct e1000_rx *r, u64 bus);

struct e1000_received {
	u32 bytes;
	bool last; /* of the frame */
	bool good;
};

/* Takes the oldest buffer if the card has filled it. */
bool e1000_rx_take(struct e1000_rx *r, struct e1000_received *out);
