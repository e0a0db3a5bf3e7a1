/* Sessions of a disk's clients: see server.h. */
#include "drivers/disk/server.h"
#include "drivers/lib/lib.h"

static bool is_power(u32 n)
{
	return n != 0 && !(n & (n - 1));
}

bool disk_geometry_ok(const struct disk_geometry *g)
{
	struct block_facts f = {
		.sectors = g->sectors,
		.block_size = g->block_size,
		.physical_size = g->physical_size,
		.features = g->features,
		.max_sectors = g->max_sectors,
		.max_pieces = g->max_pieces,
		.max_discard = g->max_discard,
		.max_zeroes = g->max_zeroes,
		.discard_block = g->discard_block,
	};

	return is_power(g->block_size) && block_facts_ok(&f) && g->tags > 0 &&
	       g->tags <= DISK_TAGS_MAX;
}

void disk_server_init(struct disk_server *s, const struct disk_geometry *g,
	void (*submit)(u32 tag, const struct disk_request *r), bool (*room)(void))
{
	*s = (struct disk_server){.geometry = *g, .submit = submit, .room = room};
}

bool disk_server_add(struct disk_server *s, void *memory, u64 size, u64 bus,
	const struct block_memory *guest, const struct disk_volume *v)
{
	const struct disk_geometry *g = &s->geometry;
	struct disk_client *c = &s->client[s->clients];
	struct block_facts *f = &c->end.facts;

	if (s->clients == DISK_CLIENTS_MAX)
		return false;
	*c = (struct disk_client){
		.end = block_open(memory, size), .bus = bus, .first = v->first, .signal = true};
	f->sectors = v->sectors;
	f->block_size = g->block_size;
	f->physical_size = g->physical_size;
	f->features = g->features;
	f->max_sectors = g->max_sectors;
	f->max_pieces = g->max_pieces;
	if (v->read_only)
		f->features = BLOCK_READ_ONLY | (g->features & BLOCK_WHOLE_PAGES);
	if (guest && guest->parts > 0) {
		c->guest = *guest;
		f->features |= BLOCK_GUEST_MEMORY;
	}
	if (f->features & BLOCK_READ_ONLY)
		f->features &= ~(BLOCK_CAN_DISCARD | BLOCK_CAN_WRITE_ZEROES);
	if (f->features & BLOCK_CAN_DISCARD) {
		f->max_discard = g->max_discard;
		f->discard_block = g->discard_block;
	}
	if (f->features & BLOCK_CAN_WRITE_ZEROES)
		f->max_zeroes = g->max_zeroes;
	memcpy(f->name, v->name, strnlen(v->name, sizeof(f->name)));
	block_server_start(&c->end);
	s->clients++;
	return true;
}

/* Follows the client's connection. What an ended one has left under way is answered to nobody, and
 * its data are the device's until it is finished. */
static void follow(struct disk_server *s, u32 index)
{
	struct disk_client *c = &s->client[index];
	u32 hello;
	enum epoch_state state = block_server_look(&c->end, &hello);

	if (state == EPOCH_HELLO || state == EPOCH_LOST) {
		c->end.epoch.peer = 0; /* no request is taken until the answer */
		for (u32 i = 0; i < DISK_TAGS_MAX && c->flying > 0; i++) {
			if (s->tag[i].busy && s->tag[i].client == index)
				s->tag[i].orphan = true;
		}
	}
	if (state == EPOCH_HELLO && c->flying == 0) {
		block_server_answer(&c->end, hello);
		c->signal = true;
	}
}

void disk_server_own(struct disk_server *s, const struct disk_request *r, u64 now)
{
	check(s->busy == 0);
	s->tag[0] = (struct disk_tag){.busy = true,
		.orphan = true,
		.client = DISK_CLIENTS_MAX,
		.since = now,
		.request = *r};
	s->client[DISK_CLIENTS_MAX].flying++;
	s->busy++;
	s->own = BLOCK_IO;
	s->submit(0, &s->tag[0].request);
}

