/*
 * A virtio block device as hardware would be, over fake_virtio.h: one queue, and a medium of its
 * own. It does what the driver asks at the model's pace, and what VIRTIO forbids when it is told
 * to.
 */
#pragma once

#include "tests/unit/fake_virtio.h"

#define FAKE_BLK_SECTORS 2048u

/* How it answers its next request, or what it does besides. */
enum fake_blk_act {
	FAKE_BLK_GOOD,
	FAKE_BLK_ERROR,    /* status IOERR */
	FAKE_BLK_STATUS,   /* a status that there is not */
	FAKE_BLK_BAD_ID,   /* an id beyond the queue */
	FAKE_BLK_WRONG_ID, /* one that is not under way */
	FAKE_BLK_LONG,     /* more bytes than it may write */
	FAKE_BLK_TWICE,    /* the same id again */
	FAKE_BLK_JUMP,     /* an index that jumps */
	FAKE_BLK_SILENT,   /* takes it and never answers */
	FAKE_BLK_NEEDS_RESET,
	FAKE_BLK_ACTS,
};

struct fake_blk {
	u32 block_size;
	u32 seg_max;
	u8 medium[FAKE_BLK_SECTORS * 512];
};

extern struct fake_blk fake_blk;

/* A fresh device that offers `features`, with `messages` MSI-X messages. */
void fake_blk_init(u64 features, u32 messages);

/* Takes one available request and does as `act` says. False: none waits. */
bool fake_blk_step(enum fake_blk_act act);
