/* Bytes between the 16550 and the console session. */
#include "console.h"
#include "host.h"

#define FLUSH_US     1000u
#define DRAIN_US     100000u
#define DRAIN_ROUNDS 20

bool machine_console_put(struct machine *m, u8 byte)
{
	struct console *c = &m->console;
	struct ring *ring;
	bool broken;

	if (!c->session)
		return true;
	ring = &c->session->to_server.ring;
	if (!ring_write(ring, CONSOLE_RING_SIZE, &byte, 1)) {
		console_flush(m);
		return false;
	}
	if (!c->unsignalled) {
		c->unsignalled = true;
		c->flush_at = tsc_now() + tsc_from_us(m->clock.hz, FLUSH_US);
		machine_rearm(m);
	}
	if (ring_used(ring, CONSOLE_RING_SIZE, &broken) == CONSOLE_RING_SIZE / 2)
		console_flush(m);
	return true;
}

void console_flush(struct machine *m)
{
	struct console *c = &m->console;

	c->unsignalled = false;
	c->flush_at = TIME_NEVER;
	machine_rearm(m);
	if (c->session)
		host_signal(c->peer, c->peer_bits);
}

void console_pull(struct machine *m)
{
	struct console *c = &m->console;
	struct ring *ring;
	bool was_full = false;
	bool broken;
	u8 byte;

	if (!c->session)
		return;
	ring = &c->session->to_client.ring;
	while (uart_can_receive(&m->state->uart)) {
		was_full |= ring_used(ring, CONSOLE_RING_SIZE, &broken) == CONSOLE_RING_SIZE;
		if (!ring_read(ring, CONSOLE_RING_SIZE, &byte, 1))
			break;
		uart_receive(m, &m->state->uart, byte);
	}
	if (was_full) /* the server may wait for room */
		host_signal(c->peer, c->peer_bits);
}

void console_event(struct machine *m)
{
	if (m->state->serial)
		uart_backend_ready(m, &m->state->uart);
	console_pull(m);
}

void console_drain(struct machine *m)
{
	struct console *c = &m->console;
	bool broken;

	if (!c->session || !m->state->serial)
		return;
	console_flush(m);
	for (u32 i = 0; i < DRAIN_ROUNDS; i++) {
		uart_backend_ready(m, &m->state->uart);
		if (!uart_waiting(&m->state->uart) &&
			!ring_used(&c->session->to_server.ring, CONSOLE_RING_SIZE, &broken))
			return;
		console_flush(m);
		host_wait(c->own_bit, tsc_now() + tsc_from_us(m->clock.hz, DRAIN_US));
	}
}
