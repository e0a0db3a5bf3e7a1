/* Clients of a disk driver: see disk_work.h. */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/disk_work.h"

#define CHUNK   32768u       /* bytes of region 0 that an operation has */
#define SECTORS 24u          /* of one, at most */
#define GUEST   0x2000000ull /* region 1 is region 0 once more, its chunks in every other place */

static_assert(WORK_DEPTH <= BLOCK_PARTS && WORK_DEPTH * CHUNK <= FAKE_SESSION_SIZE - BLOCK_DATA);

static struct block_memory guest_of(u32 client)
{
	struct block_memory guest = {.parts = WORK_DEPTH};

	for (u32 i = 0; i < guest.parts; i++)
		guest.part[i] = (struct block_part){
			GUEST + i * 2ull * CHUNK, CHUNK, fake_session_bus(client) + i * CHUNK};
	return guest;
}

/* The same place in the other region: of `offset` in region 0, and back. */
static u64 to_guest(u64 offset)
{
	return GUEST + offset / CHUNK * 2 * CHUNK + offset % CHUNK;
}

static u8 *data_of(const struct work_client *c, const struct block_piece *p)
{
	u64 at = p->offset - GUEST;

	if (p->region == BLOCK_REGION_GUEST)
		return c->end.data + at / (2 * CHUNK) * CHUNK + at % (2 * CHUNK);
	return c->end.data + p->offset;
}

bool disk_work_start(struct work *w, const struct disk_driver *driver, u32 clients)
{
	const struct disk_geometry *g = &w->geometry;

	memset(w, 0, sizeof(*w));
	w->driver = driver;
	w->geometry.unit = DISK_UNIT_FIRST;
	fake_device_memory(&w->device);
	w->device.info = NULL;
	if (!driver->open(&w->device, &w->geometry) || !disk_geometry_ok(g))
		return false;
	disk_server_init(&w->server, g, driver->submit, driver->room);
	for (u32 i = 0; i < clients; i++) {
		struct disk_volume v = {
			.first = i * WORK_SECTORS, .sectors = WORK_SECTORS, .name = "volume"};
		struct block_memory guest = guest_of(i);

		memset(fake_session(i), 0, BLOCK_DATA);
		disk_server_add(&w->server, fake_session(i), FAKE_SESSION_SIZE, fake_session_bus(i),
			i % 2 ? &guest : NULL, &v);
		w->client[i].end = block_open(fake_session(i), FAKE_SESSION_SIZE);
		block_client_start(&w->client[i].end);
	}
	w->clients = clients;
	return true;
}

void disk_work_turn(struct work *w)
{
	u64 bits = fake_device.interrupts;

	if (w->dead)
		return;
	fake_device.interrupts = 0;
	w->now++;
	if (!w->driver->poll(&w->server, bits)) {
		w->resets++;
		w->dead = !w->driver->reset();
		if (w->dead)
			return;
		disk_server_again(&w->server, w->now);
	}
	disk_server_round(&w->server, w->now);
	w->driver->kick();
}

static void mark(struct work_client *c, const struct block_request *r, bool busy)
{
	for (u32 i = 0; i < r->sectors; i++)
		c->busy[r->sector + i] = busy;
}

static void send(struct work_client *c, u32 slot)
{
	struct work_op *o = &c->op[slot];
	bool signal = false;

	/* what is sent again is as it was: the data are kept until the answer */
	o->sent = block_send(&c->end, &o->request, &signal);
}

/* Divides the data into pieces that the driver can take, some of them in the guest's memory. */
static void cut(struct work_client *c, struct block_request *r, u32 slot)
{
	const struct block_facts *f = &c->end.facts;
	bool pages = f->features & BLOCK_WHOLE_PAGES;
	u32 most = f->max_pieces;
	u32 block = pages ? (u32)PAGE_SIZE : f->block_size;
	u32 bytes = r->sectors * 512;
	u32 pieces = 1 + (u32)random() % most;
	u32 at = slot * CHUNK;

	if (most == 1 && random() % 2)
		at += 4 * ((u32)random() % 1000);
	if (pages) /* the first piece ends on a page */
		at += 512 * ((u32)random() % 8);
	while (bytes > 0) {
		struct block_piece *p = &r->piece[r->pieces++];
		u32 skip = pages ? at % (u32)PAGE_SIZE : 0;

		*p = (struct block_piece){.length = bytes, .offset = at};
		if (r->pieces < pieces && bytes + skip > block)
			p->length =
				block * (1 + (u32)random() % ((bytes + skip - 1) / block)) - skip;
		at += p->length;
		bytes -= p->length;
		if (f->features & BLOCK_GUEST_MEMORY && random() % 2) {
			p->region = BLOCK_REGION_GUEST;
			p->offset = to_guest(p->offset);
		}
	}
}

static void fill(struct work_client *c, const struct block_request *r, u8 value)
{
	for (u32 i = 0; i < r->pieces; i++)
		memset(data_of(c, &r->piece[i]), value, r->piece[i].length);
}

