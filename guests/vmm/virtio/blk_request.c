/* Requests to a virtio block device: virtio 1.2, 5.2.6. */
#include "guests/vmm/virtio/blk_parts.h"
#include "drivers/lib/lib.h"

#define STATUS_BYTES 1u

/* A place for a request; NULL: all are taken. */
static struct virtio_blk_request *place_find(struct virtio_blk *s)
{
	for (u32 i = 0; i < VIRTIO_BLK_REQUESTS; i++) {
		if (s->request[i].state == VIRTIO_BLK_FREE)
			return &s->request[i];
	}
	return NULL;
}

static u32 slot_of(const struct virtio_blk *s, const struct virtio_blk_request *r)
{
	return (u32)(r - s->request);
}

static bool has_data(const struct virtio_blk_request *r)
{
	return r->type == VIRTIO_BLK_T_IN || r->type == VIRTIO_BLK_T_OUT;
}

/*
 * Writes a request's status and gives its chain back. That it is DONE, and as which used entry, is
 * noted first: a process that dies in between leaves all that virtio_blk_resume needs.
 */
static void finish(struct machine *m, struct virtio_blk *s, struct virtio_blk_request *r,
	const struct virtqueue_chain *c, u8 status)
{
	bool reads = r->type == VIRTIO_BLK_T_IN || r->type == VIRTIO_BLK_T_GET_ID;
	u32 data = reads ? r->done : 0;
	u32 queue = r->queue;

	virtqueue_write(c, c->write_bytes - STATUS_BYTES, &status, STATUS_BYTES);
	/* the status is behind all data: it counts only if these were written up to it (2.7.8.2) */
	r->written = data == c->write_bytes - STATUS_BYTES ? c->write_bytes : data;
	r->used_at = s->virtio.queue[queue].at.used;
	__atomic_store_n(&r->state, VIRTIO_BLK_DONE, __ATOMIC_RELEASE);
	virtio_return(m, &s->virtio, queue, r->head, r->written);
	__atomic_store_n(&r->state, VIRTIO_BLK_FREE, __ATOMIC_RELEASE);
	virtio_interrupt(m, &s->virtio, queue);
}

static bool is_stable(const struct virtio_blk *s)
{
	const struct virtio *d = &s->virtio;

	if (virtio_has(d, VIRTIO_BLK_F_CONFIG_WCE))
		return !s->writeback;
	return !virtio_has(d, VIRTIO_BLK_F_FLUSH);
}

/* Whether sectors [sector, sector + count) exist, and are whole blocks. */
static bool range_valid(const struct virtio_blk *s, u64 sector, u64 count)
{
	u64 block = s->facts.block_bytes / VIRTIO_BLK_SECTOR;

	return count && sector <= s->facts.sectors && count <= s->facts.sectors - sector &&
	       sector % block == 0 && count % block == 0;
}

/* Fills r for a read or write; returns the status of one that cannot be. */
static u8 decode_data(const struct virtio_blk *s, struct virtio_blk_request *r,
	const struct virtqueue_chain *c, u64 sector)
{
	r->sector = sector;
	r->length = r->type == VIRTIO_BLK_T_IN
			    ? c->write_bytes - STATUS_BYTES
			    : c->read_bytes - (u32)sizeof(struct virtio_blk_header);
	r->stable = r->type == VIRTIO_BLK_T_OUT && s->facts.can_flush && is_stable(s);
	if ((r->type == VIRTIO_BLK_T_OUT && s->facts.read_only) || r->length % VIRTIO_BLK_SECTOR ||
		!range_valid(s, sector, r->length / VIRTIO_BLK_SECTOR))
		return VIRTIO_BLK_S_IOERR;
	return VIRTIO_BLK_S_OK;
}

