/*
 * The main loop of a network card's driver: session, link, frames that are not transmitted in time.
 * What is the card's own is in struct card_driver.
 */
#pragma once

#include "drivers/lib/device.h"
#include "drivers/netcard/server.h"

struct card_driver {
	/*
	 * Finds the card's registers and facts; steps 2, 4 and 5 of device.h. Until `start` it
	 * touches no memory of the session's. False, with a line in the log: it cannot be used.
	 */
	bool (*open)(struct device *d, struct card_facts *f);

	struct card_operations operations;
	/*
	 * bool start(u32 takes)
	 *	Resets the card, so that nothing it was given is under way, and sets it to work
	 *	again without any, with interrupts: it takes frames for all addresses and VLANs,
	 *	with what the client takes (NET_TAKES_...). At each connection, and when the card
	 *	does what it should not. False, with a line in the log: it does not work any more.
	 * bool room(void)
	 *	True if one more frame of CARD_PIECES can be transmitted.
	 * void transmit(u32 tag, const struct card_frame *f)
	 *	Gives the card a frame; it may wait for kick until it is told.
	 * void post(const struct card_buffer *b)
	 *	Gives the card a piece to fill; it may wait for kick until it is told.
	 */

	/* Tells the card of what was transmitted and posted. */
	void (*kick)(void);

	/*
	 * Hands to card_sent, card_received, card_lost and card_link what the card has done;
	 * `bits` are the event bits that were set since the last call; with 0, as after `start`,
	 * the link's state is told in any case. Interrupts are on afterwards, and nothing waits
	 * that came before they were. False, with a line in the log: the card broke a rule, or asks
	 * for a reset.
	 */
	bool (*poll)(struct card_server *s, u64 bits);
};

/* Serves the card; returns the program's exit code. */
int card_run(struct start_info *info, const struct card_driver *driver);
