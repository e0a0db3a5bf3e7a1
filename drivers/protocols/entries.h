/*
 * A queue of entries of one size in shared memory: one producer, one consumer, either of them
 * possibly hostile.
 *
 * `head` counts the entries ever published and is written by the producer, `tail` those ever
 * released, by the consumer; both run freely and are taken modulo the number of entries, a power of
 * two that both know. Each end keeps its own index in private memory and only publishes it here;
 * the other's is checked whenever it is read. The entries themselves are for the protocol: the
 * consumer copies one, checks the copy and uses the copy.
 *
 * Sleeping: the producer tells whether the consumer may sleep, which is if it had released all that
 * was published before (entries_publish). The consumer looks once more after its last release
 * before it sleeps. Both put a full barrier between their store and their look at the other's
 * index, so that at least one sees the other's step.
 */
#pragma once

#include "kernel/abi/types.h"

struct entries {
	u32 head __attribute__((aligned(64)));
	u32 tail __attribute__((aligned(64)));
};
static_assert(sizeof(struct entries) == 128);
static_assert(offsetof(struct entries, tail) == 64);

/* Consumer, whose index is `tail`: entries that wait. More than `size` is damage: *broken is set
 * and the answer is 0. */
static inline u32 entries_waiting(const struct entries *q, u32 tail, u32 size, bool *broken)
{
	u32 waiting = __atomic_load_n(&q->head, __ATOMIC_ACQUIRE) - tail;

	*broken = waiting > size;
	return *broken ? 0 : waiting;
}

/* Consumer: `count` more entries, and what they refer to, are the producer's again. */
static inline void entries_release(struct entries *q, u32 *tail, u32 count)
{
	*tail += count;
	__atomic_store_n(&q->tail, *tail, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* Producer, whose index is `head`: entries published and not released. */
static inline u32 entries_held(const struct entries *q, u32 head, u32 size, bool *broken)
{
	u32 held = head - __atomic_load_n(&q->tail, __ATOMIC_ACQUIRE);

	*broken = held > size;
	return *broken ? size : held;
}

/* Producer: entries that may be added; none to a broken queue. */
static inline u32 entries_room(const struct entries *q, u32 head, u32 size, bool *broken)
{
	return size - entries_held(q, head, size, broken);
}

/* Producer: `count` more entries are written. True if the consumer may sleep: set its event bit. */
static inline bool entries_publish(struct entries *q, u32 *head, u32 count)
{
	u32 before = *head;

	*head += count;
	__atomic_store_n(&q->head, *head, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return count > 0 && __atomic_load_n(&q->tail, __ATOMIC_RELAXED) == before;
}

/* Server, step 4 of epoch.h: the queue is empty for the new connection. Returns the own index. */
static inline u32 entries_reset_tail(struct entries *q)
{
	u32 tail = __atomic_load_n(&q->head, __ATOMIC_ACQUIRE);

	__atomic_store_n(&q->tail, tail, __ATOMIC_RELEASE);
	return tail;
}

static inline u32 entries_reset_head(struct entries *q)
{
	u32 head = __atomic_load_n(&q->tail, __ATOMIC_ACQUIRE);

	__atomic_store_n(&q->head, head, __ATOMIC_RELEASE);
	return head;
}
