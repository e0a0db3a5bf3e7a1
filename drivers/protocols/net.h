/*
 * The `net` protocol: a client that has a network interface (a VMM's card, a switch's uplink) and
 * the server that the other end of its cable is in (a switch, a card's driver).
 *
 * Session memory: struct net_session, then from NET_DATA on region 0, the bounce memory, which is
 * the client's to divide. Its size is that of the session less NET_DATA, from the own start page.
 * Regions from 1 on are memory that was attached for zero-copy; a server that knows none closes the
 * connection, as it does for every damaged entry.
 *
 * Connecting and restarts: epoch.h. The client writes `client` before it says hello, the server
 * `server` before it answers; of the server's, link, dropped, errors and waits change at any time.
 *
 * A *frame* is a struct net_header and an Ethernet frame without its check sequence, 14 to
 * NET_FRAME_MAX bytes (untagged or with VLAN tags), in one to NET_PIECES pieces of memory one after
 * another; all pieces but the last have NET_MORE.
 *
 * `transmit`, client to server: the pieces of frames. They belong to the server until it releases
 * the entries, which it does in order and for whole frames. The client sees room only by looking;
 * one that waits for room sets `client.waits`, looks again behind a full barrier (net_wait_room),
 * and is told at the next release. Only whole frames are published.
 *
 * `free`, client to server: empty pieces for reception, each of NET_PIECE_MIN bytes or more. The
 * server fills them in order. `received`, server to client: what is in each piece, in the order
 * of `free`; whole frames only. The client knows the places from what it posted and checks the
 * lengths against that. A frame shorter than NET_FRAME_MIN is none: the server could do nothing
 * with that piece, and the client passes over it. The client tells the server of free pieces only
 * if it has `server.waits` set (net_wait_free), as a card's driver has while the card runs out of
 * them.
 *
 * Drops: a cable loses frames and never delays others. A frame for a client whose free pieces or
 * `received` have no room is dropped and counted in server.dropped; so is what arrives while there
 * is no connection. The server may drop what it was sent; it never changes the order of the frames
 * between two interfaces. A restart of either end loses what is under way; nothing is sent again.
 *
 * Offloads: each end takes frames with an unfinished checksum or too large for the link only if it
 * said so (NET_TAKES_...). `header` is virtio 1.2's virtio_net_hdr (5.1.6), little-endian, with
 * num_buffers 0: the VMM passes it on with a num_buffers of its own. GSO types go without
 * VIRTIO_NET_HDR_GSO_ECN unless NET_TAKES_ECN. The receiver checks each header; a frame whose
 * header does not fit it, or asks for what was not offered, is dropped and counted in
 * server.errors (client to server).
 */
#pragma once

#include "drivers/protocols/entries.h"
#include "drivers/protocols/epoch.h"

#define NET_QUEUE  256u /* entries of each queue */
#define NET_PIECES 64u  /* of one frame */
#define NET_PIECE_MIN                                                                              \
	2048u                /* bytes of a piece in `free`: any frame of the link, and its header  \
			      */
#define NET_PIECE_MAX 65536u /* bytes of any piece */
#define NET_FRAME_MIN 14u    /* bytes: header of an Ethernet frame; padding is the wire's affair */
#define NET_FRAME_MAX 65550u /* bytes of a frame after its net_header: virtio 1.2, 5.1.6.3.1 */
#define NET_MTU       1500u
#define NET_LINK_HEAD 18u /* bytes of a frame beside its payload: Ethernet header and VLAN tag */

/* Size of the session: root makes it, both ends are told of it. */
#define NET_DATA         0x4000u
#define NET_DATA_SIZE    0x100000u
#define NET_SESSION_SIZE (NET_DATA + NET_DATA_SIZE)

/* virtio 1.2, 5.1.6: struct virtio_net_hdr. */
struct net_header {
	u8 flags;
	u8 gso_type;
	u16 header_length; /* a hint: never trusted */
	u16 gso_size;
	u16 csum_start;
	u16 csum_offset;
	u16 num_buffers;
};
static_assert(sizeof(struct net_header) == 12);

#define NET_NEEDS_CSUM 1u /* flags: the checksum at csum_start + csum_offset is unfinished */
#define NET_DATA_VALID 2u /* flags, to a client only: the checksum was found right */
#define NET_GSO_NONE   0u
#define NET_GSO_TCPV4  1u
#define NET_GSO_TCPV6  4u
#define NET_GSO_ECN    0x80u

