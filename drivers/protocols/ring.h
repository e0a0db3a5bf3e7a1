/*
 * A byte ring in shared memory: one producer, one consumer, either of them possibly hostile.
 *
 * `head` is written by the producer and `tail` by the consumer only; both run freely and are taken
 * modulo the size, a power of two that each side knows from its own side of the session and never
 * reads from the ring. A peer's index that says more than the size holds is treated as damage: the
 * ring is empty (or full) and the caller is told.
 */
#pragma once

#include "kernel/abi/types.h"

struct ring {
	u32 head __attribute__((aligned(64))); /* bytes written, ever */
	u32 tail __attribute__((aligned(64))); /* bytes read, ever */
	u8 data[] __attribute__((aligned(64)));
};

/* Bytes that a reader finds; more than `size` means that the peer broke the ring: reported as 0
 * with *broken set. */
static inline u32 ring_used(const struct ring *r, u32 size, bool *broken)
{
	u32 used = __atomic_load_n(&r->head, __ATOMIC_ACQUIRE) -
		   __atomic_load_n(&r->tail, __ATOMIC_ACQUIRE);

	*broken = used > size;
	return *broken ? 0 : used;
}

/* Bytes that a writer may add; a broken ring takes none. */
static inline u32 ring_room(const struct ring *r, u32 size)
{
	bool broken;
	u32 used = ring_used(r, size, &broken);

	return broken ? 0 : size - used;
}

/*
 * Writes up to `count` bytes; returns how many fitted. `size`: bytes of data[], a power of two.
 * A broken ring takes none.
 *
 * That nothing fitted is looked at again behind a full barrier: so either this writer sees the room
 * that the reader makes, or the reader, which looks at `head` behind a barrier of its own, sees
 * that the ring was full and tells. A writer that means to wait must therefore have seen 0, not
 * only less than it asked for.
 */
static inline u32 ring_write(struct ring *r, u32 size, const void *bytes, u32 count)
{
	u32 room = ring_room(r, size);
	u32 head = r->head;

	if (count > room) {
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		room = ring_room(r, size);
	}
	if (count > room)
		count = room;
	for (u32 i = 0; i < count; i++)
		r->data[(head + i) & (size - 1)] = ((const u8 *)bytes)[i];
	__atomic_store_n(&r->head, head + count, __ATOMIC_RELEASE);
	return count;
}

/* Reads up to `count` bytes; returns how many there were. A broken ring gives none. */
static inline u32 ring_read(struct ring *r, u32 size, void *bytes, u32 count)
{
	bool broken;
	u32 used = ring_used(r, size, &broken);
	u32 tail = r->tail;

	if (count > used)
		count = used;
	for (u32 i = 0; i < count; i++)
		((u8 *)bytes)[i] = r->data[(tail + i) & (size - 1)];
	__atomic_store_n(&r->tail, tail + count, __ATOMIC_RELEASE);
	return count;
}
