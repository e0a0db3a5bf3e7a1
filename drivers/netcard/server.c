/* The session of a network card's client: see server.h. */
#include "drivers/netcard/server.h"
#include "drivers/lib/lib.h"

#define TURN 64u /* frames to transmit before the card is asked for what it has received */

bool card_facts_ok(const struct card_facts *f)
{
	return f->mtu >= CARD_MTU_MIN && f->mtu <= NET_MTU && f->takes == net_takes(f->takes) &&
	       f->frames > 0 && f->frames <= CARD_FRAMES_MAX && f->buffers > 0 &&
	       f->buffers <= NET_QUEUE;
}

void card_server_init(struct card_server *s, const struct card_facts *f,
	const struct card_operations *card, void *memory, u64 size, u64 bus)
{
	*s = (struct card_server){.facts = *f, .card = card, .bus = bus, .signal = true};
	s->end = net_open(memory, size);
	memcpy(s->end.server.mac, f->mac, sizeof(f->mac));
	s->end.server.mtu = f->mtu;
	s->end.server.takes = f->takes;
	net_server_start(&s->end);
}

static void disconnect(struct card_server *s)
{
	s->end.epoch.peer = 0;
	s->connected = false;
	s->parts = 0;
	s->bytes = 0;
}

static void damage(struct card_server *s)
{
	net_server_close(&s->end);
	disconnect(s);
	s->damages++;
	s->signal = true;
}

/* Follows the client's connection. What the card has of an ended one stays with it until it is
 * started for the next: true. */
static bool follow(struct card_server *s)
{
	u32 takes;
	u32 hello;
	enum epoch_state state = net_server_look(&s->end, &hello);

	if (state != EPOCH_HELLO && state != EPOCH_LOST)
		return false;
	disconnect(s);
	if (state == EPOCH_LOST)
		return false;
	takes = net_takes(__atomic_load_n(&s->end.session->client.takes, __ATOMIC_RELAXED));
	if (!s->card->start(takes)) {
		s->failed = true;
		return false;
	}
	s->posted = 0;
	s->tags = 0;
	s->taken = 0;
	net_server_answer(&s->end, hello);
	s->end.takes = takes; /* what the card was told, whatever the client says by now */
	s->connected = true;
	s->signal = true;
	return true;
}

/* --- transmission --- */

/* Gives the client back what is done, in the order in which it sent it. */
static void release(struct card_server *s)
{
	u32 pieces = 0;

	while (s->tags > 0 && s->tag[s->first].done) {
		pieces += s->tag[s->first].pieces;
		s->first = (s->first + 1) % CARD_FRAMES_MAX;
		s->tags--;
	}
	s->taken -= pieces;
	if (pieces > 0 && s->connected)
		s->signal |= net_take_done(&s->end, pieces);
}

/* Copies the header, which the client may have cut in any way. What is left of the pieces is the
 * frame; those that adjoin are made one. False: they are too many. */
static bool frame_make(const struct card_server *s, const struct net_piece *piece, u32 pieces,
	u32 bytes, struct card_frame *f)
{
	u32 head = 0;

	f->size = bytes - (u32)sizeof(f->header);
	f->pieces = 0;
	for (u32 i = 0; i < pieces; i++) {
		struct card_piece *last = f->pieces > 0 ? &f->piece[f->pieces - 1] : NULL;
		u32 skip = (u32)sizeof(f->header) - head;
		u64 bus;
		u32 length;

		skip = skip < piece[i].length ? skip : piece[i].length;
		memcpy((u8 *)&f->header + head, s->end.data + piece[i].offset, skip);
		head += skip;
		bus = s->bus + piece[i].offset + skip;
		length = piece[i].length - skip;
		if (length == 0)
			continue;
		if (last && last->bus + last->length == bus) {
			last->length += length;
			continue;
		}
		if (f->pieces == CARD_PIECES)
			return false;
		f->piece[f->pieces++] = (struct card_piece){bus, length};
	}
	return true;
}

/* Leaves in a header that fits what it says, and nothing else. */
static void header_clean(struct net_header *h, u32 size, u8 flags)
{
	h->flags &= flags;
	h->num_buffers = 0;
	if (!(h->flags & NET_NEEDS_CSUM))
		h->csum_start = h->csum_offset = 0;
	if (h->gso_type == NET_GSO_NONE)
		h->header_length = h->gso_size = 0;
	if (h->header_length > size)
		h->header_length = (u16)size;
}

/* Takes the client's next frame. False: there is none, or the card has no room. */
static bool transmit(struct card_server *s)
{
	u32 tag = (s->first + s->tags) % CARD_FRAMES_MAX;
	struct net_piece piece[NET_PIECES];
	struct card_frame f;
	bool broken;
	u32 bytes;
	u32 pieces;

	if (s->tags == s->facts.frames || !s->card->room())
		return false;
	pieces = net_take_next(&s->end, s->taken, piece, &bytes, &broken);
	if (broken)
		damage(s);
	if (pieces == 0)
		return false;
	s->tag[tag] = (struct card_tag){.done = true, .pieces = pieces, .since = s->now};
	s->tags++;
	s->taken += pieces;
	if (bytes < sizeof(f.header) + NET_FRAME_MIN || !frame_make(s, piece, pieces, bytes, &f) ||
		!net_header_fits(&f.header, f.size, s->facts.takes, s->facts.mtu)) {
		net_count_error(&s->end);
	} else if (s->link) {
		header_clean(&f.header, f.size, NET_NEEDS_CSUM);
		s->tag[tag].done = false;
		s->card->transmit(tag, &f);
	}
	return true;
}