/* What an end takes besides plain frames. TSO needs CSUM, ECN needs TSO4 or TSO6. */
#define NET_TAKES_CSUM 1u
#define NET_TAKES_TSO4 2u
#define NET_TAKES_TSO6 4u
#define NET_TAKES_ECN  8u
#define NET_TAKES_ALL  15u

struct net_piece {
	u64 offset;
	u32 length;
	u16 region;
	u16 flags; /* NET_MORE */
};
static_assert(sizeof(struct net_piece) == 16);

#define NET_MORE 1u /* the frame goes on in the next piece */

struct net_received {
	u32 length; /* bytes in the piece, not 0 */
	u32 flags;  /* NET_MORE */
};
static_assert(sizeof(struct net_received) == 8);

/* Written by the client. */
struct net_client {
	u32 takes; /* NET_TAKES_..., fixed for the connection: hello again to change it */
	u32 waits; /* it waits for room in `transmit`; at any time */
	u32 reserved[14];
};
static_assert(sizeof(struct net_client) == 64);

/* Written by the server. */
struct net_server {
	u8 mac[6];   /* for the client to use if nothing else gives it one; fixed */
	u16 mtu;     /* bytes of payload of a frame that is not GSO; fixed */
	u32 takes;   /* NET_TAKES_..., fixed */
	u32 link;    /* 1: the cable is in; the client's event bit is set when it changes */
	u64 dropped; /* frames for the client that it had no room for */
	u64 errors;  /* frames from the client that were refused */
	u32 waits;   /* it waits for pieces in `free`; at any time */
	u32 reserved[7];
};
static_assert(sizeof(struct net_server) == 64);

struct net_session {
	struct epoch_words epochs;
	struct net_client client;
	struct net_server server;
	struct entries transmit_queue; /* client's head */
	struct entries free_queue;     /* client's head */
	struct entries received_queue; /* server's head */
	struct net_piece transmit[NET_QUEUE];
	struct net_piece free[NET_QUEUE];
	struct net_received received[NET_QUEUE];
};
static_assert(offsetof(struct net_session, client) == 128);
static_assert(offsetof(struct net_session, server) == 192);
static_assert(offsetof(struct net_session, transmit_queue) == 256);
static_assert(offsetof(struct net_session, free_queue) == 384);
static_assert(offsetof(struct net_session, received_queue) == 512);
static_assert(offsetof(struct net_session, transmit) == 640);
static_assert(sizeof(struct net_session) <= NET_DATA && NET_DATA % PAGE_SIZE == 0);

/* One end; private to its process. */
struct net_end {
	struct net_session *session;
	u8 *data; /* region 0 */
	u64 data_size;
	struct epoch_end epoch;
	u32 transmit; /* own indices */
	u32 free;
	u32 received;
	u32 takes;                /* what the other end takes; 0 while not connected */
	struct net_server server; /* client: a copy; server: its own */
};

/* Makes an end of a session of `size` bytes (more than NET_DATA) at `memory`. */
static inline struct net_end net_open(void *memory, u64 size)
{
	return (struct net_end){
		.session = (struct net_session *)memory,
		.data = (u8 *)memory + NET_DATA,
		.data_size = size - NET_DATA,
	};
}

/* Offloads of `takes` that stand on something. */
static inline u32 net_takes(u32 takes)
{
	takes &= NET_TAKES_ALL;
	if (!(takes & NET_TAKES_CSUM))
		return 0;
	return takes & (NET_TAKES_TSO4 | NET_TAKES_TSO6) ? takes : NET_TAKES_CSUM;
}

/*
 * True if a frame of `bytes` after its header may go to one that takes `takes` over a link of `mtu`
 * bytes (0: not known). What the header claims is held against the size only.
 */
static inline bool net_header_fits(const struct net_header *h, u32 bytes, u32 takes, u32 mtu)
{
	u32 type = h->gso_type & ~NET_GSO_ECN;
	u32 needs = type == NET_GSO_TCPV4   ? NET_TAKES_TSO4
		    : type == NET_GSO_TCPV6 ? NET_TAKES_TSO6
					    : 0;

	if (bytes < NET_FRAME_MIN || bytes > NET_FRAME_MAX)
		return false;
	if (h->flags & NET_NEEDS_CSUM) {
		needs |= NET_TAKES_CSUM;
		if ((u32)h->csum_start + h->csum_offset + sizeof(u16) > bytes)
			return false;
	}
	if (type == NET_GSO_NONE)
		return (takes & needs) == needs && (mtu == 0 || bytes <= mtu + NET_LINK_HEAD);
	if (h->gso_type & NET_GSO_ECN)
		needs |= NET_TAKES_ECN;
	/* a segmented frame has an unfinished checksum (virtio 1.2, 5.1.6.2.1) */
	return (type == NET_GSO_TCPV4 || type == NET_GSO_TCPV6) && (takes & needs) == needs &&
	       h->flags & NET_NEEDS_CSUM && h->gso_size != 0 && h->csum_start < bytes;
}

