/* The limit of events without cause: see flood.h. */
#include "drivers/lib/flood.h"
#include "drivers/lib/lib.h"
#include "drivers/protocols/block.h"
#include "drivers/protocols/bus.h"
#include "drivers/protocols/console.h"
#include "drivers/protocols/net.h"

/* The indices that the peer writes. False: the protocol has no queues. */
static bool find_indices(const struct start_resource *r, const u32 *index[FLOOD_INDICES])
{
	bool server = r->role == START_SERVER; /* so the peer is the client */

	if (strcmp(r->protocol, "block") == 0) {
		const struct block_session *s = (const struct block_session *)r->address;

		index[0] = server ? &s->requests.head : &s->requests.tail;
		index[1] = server ? &s->completions.tail : &s->completions.head;
	} else if (strcmp(r->protocol, "net") == 0) {
		const struct net_session *s = (const struct net_session *)r->address;

		index[0] = server ? &s->transmit_queue.head : &s->transmit_queue.tail;
		index[1] = server ? &s->received_queue.tail : &s->received_queue.head;
		index[2] = server ? &s->free_queue.head : &s->free_queue.tail;
	} else if (strcmp(r->protocol, "console") == 0 || strcmp(r->protocol, "serial") == 0) {
		const struct console_session *s = (const struct console_session *)r->address;

		index[0] = server ? &s->to_server.ring.head : &s->to_server.ring.tail;
		index[1] = server ? &s->to_client.ring.tail : &s->to_client.ring.head;
	} else if (strcmp(r->protocol, "bus") == 0) {
		index[0] = &((const struct bus_table *)r->address)->state;
	}
	return index[0] != NULL;
}

/* Steps of the peer's indices since the last look. */
static u32 steps(struct flood_peer *p)
{
	u32 sum = 0;

	for (u32 i = 0; i < FLOOD_INDICES && p->index[i]; i++) {
		u32 now = __atomic_load_n(p->index[i], __ATOMIC_RELAXED);
		u32 moved = now - p->seen[i];

		sum = moved > ~sum ? ~0u : sum + moved;
		p->seen[i] = now;
	}
	return sum;
}

static void add(struct flood *f, u64 bits, cap_t cap, const u32 *const index[FLOOD_INDICES])
{
	struct flood_peer *p = &f->peer[f->peers];

	*p = (struct flood_peer){.bits = bits, .cap = cap};
	for (u32 i = 0; i < FLOOD_INDICES; i++)
		p->index[i] = index[i];
	steps(p);
	for (u32 i = 0; i < f->peers; i++) {
		if (f->peer[i].bits & bits)
			f->peer[i].shared = p->shared = true;
	}
	f->peers++;
}

void flood_init(struct flood *f, u64 tsc_hz)
{
	*f = (struct flood){.tsc_hz = tsc_hz, .until = TIME_NEVER};
}

void flood_add(struct flood *f, const struct start_resource *session)
{
	const u32 *index[FLOOD_INDICES] = {NULL};

	if (f->peers < FLOOD_PEERS && find_indices(session, index))
		add(f, BIT(session->bit), session->cap, index);
}

void flood_add_device(struct flood *f, u64 bits, const u64 *counter, const u64 *other)
{
	const u32 *index[FLOOD_INDICES] = {(const u32 *)counter, (const u32 *)other};

	if (f->peers < FLOOD_PEERS)
		add(f, bits, CAP_NULL, index);
}

/* An event of the peer without news; true if it is over the limit. */
static bool count(struct flood *f, struct flood_peer *p, cycles_t now, void (*tell)(cap_t))
{
	if (now - p->since >= f->tsc_hz) {
		p->since = now;
		p->events = 0;
	}
	if (p->events > FLOOD_EVENTS)
		return true;
	if (++p->events <= FLOOD_EVENTS)
		return false;
	if (!p->shared)
		tell(p->cap);
	return true;
}

u64 flood_look(struct flood *f, u64 bits, cycles_t now, void (*tell)(cap_t session))
{
	u64 over = 0;
	u64 news = 0;

	for (u32 i = 0; i < f->peers; i++) {
		struct flood_peer *p = &f->peer[i];
		u32 moved;

		if (!(bits & p->bits))
			continue;
		moved = steps(p);
		if (moved)
			news |= p->bits;
		else if (count(f, p, now, tell))
			over |= p->bits;
		if (p->events <= FLOOD_EVENTS) /* else the second must end */
			p->events -= moved < p->events ? moved : p->events;
	}
	over &= ~news;
	if (over) {
		f->muted |= over;
		f->until = now + tsc_from_us(f->tsc_hz, FLOOD_MUTE_US);
	}
	return f->muted;
}

u64 flood_muted(struct flood *f, cycles_t now)
{
	if (now >= f->until) {
		f->muted = 0;
		f->until = TIME_NEVER;
	}
	return f->muted;
}
