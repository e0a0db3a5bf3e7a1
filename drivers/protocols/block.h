/*
 * The `block` protocol: a client (a VMM's disk model) and a volume that a server keeps.
 *
 * Session memory: struct block_session, then from BLOCK_DATA on region 0, the bounce memory, which
 * is the client's to divide. Its size is that of the session less BLOCK_DATA, from the own start
 * page. Region 1 is the RAM of the client's guest, with guest-physical addresses as offsets, where
 * the server says BLOCK_GUEST_MEMORY: root has given it that RAM for its device (START_GUEST), as
 * the description asks with `zero-copy`. A piece of it lies in one part of that RAM. A server that
 * does not know a region answers RANGE.
 *
 * Connecting and restarts: epoch.h. Requests are published in `requests`, answered in `completions`
 * in any order. The client chooses a request's `id` and gets it back; it must not use it again
 * before, and checks what comes back against what it sent. At most BLOCK_QUEUE requests are under
 * way: sent and not yet taken from `completions`. A client that keeps to this never finds a queue
 * full, and neither does the server, which takes a request only if there will be room for its
 * answer.
 *
 * The server releases a request's entry when it has copied it. Data belong to the server from the
 * publication of the request until that of its answer; a piece may be used by several requests if
 * all of them only read it. Requests under way at the same time have no order among each other.
 * After OK, a WRITE is visible to every later READ, and durable if the server has no BLOCK_FLUSH or
 * the write had BLOCK_FUA, else after the next FLUSH sent after its answer. Every request may be
 * sent again after a restart, also if it was carried out before: so a client answers its own guest
 * only after the server's answer, and keeps data of a WRITE until then.
 */
#pragma once

#include "drivers/protocols/entries.h"
#include "drivers/protocols/epoch.h"

#define BLOCK_SECTOR 512u
#define BLOCK_QUEUE  128u /* entries of each queue */
#define BLOCK_PIECES 33u  /* of data in one request: 128 KiB in pages that lie anywhere */
#define BLOCK_NAME   20u
#define BLOCK_PARTS  24u /* of the guest's RAM that are contiguous in physical memory */

#define BLOCK_REGION_BOUNCE 0u
#define BLOCK_REGION_GUEST  1u

/* Size of the session: root makes it, both ends are told of it. */
#define BLOCK_DATA         0x12000u
#define BLOCK_DATA_SIZE    0x100000u
#define BLOCK_SESSION_SIZE (BLOCK_DATA + BLOCK_DATA_SIZE)

enum block_op {
	BLOCK_READ = 0,
	BLOCK_WRITE = 1,
	BLOCK_FLUSH = 2,        /* no sectors, no data */
	BLOCK_DISCARD = 3,      /* content is lost: reads give anything; no data */
	BLOCK_WRITE_ZEROES = 4, /* no data */
};

/* Flags of a request; others are answered UNSUPPORTED. */
#define BLOCK_FUA   1u /* WRITE, WRITE_ZEROES: durable when answered */
#define BLOCK_UNMAP 2u /* WRITE_ZEROES: the server may give up the space */

enum block_status {
	BLOCK_OK = 0,
	BLOCK_IO = 1,          /* the medium failed; READ: data are anything */
	BLOCK_UNSUPPORTED = 2, /* unknown operation or flag, or not in the facts */
	BLOCK_RANGE = 3, /* outside the volume, region or limits; or a write to a read-only one */
};

/* What the server says of the volume, fixed for the connection. */
#define BLOCK_READ_ONLY        1u
#define BLOCK_CAN_FLUSH        2u /* it has a volatile cache; else each write is durable */
#define BLOCK_CAN_DISCARD      4u
#define BLOCK_CAN_WRITE_ZEROES 8u
#define BLOCK_CAN_FUA          16u
#define BLOCK_GUEST_MEMORY     32u /* region 1 is there */
#define BLOCK_WHOLE_PAGES                                                                          \
	64u /* a piece that is not the first begins, and one that is not the                       \
	       last ends, on a page */

