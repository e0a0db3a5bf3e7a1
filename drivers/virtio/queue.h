/*
 * The driver's side of a split virtqueue (VIRTIO 1.2, 2.7), with indirect descriptors and event
 * index where the device has them. Pure: memory only.
 *
 * The device may be hostile: what it has to know lies in memory that it can write at any time, so
 * nothing is read back from there but the used ring, of which each element is copied, checked
 * against what is under way, and used. Chains, lengths and free descriptors are kept in private
 * memory.
 */
#pragma once

#include "kernel/abi/types.h"

#define VIRTQUEUE_MAX    256u /* descriptors of a queue */
#define VIRTQUEUE_PIECES 16u  /* of one chain */
#define VIRTQUEUE_NONE   0xffffu

/* 2.7.5 */
struct virtqueue_desc {
	u64 address;
	u32 length;
	u16 flags;
	u16 next;
};
static_assert(sizeof(struct virtqueue_desc) == 16);

/* A part of a chain, in the device's addresses. Those that it reads come before those it writes. */
struct virtqueue_piece {
	u64 bus;
	u32 length;
	bool write; /* the device writes it */
};

/* A chain that is under way, by its first descriptor. */
struct virtqueue_chain {
	u16 tag;
	u16 descriptors; /* 0: none is under way */
	u32 writable;    /* bytes */
};

struct virtqueue {
	u16 size; /* a power of two, at most VIRTQUEUE_MAX */
	bool event_index;
	struct virtqueue_desc *desc;
	u16 *available;                  /* 2.7.6: flags, idx, ring[size], used_event */
	u16 *used;                       /* 2.7.8: flags, idx, ring[size] of two u32, avail_event */
	struct virtqueue_desc *indirect; /* VIRTQUEUE_PIECES for each descriptor, or NULL */
	u64 indirect_bus;
	u16 head; /* counts chains made available */
	u16 told; /* its value at the last virtqueue_publish */
	u16 tail; /* counts chains taken back */
	u16 free; /* descriptors */
	u16 first_free;
	u16 next[VIRTQUEUE_MAX];
	struct virtqueue_chain chain[VIRTQUEUE_MAX];
};

/* Sizes of the three areas of a queue of `size`, in bytes (2.7). Descriptors are aligned to 16, the
 * available ring to 2, the used ring to 4. */
static inline u64 virtqueue_desc_bytes(u16 size)
{
	return size * sizeof(struct virtqueue_desc);
}

static inline u64 virtqueue_available_bytes(u16 size)
{
	return 6 + 2ull * size;
}

static inline u64 virtqueue_used_bytes(u16 size)
{
	return 6 + 8ull * size;
}

static inline u64 virtqueue_indirect_bytes(u16 size)
{
	return virtqueue_desc_bytes(size) * VIRTQUEUE_PIECES;
}

/* Begins with an empty queue: q->size, event_index, desc, available, used and the indirect ones are
 * set. The device does not use the queue. Clears the rings. */
void virtqueue_init(struct virtqueue *q);

/* True if a chain of `pieces` (at most VIRTQUEUE_PIECES) can be added. */
bool virtqueue_room(const struct virtqueue *q, u32 pieces);

/* Adds a chain, 1 to VIRTQUEUE_PIECES pieces, which comes back with `tag`. There is room. */
void virtqueue_add(struct virtqueue *q, const struct virtqueue_piece *piece, u32 pieces, u16 tag);

/* Makes what was added available. True: the device wants to be notified. */
bool virtqueue_publish(struct virtqueue *q);

enum virtqueue_taken {
	VIRTQUEUE_EMPTY,
	VIRTQUEUE_TAKEN,
	VIRTQUEUE_BROKEN, /* the device broke the queue */
};

/* Takes back a chain that the device has used: *tag, and the *written bytes of its beginning. */
enum virtqueue_taken virtqueue_take(struct virtqueue *q, u16 *tag, u32 *written);

/* Asks for an interrupt at the next used chain. True: some have come meanwhile, so take them. */
bool virtqueue_arm(struct virtqueue *q);
