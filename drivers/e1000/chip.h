/*
 * An Intel 82540EM or 82574L: reset, EEPROM, PHY, link, interrupts, its two rings. Errors are
 * logged here.
 */
#pragma once

#include "drivers/e1000/ring.h"
#include "drivers/lib/device.h"

struct e1000 {
	struct device *device;
	volatile u8 *registers;
	bool express; /* an 82574L */
	bool msix;
	bool receives; /* RCTL.EN is set */
	u8 mac[6];
	u32 told_tx; /* tails that the card was told of */
	u32 told_rx;
	struct e1000_tx tx;
	struct e1000_rx rx;
};

/* Takes up the opened device: registers, memory for the rings, address; stops it (14.3). */
bool e1000_open(struct e1000 *c, struct device *d);

/* Stops the card: what it was given is not under way any more. */
bool e1000_stop(struct e1000 *c);

/* Sets the stopped card to work with empty rings, for frames to all addresses (14.3 to 14.5; 82574
 * 4.6). The device was started, and has its interrupt. */
void e1000_start(struct e1000 *c);

/* Tells the card of what was added to its rings. */
void e1000_kick(struct e1000 *c);

/* The causes of interrupts since the last call, which are dropped; ~0: the card is not there. */
u32 e1000_causes(struct e1000 *c);

bool e1000_link(const struct e1000 *c);