struct block_facts {
	u64 sectors;       /* capacity, of 512 bytes */
	u32 block_size;    /* in bytes, 512 to 65536, a power of two: requests are whole blocks */
	u32 physical_size; /* in bytes, block_size or more, a power of two: writes of less are slow
			    */
	u32 features;      /* BLOCK_READ_ONLY, BLOCK_CAN_... */
	u32 max_sectors;   /* of a READ or WRITE, at least one block */
	u32 max_pieces;    /* 1 to BLOCK_PIECES */
	u32 max_discard;   /* sectors of a DISCARD; 0 if that is not supported */
	u32 max_zeroes;    /* sectors of a WRITE_ZEROES; 0 if that is not supported */
	u32 discard_block; /* sectors: DISCARD gives up space in whole aligned ones of these */
	char name[BLOCK_NAME]; /* ASCII, ends with NUL if shorter; a serial number for guests */
	u32 bias; /* requests.head - completions.head while nothing is under way, for root to count
		   */
};
static_assert(sizeof(struct block_facts) == 64);

struct block_piece {
	u32 region;
	u32 length; /* bytes, whole sectors, not 0 */
	u64 offset; /* bytes, a multiple of 4 */
};
static_assert(sizeof(struct block_piece) == 16);

struct block_request {
	u32 id;
	u8 op;    /* enum block_op */
	u8 flags; /* BLOCK_FUA, BLOCK_UNMAP */
	u16 pieces;
	u64 sector;
	u32 sectors; /* READ, WRITE: the sum of the pieces */
	u32 reserved[3];
	struct block_piece piece[BLOCK_PIECES];
};
static_assert(sizeof(struct block_request) == 560);

/* Copies what is used of a request. The peer may change `from` meanwhile: what counts is `to`, and
 * its number of pieces is to be checked before any of them. */
static inline void block_request_copy(struct block_request *to, const struct block_request *from)
{
	__builtin_memcpy(to, from, offsetof(struct block_request, piece));
	__asm__ volatile("" ::: "memory"); /* the copy is looked at, not the original */
	for (u32 i = 0; i < to->pieces && i < BLOCK_PIECES; i++)
		__builtin_memcpy(&to->piece[i], &from->piece[i], sizeof(to->piece[i]));
}

struct block_completion {
	u32 id;
	u32 status; /* enum block_status */
};
static_assert(sizeof(struct block_completion) == 8);

struct block_session {
	struct epoch_words epochs;
	struct block_facts facts; /* server's */
	struct entries requests;  /* client's head */
	struct entries completions;
	struct block_request request[BLOCK_QUEUE];
	struct block_completion completion[BLOCK_QUEUE];
};
static_assert(offsetof(struct block_session, facts) == 128);
static_assert(offsetof(struct block_session, requests) == 192);
static_assert(offsetof(struct block_session, completions) == 320);
static_assert(offsetof(struct block_session, request) == 448);
static_assert(sizeof(struct block_session) <= BLOCK_DATA && BLOCK_DATA % PAGE_SIZE == 0);

/* True if a client can work with these facts: call it on a copy. */
static inline bool block_facts_ok(const struct block_facts *f)
{
	u32 b = f->block_size;
	u32 block = b / BLOCK_SECTOR;

	if (b < BLOCK_SECTOR || b > 65536 || b & (b - 1) || f->physical_size < b ||
		f->physical_size & (f->physical_size - 1))
		return false;
	if (f->sectors == 0 || f->sectors % block || f->sectors > ~0ull / BLOCK_SECTOR)
		return false;
	if (f->max_sectors < block || f->max_pieces == 0 || f->max_pieces > BLOCK_PIECES)
		return false;
	if (f->features & BLOCK_CAN_DISCARD && (f->max_discard < block || f->discard_block == 0))
		return false;
	return !(f->features & BLOCK_CAN_WRITE_ZEROES) || f->max_zeroes >= block;
}

