/* The client's end of `block` sessions: see backend_block.h. */
#include "backend_block.h"
#include "guests/vmm/host.h"
#include "guests/vmm/machine.h"

#define LOOKS     8u       /* steps of the handshake that one event may take */
#define CHUNK_MAX 0x10000u /* bytes */

static struct backend_block *backend(struct machine *m, u32 number)
{
	return &m->virtio.block[number % MACHINE_DISKS];
}

static struct virtio_blk *disk(struct machine *m, u32 number)
{
	return &m->state->virtio.disk[number % MACHINE_DISKS];
}

static void tell(struct backend_block *b, bool signal)
{
	if (signal)
		host_signal(b->peer, b->peer_bits);
}

bool backend_block_open(struct machine *m, u32 number, const struct start_resource *r)
{
	struct backend_block *b = backend(m, number);
	u64 data;

	if (r->size < BLOCK_DATA + BACKEND_BLOCK_CHUNKS * PAGE_SIZE)
		return false;
	memset(b, 0, sizeof(*b));
	b->end = block_open((void *)r->address, r->size);
	data = b->end.data_size / BACKEND_BLOCK_CHUNKS;
	b->chunk = data > CHUNK_MAX ? CHUNK_MAX : (u32)ALIGN_DOWN(data, PAGE_SIZE);
	b->peer = r->cap;
	b->peer_bits = r->value;
	b->own_bit = BIT(r->bit);
	b->used = true;
	b->settled = !m->resumed;
	m->wake_mask |= b->own_bit;
	block_client_start(&b->end);
	if (!m->resumed) /* else machine_virtio_resume sees to the device's state first */
		backend_block_event(m, number);
	return true;
}

struct virtio_blk_facts backend_block_facts(const struct machine *m, u32 number)
{
	const struct backend_block *b = &m->virtio.block[number % MACHINE_DISKS];
	const struct block_facts *f = &b->end.facts;
	struct virtio_blk_facts facts = {0};
	u32 block = f->block_size / BLOCK_SECTOR;
	u32 most = BACKEND_BLOCK_RUN * b->chunk / BLOCK_SECTOR;

	if (!b->connected)
		return facts;
	most = most < block ? block : most - most % block;
	facts.sectors = f->sectors;
	facts.block_bytes = f->block_size;
	facts.physical_bytes = f->physical_size;
	facts.piece_sectors =
		f->max_sectors < most ? f->max_sectors - f->max_sectors % block : most;
	facts.read_only = f->features & BLOCK_READ_ONLY ? 1 : 0;
	facts.can_flush = f->features & BLOCK_CAN_FLUSH ? 1 : 0;
	if (f->features & BLOCK_CAN_DISCARD) {
		facts.discard_sectors = f->max_discard;
		facts.discard_alignment = f->discard_block;
		facts.can_unmap = 1;
	}
	if (f->features & BLOCK_CAN_WRITE_ZEROES)
		facts.zeroes_sectors = f->max_zeroes;
	memcpy(facts.id, f->name, sizeof(facts.id));
	return facts;
}
static_assert(sizeof(((struct block_facts *)0)->name) == VIRTIO_BLK_ID, "copied as it is");

static u64 run_mask(u32 first, u32 count)
{
	return (count == 64 ? ~0ull : BIT(count) - 1) << first;
}

/* The first free run of `count` chunks; BACKEND_BLOCK_CHUNKS: there is none. */
static u32 run_find(const struct backend_block *b, u32 count)
{
	for (u32 first = 0; first + count <= BACKEND_BLOCK_CHUNKS; first++) {
		if (!(b->taken & run_mask(first, count)))
			return first;
	}
	return BACKEND_BLOCK_CHUNKS;
}

static void run_free(struct backend_block *b, struct backend_block_slot *slot)
{
	if (slot->count)
		b->taken &= ~run_mask(slot->first, slot->count);
	slot->count = 0;
	slot->pieces = 0;
}

u32 virtio_blk_backend_buffer(struct machine *m, u8 number, u32 slot, u32 bytes, u8 **buffer)
{
	struct backend_block *b = backend(m, number);
	struct backend_block_slot *s = &b->slot[slot % VIRTIO_BLK_REQUESTS];
	u32 block = b->end.facts.block_size;
	u32 count;
	u32 first;

	*buffer = NULL;
	if ((!b->connected && !b->gone) || s->under_way)
		return 0;
	if (!block) /* this process has never seen the server */
		block = BLOCK_SECTOR;
	run_free(b, s);
	if (!bytes)
		return 1;
	count = (bytes + b->chunk - 1) / b->chunk;
	if (count > BACKEND_BLOCK_CHUNKS)
		count = BACKEND_BLOCK_CHUNKS;
	for (first = run_find(b, count); first == BACKEND_BLOCK_CHUNKS;
		first = run_find(b, count)) {
		count /= 2; /* a shorter piece will do, of one block at least */
		if (!count)
			return 0;
	}
	if (bytes > count * b->chunk)
		bytes = count * b->chunk - count * b->chunk % block;
	if (!bytes)
		return 0;
	s->first = first;
	s->count = count;
	b->taken |= run_mask(first, count);
	*buffer = b->end.data + (u64)first * b->chunk;
	return bytes;
}

