/* Bytes between the 16550 and the console session. */
#include "console.h"
#include "host.h"
#include "lock.h"

#define FLUSH_US     1000u
#define DRAIN_US     100000u
#define DRAIN_ROUNDS 20

void console_open(struct machine *m, const struct start_resource *r)
{
	struct console *c = &m->console;
	struct serial_bytes *bytes = &m->state->bytes;

	c->session = (struct console_session *)r->address;
	c->peer = r->cap;
	c->peer_bits = r->value;
	c->own_bit = BIT(r->bit);
	c->unpublished = true;
	c->tell = true;
	m->wake_mask |= c->own_bit;
	if (m->resumed)
		return;
	bytes->written = c->session->to_server.ring.head;
	bytes->taken = c->session->to_client.ring.tail;
}

/* Bytes that the server has not taken yet; a ring that it broke counts as full. */
static u32 waiting(const struct machine *m)
{
	u32 used = m->state->bytes.written -
		   __atomic_load_n(&m->console.session->to_server.ring.tail, __ATOMIC_ACQUIRE);

	return used > CONSOLE_RING_SIZE ? CONSOLE_RING_SIZE : used;
}

/* Looked at again behind a barrier when it is full, as ring_write does. */
static bool is_full(const struct machine *m)
{
	if (waiting(m) < CONSOLE_RING_SIZE)
		return false;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return waiting(m) == CONSOLE_RING_SIZE;
}

bool machine_console_put(struct machine *m, u8 byte)
{
	struct console *c = &m->console;
	u32 *written = &m->state->bytes.written;

	if (!c->session || __atomic_load_n(&c->session->gone, __ATOMIC_ACQUIRE))
		return true;
	if (is_full(m)) {
		console_flush(m);
		return false;
	}
	c->session->to_server.ring.data[*written % CONSOLE_RING_SIZE] = byte;
	++*written;
	c->unpublished = true;
	if (!c->unsignalled) {
		c->unsignalled = true;
		c->flush_at = tsc_now() + tsc_from_us(m->clock.hz, FLUSH_US);
		machine_rearm(m);
	}
	if (waiting(m) == CONSOLE_RING_SIZE / 2)
		console_flush(m);
	return true;
}

void console_flush(struct machine *m)
{
	struct console *c = &m->console;

	c->unsignalled = false;
	c->flush_at = TIME_NEVER;
	c->tell = true;
	c->unpublished = true;
	machine_rearm(m);
}

void console_publish(struct machine *m)
{
	struct console *c = &m->console;

	if (likely(!c->unpublished))
		return;
	c->unpublished = false;
	if (!c->session)
		return;
	__atomic_store_n(
		&c->session->to_server.ring.head, m->state->bytes.written, __ATOMIC_RELEASE);
	__atomic_store_n(&c->session->to_client.ring.tail, m->state->bytes.taken, __ATOMIC_RELEASE);
	if (c->tell)
		host_signal(c->peer, c->peer_bits);
	c->tell = false;
}

void console_pull(struct machine *m)
{
	struct console *c = &m->console;
	u32 *taken = &m->state->bytes.taken;
	const struct ring *ring;

	if (!c->session)
		return;
	ring = &c->session->to_client.ring;
	while (uart_can_receive(&m->state->uart)) {
		u32 used = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE) - *taken;

		if (!used || used > CONSOLE_RING_SIZE)
			break;
		c->tell |= used == CONSOLE_RING_SIZE; /* the server may wait for room */
		c->unpublished = true;
		++*taken;
		uart_receive(m, &m->state->uart, ring->data[(*taken - 1) % CONSOLE_RING_SIZE]);
	}
}

/* Tells root of a server whose index of either ring cannot be. */
static void look(struct machine *m)
{
	struct console *c = &m->console;
	const struct serial_bytes *bytes = &m->state->bytes;
	const struct console_session *s = c->session;
	bool broken;

	if (!s)
		return;
	broken = bytes->written - __atomic_load_n(&s->to_server.ring.tail, __ATOMIC_ACQUIRE) >
			 CONSOLE_RING_SIZE ||
		 __atomic_load_n(&s->to_client.ring.head, __ATOMIC_ACQUIRE) - bytes->taken >
			 CONSOLE_RING_SIZE;
	if (broken && !c->broken)
		host_broken(c->peer);
	c->broken = broken;
}

void console_event(struct machine *m)
{
	look(m);
	if (m->state->serial)
		uart_backend_ready(m, &m->state->uart);
	console_pull(m);
}

void console_drain(struct vcpu *v)
{
	struct machine *m = v->machine;
	const struct console *c = &m->console;

	if (!c->session || !m->state->serial)
		return;
	for (u32 i = 0; i < DRAIN_ROUNDS; i++) {
		machine_lock(v);
		uart_backend_ready(m, &m->state->uart);
		console_flush(m);
		journal_commit(v);
		if (!uart_waiting(&m->state->uart) && !waiting(m))
			return;
		host_wait(c->own_bit, tsc_now() + tsc_from_us(m->clock.hz, DRAIN_US));
	}
}
