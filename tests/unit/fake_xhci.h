/*
 * An xHCI controller with a USB stick on port 3, another device on port 1, and what is plugged in
 * beside them (fake_usb.h), as hardware would be, over fake_device.h. Commands and control
 * transfers are carried out at once; transfers of the stick's bulk endpoints when it is stepped,
 * rightly or as it is told to.
 */
#pragma once

#include "tests/unit/fake_device.h"

#define FAKE_XHCI_SECTORS 2048u
#define FAKE_XHCI_PORT    3u

enum fake_xhci_act {
	FAKE_XHCI_GOOD,
	FAKE_XHCI_FAIL,       /* the command fails, if this is where it ends: a medium error */
	FAKE_XHCI_ATTENTION,  /* likewise: a unit attention */
	FAKE_XHCI_STALL,      /* the pipe stalls; data and status come all the same */
	FAKE_XHCI_ERROR,      /* a transaction error */
	FAKE_XHCI_SHORT,      /* less data than asked for, and a residue */
	FAKE_XHCI_RESIDUE,    /* all the data, and a residue */
	FAKE_XHCI_BAD_STATUS, /* a status of something else */
	FAKE_XHCI_STRAY,      /* an event for what is not under way, then the right one */
	FAKE_XHCI_UNPLUG,     /* the stick is pulled out and put in again */
	FAKE_XHCI_FATAL,      /* the controller meets an error of its own */
	FAKE_XHCI_SILENT,     /* the device takes a transfer and never answers */
	FAKE_XHCI_ACTS,
};

struct fake_xhci {
	bool no_other; /* nothing on port 1 */
	bool never_reset;
	bool mute;     /* commands are not answered */
	bool no_cache; /* SYNCHRONIZE CACHE is unknown */
	bool protected;
	bool crooked_recovery; /* Bulk-Only reset is refused */
	u32 block_size;
	u64 blocks; /* that it says it has */
	u32 scratchpads;
	bool wide_contexts;
	u32 attentions; /* next commands that fail so */
	u8 config[64];
	u32 config_size;

	u32 resets;     /* of the controller */
	u32 recoveries; /* Bulk-Only resets */
	u32 flushes;
	u32 rules; /* times that the driver broke a rule */
	u8 medium[FAKE_XHCI_SECTORS * 512];
};

extern struct fake_xhci fake_xhci;

/* A fresh controller and stick of that speed (enum xhci_speed). */
void fake_xhci_init(u32 speed);

/* Carries out a transfer of a bulk endpoint, and does as `act` says. False: there is none. */
bool fake_xhci_step(enum fake_xhci_act act);
