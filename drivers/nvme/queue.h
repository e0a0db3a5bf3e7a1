/*
 * A pair of NVMe queues in memory (Base Specification 1.4, 4.1 and 4.6). Pure but for the
 * doorbells.
 *
 * The controller may be hostile: submissions are only written, and each completion is copied and
 * then checked: its queue, and that the command with its id is under way here.
 */
#pragma once

#include "drivers/lib/mmio.h"
#include "drivers/nvme/regs.h"

#define NVME_QUEUE_MAX 64u /* entries; a queue has one command less under way */

struct nvme_queue {
	u16 number;
	u16 size; /* of both rings */
	struct nvme_command *submission;
	struct nvme_completion *completion;
	u64 submission_bus;
	u64 completion_bus;
	volatile u8 *submission_doorbell;
	volatile u8 *completion_doorbell;
	u16 tail; /* of submissions */
	u16 told; /* what the doorbell was told */
	u16 head; /* of completions */
	u16 phase;
	u16 flying;
	u64 busy; /* ids of commands under way, a bit each: NVME_QUEUE_MAX */
};
static_assert(NVME_QUEUE_MAX <= 64);

/* Begins, with both rings clear. The controller does not use them. */
void nvme_queue_init(struct nvme_queue *q);

static inline bool nvme_queue_room(const struct nvme_queue *q)
{
	return q->flying < q->size - 1;
}

/* Adds a command, whose id is below NVME_QUEUE_MAX and not under way. There is room. */
void nvme_queue_add(struct nvme_queue *q, const struct nvme_command *c);

/* Tells the controller what was added. */
void nvme_queue_kick(struct nvme_queue *q);

enum nvme_taken {
	NVME_EMPTY,
	NVME_TAKEN,
	NVME_BROKEN, /* the controller broke the queue */
};

/* Takes a completion, of which *out is a copy. */
enum nvme_taken nvme_queue_take(struct nvme_queue *q, struct nvme_completion *out);

/* Tells the controller of what was taken: that makes room, and drops the line. */
void nvme_queue_release(struct nvme_queue *q);