/* Begins a new operation on sectors that no other uses. */
static void ask(struct work_client *c, u32 slot)
{
	static const u8 kinds[] = {BLOCK_READ, BLOCK_READ, BLOCK_WRITE, BLOCK_WRITE, BLOCK_WRITE,
		BLOCK_FLUSH, BLOCK_DISCARD, BLOCK_WRITE_ZEROES};
	const struct block_facts *f = &c->end.facts;
	u32 block = f->block_size / 512;
	struct work_op *o = &c->op[slot];
	struct block_request r = {.id = slot, .op = kinds[random() % 8]};

	if ((r.op == BLOCK_FLUSH && !(f->features & BLOCK_CAN_FLUSH)) ||
		(r.op == BLOCK_DISCARD && !(f->features & BLOCK_CAN_DISCARD)) ||
		(r.op == BLOCK_WRITE_ZEROES && !(f->features & BLOCK_CAN_WRITE_ZEROES)))
		r.op = BLOCK_READ;
	if (r.op != BLOCK_FLUSH) {
		r.sector = (u64)random() % WORK_SECTORS / block * block;
		r.sectors = block * (1 + (u32)random() % (SECTORS / block));
		if (r.sector + r.sectors > WORK_SECTORS)
			return;
		for (u32 i = 0; i < r.sectors; i++) {
			if (c->busy[r.sector + i])
				return;
		}
	}
	o->value = (u8)(1 + random() % 255);
	if (r.op == BLOCK_READ || r.op == BLOCK_WRITE) {
		cut(c, &r, slot);
		fill(c, &r, r.op == BLOCK_WRITE ? o->value : 0xee);
	}
	mark(c, &r, true);
	o->request = r;
	o->busy = true;
	send(c, slot);
}

/* What was read must be what was written. */
static void check_read(struct work *w, struct work_client *c, const struct block_request *r)
{
	u32 sector = (u32)r->sector;

	for (u32 i = 0; i < r->pieces; i++) {
		const u8 *at = data_of(c, &r->piece[i]);

		for (u32 k = 0; k < r->piece[i].length; k++) {
			if (c->known[sector + k / 512] && at[k] != c->content[sector + k / 512])
				w->wrong++;
		}
		sector += r->piece[i].length / 512;
	}
}

static void answered(struct work *w, struct work_client *c, const struct block_completion *a)
{
	struct work_op *o = &c->op[a->id % WORK_DEPTH];
	const struct block_request *r = &o->request;

	if (a->id >= WORK_DEPTH || !o->busy) {
		w->stray++;
		return;
	}
	o->busy = false;
	c->answers++;
	mark(c, r, false);
	if (a->status != BLOCK_OK) {
		c->errors++;
		w->wrong += !w->tolerant;
	}
	for (u32 i = 0; i < r->sectors && r->op != BLOCK_READ; i++) {
		c->known[r->sector + i] = a->status == BLOCK_OK && r->op != BLOCK_DISCARD;
		c->content[r->sector + i] = r->op == BLOCK_WRITE ? o->value : 0;
	}
	if (r->op == BLOCK_READ && a->status == BLOCK_OK)
		check_read(w, c, r);
}

void disk_work_client(struct work *w, u32 n, bool more)
{
	struct work_client *c = &w->client[n];
	struct block_completion a;
	enum epoch_state state = EPOCH_HELLO;
	bool signal = false;
	bool broken = false;

	for (int i = 0; i < 4 && state != EPOCH_AWAY && state != EPOCH_CONNECTED; i++) {
		state = block_client_look(&c->end, &signal);
		c->connected = state == EPOCH_CONNECTED || state == EPOCH_ANSWERED;
		for (u32 k = 0; k < WORK_DEPTH && state == EPOCH_ANSWERED; k++) {
			if (c->op[k].busy)
				send(c, k);
		}
	}
	if (!c->connected)
		return;
	while (block_answer_take(&c->end, &a, &broken))
		answered(w, c, &a);
	w->stray += broken;
	for (u32 k = 0; k < WORK_DEPTH && more; k++) {
		if (!c->op[k].busy && random() % 3)
			ask(c, k);
	}
}

void disk_work_restart(struct work *w, u32 n)
{
	struct work_client *c = &w->client[n];
	bool signal = false;

	block_client_reset(&c->end, &signal);
	c->connected = false;
}

u32 disk_work_open(const struct work *w)
{
	u32 open = 0;

	for (u32 i = 0; i < w->clients; i++) {
		for (u32 k = 0; k < WORK_DEPTH; k++)
			open += w->client[i].op[k].busy;
	}
	return open;
}

void disk_work_compare(struct work *w, const u8 *medium)
{
	for (u32 i = 0; i < w->clients; i++) {
		for (u32 k = 0; k < WORK_SECTORS; k++) {
			const u8 *at = medium + ((u64)i * WORK_SECTORS + k) * 512;

			for (u32 b = 0; b < 512 && w->client[i].known[k]; b++)
				w->wrong += at[b] != w->client[i].content[k];
		}
	}
}
