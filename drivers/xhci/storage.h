/*
 * A USB mass storage device (Bulk-Only Transport 1.0) with SCSI commands (SBC-3, SPC-4) at an xHCI
 * controller: setting it up, and one command at a time. Errors are logged here.
 *
 * The device is trusted in what stands on it, and in nothing else: descriptors and status blocks
 * are copied and checked.
 */
#pragma once

#include "drivers/disk/server.h"
#include "drivers/xhci/usb.h"

#define SCSI_CDB_MOST 16u

struct scsi_command {
	u8 cdb[SCSI_CDB_MOST];
	u32 bytes; /* of data */
	u8 length; /* of the command */
	bool in;   /* data go to memory */
	u8 pieces;
	struct disk_piece piece[BLOCK_PIECES];
};

/* SPC-4, 4.5.6: sense keys */
enum scsi_sense {
	SCSI_NO_SENSE = 0,
	SCSI_RECOVERED = 1,
	SCSI_NOT_READY = 2,
	SCSI_ILLEGAL = 5,
	SCSI_ATTENTION = 6,
	SCSI_NONE = 16, /* it does not say */
};

enum storage_result {
	STORAGE_GOES_ON, /* the command is not at its end */
	STORAGE_GOOD,
	STORAGE_FAILED, /* storage_sense says why */
	STORAGE_BROKEN, /* the transport: storage_recover, or all anew */
};

enum storage_stage {
	STORAGE_IDLE,
	STORAGE_COMMAND,
	STORAGE_DATA,
	STORAGE_STATUS
};

struct storage {
	struct usb_device *device; /* NULL: there is none */
	u8 interface;
	bool ready; /* it is, and what is below is known */
	u64 again;  /* when it is asked next whether it is, */
	u64 until;  /* and when it is given up */
	u8 *page;   /* command and status blocks, small data */
	u64 page_bus;
	enum storage_stage stage;
	struct scsi_command command;
	u32 tag;
	bool short_data; /* fewer came than were asked for */
	bool status_again;

	u64 blocks;
	u32 block_size; /* bytes */
	bool read_only;
};

/* Memory, once; there is no device. */
bool storage_open(struct storage *s, struct xhci *x);

/* Sets up the configured device at the time `now`. False: it is no disk, or does not work. */
bool storage_start(struct storage *s, struct usb_device *d, u8 interface, u64 now);

/* Asks a device that is not ready whether it is, and reads its size then. False: it is given up. */
bool storage_turn(struct storage *s, u64 now);

/* How a transfer has ended. */
struct storage_end {
	enum usb_pipe which;
	enum xhci_code code;
};

/* Begins a command; none is under way. */
void storage_begin(struct storage *s, const struct scsi_command *c);

/* Goes on with it after the end of a transfer. */
enum storage_result storage_go_on(struct storage *s, const struct storage_end *end);

/* Why the command before has failed, which the device forgets then. */
enum scsi_sense storage_sense(struct storage *s);

/* Reset recovery (5.3.4): the device takes commands again. False: it does not. */
bool storage_recover(struct storage *s);
