/*
 * An NVMe controller (Base Specification 1.4): reset, the admin queue, identification, I/O queues.
 * Errors are logged here.
 */
#pragma once

#include "drivers/lib/device.h"
#include "drivers/nvme/queue.h"

#define NVME_IO_QUEUES 4u

struct nvme_controller {
	struct device *device;
	volatile u8 *registers;
	u64 cap;
	struct nvme_queue admin;
	u32 queues; /* I/O queues in use */
	struct nvme_queue io[NVME_IO_QUEUES];
	u16 vector[NVME_IO_QUEUES];
	u8 *page; /* for what is identified */
	u64 page_bus;

	/* from the controller's identification */
	u64 max_bytes; /* of a transfer */
	bool can_dataset;
	bool can_zeroes;
	bool has_cache; /* that FLUSH empties */
};

struct nvme_namespace {
	u32 nsid;
	u64 blocks;
	u32 block_size;   /* bytes */
	u32 write_blocks; /* writes of less are slow */
	u32 discard_blocks;
	bool read_only;
};

/* Takes up the opened device: registers and memory; stops the controller (7.3.2). */
bool nvme_open(struct nvme_controller *c, struct device *d);

/* Starts the stopped controller with its admin queue (7.6.1), and identifies it. The device was
 * started. */
bool nvme_start(struct nvme_controller *c);

/* Stops the controller: nothing is under way any more, and its queues are gone. */
bool nvme_stop(struct nvme_controller *c);

/* Describes namespace `nsid`, or the first active one if it is NVME_NSID_ALL. False, too: it has a
 * format that is not supported. */
bool nvme_identify(struct nvme_controller *c, u32 nsid, struct nvme_namespace *n);

/* Makes c->queues I/O queues, which send the messages c->vector; fewer, at least one, if the
 * controller has not so many. */
bool nvme_make_queues(struct nvme_controller *c);

/* True if the controller says that it is in a fatal state, or is not there. */
bool nvme_failed(const struct nvme_controller *c);
