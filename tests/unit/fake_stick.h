/*
 * A USB stick as hardware would be, for fake_xhci.h: requests on its control endpoint, and
 * Bulk-Only mass storage with SCSI commands.
 */
#pragma once

#include "tests/unit/fake_xhci.h"

struct fake_stick {
	bool ours; /* it is what is asked, not the other device */
	bool super;
	u32 configuration;
	bool halted[2]; /* out, in */
	enum {
		STICK_COMMAND,
		STICK_DATA,
		STICK_STATUS
	} stage;
	u8 cbw[31];
	u64 left;
	u64 at; /* in the medium, or in `answer` */
	u8 answer[64];
	u32 answer_size;
	bool small; /* data are the answer */
	u32 status;
	u32 key; /* sense */
};

extern struct fake_stick fake_stick;

/* A request with `length` bytes at `data`, of which it has moved *moved: 1 if it is done, 6 if it
 * stalls. */
u32 fake_stick_request(const u8 *setup, u8 *data, u32 length, u32 *moved);

/* A stage of a command, or a part of its data, in `size` bytes; returns how many it has moved. */
u32 fake_stick_stage(u8 *data, u32 size, bool in, enum fake_xhci_act act);

/* The command under way fails, with that sense key. */
void fake_stick_fail(u32 key);