/* The same for a discard or write-zeroes, of one segment as the configuration says. */
static u8 decode_range(
	const struct virtio_blk *s, struct virtio_blk_request *r, const struct virtqueue_chain *c)
{
	bool discard = r->type == VIRTIO_BLK_T_DISCARD;
	u32 most = discard ? s->facts.discard_sectors : s->facts.zeroes_sectors;
	struct virtio_blk_range range;

	if (c->read_bytes != sizeof(struct virtio_blk_header) + sizeof(range) ||
		!virtqueue_read(c, sizeof(struct virtio_blk_header), &range, sizeof(range)))
		return VIRTIO_BLK_S_IOERR;
	if (!most || range.flags & ~VIRTIO_BLK_UNMAP || (discard && range.flags))
		return s->facts.read_only ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_UNSUPP;
	r->sector = range.sector;
	r->length = range.sectors;
	r->unmap = range.flags & VIRTIO_BLK_UNMAP && s->facts.can_unmap;
	r->stable = !discard && s->facts.can_flush && is_stable(s);
	if (s->facts.read_only || range.sectors > most ||
		!range_valid(s, range.sector, range.sectors))
		return VIRTIO_BLK_S_IOERR;
	return VIRTIO_BLK_S_OK;
}

static u8 get_id(
	const struct virtio_blk *s, struct virtio_blk_request *r, const struct virtqueue_chain *c)
{
	if (c->write_bytes - STATUS_BYTES < VIRTIO_BLK_ID)
		return VIRTIO_BLK_S_IOERR;
	virtqueue_write(c, 0, s->facts.id, VIRTIO_BLK_ID);
	r->length = VIRTIO_BLK_ID;
	r->done = VIRTIO_BLK_ID;
	return VIRTIO_BLK_S_OK;
}

/* Fills r from its chain. Returns a status; with OK, r->done < r->length if there is work to do. */
static u8 decode(const struct virtio_blk *s, struct virtio_blk_request *r,
	const struct virtqueue_chain *c, const struct virtio_blk_header *h)
{
	r->type = (u8)h->type;
	switch (h->type) {
	case VIRTIO_BLK_T_IN:
	case VIRTIO_BLK_T_OUT:
		return decode_data(s, r, c, h->sector);
	case VIRTIO_BLK_T_FLUSH:
		r->stable = s->facts.can_flush;
		return VIRTIO_BLK_S_OK;
	case VIRTIO_BLK_T_GET_ID:
		return get_id(s, r, c);
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return decode_range(s, r, c);
	default:
		r->type = VIRTIO_BLK_T_FLUSH; /* which has no data */
		return VIRTIO_BLK_S_UNSUPP;
	}
}

/* Starts the flush that ends a request. */
static void start_flush(struct machine *m, struct virtio_blk *s, struct virtio_blk_request *r)
{
	u8 *none;

	if (!virtio_blk_backend_buffer(m, s->number, slot_of(s, r), 0, &none))
		return;
	r->piece = 0;
	r->state = VIRTIO_BLK_SENT;
	virtio_blk_backend_start(m, s->number, slot_of(s, r), VIRTIO_BLK_OP_FLUSH, 0, 0, false);
}

/* Starts the next piece of a discard or write-zeroes. */
static void start_range(struct machine *m, struct virtio_blk *s, struct virtio_blk_request *r)
{
	bool discard = r->type == VIRTIO_BLK_T_DISCARD;
	u8 *none;

	if (!virtio_blk_backend_buffer(m, s->number, slot_of(s, r), 0, &none))
		return;
	r->piece = r->length - r->done; /* the limit was checked */
	r->state = VIRTIO_BLK_SENT;
	virtio_blk_backend_start(m, s->number, slot_of(s, r),
		discard ? VIRTIO_BLK_OP_DISCARD : VIRTIO_BLK_OP_WRITE_ZEROES, r->sector, r->piece,
		r->unmap);
}

/* Whether the chain still has the shape that it had when it was taken. */
static bool chain_fits(const struct virtio_blk_request *r, const struct virtqueue_chain *c)
{
	u32 header = sizeof(struct virtio_blk_header);

	if (c->read_bytes < header || c->write_bytes < STATUS_BYTES)
		return false;
	if (r->type == VIRTIO_BLK_T_IN)
		return c->write_bytes - STATUS_BYTES == r->length;
	return r->type != VIRTIO_BLK_T_OUT || c->read_bytes - header == r->length;
}

