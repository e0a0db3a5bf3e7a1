/* Split virtqueues, the device's side: see virtqueue.h. */
#include "virtqueue.h"
#include "drivers/lib/lib.h"

#define AREAS 3

void virtqueue_reset(struct virtqueue *q, u16 size_max)
{
	*q = (struct virtqueue){.size = size_max, .size_max = size_max, .vector = UINT16_MAX};
}

static u64 driver_bytes(const struct virtqueue *q)
{
	return VIRTQUEUE_RING_HEAD_AND_EVENT + (u64)q->size * VIRTQUEUE_DRIVER_ENTRY;
}

static u64 device_bytes(const struct virtqueue *q)
{
	return VIRTQUEUE_RING_HEAD_AND_EVENT + (u64)q->size * sizeof(struct virtqueue_used);
}

bool virtqueue_areas_valid(const struct gmem *g, const struct virtqueue *q)
{
	const struct {
		u64 base;
		u64 size;
		u64 align;
	} area[AREAS] = {
		{q->descriptors, (u64)q->size * sizeof(struct virtqueue_descriptor),
			VIRTQUEUE_DESCRIPTOR_ALIGN},
		{q->driver, driver_bytes(q), VIRTQUEUE_DRIVER_ALIGN},
		{q->device, device_bytes(q), VIRTQUEUE_DEVICE_ALIGN},
	};

	for (u32 i = 0; i < AREAS; i++) {
		if (!IS_ALIGNED(area[i].base, area[i].align) ||
			!gmem_at(g, area[i].base, area[i].size))
			return false;
		for (u32 j = 0; j < i; j++) { /* in RAM, so the sums do not wrap */
			if (area[i].base < area[j].base + area[j].size &&
				area[j].base < area[i].base + area[i].size)
				return false;
		}
	}
	return true;
}

/* A 16-bit field of the driver's or device's area; NULL only if the areas are not valid. */
static u16 *driver_field(const struct gmem *g, const struct virtqueue *q, u32 offset)
{
	u8 *ring = gmem_at(g, q->driver, driver_bytes(q));

	return ring ? (u16 *)(ring + offset) : NULL;
}

static u16 *device_field(const struct gmem *g, const struct virtqueue *q, u32 offset)
{
	u8 *ring = gmem_at(g, q->device, device_bytes(q));

	return ring ? (u16 *)(ring + offset) : NULL;
}

/* Where the driver says from which used entry on it wants interrupts; and the device's twin. */
static u32 used_event(const struct virtqueue *q)
{
	return VIRTQUEUE_RING_ENTRIES + q->size * VIRTQUEUE_DRIVER_ENTRY;
}

static u32 avail_event(const struct virtqueue *q)
{
	return VIRTQUEUE_RING_ENTRIES + q->size * (u32)sizeof(struct virtqueue_used);
}

/* A table of descriptors: the queue's, or an indirect one. */
struct table {
	const u8 *at;
	u32 entries;
	bool indirect;
};

/* One read of a descriptor, whatever its alignment: the compiler may not look at it again. */
static struct virtqueue_descriptor descriptor_load(const struct table *t, u32 index)
{
	struct virtqueue_descriptor d;

	__builtin_memcpy(&d, t->at + (u64)index * sizeof(d), sizeof(d));
	asm volatile("" : "+m"(d) : : "memory");
	return d;
}

/* Makes `t` the table that an indirect descriptor refers to. */
static bool table_enter(const struct gmem *g, const struct virtqueue *q,
	const struct virtqueue_descriptor *d, struct table *t)
{
	if (!q->indirect || t->indirect || d->flags & VIRTQUEUE_NEXT || !d->length ||
		d->length % sizeof(struct virtqueue_descriptor))
		return false;
	t->at = gmem_at(g, d->address, d->length);
	t->entries = d->length / sizeof(struct virtqueue_descriptor);
	t->indirect = true;
	return t->at != NULL;
}

static bool segment_add(
	const struct gmem *g, struct virtqueue_chain *c, const struct virtqueue_descriptor *d)
{
	u8 *at = d->length ? gmem_at(g, d->address, d->length) : NULL;
	bool write = d->flags & VIRTQUEUE_WRITE;
	u32 *bytes = write ? &c->write_bytes : &c->read_bytes;

	if (!at || (!write && c->readable != c->segments) ||
		(u64)c->read_bytes + c->write_bytes + d->length > UINT32_MAX)
		return false;
	c->segment[c->segments++] = (struct virtqueue_segment){at, d->length};
	c->readable += !write;
	*bytes += d->length;
	return true;
}

bool virtqueue_chain_of(
	const struct gmem *g, const struct virtqueue *q, u16 head, struct virtqueue_chain *c)
{
	struct table t = {.entries = q->size};
	struct virtqueue_descriptor d;
	u32 index = head;

	c->head = head;
	c->segments = 0;
	c->readable = 0;
	c->read_bytes = 0;
	c->write_bytes = 0;
	t.at = gmem_at(g, q->descriptors, (u64)q->size * sizeof(d));
	if (!t.at || q->size > VIRTQUEUE_SIZE_MAX)
		return false;
	for (;;) {
		if (index >= t.entries || c->segments >= q->size)
			return false;
		d = descriptor_load(&t, index);
		if (d.flags & VIRTQUEUE_INDIRECT) {
			if (!table_enter(g, q, &d, &t))
				return false;
			index = 0;
			continue;
		}
		if (!segment_add(g, c, &d))
			return false;
		if (!(d.flags & VIRTQUEUE_NEXT))
			return true;
		index = d.next;
	}
}

