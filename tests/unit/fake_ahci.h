/*
 * An AHCI controller with a SATA disk on port 2 and a packet device on port 0 as hardware would be,
 * over fake_device.h. It does what the driver asks when it is stepped, and what it should not when
 * it is told to.
 */
#pragma once

#include "tests/unit/fake_device.h"

#define FAKE_AHCI_SECTORS 2048u
#define FAKE_AHCI_PORT    2u

enum fake_ahci_act {
	FAKE_AHCI_GOOD,
	FAKE_AHCI_ERROR,  /* the disk ends the command with an error, and its queue */
	FAKE_AHCI_LINK,   /* the disk says that a word was lost on the link */
	FAKE_AHCI_BUS,    /* the HBA cannot reach memory */
	FAKE_AHCI_CHANGE, /* the disk is pulled out and put in again */
	FAKE_AHCI_BUSY,   /* an error, after which the disk stays busy until it is reset */
	FAKE_AHCI_IDLE,   /* an error of nothing that was asked */
	FAKE_AHCI_SILENT, /* takes the command and never answers */
	FAKE_AHCI_ACTS,
};

struct fake_ahci {
	u16 id[256];
	u32 cap;
	bool absent;      /* no disk */
	bool stuck;       /* busy, whatever is done */
	bool never_reset; /* the HBA */
	bool never_stops; /* the port */
	bool mute;        /* it does not identify itself */
	bool firmware;    /* the firmware has the HBA, and gives it up when it is asked */
	u32 hba_resets;
	u32 port_resets; /* COMRESET */
	u32 queued;      /* queued commands that were carried out */
	u32 plain;       /* others that move data */
	u32 fua;
	u32 rules; /* times that the driver broke a rule */
	u8 medium[FAKE_AHCI_SECTORS * 512];
};

extern struct fake_ahci fake_ahci;

/* A fresh controller and disk, with a queue of `depth` (0: none). */
void fake_ahci_init(u32 depth);

/* Carries out a command, any of those that are under way, and does as `act` says. False: there is
 * none. */
bool fake_ahci_step(enum fake_ahci_act act);