/* Adds guest RAM to the slot's pieces; false: the server takes no such piece. */
static bool add_piece(struct machine *m, const struct backend_block *b,
	struct backend_block_slot *s, gpa_t gpa, u32 length)
{
	const struct block_facts *f = &b->end.facts;
	u64 inner = f->features & BLOCK_WHOLE_PAGES ? PAGE_SIZE - 1 : 0;
	struct block_piece *last = s->pieces ? &s->request.piece[s->pieces - 1] : NULL;

	if (last && last->offset + last->length == gpa &&
		block_part_of(&m->virtio.ram, last->offset, (u64)last->length + length)) {
		last->length += length;
		return true;
	}
	if (s->pieces == f->max_pieces || s->pieces == BLOCK_PIECES ||
		(last && (gpa | (last->offset + last->length)) & inner))
		return false;
	s->request.piece[s->pieces++] =
		(struct block_piece){.region = BLOCK_REGION_GUEST, .length = length, .offset = gpa};
	return true;
}

/* Whether each piece, now that they are whole, is one that the server takes. */
static bool pieces_ok(const struct machine *m, const struct backend_block_slot *s)
{
	for (u32 i = 0; i < s->pieces; i++) {
		if (!block_piece_ok(&s->request.piece[i], 0, &m->virtio.ram))
			return false;
	}
	return s->pieces > 0;
}

bool virtio_blk_backend_direct(struct machine *m, u8 number, u32 slot,
	const struct virtqueue_chain *c, bool writable, u32 offset, u32 bytes)
{
	struct backend_block *b = backend(m, number);
	struct backend_block_slot *s = &b->slot[slot % VIRTIO_BLK_REQUESTS];
	u32 end = writable ? c->segments : c->readable;

	if (!b->zero_copy || !b->connected || s->under_way ||
		!(b->end.facts.features & BLOCK_GUEST_MEMORY))
		return false;
	run_free(b, s);
	for (u32 i = writable ? c->readable : 0; i < end && bytes > 0; i++) {
		const struct virtqueue_segment *from = &c->segment[i];
		u32 length;

		if (offset >= from->length) {
			offset -= from->length;
			continue;
		}
		length = from->length - offset < bytes ? from->length - offset : bytes;
		if (!add_piece(m, b, s, gmem_gpa(&m->memory, from->at + offset), length))
			break;
		bytes -= length;
		offset = 0;
	}
	if (bytes == 0 && pieces_ok(m, s))
		return true;
	s->pieces = 0;
	return false;
}

bool virtio_blk_backend_unsettled(struct machine *m, u8 number, bool orphans)
{
	const struct backend_block *b = backend(m, number);

	return b->zero_copy && (orphans || !b->settled);
}

const u8 *virtio_blk_backend_data(struct machine *m, u8 number, u32 slot)
{
	struct backend_block *b = backend(m, number);

	if (b->slot[slot % VIRTIO_BLK_REQUESTS].pieces)
		return NULL;
	return b->end.data + (u64)b->slot[slot % VIRTIO_BLK_REQUESTS].first * b->chunk;
}

/* The server broke a queue: root hears of it, and the connection begins anew. */
static void damaged(struct backend_block *b)
{
	bool signal = false;

	b->connected = false;
	host_broken(b->peer);
	block_client_reset(&b->end, &signal);
	tell(b, signal);
}

/* Sends a slot's request. A queue that has no room for it was broken by the server. */
static void send(struct backend_block *b, const struct backend_block_slot *slot)
{
	bool signal = false;
	bool sent = !b->connected || block_send(&b->end, &slot->request, &signal);

	tell(b, signal);
	if (!sent)
		damaged(b);
}

/* A request that no server will carry out. */
static void fail(struct machine *m, struct backend_block *b, u32 number, u32 slot)
{
	struct backend_block_slot *s = &b->slot[slot % VIRTIO_BLK_REQUESTS];

	if (!s->under_way)
		return;
	s->under_way = false;
	virtio_blk_answered(m, disk(m, number), slot, VIRTIO_BLK_S_IOERR);
	run_free(b, s);
}

static void fail_all(struct machine *m, struct backend_block *b, u32 number)
{
	for (u32 i = 0; i < VIRTIO_BLK_REQUESTS; i++)
		fail(m, b, number, i);
}

