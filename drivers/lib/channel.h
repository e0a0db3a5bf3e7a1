/*
 * One end of a byte session (protocols/console.h): its two rings and the peer's event.
 *
 * Neither end ever sleeps on a ring that the other has just changed: after it published its index,
 * each end looks at the other's index once more, with a full barrier between, so that at least one
 * of the two sees the other's step.
 */
#pragma once

#include "drivers/lib/lib.h"
#include "drivers/protocols/console.h"

struct channel {
	struct ring *in;
	struct ring *out;
	cap_t peer;
	u64 peer_bits;
};

/* The own end of a START_SESSION of the `console` or `serial` protocol. */
static inline struct channel channel_open(const struct start_resource *r)
{
	struct console_session *s = (struct console_session *)r->address;
	bool server = r->role == START_SERVER;

	return (struct channel){
		.in = server ? &s->to_server.ring : &s->to_client.ring,
		.out = server ? &s->to_client.ring : &s->to_server.ring,
		.peer = r->cap,
		.peer_bits = r->value,
	};
}

/* Tells the peer to look. A peer that is away is no error: it looks when it comes back. */
static inline void channel_signal(const struct channel *c)
{
	sys_event_signal(c->peer, c->peer_bits);
}

/* Reads up to `count` bytes; tells the peer if that made room in a full ring. */
static inline u32 channel_read(const struct channel *c, void *bytes, u32 count)
{
	u32 tail = c->in->tail;
	u32 n = ring_read(c->in, CONSOLE_RING_SIZE, bytes, count);

	if (n == 0)
		return 0;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (__atomic_load_n(&c->in->head, __ATOMIC_ACQUIRE) - tail >= CONSOLE_RING_SIZE)
		channel_signal(c);
	return n;
}

/* Writes up to `count` bytes and tells the peer. Fewer than `count` are written only if the ring is
 * full after that. */
static inline u32 channel_write(const struct channel *c, const void *bytes, u32 count)
{
	u32 n = 0;
	u32 went;

	do {
		went = ring_write(c->out, CONSOLE_RING_SIZE, (const u8 *)bytes + n, count - n);
		n += went;
	} while (went > 0 && n < count);
	if (n > 0)
		channel_signal(c);
	return n;
}

/* True if the peer's index of either ring cannot be: nothing goes through that ring any more. */
static inline bool channel_broken(const struct channel *c)
{
	bool in;
	bool out;

	ring_used(c->in, CONSOLE_RING_SIZE, &in);
	ring_used(c->out, CONSOLE_RING_SIZE, &out);
	return in || out;
}

/* True if bytes wait to be read; room for bytes to be written. */
static inline bool channel_waits(const struct channel *c)
{
	bool broken;

	return ring_used(c->in, CONSOLE_RING_SIZE, &broken) > 0;
}

static inline u32 channel_room(const struct channel *c)
{
	return ring_room(c->out, CONSOLE_RING_SIZE);
}