/* How many chains wait; more than the queue's size: it is broken. */
static u32 waiting(const struct gmem *g, const struct virtqueue *q)
{
	const u16 *index = driver_field(g, q, VIRTQUEUE_RING_INDEX);

	/* pairs with the driver's barrier between entries and index (2.7.13.4) */
	return index ? (u16)(__atomic_load_n(index, __ATOMIC_ACQUIRE) - q->at.avail) : UINT32_MAX;
}

enum virtqueue_next virtqueue_look(
	const struct gmem *g, const struct virtqueue *q, u32 ahead, struct virtqueue_chain *c)
{
	u32 wait = waiting(g, q);
	const u16 *entry;
	u32 at;

	if (wait > q->size)
		return VIRTQUEUE_BROKEN;
	if (ahead >= wait)
		return VIRTQUEUE_EMPTY;
	at = (q->at.avail + ahead) & (q->size - 1u);
	entry = driver_field(g, q, VIRTQUEUE_RING_ENTRIES + at * VIRTQUEUE_DRIVER_ENTRY);
	if (!entry || !virtqueue_chain_of(g, q, __atomic_load_n(entry, __ATOMIC_RELAXED), c))
		return VIRTQUEUE_BROKEN;
	return VIRTQUEUE_CHAIN;
}

bool virtqueue_sleep(const struct gmem *g, const struct virtqueue *q, u32 ahead)
{
	u16 *event = device_field(g, q, avail_event(q));

	if (q->event_index && event)
		__atomic_store_n(event, (u16)(q->at.avail + ahead), __ATOMIC_RELAXED);
	/* the driver writes its index, then looks at avail_event: one of us sees the other's */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return waiting(g, q) > ahead;
}

static void position_set(struct virtqueue *q, union virtqueue_position at)
{
	__atomic_store_n(&q->at.word, at.word, __ATOMIC_RELEASE);
}

void virtqueue_take(struct virtqueue *q)
{
	union virtqueue_position at = q->at;

	at.avail++;
	position_set(q, at);
}

void virtqueue_fill(
	const struct gmem *g, const struct virtqueue *q, u32 ahead, u16 head, u32 written)
{
	u32 at = (q->at.used + ahead) & (q->size - 1u);

	gmem_write(g, q->device + VIRTQUEUE_RING_ENTRIES + at * sizeof(struct virtqueue_used),
		&(struct virtqueue_used){head, written}, sizeof(struct virtqueue_used));
}

void virtqueue_publish(const struct gmem *g, const struct virtqueue *q)
{
	u16 *index = device_field(g, q, VIRTQUEUE_RING_INDEX);

	if (index) /* entries and data first (2.7.8.2) */
		__atomic_store_n(index, q->at.used, __ATOMIC_RELEASE);
}

void virtqueue_advance(const struct gmem *g, struct virtqueue *q, u16 taken, u16 used)
{
	union virtqueue_position at = q->at;

	at.avail += taken;
	at.used += used;
	position_set(q, at);
	virtqueue_publish(g, q);
}

bool virtqueue_wants_interrupt(const struct gmem *g, struct virtqueue *q)
{
	const u16 *flags = driver_field(g, q, VIRTQUEUE_RING_FLAGS);
	const u16 *event = driver_field(g, q, used_event(q));
	union virtqueue_position at = q->at;
	u16 before = at.signalled;

	if (at.used == before || !flags || !event)
		return false;
	at = (union virtqueue_position){.avail = at.avail, .used = at.used, .signalled = at.used};
	position_set(q, at);
	/* the driver writes used_event, then looks at the used index */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!q->event_index)
		return !(__atomic_load_n(flags, __ATOMIC_RELAXED) & VIRTQUEUE_NO_INTERRUPT);
	/* is used_event one of the entries [before, used)? */
	return (u16)(at.used - 1 - __atomic_load_n(event, __ATOMIC_RELAXED)) <
	       (u16)(at.used - before);
}

/* Copies between a buffer and segments [first, end), from `offset` on; the range fits. */
static void copy(const struct virtqueue_chain *c, u32 first, u32 end, u32 offset, u8 *data,
	u32 size, bool write)
{
	for (u32 i = first; i < end && size; i++) {
		const struct virtqueue_segment *s = &c->segment[i];
		u32 step;

		if (offset >= s->length) {
			offset -= s->length;
			continue;
		}
		step = s->length - offset < size ? s->length - offset : size;
		if (write)
			memcpy(s->at + offset, data, step);
		else
			memcpy(data, s->at + offset, step);
		offset = 0;
		data += step;
		size -= step;
	}
}

bool virtqueue_read(const struct virtqueue_chain *c, u32 offset, void *to, u32 size)
{
	if (offset > c->read_bytes || size > c->read_bytes - offset)
		return false;
	copy(c, 0, c->readable, offset, to, size, false);
	return true;
}

bool virtqueue_write(const struct virtqueue_chain *c, u32 offset, const void *from, u32 size)
{
	if (offset > c->write_bytes || size > c->write_bytes - offset)
		return false;
	copy(c, c->readable, c->segments, offset, (u8 *)from, size, true);
	return true;
}