void virtio_blk_backend_start(struct machine *m, u8 number, u32 slot, enum virtio_blk_op op,
	u64 sector, u32 sectors, bool unmap)
{
	static const u8 ops[] = {
		[VIRTIO_BLK_OP_READ] = BLOCK_READ,
		[VIRTIO_BLK_OP_WRITE] = BLOCK_WRITE,
		[VIRTIO_BLK_OP_FLUSH] = BLOCK_FLUSH,
		[VIRTIO_BLK_OP_DISCARD] = BLOCK_DISCARD,
		[VIRTIO_BLK_OP_WRITE_ZEROES] = BLOCK_WRITE_ZEROES,
	};
	struct backend_block *b = backend(m, number);
	struct backend_block_slot *s = &b->slot[slot % VIRTIO_BLK_REQUESTS];

	s->request.id = slot;
	s->request.op = ops[op];
	s->request.flags = unmap ? BLOCK_UNMAP : 0;
	s->request.sector = sector;
	s->request.sectors = sectors;
	s->request.pieces = (u16)s->pieces; /* they are there: virtio_blk_backend_direct */
	if (s->count) {
		s->request.pieces = 1;
		s->request.piece[0] = (struct block_piece){
			.length = sectors * BLOCK_SECTOR,
			.offset = (u64)s->first * b->chunk,
		};
	}
	s->under_way = true;
	if (b->gone)
		fail(m, b, number, slot);
	else
		send(b, s);
}

static enum virtio_blk_status status_of(u32 status)
{
	switch (status) {
	case BLOCK_OK:
		return VIRTIO_BLK_S_OK;
	case BLOCK_UNSUPPORTED:
		return VIRTIO_BLK_S_UNSUPP;
	default:
		return VIRTIO_BLK_S_IOERR;
	}
}

/* Takes answers; one that belongs to nothing is ignored. */
static void answers(struct machine *m, struct backend_block *b, u32 number)
{
	struct block_completion c;
	bool broken = false;

	for (u32 i = 0; i < BLOCK_QUEUE && block_answer_take(&b->end, &c, &broken); i++) {
		struct backend_block_slot *s = &b->slot[c.id % VIRTIO_BLK_REQUESTS];

		if (c.id >= VIRTIO_BLK_REQUESTS || !s->under_way)
			continue;
		s->under_way = false;
		virtio_blk_answered(m, disk(m, number), c.id, status_of(c.status));
		run_free(b, s);
	}
	if (broken)
		damaged(b);
}

/* A server that cannot reach the guest's RAM: what names that is begun again, and copied. */
static void without_guest(struct machine *m, struct backend_block *b, u32 number)
{
	if (!b->zero_copy || b->end.facts.features & BLOCK_GUEST_MEMORY)
		return;
	if (!b->told)
		log_line("disk %u: its server cannot reach the guest's memory: data are copied",
			number);
	b->told = true;
	for (u32 i = 0; i < VIRTIO_BLK_REQUESTS; i++) {
		struct backend_block_slot *s = &b->slot[i];

		if (!s->under_way || !s->pieces)
			continue;
		s->under_way = false;
		virtio_blk_again(disk(m, number), i);
		run_free(b, s);
	}
}

/* A server is there (again): what is not answered is sent again. */
static void connected(struct machine *m, struct backend_block *b, u32 number)
{
	struct virtio_blk_facts facts;

	b->connected = true;
	b->settled = true;
	b->gone = false;
	without_guest(m, b, number);
	if (b->replay_off)
		fail_all(m, b, number);
	for (u32 i = 0; i < VIRTIO_BLK_REQUESTS; i++) {
		if (b->slot[i].under_way)
			send(b, &b->slot[i]);
	}
	facts = backend_block_facts(m, number);
	if (disk(m, number)->virtio.queues && b->connected)
		virtio_blk_facts(m, disk(m, number), &facts);
}

void backend_block_event(struct machine *m, u32 number)
{
	struct backend_block *b = backend(m, number);
	enum epoch_state state = EPOCH_HELLO;
	bool signal = false;

	for (u32 i = 0;
		i < LOOKS && state != EPOCH_AWAY && state != EPOCH_CONNECTED && state != EPOCH_GONE;
		i++) {
		state = block_client_look(&b->end, &signal);
		if (state == EPOCH_ANSWERED)
			connected(m, b, number);
		else if (state != EPOCH_CONNECTED)
			b->connected = false;
	}
	tell(b, signal);
	b->gone = state == EPOCH_GONE;
	b->settled |= b->gone;
	if (b->gone)
		fail_all(m, b, number);
	if (b->gone && disk(m, number)->virtio.queues)
		virtio_blk_ready(m, disk(m, number));
	if (b->connected) {
		answers(m, b, number);
		if (disk(m, number)->virtio.queues)
			virtio_blk_ready(m, disk(m, number));
	}
}
