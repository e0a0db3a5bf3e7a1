/*
 * Split virtqueues, the device's side (virtio 1.2, 2.7).
 *
 * The driver is hostile: every index, address and length is read once from guest memory, checked,
 * and then used. What breaks the rules makes the queue broken (VIRTQUEUE_BROKEN); nothing else
 * happens. The functions keep no secret between calls: struct virtqueue is all that a fresh process
 * needs to go on.
 */
#pragma once

#include "guests/vmm/gmem.h"

#define VIRTQUEUE_SIZE_MAX 256u /* entries */

/* Layout in guest memory (2.7.5, 2.7.6, 2.7.8). */
struct virtqueue_descriptor {
	u64 address; /* guest-physical */
	u32 length;
	u16 flags;
	u16 next;
};
static_assert(sizeof(struct virtqueue_descriptor) == 16, "virtq_desc");

#define VIRTQUEUE_NEXT     0x1u
#define VIRTQUEUE_WRITE    0x2u
#define VIRTQUEUE_INDIRECT 0x4u

struct virtqueue_used {
	u32 id;
	u32 length;
};
static_assert(sizeof(struct virtqueue_used) == 8, "virtq_used_elem");

#define VIRTQUEUE_RING_FLAGS          0 /* offsets in both rings */
#define VIRTQUEUE_RING_INDEX          2
#define VIRTQUEUE_RING_ENTRIES        4
#define VIRTQUEUE_NO_INTERRUPT        0x1u /* available ring's flags */
#define VIRTQUEUE_DESCRIPTOR_ALIGN    16u
#define VIRTQUEUE_DRIVER_ALIGN        2u
#define VIRTQUEUE_DEVICE_ALIGN        4u
#define VIRTQUEUE_DRIVER_ENTRY        2u
#define VIRTQUEUE_RING_HEAD_AND_EVENT 6u /* bytes of a ring beside its entries */

/* Where the device is in the rings; stored in one piece, so that a death cannot tear it. */
union virtqueue_position {
	struct {
		u16 avail;     /* next entry of the available ring to take; runs freely */
		u16 used;      /* next entry of the used ring to fill; runs freely */
		u16 signalled; /* `used` when the driver was last told, or found not to ask */
		u16 reserved;
	};
	u64 word;
};

struct virtqueue {
	u64 descriptors; /* guest-physical addresses of the three areas */
	u64 driver;      /* available ring */
	u64 device;      /* used ring */
	union virtqueue_position at;
	u16 size;       /* entries, a power of two */
	u16 size_max;   /* at most VIRTQUEUE_SIZE_MAX */
	u16 vector;     /* MSI-X vector, or VIRTIO_NO_VECTOR */
	u8 enabled;     /* the areas are where queue_enable found them valid */
	u8 indirect;    /* VIRTIO_F_INDIRECT_DESC was negotiated */
	u8 event_index; /* VIRTIO_F_EVENT_IDX was negotiated */
	u8 reserved[7];
};
static_assert(sizeof(struct virtqueue) == 48, "part of device states");

struct virtqueue_segment {
	u8 *at;     /* in the guest's RAM, all of it */
	u32 length; /* not 0 */
};

/* A descriptor chain, checked; readable segments come before writable ones. */
struct virtqueue_chain {
	u16 head;
	u16 segments;
	u16 readable;    /* segments that the device may read: the first ones */
	u32 read_bytes;  /* in all readable segments */
	u32 write_bytes; /* in all writable segments */
	struct virtqueue_segment segment[VIRTQUEUE_SIZE_MAX];
};

enum virtqueue_next {
	VIRTQUEUE_EMPTY,
	VIRTQUEUE_CHAIN,
	VIRTQUEUE_BROKEN,
};

/* Sets a queue to its state at reset: disabled, with its greatest size. */
void virtqueue_reset(struct virtqueue *q, u16 size_max);

/*
 * Whether the three areas are in RAM, aligned (2.7), and do not overlap one another. q->size is
 * valid.
 */
bool virtqueue_areas_valid(const struct gmem *g, const struct virtqueue *q);

/*
 * Looks at the chain that is `ahead` entries (0: the next one) from q->at.avail; takes nothing.
 * BROKEN: the available index is more than the queue's size ahead; a head or link is out of range;
 * the chain is longer than the queue; a buffer is empty, not all in RAM, or a readable one after a
 * writable one; the bytes do not fit 32 bits; an indirect table is not negotiated, nested, followed
 * by a further descriptor, or of a length that is no whole number of descriptors.
 */
enum virtqueue_next virtqueue_look(
	const struct gmem *g, const struct virtqueue *q, u32 ahead, struct virtqueue_chain *c);

/* Looks at the chain with this head again, which was taken before; false: it is broken now. */
bool virtqueue_chain_of(
	const struct gmem *g, const struct virtqueue *q, u16 head, struct virtqueue_chain *c);

/*
 * Asks the driver to notify when it adds the chain that is `ahead` entries from q->at.avail
 * (VIRTIO_F_EVENT_IDX), then looks whether it came meanwhile: true.
 */
bool virtqueue_sleep(const struct gmem *g, const struct virtqueue *q, u32 ahead);

/* Takes the next chain, which virtqueue_look has shown: the caller keeps its head. */
void virtqueue_take(struct virtqueue *q);

/*
 * Writes used entry q->at.used + `ahead`: the chain with this head, `written` bytes written to its
 * writable part from the start. virtqueue_advance makes it visible.
 */
void virtqueue_fill(
	const struct gmem *g, const struct virtqueue *q, u32 ahead, u16 head, u32 written);

/* Takes `taken` chains and publishes `used` entries that were filled, in one step. */
void virtqueue_advance(const struct gmem *g, struct virtqueue *q, u16 taken, u16 used);

/* Publishes q->at.used again: what a process that takes over does first. */
void virtqueue_publish(const struct gmem *g, const struct virtqueue *q);

/*
 * Whether the driver wants an interrupt for what was used since this was asked last
 * (2.7.7, 2.7.10).
 */
bool virtqueue_wants_interrupt(const struct gmem *g, struct virtqueue *q);

/*
 * Copies from the readable part of a chain, or to the writable one, `size` bytes at `offset` of
 * that part. False, and nothing is done: they are not all within it.
 */
bool virtqueue_read(const struct virtqueue_chain *c, u32 offset, void *to, u32 size);
bool virtqueue_write(const struct virtqueue_chain *c, u32 offset, const void *from, u32 size);