/* A part of the guest's RAM. */
struct block_part {
	gpa_t gpa;
	u64 size;
	u64 bus; /* server: where its device finds it */
};

struct block_memory {
	u32 parts;
	struct block_part part[BLOCK_PARTS];
};

/* The part that `length` bytes at `gpa` lie in; NULL: in none, or not in one. */
static inline const struct block_part *block_part_of(
	const struct block_memory *m, gpa_t gpa, u64 length)
{
	for (u32 i = 0; i < m->parts; i++) {
		u64 offset = gpa - m->part[i].gpa; /* huge if gpa is below it */

		if (offset < m->part[i].size && length <= m->part[i].size - offset)
			return &m->part[i];
	}
	return NULL;
}

/* True if the piece lies in region 0, which has `data_size` bytes, or in `guest` (NULL: there is no
 * region 1). */
static inline bool block_piece_ok(
	const struct block_piece *p, u64 data_size, const struct block_memory *guest)
{
	if (p->length == 0 || p->length % BLOCK_SECTOR || p->offset % 4)
		return false;
	if (p->region == BLOCK_REGION_GUEST)
		return guest && block_part_of(guest, p->offset, p->length);
	return p->region == BLOCK_REGION_BOUNCE && p->offset <= data_size &&
	       p->length <= data_size - p->offset;
}

/* BLOCK_OK if `sectors` from `sector` on are whole blocks of the volume, and at most `max`. */
static inline enum block_status block_check_span(
	const struct block_facts *f, u64 sector, u32 sectors, u32 max)
{
	u32 block = f->block_size / BLOCK_SECTOR;

	if (sectors == 0 || sectors > max || sector % block || sectors % block)
		return BLOCK_RANGE;
	return sector <= f->sectors && sectors <= f->sectors - sector ? BLOCK_OK : BLOCK_RANGE;
}

/* Checks the data of a READ or WRITE. */
static inline enum block_status block_check_pieces(const struct block_facts *f,
	const struct block_request *r, u64 data_size, const struct block_memory *guest)
{
	u64 inner = f->features & BLOCK_WHOLE_PAGES ? PAGE_SIZE - 1 : 0;
	u64 sum = 0;

	if (r->pieces == 0 || r->pieces > f->max_pieces)
		return BLOCK_RANGE;
	for (u32 i = 0; i < r->pieces; i++) {
		const struct block_piece *p = &r->piece[i];

		if (!block_piece_ok(p, data_size, guest))
			return BLOCK_RANGE;
		if ((i > 0 && p->offset & inner) ||
			(i + 1u < r->pieces && (p->offset + p->length) & inner))
			return BLOCK_RANGE;
		sum += p->length;
	}
	return sum == (u64)r->sectors * BLOCK_SECTOR ? BLOCK_OK : BLOCK_RANGE;
}

/*
 * The server's check of a private copy of a request against its own facts. Region 0 has `data_size`
 * bytes; `guest`: region 1, or NULL. What is BLOCK_OK can be carried out as it stands.
 */
