/*
 * An ATA disk with a bus master as hardware would be, over fake_device.h, on the second channel. It
 * does what the driver asks when it is stepped, and what it should not when it is told to.
 */
#pragma once

#include "tests/unit/fake_device.h"

#define FAKE_ATA_SECTORS 2048u

enum fake_ata_act {
	FAKE_ATA_GOOD,
	FAKE_ATA_ERROR,  /* ERR in the status */
	FAKE_ATA_FAULT,  /* DF */
	FAKE_ATA_MASTER, /* the bus master meets an error */
	FAKE_ATA_DRQ,    /* it wants more data */
	FAKE_ATA_SILENT, /* it stays busy */
	FAKE_ATA_ACTS,
};

struct fake_ata {
	u16 id[256];
	bool absent;
	bool stuck; /* busy, whatever is done */
	u32 resets;
	u32 rules; /* times that the driver broke a rule */
	u32 large; /* commands with 48-bit addresses */
	u64 base;  /* sector that the medium begins at */
	u8 medium[FAKE_ATA_SECTORS * 512];
};

extern struct fake_ata fake_ata;

/* A fresh disk of `sectors` sectors, of which FAKE_ATA_SECTORS from `base` on can hold something.
 */
void fake_ata_init(u64 sectors, u64 base, bool lba48);

/* Carries out what was asked, and does as `act` says. False: nothing was. */
bool fake_ata_step(enum fake_ata_act act);
