/*
 * virtio block device: virtio 1.2, 5.2.
 *
 * A request keeps a place in the state from the time that its chain is taken until it is given
 * back; the chain itself is looked at again, and checked again, for each piece of data that is
 * moved. Data go through a buffer of the backend, piece by piece, each byte copied once; or the
 * backend takes them from and to the guest's RAM itself. When all
 * places are taken, chains wait in their queues. Requests may be carried out in any order.
 *
 * A driver that negotiates neither FLUSH nor CONFIG_WCE, or writes 0 to `writeback`, gets a
 * write-through cache: each write is followed by a flush before it is reported (5.2.6.2).
 *
 * After a reset, new requests wait until the backend has answered all old ones: so a write that the
 * driver has given up cannot come after a newer one. While one of those may still change the
 * guest's RAM, the reset is not over for the driver.
 */
#pragma once

#include "guests/vmm/virtio/virtio.h"

#define VIRTIO_BLK_MAGIC    DEVICE_MAGIC('V', 'B', 'L', 'K')
#define VIRTIO_BLK_REQUESTS 64u
#define VIRTIO_BLK_SIZE     256u /* entries of each queue */
#define VIRTIO_BLK_QUEUES   8u   /* at most */
#define VIRTIO_BLK_SECTOR   512u
#define VIRTIO_BLK_ID       20u
#define VIRTIO_BLK_SEG_MAX  (VIRTIO_BLK_SIZE - 2) /* less header and status */
#define VIRTIO_BLK_SIZE_MAX 0x400000u             /* bytes of a segment that drivers shall use */

#define VIRTIO_BLK_F_SIZE_MAX     BIT(1)
#define VIRTIO_BLK_F_SEG_MAX      BIT(2)
#define VIRTIO_BLK_F_RO           BIT(5)
#define VIRTIO_BLK_F_BLK_SIZE     BIT(6)
#define VIRTIO_BLK_F_FLUSH        BIT(9)
#define VIRTIO_BLK_F_TOPOLOGY     BIT(10)
#define VIRTIO_BLK_F_CONFIG_WCE   BIT(11)
#define VIRTIO_BLK_F_MQ           BIT(12)
#define VIRTIO_BLK_F_DISCARD      BIT(13)
#define VIRTIO_BLK_F_WRITE_ZEROES BIT(14)

enum virtio_blk_type { /* 5.2.6 */
	VIRTIO_BLK_T_IN = 0,
	VIRTIO_BLK_T_OUT = 1,
	VIRTIO_BLK_T_FLUSH = 4,
	VIRTIO_BLK_T_GET_ID = 8,
	VIRTIO_BLK_T_DISCARD = 11,
	VIRTIO_BLK_T_WRITE_ZEROES = 13,
};

enum virtio_blk_status {
	VIRTIO_BLK_S_OK = 0,
	VIRTIO_BLK_S_IOERR = 1,
	VIRTIO_BLK_S_UNSUPP = 2,
};

struct virtio_blk_header { /* struct virtio_blk_req without data and status */
	u32 type;
	u32 reserved;
	u64 sector;
};
static_assert(sizeof(struct virtio_blk_header) == 16, "5.2.6");

struct virtio_blk_range { /* struct virtio_blk_discard_write_zeroes */
	u64 sector;
	u32 sectors;
	u32 flags;
};
static_assert(sizeof(struct virtio_blk_range) == 16, "5.2.6");
#define VIRTIO_BLK_UNMAP 0x1u

struct virtio_blk_config { /* 5.2.4 */
	u64 capacity;
	u32 size_max;
	u32 seg_max;
	u32 geometry;
	u32 blk_size;
	u8 physical_block_exp;
	u8 alignment_offset;
	u16 min_io_size;
	u32 opt_io_size;
	u8 writeback;
	u8 unused0;
	u16 num_queues;
	u32 max_discard_sectors;
	u32 max_discard_seg;
	u32 discard_sector_alignment;
	u32 max_write_zeroes_sectors;
	u32 max_write_zeroes_seg;
	u8 write_zeroes_may_unmap;
	u8 unused1[3];
};
static_assert(offsetof(struct virtio_blk_config, writeback) == 32, "5.2.4");
static_assert(offsetof(struct virtio_blk_config, num_queues) == 34, "5.2.4");
static_assert(offsetof(struct virtio_blk_config, write_zeroes_may_unmap) == 56, "5.2.4");
#define VIRTIO_BLK_CONFIG_BYTES 60u

/* What the backend says of the volume. */
struct virtio_blk_facts {
	u64 sectors;           /* of 512 bytes */
	u32 block_bytes;       /* 512 or more, a power of two */
	u32 physical_bytes;    /* block_bytes or more, a power of two */
	u32 piece_sectors;     /* of one read or write, whole blocks */
	u32 discard_sectors;   /* of one; 0: cannot */
	u32 discard_alignment; /* sectors */
	u32 zeroes_sectors;    /* of one; 0: cannot */
	u8 read_only;
	u8 can_flush; /* else every write is durable when it is answered */
	u8 can_unmap; /* WRITE_ZEROES may give up the space */
	u8 reserved[5];
	char id[VIRTIO_BLK_ID];
	u8 reserved2[4];
};
static_assert(sizeof(struct virtio_blk_facts) == 64, "part of the state");