static inline enum block_status block_check(const struct block_facts *f,
	const struct block_request *r, u64 data_size, const struct block_memory *guest)
{
	bool write = r->op != BLOCK_READ && r->op != BLOCK_FLUSH;
	u32 flags = 0;
	u32 max = f->max_sectors;
	u32 needs = 0;
	enum block_status s;

	switch (r->op) {
	case BLOCK_READ:
		break;
	case BLOCK_WRITE:
		flags = f->features & BLOCK_CAN_FUA ? BLOCK_FUA : 0;
		break;
	case BLOCK_FLUSH:
		needs = BLOCK_CAN_FLUSH;
		break;
	case BLOCK_DISCARD:
		needs = BLOCK_CAN_DISCARD;
		max = f->max_discard;
		break;
	case BLOCK_WRITE_ZEROES:
		flags = BLOCK_UNMAP | (f->features & BLOCK_CAN_FUA ? BLOCK_FUA : 0);
		needs = BLOCK_CAN_WRITE_ZEROES;
		max = f->max_zeroes;
		break;
	default:
		return BLOCK_UNSUPPORTED;
	}
	if (r->flags & ~flags || (f->features & needs) != needs)
		return BLOCK_UNSUPPORTED;
	if (write && f->features & BLOCK_READ_ONLY)
		return BLOCK_RANGE;
	if (r->op == BLOCK_FLUSH)
		return r->pieces == 0 && r->sectors == 0 ? BLOCK_OK : BLOCK_RANGE;
	s = block_check_span(f, r->sector, r->sectors, max);
	if (s != BLOCK_OK)
		return s;
	if (r->op == BLOCK_READ || r->op == BLOCK_WRITE)
		return block_check_pieces(f, r, data_size, guest);
	return r->pieces == 0 ? BLOCK_OK : BLOCK_RANGE;
}

/* Root: requests that are sent and not answered; what cannot be counts as 0. */
static inline u32 block_under_way(const struct block_session *s)
{
	u32 count = __atomic_load_n(&s->requests.head, __ATOMIC_RELAXED) -
		    __atomic_load_n(&s->completions.head, __ATOMIC_RELAXED) - s->facts.bias;
	u32 peer = (u32)__atomic_load_n(&s->epochs.server, __ATOMIC_RELAXED);

	return peer != 0 && peer != EPOCH_GONE_PEER && count <= BLOCK_QUEUE ? count : 0;
}

/* One end; private to its process. `head` and `tail` are the own indices: of the client, of
 * requests and completions; of the server, of completions and requests. */
struct block_end {
	struct block_session *session;
	u8 *data; /* region 0 */
	u64 data_size;
	struct epoch_end epoch;
	u32 head;
	u32 tail;
	u32 under_way;            /* server: requests taken and not answered */
	struct block_facts facts; /* server: its own; client: a checked copy */
};

/* Makes an end of a session of `size` bytes (more than BLOCK_DATA) at `memory`. */
static inline struct block_end block_open(void *memory, u64 size)
{
	return (struct block_end){
		.session = (struct block_session *)memory,
		.data = (u8 *)memory + BLOCK_DATA,
		.data_size = size - BLOCK_DATA,
	};
}

/* --- client --- */

/* Begins; then block_client_look whenever the event bit was set. */
static inline void block_client_start(struct block_end *c)
{
	epoch_client_start(&c->session->epochs, &c->epoch);
	c->head = __atomic_load_n(&c->session->requests.head, __ATOMIC_RELAXED);
	c->tail = __atomic_load_n(&c->session->completions.tail, __ATOMIC_RELAXED);
}

/*
 * Goes on with the connection until there is nothing to do for it: call it until it answers AWAY or
 * GONE (wait for the event; at GONE requests fail meanwhile) or CONNECTED (go on). *signal is set
 * if the server's event bit must be set. At ANSWERED c->facts are valid, region 0 is free and the
 * client sends again what was not answered; at LOST it sends nothing until then. Facts that cannot
 * be are like no answer.
 */
static inline enum epoch_state block_client_look(struct block_end *c, bool *signal)
{
	enum epoch_state s = epoch_client_look(&c->session->epochs, &c->epoch);

	if (s == EPOCH_HELLO) {
		epoch_hello(&c->session->epochs, &c->epoch);
		*signal = true;
	}
	if (s != EPOCH_ANSWERED)
		return s;
	__builtin_memcpy(&c->facts, &c->session->facts, sizeof(c->facts));
	__asm__ volatile("" ::: "memory"); /* the copy is checked, not the original */
	if (block_facts_ok(&c->facts))
		return s;
	epoch_client_close(&c->epoch);
	return EPOCH_AWAY;
}

