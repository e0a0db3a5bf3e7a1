/*
 * An NVMe controller as hardware would be, over fake_device.h: admin and I/O queues, one namespace,
 * a medium of its own. It does what the driver asks at the model's pace, and what the specification
 * forbids when it is told to.
 */
#pragma once

#include "tests/unit/fake_device.h"

#define FAKE_NVME_SECTORS 2048u

enum fake_nvme_act {
	FAKE_NVME_GOOD,
	FAKE_NVME_ERROR,    /* a media error */
	FAKE_NVME_BAD_ID,   /* an id that is not under way */
	FAKE_NVME_HUGE_ID,  /* one beyond all */
	FAKE_NVME_BAD_SQ,   /* of another queue */
	FAKE_NVME_BAD_HEAD, /* a head beyond the queue */
	FAKE_NVME_TWICE,    /* the same id again */
	FAKE_NVME_PHASE,    /* all entries of the ring become new ones */
	FAKE_NVME_SILENT,   /* takes it and never answers */
	FAKE_NVME_FATAL,
	FAKE_NVME_ACTS,
};

struct fake_nvme {
	/* set before the driver opens */
	u64 cap;
	u32 shift;    /* log2 of the block size */
	u32 metadata; /* bytes of a block */
	u32 mdts;
	u32 queues; /* I/O queues that it has */
	u8 vwc;
	u16 oncs;
	u32 nsid; /* of its one namespace */
	bool never_ready;
	bool never_reset;
	bool mute_admin; /* admin commands are not answered */
	bool fail_admin; /* they fail */
	bool lie_admin;  /* they are answered with wrong ids */

	u32 resets;
	u32 rules; /* times that the driver broke a rule */
	u32 made;  /* I/O queues that the driver has made */
	u8 medium[FAKE_NVME_SECTORS * 512];
};

extern struct fake_nvme fake_nvme;

/* A fresh controller with `messages` MSI-X messages. */
void fake_nvme_init(u32 messages);

/* Takes one command of an I/O queue and does as `act` says. False: none waits. */
bool fake_nvme_step(enum fake_nvme_act act);