enum virtio_blk_state {
	VIRTIO_BLK_FREE = 0,
	VIRTIO_BLK_TAKEN = 1,  /* nothing is at the backend */
	VIRTIO_BLK_SENT = 2,   /* a piece is at the backend */
	VIRTIO_BLK_ORPHAN = 3, /* as SENT, but its queue was reset */
	VIRTIO_BLK_DONE = 4,   /* is being given back as used entry `used_at` */
};

struct virtio_blk_request {
	u64 sector;  /* where it begins */
	u32 length;  /* reads, writes: bytes in all; else sectors */
	u32 done;    /* of these */
	u32 piece;   /* of these, at the backend */
	u32 written; /* DONE: what the used entry says */
	u16 head;
	u16 taken_at; /* index in the available ring */
	u16 used_at;  /* DONE: index in the used ring */
	u8 queue;
	u8 state; /* enum virtio_blk_state */
	u8 type;  /* enum virtio_blk_type */
	u8 unmap;
	u8 stable; /* flush after the last piece */
	u8 status;
	u8 reserved[4];
};
static_assert(sizeof(struct virtio_blk_request) == 40, "part of the state");

struct virtio_blk {
	union {
		struct virtio virtio;
		struct device_header header;
	};
	struct virtio_blk_facts facts;
	u8 number;    /* which disk it is, for the backend */
	u8 writeback; /* as the driver set it */
	u8 orphans;   /* requests that are ORPHAN */
	u8 next;      /* queue to look at first when a place becomes free */
	u8 reserved[4];
	struct virtio_blk_request request[VIRTIO_BLK_REQUESTS];
};
DEVICE_STATE(struct virtio_blk);

/*
 * Makes a disk at a place of the bus, with 1 to VIRTIO_BLK_QUEUES queues; number: the backend's.
 * facts: as known now; sectors 0 while the volume is not there. False: the place is taken.
 */
bool virtio_blk_init(struct machine *m, struct virtio_blk *s, u8 number, u8 devfn, u8 queues,
	const struct virtio_blk_facts *facts);

/*
 * The volume is there, perhaps with other facts. The driver is told of another capacity at once;
 * features change with the next reset of the device.
 */
void virtio_blk_facts(
	struct machine *m, struct virtio_blk *s, const struct virtio_blk_facts *facts);

/*
 * The backend has carried out what virtio_blk_backend_start gave it under `slot`: any slot number
 * and any status byte is safe. The buffer is read, and free afterwards.
 */
void virtio_blk_answered(
	struct machine *m, struct virtio_blk *s, u32 slot, enum virtio_blk_status status);

/* The backend will not carry out what it was given under `slot` as it stands: the piece is begun
 * again at virtio_blk_ready. */
void virtio_blk_again(struct virtio_blk *s, u32 slot);

/* The backend has room, or is there again: requests go on that waited for it. */
void virtio_blk_ready(struct machine *m, struct virtio_blk *s);

/*
 * A fresh process takes over: finishes what the old one was about to give back, and makes requests
 * that were at the backend wait for virtio_blk_ready. Then virtio_resume.
 */
void virtio_blk_resume(struct machine *m, struct virtio_blk *s);

extern const struct virtio_model virtio_blk_model;

/* --- the VMM provides these, and a fake does in unit tests --- */

enum virtio_blk_op {
	VIRTIO_BLK_OP_READ,
	VIRTIO_BLK_OP_WRITE,
	VIRTIO_BLK_OP_FLUSH,
	VIRTIO_BLK_OP_DISCARD,
	VIRTIO_BLK_OP_WRITE_ZEROES,
};

/*
 * Gives disk `number`'s slot (0 to VIRTIO_BLK_REQUESTS - 1) a buffer of at most `bytes` (whole
 * blocks): returns how many, whole blocks, and *buffer; 0: none now, or not connected;
 * virtio_blk_ready follows. bytes 0 asks whether an operation without data can be started: nonzero
 * if so. The buffer stays until virtio_blk_answered returns; it lies in memory that another program
 * sees.
 */
u32 virtio_blk_backend_buffer(struct machine *m, u8 number, u32 slot, u32 bytes, u8 **buffer);

/* Starts an operation under `slot` after virtio_blk_backend_buffer said that it can be. */
void virtio_blk_backend_start(struct machine *m, u8 number, u32 slot, enum virtio_blk_op op,
	u64 sector, u32 sectors, bool unmap);

/* Where the slot's data are, at virtio_blk_answered for a read; NULL: in the guest's RAM. */
const u8 *virtio_blk_backend_data(struct machine *m, u8 number, u32 slot);

/*
 * Instead of virtio_blk_backend_buffer: the slot's next operation is on `bytes` (whole blocks) of
 * the guest's RAM itself, from `offset` on in the readable or `writable` part of the chain, which
 * has them. False: that is not possible for these, or not now.
 */
bool virtio_blk_backend_direct(struct machine *m, u8 number, u32 slot,
	const struct virtqueue_chain *c, bool writable, u32 offset, u32 bytes);

/* True while requests of before a reset may still change the guest's RAM. orphans: some are known
 * that are not answered; those of an earlier process are not. */
bool virtio_blk_backend_unsettled(struct machine *m, u8 number, bool orphans);