/* Drops everything that is under way, also for the server: region 0 is not to be touched until
 * ANSWERED. Does nothing before the server has said anything. */
static inline void block_client_reset(struct block_end *c, bool *signal)
{
	if (c->epoch.asked == 0)
		return;
	epoch_hello(&c->session->epochs, &c->epoch);
	*signal = true;
}

/*
 * Sends a request while connected. False: BLOCK_QUEUE are under way, or the server broke the queue.
 * *signal as above.
 */
static inline bool block_send(struct block_end *c, const struct block_request *r, bool *signal)
{
	struct block_session *s = c->session;
	bool broken;

	if (c->epoch.peer == 0 || entries_room(&s->requests, c->head, BLOCK_QUEUE, &broken) == 0)
		return false;
	block_request_copy(&s->request[c->head % BLOCK_QUEUE], r);
	*signal |= entries_publish(&s->requests, &c->head, 1);
	return true;
}

/*
 * Takes an answer while connected. False: there is none, or the server broke the queue (*broken:
 * the client should block_client_reset, not more often than it can bear). The client checks
 * that `id` is one of its own under way and takes an unknown status for BLOCK_IO.
 */
static inline bool block_answer_take(
	struct block_end *c, struct block_completion *out, bool *broken)
{
	struct block_session *s = c->session;

	*broken = false;
	if (c->epoch.peer == 0 ||
		entries_waiting(&s->completions, c->tail, BLOCK_QUEUE, broken) == 0)
		return false;
	__builtin_memcpy(out, &s->completion[c->tail % BLOCK_QUEUE], sizeof(*out));
	__asm__ volatile("" ::: "memory");
	entries_release(&s->completions, &c->tail, 1);
	return true;
}

/* --- server --- */

/* Begins; the server then sets the client's event bit. s->facts are set before. */
static inline void block_server_start(struct block_end *s)
{
	epoch_server_start(&s->session->epochs, &s->epoch);
}

/* Steps 4 to 6 of epoch.h, when block_server_look said HELLO and nothing is under way any more. The
 * server then sets the client's event bit. */
static inline void block_server_answer(struct block_end *s, u32 hello)
{
	struct block_session *m = s->session;

	s->tail = entries_reset_tail(&m->requests);
	s->head = entries_reset_head(&m->completions);
	s->under_way = 0;
	m->facts = s->facts;
	m->facts.bias = s->tail - s->head;
	epoch_answer(&m->epochs, &s->epoch, hello);
}

/* At HELLO or LOST the server finishes or drops what is under way. */
static inline enum epoch_state block_server_look(struct block_end *s, u32 *hello)
{
	return epoch_server_look(&s->session->epochs, &s->epoch, hello);
}

/*
 * Takes a request while connected: a private copy, to be checked with block_check. False: none
 * waits, or there would be no room for its answer, or the client broke a queue (*broken: the server
 * closes with epoch_server_close).
 */
static inline bool block_take(struct block_end *s, struct block_request *out, bool *broken)
{
	struct block_session *m = s->session;
	u32 room;

	*broken = false;
	if (s->epoch.peer == 0)
		return false;
	room = entries_room(&m->completions, s->head, BLOCK_QUEUE, broken);
	if (*broken || room <= s->under_way ||
		entries_waiting(&m->requests, s->tail, BLOCK_QUEUE, broken) == 0)
		return false;
	block_request_copy(out, &m->request[s->tail % BLOCK_QUEUE]);
	__asm__ volatile("" ::: "memory"); /* the copy is checked, not the original */
	entries_release(&m->requests, &s->tail, 1);
	s->under_way++;
	return true;
}

/* Answers a request that was taken in this connection. True: set the client's event bit. */
static inline bool block_answer(struct block_end *s, u32 id, enum block_status status)
{
	struct block_session *m = s->session;

	m->completion[s->head % BLOCK_QUEUE] = (struct block_completion){id, status};
	s->under_way--;
	return entries_publish(&m->completions, &s->head, 1);
}
