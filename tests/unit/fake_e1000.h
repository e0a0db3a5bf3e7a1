/*
 * An Intel 82540EM or 82574L as hardware would be, over fake_device.h: registers, EEPROM, PHY, both
 * rings. It does what the driver asks at the test's pace, and what the manuals forbid when it is
 * told to.
 */
#pragma once

#include "tests/unit/fake_device.h"

#define FAKE_E1000_FRAME 16384u

enum fake_e1000_act {
	FAKE_E1000_GOOD,
	FAKE_E1000_ERROR,  /* reception: a check sequence that is wrong */
	FAKE_E1000_PARTS,  /* reception: the frame goes on in the next buffer */
	FAKE_E1000_LONG,   /* reception: more bytes than the buffer has */
	FAKE_E1000_EMPTY,  /* reception: none */
	FAKE_E1000_SILENT, /* it does what it should, and does not say so */
	FAKE_E1000_ALL,    /* all descriptors of the ring are done at once */
	FAKE_E1000_GONE,   /* registers read all ones from now on */
	FAKE_E1000_ACTS,
};

struct fake_e1000 {
	/* set before the driver opens */
	bool express; /* an 82574L */
	bool msix;
	u8 mac[6];
	bool keeps_address; /* RAL and RAH are not loaded from the EEPROM */
	bool lazy;          /* a reset leaves registers as they are */
	bool never_reset;
	bool never_stops; /* the receiver stays enabled */
	bool master;      /* it goes on with DMA for ever */
	bool bad_sum;
	bool mute_eeprom;
	bool mute_phy;
	u16 phy_control;
	bool link;

	/* Called with each frame that it has sent. */
	void (*sent)(const u8 *frame, u32 bytes);

	u32 resets;
	u32 rules;   /* times that the driver broke a rule */
	u32 dropped; /* frames that came while there was no buffer */
	bool gone;
};

extern struct fake_e1000 fake_e1000;

/* A fresh card, that the firmware has left running. */
void fake_e1000_init(bool express, u32 messages);

/* Sends one frame. False: none waits. */
bool fake_e1000_transmit(enum fake_e1000_act act);

/* A frame comes in, without its check sequence. False: it was dropped. */
bool fake_e1000_receive(const u8 *frame, u32 bytes, enum fake_e1000_act act);

/* The cable is plugged in or pulled. */
void fake_e1000_set_link(bool up);