/* True if the piece lies in region 0, which has `data_size` bytes, and is not empty. */
static inline bool net_piece_ok(const struct net_piece *p, u64 data_size)
{
	return p->region == 0 && p->length > 0 && p->length <= NET_PIECE_MAX &&
	       (p->flags & ~NET_MORE) == 0 && p->offset <= data_size &&
	       p->length <= data_size - p->offset;
}

/* --- client --- */

/* Begins; then net_client_look whenever the event bit was set. */
static inline void net_client_start(struct net_end *c)
{
	struct net_session *s = c->session;

	epoch_client_start(&s->epochs, &c->epoch);
	c->transmit = __atomic_load_n(&s->transmit_queue.head, __ATOMIC_RELAXED);
	c->free = __atomic_load_n(&s->free_queue.head, __ATOMIC_RELAXED);
	c->received = __atomic_load_n(&s->received_queue.tail, __ATOMIC_RELAXED);
}

/* Says hello (again), as one that takes NET_TAKES_... `takes`. */
static inline void net_client_hello(struct net_end *c, u32 takes, bool *signal)
{
	c->takes = 0;
	c->session->client = (struct net_client){.takes = takes};
	epoch_hello(&c->session->epochs, &c->epoch);
	*signal = true;
}

/*
 * Goes on with the connection: call it until it answers AWAY (wait for the event) or CONNECTED (go
 * on). *signal is set if the server's event bit must be set. At ANSWERED c->server and c->takes are
 * valid and region 0 is free: the client posts its free pieces. What was under way is lost.
 */
static inline enum epoch_state net_client_look(struct net_end *c, u32 takes, bool *signal)
{
	enum epoch_state s = epoch_client_look(&c->session->epochs, &c->epoch);

	if (s == EPOCH_HELLO)
		net_client_hello(c, takes, signal);
	if (s != EPOCH_ANSWERED)
		return s;
	__builtin_memcpy(&c->server, &c->session->server, sizeof(c->server));
	__asm__ volatile("" ::: "memory"); /* the copy is used, not the original */
	c->takes = net_takes(c->server.takes);
	return s;
}

/* Drops what is under way: region 0 is not to be touched until ANSWERED. Does nothing before the
 * server has said anything. */
static inline void net_client_reset(struct net_end *c, u32 takes, bool *signal)
{
	if (c->epoch.asked != 0)
		net_client_hello(c, takes, signal);
}

static inline bool net_link_up(const struct net_end *c)
{
	return c->epoch.peer != 0 &&
	       __atomic_load_n(&c->session->server.link, __ATOMIC_RELAXED) == 1;
}

/* Pieces that were transmitted and not released, oldest first in the order of sending; all of
 * NET_QUEUE if the server broke the queue or there is no connection. */
static inline u32 net_transmitting(const struct net_end *c)
{
	bool broken;

	if (c->epoch.peer == 0)
		return NET_QUEUE;
	return entries_held(&c->session->transmit_queue, c->transmit, NET_QUEUE, &broken);
}

