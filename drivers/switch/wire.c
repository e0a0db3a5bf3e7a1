/*
 * The two kinds of ends that a port can have: the server of a client's session, and the client of
 * the session with the driver of the uplink's card.
 *
 * As client, the bounce memory is cut into slots of one size, a half for each direction. Queues are
 * in order, so the slot of a piece is the place of its entry in the queue: whenever there is room
 * for an entry, its slot is free.
 */
#include "drivers/lib/lib.h"
#include "drivers/switch/switch.h"

#define SLOT        2048u
#define SLOTS_BYTES ((u64)NET_QUEUE * SLOT)

static_assert(2 * SLOTS_BYTES <= NET_DATA_SIZE);
static_assert((sizeof(struct net_header) + NET_FRAME_MAX + SLOT) / SLOT <= NET_PIECES);

static void split_mac(u64 mac, u8 to[6])
{
	for (u32 i = 0; i < 6; i++)
		to[i] = (u8)(mac >> (40 - 8 * i));
}

bool wire_open(struct port *p, void *memory, u64 size, u64 mac)
{
	if (size <= NET_DATA || (p->client && size - NET_DATA < 2 * SLOTS_BYTES))
		return false;
	p->end = net_open(memory, size);
	p->signal = true;
	if (p->client) {
		net_client_start(&p->end);
		return true;
	}
	p->end.server.mtu = NET_MTU;
	p->end.server.takes = NET_TAKES_ALL;
	p->end.server.link = 1;
	split_mac(mac, p->end.server.mac);
	net_server_start(&p->end);
	return true;
}

/* The slot of the entry at index `at` of `free`. */
static u64 slot_free(u32 at)
{
	return SLOTS_BYTES + (u64)(at % NET_QUEUE) * SLOT;
}

/* Posts an empty slot at the next place of the queue. */
static bool post(struct port *p)
{
	struct net_piece piece = {.offset = slot_free(p->end.free), .length = SLOT};

	return net_post(&p->end, piece);
}

bool wire_follow(struct port *p)
{
	enum epoch_state state;
	bool changed = false;
	u32 hello;

	if (!p->client) {
		state = net_server_look(&p->end, &hello);
		if (state == EPOCH_HELLO) {
			net_server_answer(&p->end, hello);
			p->signal = true;
		}
		return state == EPOCH_HELLO || state == EPOCH_LOST;
	}
	do {
		state = net_client_look(&p->end, NET_TAKES_ALL, &p->signal);
		changed |= state == EPOCH_LOST || state == EPOCH_ANSWERED;
		p->shift = state == EPOCH_ANSWERED ? p->end.free - p->end.received : p->shift;
		while (state == EPOCH_ANSWERED && post(p))
			;
		if (state == EPOCH_ANSWERED)
			p->signal |= net_post_done(&p->end);
	} while (state == EPOCH_LOST);
	return changed;
}

static void damage(struct port *p)
{
	p->damages++;
	if (!p->client) {
		net_server_close(&p->end);
		p->signal = true;
	} else if (p->damages == 1) {
		/* A driver that does it again is left alone until it is restarted. */
		net_client_reset(&p->end, NET_TAKES_ALL, &p->signal);
	} else {
		epoch_client_close(&p->end.epoch);
	}
}

/* The pieces of the next frame, their lengths and places; 0: none. */
static u32 received(struct port *p, struct net_piece piece[NET_PIECES])
{
	bool broken;
	u32 waiting = net_received_waiting(&p->end, &broken);
	u32 bytes = 0;

	for (u32 i = 0; i < waiting && i < NET_PIECES; i++) {
		struct net_received r = net_received_at(&p->end, i);

		bytes += r.length;
		if (r.length == 0 || r.length > SLOT ||
			bytes > sizeof(struct net_header) + NET_FRAME_MAX)
			break;
		piece[i] = (struct net_piece){
			.offset = slot_free(p->end.received + p->shift + i),
			.length = r.length,
		};
		if (!(r.flags & NET_MORE))
			return i + 1;
	}
	if (broken || waiting > 0)
		damage(p);
	return 0;
}

static u32 gather(const struct port *p, const struct net_piece *piece, u32 count, u8 *buffer)
{
	u32 bytes = 0;

	for (u32 i = 0; i < count; i++) {
		memcpy(buffer + bytes, p->end.data + piece[i].offset, piece[i].length);
		bytes += piece[i].length;
	}
	return bytes;
}

u32 wire_take(struct port *p, u8 buffer[sizeof(struct net_header) + NET_FRAME_MAX])
{
	struct net_piece piece[NET_PIECES];
	bool broken = false;
	u32 bytes;
	u32 count;

	if (p->client) {
		count = received(p, piece);
		bytes = gather(p, piece, count, buffer);
		net_received_done(&p->end, count);
		for (u32 i = 0; i < count; i++)
			post(p);
		if (count > 0)
			p->signal |= net_post_done(&p->end);
		return bytes;
	}
	count = net_take(&p->end, piece, &bytes, &broken);
	if (broken)
		damage(p);
	if (count == 0)
		return 0;
	bytes = gather(p, piece, count, buffer);
	p->signal |= net_take_done(&p->end, count);
	return bytes;
}

/* Where the next byte of a frame that is given goes. */
struct cursor {
	const struct port *port;
	const struct net_piece *piece;
	u32 at; /* in it */
};

static void scatter(struct cursor *c, const void *from, u32 size)
{
	while (size > 0) {
		u32 room = c->piece->length - c->at;
		u32 n = size < room ? size : room;

		if (n == 0) {
			c->piece++;
			c->at = 0;
			continue;
		}
		memcpy(c->port->end.data + c->piece->offset + c->at, from, n);
		from = (const u8 *)from + n;
		c->at += n;
		size -= n;
	}
}

/* Slots for a frame to the uplink: 0, if there is no room. */
static u32 place(const struct port *p, u32 bytes, struct net_piece piece[NET_PIECES])
{
	u32 count = (bytes + SLOT - 1) / SLOT;

	if (NET_QUEUE - net_transmitting(&p->end) < count)
		return 0;
	for (u32 i = 0; i < count; i++) {
		piece[i] = (struct net_piece){
			.offset = (u64)((p->end.transmit + i) % NET_QUEUE) * SLOT,
			.length = bytes < SLOT ? bytes : SLOT,
		};
		bytes -= piece[i].length;
	}
	return count;
}

void wire_give(struct port *p, const struct net_header *header, const struct part *parts, u32 count)
{
	struct net_piece piece[NET_PIECES];
	struct cursor c = {.port = p, .piece = piece};
	u32 bytes = sizeof(*header);
	bool broken = false;
	u32 pieces;

	for (u32 i = 0; i < count; i++)
		bytes += parts[i].size;
	pieces = p->client ? place(p, bytes, piece) : net_place(&p->end, bytes, piece, &broken);
	if (broken)
		damage(p);
	if (pieces == 0) {
		p->dropped++;
		if (!p->client)
			net_count_drop(&p->end);
		return;
	}
	scatter(&c, header, sizeof(*header));
	for (u32 i = 0; i < count; i++)
		scatter(&c, parts[i].data, parts[i].size);
	if (p->client)
		net_send(&p->end, piece, pieces, &p->signal);
	else
		p->signal |= net_place_done(&p->end, piece, pieces);
}