void card_server_own(struct card_server *s, const struct card_frame *f)
{
	u32 tag = (s->first + s->tags) % CARD_FRAMES_MAX;

	if (s->tags == s->facts.frames || !s->card->room())
		return;
	s->tag[tag] = (struct card_tag){.since = s->now};
	s->tags++;
	s->card->transmit(tag, f);
}

bool card_sent(struct card_server *s, u32 tag)
{
	struct card_tag *t = &s->tag[tag % CARD_FRAMES_MAX];

	if (tag >= CARD_FRAMES_MAX || (tag - s->first) % CARD_FRAMES_MAX >= s->tags || t->done)
		return false;
	t->done = true;
	s->sent++;
	return true;
}

/* --- reception --- */

/* Gives the card the pieces that it may fill. True: there may be more by now. */
static bool post(struct card_server *s)
{
	struct net_piece piece;
	bool broken = false;

	while (s->posted < s->facts.buffers &&
		net_posted(&s->end, s->posted + s->parts, &piece, &broken)) {
		struct card_buffer b = {.bus = s->bus + piece.offset,
			.data = s->end.data + piece.offset,
			.length = piece.length};

		s->piece[(s->oldest + s->posted) % NET_QUEUE] = piece;
		s->posted++;
		s->card->post(&b);
	}
	if (broken)
		damage(s);
	return s->connected && s->posted <= s->facts.buffers / 2 &&
	       net_wait_free(&s->end, s->posted + s->parts);
}

/* All of a frame is there. */
static void complete(struct card_server *s, bool good)
{
	u32 size = s->bytes - (u32)sizeof(s->header);

	if (good && s->part[0].length >= sizeof(s->header) &&
		net_header_fits(&s->header, size, s->end.takes, s->facts.mtu)) {
		header_clean(&s->header, size,
			s->end.takes & NET_TAKES_CSUM ? NET_NEEDS_CSUM | NET_DATA_VALID : 0);
		memcpy(s->end.data + s->part[0].offset, &s->header, sizeof(s->header));
		s->signal |= net_place_done(&s->end, s->part, s->parts);
		s->received++;
	} else {
		for (u32 i = 0; i < s->parts; i++) {
			s->part[i].length = 1; /* is no frame, so the client passes over it */
			s->signal |= net_place_done(&s->end, &s->part[i], 1);
			s->lost++;
		}
	}
	s->parts = 0;
	s->bytes = 0;
}

/* The card has filled the oldest piece with `bytes`. False: it cannot have. */
static bool take_piece(struct card_server *s, u32 bytes)
{
	struct net_piece *piece = &s->piece[s->oldest];

	if (s->posted == 0 || bytes == 0 || bytes > piece->length || s->parts == NET_PIECES ||
		s->bytes + bytes > sizeof(s->header) + NET_FRAME_MAX)
		return false;
	s->oldest = (s->oldest + 1) % NET_QUEUE;
	s->posted--;
	if (!s->connected)
		return true;
	s->part[s->parts] = *piece;
	s->part[s->parts].length = bytes;
	s->parts++;
	s->bytes += bytes;
	return true;
}

bool card_received(struct card_server *s, const struct net_header *header, u32 bytes, bool more)
{
	bool first = s->parts == 0;

	if (!take_piece(s, bytes))
		return false;
	if (first)
		s->header = *header;
	if (!more && s->connected)
		complete(s, true);
	return true;
}

bool card_lost(struct card_server *s)
{
	if (!take_piece(s, 1))
		return false;
	if (s->connected)
		complete(s, false);
	return true;
}

/* --- both --- */

void card_link(struct card_server *s, bool up)
{
	if (up && !s->link) {
		for (u32 i = 0; i < CARD_FRAMES_MAX; i++)
			s->tag[i].since = s->now; /* the card could not transmit till now */
	}
	s->link = up;
	s->signal |= net_set_link(&s->end, up);
}

bool card_server_round(struct card_server *s, u64 now)
{
	u32 n = 0;
	bool again;

	s->now = now;
	again = follow(s); /* so that the link is looked at */
	if (s->failed)
		return false;
	release(s);
	again |= post(s);
	while (n < TURN && transmit(s))
		n++;
	release(s); /* what was refused */
	return again || n == TURN;
}

bool card_server_again(struct card_server *s)
{
	s->posted = 0;
	s->parts = 0;
	s->bytes = 0;
	for (u32 i = 0; i < CARD_FRAMES_MAX; i++)
		s->tag[i].done = true;
	return s->card->start(s->end.takes);
}

bool card_server_oldest(const struct card_server *s, u64 *since)
{
	for (u32 i = 0; i < s->tags && s->link; i++) {
		const struct card_tag *t = &s->tag[(s->first + i) % CARD_FRAMES_MAX];

		*since = t->since;
		if (!t->done)
			return true;
	}
	return false;
}