/* Asks to be told of the next release; true if there is room for `pieces` now, and no need. */
static inline bool net_wait_room(struct net_end *c, u32 pieces)
{
	__atomic_store_n(&c->session->client.waits, 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (NET_QUEUE - net_transmitting(c) < pieces)
		return false;
	__atomic_store_n(&c->session->client.waits, 0, __ATOMIC_RELAXED);
	return true;
}

/* Sends a whole frame that lies in `count` pieces; sets NET_MORE. False: no room for it now. */
static inline bool net_send(
	struct net_end *c, const struct net_piece *piece, u32 count, bool *signal)
{
	struct net_session *s = c->session;

	if (count == 0 || count > NET_PIECES || NET_QUEUE - net_transmitting(c) < count)
		return false;
	for (u32 i = 0; i < count; i++) {
		struct net_piece p = piece[i];

		p.flags = i + 1 < count ? NET_MORE : 0;
		s->transmit[(c->transmit + i) % NET_QUEUE] = p;
	}
	*signal |= entries_publish(&s->transmit_queue, &c->transmit, count);
	return true;
}

/* Posts an empty piece for reception. False: NET_QUEUE are posted, or no connection. The client
 * keeps the pieces' places itself, in order. */
static inline bool net_post(struct net_end *c, struct net_piece piece)
{
	struct net_session *s = c->session;
	bool broken;

	if (c->epoch.peer == 0 || entries_room(&s->free_queue, c->free, NET_QUEUE, &broken) == 0)
		return false;
	piece.flags = 0;
	s->free[c->free % NET_QUEUE] = piece;
	entries_publish(&s->free_queue, &c->free, 1);
	return true;
}

/* After net_post, of one piece or more. True: set the server's event bit, for it waits for them. */
static inline bool net_post_done(struct net_end *c)
{
	u32 *waits = &c->session->server.waits;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return __atomic_load_n(waits, __ATOMIC_RELAXED) != 0 &&
	       __atomic_exchange_n(waits, 0, __ATOMIC_RELAXED) != 0;
}

/* Pieces that wait in `received`; *broken: the server broke the queue. */
static inline u32 net_received_waiting(const struct net_end *c, bool *broken)
{
	*broken = false;
	if (c->epoch.peer == 0)
		return 0;
	return entries_waiting(&c->session->received_queue, c->received, NET_QUEUE, broken);
}

/* A copy of the `n`-th of them; the client checks length (not 0, at most that of the piece) and
 * that a frame ends within net_received_waiting and NET_PIECES. */
static inline struct net_received net_received_at(const struct net_end *c, u32 n)
{
	struct net_received r;

	__builtin_memcpy(&r, &c->session->received[(c->received + n) % NET_QUEUE], sizeof(r));
	__asm__ volatile("" ::: "memory");
	return r;
}

/* The client has read `count` pieces and may post them again. */
static inline void net_received_done(struct net_end *c, u32 count)
{
	entries_release(&c->session->received_queue, &c->received, count);
}

/* --- server --- */

/* Begins; the server then sets the client's event bit. */
static inline void net_server_start(struct net_end *s)
{
	epoch_server_start(&s->session->epochs, &s->epoch);
}

/* As epoch_server_look: at HELLO or LOST the server drops what is under way. */
static inline enum epoch_state net_server_look(struct net_end *s, u32 *hello)
{
	enum epoch_state state = epoch_server_look(&s->session->epochs, &s->epoch, hello);

	if (state != EPOCH_CONNECTED)
		s->takes = 0;
	return state;
}

/* Steps 4 to 6 of epoch.h, with the facts in s->server. The server then sets the client's event
 * bit. */
static inline void net_server_answer(struct net_end *s, u32 hello)
{
	struct net_session *m = s->session;

	s->takes = net_takes(__atomic_load_n(&m->client.takes, __ATOMIC_RELAXED));
	s->transmit = entries_reset_tail(&m->transmit_queue);
	s->free = entries_reset_tail(&m->free_queue);
	s->received = entries_reset_head(&m->received_queue);
	m->server = s->server;
	epoch_answer(&m->epochs, &s->epoch, hello);
}

/* The server closes the connection because of damage, and then sets the client's event bit. */
static inline void net_server_close(struct net_end *s)
{
	s->takes = 0;
	epoch_server_close(&s->session->epochs, &s->epoch);
}

/*
 * The next frame that the client transmits, behind `held` pieces that were taken before and are not
 * released: its pieces (private copies, checked) and the sum of their lengths, within NET_FRAME_MAX
 * and the header. Returns their number; 0: none waits, or the client did damage (*broken:
 * net_server_close).
 */
static inline u32 net_take_next(const struct net_end *s, u32 held,
	struct net_piece piece[NET_PIECES], u32 *bytes, bool *broken)
{
	const struct net_session *m = s->session;
	u32 waiting;

	*broken = false;
	*bytes = 0;
	if (s->epoch.peer == 0)
		return 0;
	waiting = entries_waiting(&m->transmit_queue, s->transmit, NET_QUEUE, broken);
	if (waiting <= held) {
		*broken |= waiting < held;
		return 0;
	}
	for (u32 i = 0; i < waiting - held && i < NET_PIECES; i++) {
		u32 at = (s->transmit + held + i) % NET_QUEUE;

		__builtin_memcpy(&piece[i], &m->transmit[at], sizeof(piece[i]));
		__asm__ volatile("" ::: "memory"); /* the copy is checked, not the original */
		if (!net_piece_ok(&piece[i], s->data_size))
			break;
		*bytes += piece[i].length;
		if (*bytes > sizeof(struct net_header) + NET_FRAME_MAX)
			break;
		if (!(piece[i].flags & NET_MORE))
			return i + 1;
	}
	*broken = true;
	return 0;
}

/* The same of a server that is done with each frame before it takes the next. */
static inline u32 net_take(
	const struct net_end *s, struct net_piece piece[NET_PIECES], u32 *bytes, bool *broken)
{
	return net_take_next(s, 0, piece, bytes, broken);
}

/* The server is done with one frame or more, of `count` pieces. True: set the client's event bit.
 */
static inline bool net_take_done(struct net_end *s, u32 count)
{
	entries_release(&s->session->transmit_queue, &s->transmit, count);
	return __atomic_exchange_n(&s->session->client.waits, 0, __ATOMIC_RELAXED) != 0;
}

/*
 * The piece of `free` behind `n` others, for a server that hands them on before they are filled: a
 * private copy, checked. It is behind no more than `received` has room for. False: there is none
 * yet, or the client did damage (*broken: net_server_close).
 */
static inline bool net_posted(const struct net_end *s, u32 n, struct net_piece *piece, bool *broken)
{
	const struct net_session *m = s->session;

	*broken = false;
	if (s->epoch.peer == 0 ||
		n >= entries_waiting(&m->free_queue, s->free, NET_QUEUE, broken) ||
		n >= entries_room(&m->received_queue, s->received, NET_QUEUE, broken))
		return false;
	__builtin_memcpy(piece, &m->free[(s->free + n) % NET_QUEUE], sizeof(*piece));
	__asm__ volatile("" ::: "memory"); /* the copy is checked, not the original */
	*broken = !net_piece_ok(piece, s->data_size) || piece->length < NET_PIECE_MIN;
	return !*broken;
}

/* Asks to be told of the next pieces in `free`; true if there are some behind `n` others now, and
 * no need. */
static inline bool net_wait_free(struct net_end *s, u32 n)
{
	struct net_piece piece;
	bool broken;

	__atomic_store_n(&s->session->server.waits, 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!net_posted(s, n, &piece, &broken) && !broken)
		return false;
	__atomic_store_n(&s->session->server.waits, 0, __ATOMIC_RELAXED);
	return true;
}

/*
 * Finds free pieces for a frame of `bytes` (with its header): private copies, checked, lengths cut
 * to what goes in each. Returns their number; 0: no room, drop the frame; or the client did damage
 * (*broken: net_server_close).
 */
static inline u32 net_place(
	const struct net_end *s, u32 bytes, struct net_piece piece[NET_PIECES], bool *broken)
{
	*broken = false;
	for (u32 i = 0; i < NET_PIECES && net_posted(s, i, &piece[i], broken); i++) {
		if (piece[i].length >= bytes) {
			piece[i].length = bytes;
			return i + 1;
		}
		bytes -= piece[i].length;
	}
	return 0;
}

/* The frame is in the `count` pieces of net_place. True: set the client's event bit. */
static inline bool net_place_done(struct net_end *s, const struct net_piece *piece, u32 count)
{
	struct net_session *m = s->session;

	for (u32 i = 0; i < count; i++) {
		m->received[(s->received + i) % NET_QUEUE] =
			(struct net_received){piece[i].length, i + 1 < count ? NET_MORE : 0};
	}
	entries_release(&m->free_queue, &s->free, count);
	return entries_publish(&m->received_queue, &s->received, count);
}

/* Publishes the link's state. True: it changed while connected, set the client's event bit. */
static inline bool net_set_link(struct net_end *s, bool up)
{
	u32 link = up ? 1 : 0;
	bool changed = s->server.link != link;

	s->server.link = link;
	__atomic_store_n(&s->session->server.link, link, __ATOMIC_RELEASE);
	return changed && s->epoch.peer != 0;
}

static inline void net_count_drop(struct net_end *s)
{
	s->server.dropped++;
	__atomic_store_n(&s->session->server.dropped, s->server.dropped, __ATOMIC_RELAXED);
}

static inline void net_count_error(struct net_end *s)
{
	s->server.errors++;
	__atomic_store_n(&s->session->server.errors, s->server.errors, __ATOMIC_RELAXED);
}