/* Starts the next piece of a read or write. */
static void start_data(struct machine *m, struct virtio_blk *s, struct virtio_blk_request *r,
	const struct virtqueue_chain *c)
{
	bool out = r->type == VIRTIO_BLK_T_OUT;
	u32 block = s->facts.block_bytes;
	u64 most = (u64)s->facts.piece_sectors * VIRTIO_BLK_SECTOR;
	u32 bytes = r->length - r->done;
	u8 *buffer;

	u32 at = r->done + (out ? (u32)sizeof(struct virtio_blk_header) : 0);

	if (bytes > most)
		bytes = (u32)(most - most % block);
	if (!bytes)
		return;
	if (!virtio_blk_backend_direct(m, s->number, slot_of(s, r), c, !out, at, bytes)) {
		bytes = virtio_blk_backend_buffer(m, s->number, slot_of(s, r), bytes, &buffer);
		if (!bytes)
			return;
		if (out)
			virtqueue_read(c, at, buffer, bytes);
	}
	r->piece = bytes;
	r->state = VIRTIO_BLK_SENT;
	virtio_blk_backend_start(m, s->number, slot_of(s, r),
		out ? VIRTIO_BLK_OP_WRITE : VIRTIO_BLK_OP_READ,
		r->sector + r->done / VIRTIO_BLK_SECTOR, bytes / VIRTIO_BLK_SECTOR, false);
}

/* Does the next step of a request that is TAKEN; it stays so if the backend cannot now. */
static void proceed(struct machine *m, struct virtio_blk *s, struct virtio_blk_request *r,
	const struct virtqueue_chain *c)
{
	if (r->done < r->length && has_data(r))
		start_data(m, s, r, c);
	else if (r->done < r->length)
		start_range(m, s, r);
	else if (r->stable)
		start_flush(m, s, r);
	else
		finish(m, s, r, c, r->status);
}

static void proceed_again(struct machine *m, struct virtio_blk *s, struct virtio_blk_request *r)
{
	struct virtqueue_chain c;

	if (!virtio_chain(m, &s->virtio, r->queue, r->head, &c))
		return; /* broken: until the reset; not live now: until virtio_blk_ready */
	if (chain_fits(r, &c))
		proceed(m, s, r, &c);
	else
		virtio_broken(m, &s->virtio);
}

void virtio_blk_process(struct machine *m, struct virtio_blk *s, u32 queue)
{
	struct virtio *d = &s->virtio;
	struct virtqueue_chain c;
	struct virtio_blk_header h;
	struct virtio_blk_request *r;

	if (s->orphans)
		return; /* virtio_blk_answered goes on */
	for (u32 i = 0; i < VIRTIO_BLK_SIZE; i++) {
		r = place_find(s);
		if (!r || !virtio_look(m, d, queue, 0, &c))
			return;
		if (c.write_bytes < STATUS_BYTES || !virtqueue_read(&c, 0, &h, sizeof(h))) {
			virtio_broken(m, d);
			return;
		}
		*r = (struct virtio_blk_request){
			.head = c.head, .queue = (u8)queue, .taken_at = d->queue[queue].at.avail};
		r->status = decode(s, r, &c, &h);
		__atomic_store_n(&r->state, VIRTIO_BLK_TAKEN, __ATOMIC_RELEASE);
		virtqueue_take(&d->queue[queue]);
		if (r->status != VIRTIO_BLK_S_OK)
			finish(m, s, r, &c, r->status);
		else
			proceed(m, s, r, &c);
	}
	virtio_again(m, d, queue);
}

/* Goes on with requests that wait for the backend, then with queues, the next one first. */
static void go_on(struct machine *m, struct virtio_blk *s)
{
	u32 queues = s->virtio.queues;

	if (s->orphans)
		return;
	for (u32 i = 0; i < VIRTIO_BLK_REQUESTS; i++) {
		if (s->request[i].state == VIRTIO_BLK_TAKEN)
			proceed_again(m, s, &s->request[i]);
	}
	s->next = (u8)((s->next + 1) % queues);
	for (u32 i = 0; i < queues; i++)
		virtio_notify(m, &s->virtio, (s->next + i) % queues);
}

