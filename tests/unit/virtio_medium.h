/* The backend of a virtio disk for its test: a medium in memory, answers when the test wants. */
#pragma once

#include "guests/vmm/virtio/blk.h"
#include "tests/unit/virtio_driver.h"

#define SECTORS       512u
#define PIECE         4096u /* bytes that the backend gives at most */
#define MEDIUM_NUMBER 3u    /* of the disk, for its backend */

/* An operation under way. */
struct pending {
	bool used;
	bool sent;
	enum virtio_blk_op op;
	u64 sector;
	u32 sectors;
	bool unmap;
	bool direct; /* on the guest's RAM: */
	struct virtqueue_chain chain;
	bool writable;
	u32 offset;
	u8 buffer[PIECE];
};

extern struct virtio_blk disk;
extern u8 medium[SECTORS * 512];
extern struct pending pending[VIRTIO_BLK_REQUESTS];
extern u32 buffers;                                    /* that the backend has left */
extern bool direct;                                    /* it takes the guest's RAM itself */
extern u32 operations[VIRTIO_BLK_OP_WRITE_ZEROES + 1]; /* carried out */

/* Answers one operation; false: none is under way. */
bool answer(enum virtio_blk_status status);

/* Carries out and answers all that come. */
void answer_all(void);
