/* Split virtqueues: see queue.h. Sections are of VIRTIO 1.2. */
#include "drivers/virtio/queue.h"
#include "drivers/lib/lib.h"

#define DESC_NEXT     1u /* 2.7.5 */
#define DESC_WRITE    2u
#define DESC_INDIRECT 4u
#define NO_INTERRUPT  1u /* 2.7.6: available flags */
#define NO_NOTIFY     1u /* 2.7.8: used flags */

/* Both rings begin with flags and idx. */
#define FLAGS 0
#define IDX   1
#define RING  2

static volatile u16 *used_event(const struct virtqueue *q)
{
	return q->available + RING + q->size;
}

static volatile u16 *available_event(const struct virtqueue *q)
{
	return q->used + RING + 4 * q->size;
}

void virtqueue_init(struct virtqueue *q)
{
	check(q->size > 0 && q->size <= VIRTQUEUE_MAX && !(q->size & (q->size - 1)));
	memset(q->desc, 0, virtqueue_desc_bytes(q->size));
	memset(q->available, 0, virtqueue_available_bytes(q->size));
	memset(q->used, 0, virtqueue_used_bytes(q->size));
	q->head = 0;
	q->told = 0;
	q->tail = 0;
	q->free = q->size;
	q->first_free = 0;
	for (u16 i = 0; i < q->size; i++) {
		q->next[i] = i + 1 < q->size ? (u16)(i + 1) : VIRTQUEUE_NONE;
		q->chain[i] = (struct virtqueue_chain){0};
	}
	if (!q->event_index)
		__atomic_store_n(&q->available[FLAGS], NO_INTERRUPT, __ATOMIC_RELAXED);
}

bool virtqueue_room(const struct virtqueue *q, u32 pieces)
{
	return q->indirect ? q->free > 0 : q->free >= pieces;
}

static u16 take_free(struct virtqueue *q)
{
	u16 i = q->first_free;

	q->first_free = q->next[i];
	q->next[i] = VIRTQUEUE_NONE;
	q->free--;
	return i;
}

static struct virtqueue_desc desc_of(const struct virtqueue_piece *p, bool more, u16 next)
{
	return (struct virtqueue_desc){
		.address = p->bus,
		.length = p->length,
		.flags = (u16)((p->write ? DESC_WRITE : 0) | (more ? DESC_NEXT : 0)),
		.next = more ? next : 0,
	};
}

/* 2.7.5.3: a table of the pieces, and one descriptor for it. */
static void add_indirect(
	struct virtqueue *q, u16 first, const struct virtqueue_piece *piece, u32 pieces)
{
	u64 at = (u64)first * VIRTQUEUE_PIECES;

	for (u32 i = 0; i < pieces; i++)
		q->indirect[at + i] = desc_of(&piece[i], i + 1 < pieces, (u16)(i + 1));
	q->desc[first] = (struct virtqueue_desc){
		.address = q->indirect_bus + at * sizeof(struct virtqueue_desc),
		.length = pieces * (u32)sizeof(struct virtqueue_desc),
		.flags = DESC_INDIRECT,
	};
}

static void add_direct(
	struct virtqueue *q, u16 first, const struct virtqueue_piece *piece, u32 pieces)
{
	u16 at = first;

	for (u32 i = 0; i < pieces; i++) {
		bool more = i + 1 < pieces;
		u16 next = more ? take_free(q) : VIRTQUEUE_NONE;

		q->desc[at] = desc_of(&piece[i], more, next);
		q->next[at] = next;
		at = next;
	}
}

void virtqueue_add(struct virtqueue *q, const struct virtqueue_piece *piece, u32 pieces, u16 tag)
{
	u16 first;

	check(pieces > 0 && pieces <= VIRTQUEUE_PIECES && virtqueue_room(q, pieces));
	first = take_free(q);
	q->chain[first] = (struct virtqueue_chain){
		.tag = tag, .descriptors = (u16)(q->indirect ? 1 : pieces)};
	for (u32 i = 0; i < pieces; i++)
		q->chain[first].writable += piece[i].write ? piece[i].length : 0;
	if (q->indirect)
		add_indirect(q, first, piece, pieces);
	else
		add_direct(q, first, piece, pieces);
	q->available[RING + q->head % q->size] = first;
	q->head++;
}

bool virtqueue_publish(struct virtqueue *q)
{
	u16 before = q->told;
	u16 event;

	if (q->head == before)
		return false;
	__atomic_store_n(&q->available[IDX], q->head, __ATOMIC_RELEASE);
	q->told = q->head;
	__atomic_thread_fence(__ATOMIC_SEQ_CST); /* 2.7.13.4.1 */
	if (!q->event_index)
		return !(__atomic_load_n(&q->used[FLAGS], __ATOMIC_RELAXED) & NO_NOTIFY);
	event = *available_event(q); /* 2.7.10.1: is it in before .. head - 1? */
	return (u16)(q->head - event - 1) < (u16)(q->head - before);
}

/* Chains that the device says it has used and that were not taken; more than are under way is
 * damage. */
static bool waiting(const struct virtqueue *q, u16 *count)
{
	*count = (u16)(__atomic_load_n(&q->used[IDX], __ATOMIC_ACQUIRE) - q->tail);
	return *count <= (u16)(q->told - q->tail);
}

enum virtqueue_taken virtqueue_take(struct virtqueue *q, u16 *tag, u32 *written)
{
	volatile u32 *ring = (volatile u32 *)(q->used + RING);
	struct virtqueue_chain *c;
	u16 last;
	u16 count;
	u32 id;

	if (!waiting(q, &count))
		return VIRTQUEUE_BROKEN;
	if (count == 0)
		return VIRTQUEUE_EMPTY;
	id = ring[q->tail % q->size * 2];
	*written = ring[q->tail % q->size * 2 + 1];
	if (id >= q->size || q->chain[id].descriptors == 0 || *written > q->chain[id].writable)
		return VIRTQUEUE_BROKEN;
	c = &q->chain[id];
	*tag = c->tag;
	last = (u16)id;
	while (q->next[last] != VIRTQUEUE_NONE)
		last = q->next[last];
	q->next[last] = q->first_free;
	q->first_free = (u16)id;
	q->free += c->descriptors;
	*c = (struct virtqueue_chain){0};
	q->tail++;
	return VIRTQUEUE_TAKEN;
}

bool virtqueue_arm(struct virtqueue *q)
{
	u16 count;

	if (q->event_index)
		*used_event(q) = q->tail;
	else
		__atomic_store_n(&q->available[FLAGS], 0, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return !waiting(q, &count) || count > 0;
}