void virtio_blk_ready(struct machine *m, struct virtio_blk *s)
{
	go_on(m, s);
}

/* A piece is done: moves a read's data to the guest and goes on. */
static void piece_done(struct machine *m, struct virtio_blk *s, struct virtio_blk_request *r,
	const struct virtqueue_chain *c, u8 status)
{
	const u8 *data;

	if (status != VIRTIO_BLK_S_OK) {
		finish(m, s, r, c, status);
		return;
	}
	data = virtio_blk_backend_data(m, s->number, slot_of(s, r));
	if (r->type == VIRTIO_BLK_T_IN && data)
		virtqueue_write(c, r->done, data, r->piece);
	if (!r->piece)
		r->stable = 0; /* it was the flush */
	r->done += r->piece;   /* alone says where to go on: a process may die behind it */
	r->state = VIRTIO_BLK_TAKEN;
}

void virtio_blk_answered(
	struct machine *m, struct virtio_blk *s, u32 slot, enum virtio_blk_status status)
{
	struct virtio_blk_request *r = &s->request[slot % VIRTIO_BLK_REQUESTS];
	struct virtqueue_chain c;

	if (slot >= VIRTIO_BLK_REQUESTS)
		return;
	if (r->state == VIRTIO_BLK_ORPHAN) {
		r->state = VIRTIO_BLK_FREE;
		s->orphans--;
		return;
	}
	if (r->state != VIRTIO_BLK_SENT)
		return;
	if (!virtio_chain(m, &s->virtio, r->queue, r->head, &c)) {
		r->state = VIRTIO_BLK_TAKEN; /* the piece is done again when the device may go on */
		return;
	}
	if (chain_fits(r, &c)) {
		piece_done(m, s, r, &c,
			status <= VIRTIO_BLK_S_UNSUPP ? (u8)status : VIRTIO_BLK_S_IOERR);
		return;
	}
	r->state = VIRTIO_BLK_TAKEN;
	virtio_broken(m, &s->virtio);
}

void virtio_blk_again(struct virtio_blk *s, u32 slot)
{
	struct virtio_blk_request *r = &s->request[slot % VIRTIO_BLK_REQUESTS];

	if (r->state == VIRTIO_BLK_SENT) {
		r->state = VIRTIO_BLK_TAKEN;
	} else if (r->state == VIRTIO_BLK_ORPHAN) {
		r->state = VIRTIO_BLK_FREE;
		s->orphans--;
	}
}

void virtio_blk_abandon(struct machine *m, struct virtio_blk *s, u32 queue)
{
	(void)m;
	for (u32 i = 0; i < VIRTIO_BLK_REQUESTS; i++) {
		struct virtio_blk_request *r = &s->request[i];

		if (queue != VIRTIO_BLK_ALL && r->queue != queue)
			continue;
		if (r->state == VIRTIO_BLK_SENT) {
			r->state = VIRTIO_BLK_ORPHAN;
			s->orphans++;
		} else if (r->state != VIRTIO_BLK_ORPHAN) {
			r->state = VIRTIO_BLK_FREE;
		}
	}
}

void virtio_blk_resume(struct machine *m, struct virtio_blk *s)
{
	s->orphans = 0; /* the old session's requests are dropped by its end */
	for (u32 i = 0; i < VIRTIO_BLK_REQUESTS; i++) {
		struct virtio_blk_request *r = &s->request[i];
		struct virtqueue *q = &s->virtio.queue[r->queue % VIRTIO_QUEUES];

		if (r->state == VIRTIO_BLK_SENT)
			r->state = VIRTIO_BLK_TAKEN;
		if (r->state == VIRTIO_BLK_TAKEN && r->taken_at == q->at.avail)
			virtqueue_take(q); /* it died between the two steps */
		if (r->state == VIRTIO_BLK_DONE && r->used_at == q->at.used)
			virtio_return(m, &s->virtio, r->queue, r->head, r->written);
		if (r->state != VIRTIO_BLK_TAKEN)
			r->state = VIRTIO_BLK_FREE;
	}
}
