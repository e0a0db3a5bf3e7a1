/*
 * A queue of records from one service thread to root's main thread: one producer, one consumer, no
 * locks, so that serving a call never waits. Both ends are root's own.
 */
#pragma once

#include "drivers/protocols/root.h"

#define QUEUE_RECORDS 32u

struct record {
	u32 badge; /* who called */
	u16 op;    /* enum root_op */
	u16 size;  /* bytes of text */
	u64 value; /* ROOT_STOP: the reason; ROOT_BROKEN, ROOT_FLOODED: the session's capability */
	char text[ROOT_LOG_MAX];
};

struct queue {
	u32 head; /* records written, ever */
	u32 tail; /* records taken, ever */
	struct record record[QUEUE_RECORDS];
};

/* Adds a copy of `r`'s header and r->size bytes of `text`; false if the queue is full. */
static inline bool queue_put(struct queue *q, const struct record *r, const char *text)
{
	u32 head = q->head;
	struct record *to = &q->record[head % QUEUE_RECORDS];

	if (head - __atomic_load_n(&q->tail, __ATOMIC_ACQUIRE) >= QUEUE_RECORDS)
		return false;
	to->badge = r->badge;
	to->op = r->op;
	to->size = r->size;
	to->value = r->value;
	for (u32 i = 0; i < r->size; i++)
		to->text[i] = text[i];
	__atomic_store_n(&q->head, head + 1, __ATOMIC_RELEASE);
	return true;
}

/* The oldest record, or NULL; queue_done takes it out. */
static inline const struct record *queue_peek(struct queue *q)
{
	if (__atomic_load_n(&q->head, __ATOMIC_ACQUIRE) == q->tail)
		return NULL;
	return &q->record[q->tail % QUEUE_RECORDS];
}

static inline void queue_done(struct queue *q)
{
	__atomic_store_n(&q->tail, q->tail + 1, __ATOMIC_RELEASE);
}