static u32 free_tag(const struct disk_server *s)
{
	u32 i = 0;

	while (i < s->geometry.tags && s->tag[i].busy)
		i++;
	return i;
}

/* The bus address of a piece that was checked. */
static u64 bus_of(const struct disk_client *c, const struct block_piece *p)
{
	const struct block_part *part;

	if (p->region == BLOCK_REGION_BOUNCE)
		return c->bus + p->offset;
	part = block_part_of(&c->guest, p->offset, p->length);
	check(part);
	return part->bus + p->offset - part->gpa;
}

static void submit(struct disk_server *s, u32 index, const struct block_request *r, u64 now)
{
	struct disk_client *c = &s->client[index];
	u32 tag = free_tag(s);
	struct disk_tag *t = &s->tag[tag];

	t->busy = true;
	t->orphan = false;
	t->client = index;
	t->id = r->id;
	t->since = now;
	t->request.op = r->op;
	t->request.flags = r->flags;
	t->request.pieces = r->pieces;
	t->request.sectors = r->sectors;
	t->request.sector = r->op == BLOCK_FLUSH ? 0 : c->first + r->sector;
	for (u32 i = 0; i < r->pieces; i++)
		t->request.piece[i] = (struct disk_piece){
			.bus = bus_of(c, &r->piece[i]), .length = r->piece[i].length};
	c->flying++;
	s->busy++;
	s->submit(tag, &t->request);
}

/* Takes one request of the client, for which there is room. False: it has none. */
static bool take(struct disk_server *s, u32 index, u64 now)
{
	struct disk_client *c = &s->client[index];
	struct block_request r;
	enum block_status status;
	bool broken = false;

	if (!block_take(&c->end, &r, &broken)) {
		if (broken) {
			epoch_server_close(&c->end.session->epochs, &c->end.epoch);
			c->damages++;
			c->signal = true;
		}
		return false;
	}
	status = block_check(&c->end.facts, &r, c->end.data_size, &c->guest);
	if (status == BLOCK_OK)
		submit(s, index, &r, now);
	else
		c->signal |= block_answer(&c->end, r.id, status);
	return true;
}

bool disk_server_round(struct disk_server *s, u64 now)
{
	u32 idle = 0;

	for (u32 i = 0; i < s->clients; i++)
		follow(s, i);
	for (u32 n = 0; n < s->clients * DISK_TURN && idle < s->clients; n++) {
		if (s->busy == s->geometry.tags || !s->room())
			return false; /* goes on when a tag is free */
		idle = take(s, s->next, now) ? 0 : idle + 1;
		s->next = (s->next + 1) % s->clients;
	}
	return idle < s->clients;
}

static void finish(struct disk_server *s, u32 tag)
{
	s->client[s->tag[tag].client].flying--;
	s->tag[tag].busy = false;
	s->busy--;
}

bool disk_server_done(struct disk_server *s, u32 tag, enum block_status status)
{
	struct disk_tag *t = &s->tag[tag % DISK_TAGS_MAX];

	if (tag >= s->geometry.tags || !t->busy)
		return false;
	if (!t->orphan && s->client[t->client].end.epoch.peer != 0) {
		struct disk_client *c = &s->client[t->client];

		c->signal |= block_answer(&c->end, t->id, status);
	} else if (t->client == DISK_CLIENTS_MAX) {
		s->own = status;
	}
	s->done++;
	finish(s, tag);
	return true;
}

void disk_server_again(struct disk_server *s, u64 now)
{
	for (u32 i = 0; i < s->geometry.tags; i++) {
		if (!s->tag[i].busy)
			continue;
		if (s->tag[i].orphan) {
			finish(s, i);
			continue;
		}
		s->tag[i].since = now;
		s->submit(i, &s->tag[i].request);
	}
}

bool disk_server_oldest(const struct disk_server *s, u64 *since)
{
	u32 left = s->busy;

	for (u32 i = 0; i < s->geometry.tags && left > 0; i++) {
		if (!s->tag[i].busy)
			continue;
		if (left == s->busy || s->tag[i].since < *since)
			*since = s->tag[i].since;
		left--;
	}
	return s->busy > 0;
}
