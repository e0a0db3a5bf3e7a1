/* `console` sessions behind the ports of a virtio console: see backend_console.h. */
#include "backend_console.h"
#include "guests/vmm/host.h"
#include "guests/vmm/machine.h"

#define CHUNK 256u

static struct backend_console *backend(struct machine *m, u32 port)
{
	return &m->virtio.console[port % VIRTIO_CONSOLE_PORTS];
}

bool backend_console_open(struct machine *m, u32 port, const struct start_resource *r)
{
	struct backend_console *b = backend(m, port);

	if (r->size < sizeof(struct console_session))
		return false;
	*b = (struct backend_console){
		.session = (struct console_session *)r->address,
		.peer = r->cap,
		.peer_bits = r->value,
		.own_bit = BIT(r->bit),
	};
	m->wake_mask |= b->own_bit;
	return true;
}

u32 virtio_console_backend_put(struct machine *m, u32 port, const u8 *bytes, u32 count)
{
	struct backend_console *b = backend(m, port);
	u32 done = 0;
	u32 went = 1;

	if (!b->session || __atomic_load_n(&b->session->gone, __ATOMIC_ACQUIRE))
		return count;
	while (done < count && went) { /* until the ring was seen full: ring.h */
		went = ring_write(
			&b->session->to_server.ring, CONSOLE_RING_SIZE, bytes + done, count - done);
		done += went;
	}
	host_signal(b->peer, b->peer_bits);
	return done;
}

/* Looks at bytes without taking them: the driver may have room for fewer. */
static u32 peek(const struct ring *ring, u8 *bytes, u32 count)
{
	bool broken;
	u32 used = ring_used(ring, CONSOLE_RING_SIZE, &broken);
	u32 tail = ring->tail;

	if (count > used)
		count = used;
	for (u32 i = 0; i < count; i++)
		bytes[i] = ring->data[(tail + i) & (CONSOLE_RING_SIZE - 1)];
	return count;
}

void virtio_console_backend_pull(struct machine *m, u32 port)
{
	struct backend_console *b = backend(m, port);
	struct virtio_console *s = &m->state->virtio.console;
	u8 bytes[CHUNK];
	bool was_full = false;
	bool broken;

	if (!b->session)
		return;
	for (u32 i = 0; i < CONSOLE_RING_SIZE / CHUNK; i++) {
		struct ring *ring = &b->session->to_client.ring;
		u32 count = peek(ring, bytes, CHUNK);
		u32 taken = count ? virtio_console_receive(m, s, port, bytes, count) : 0;

		was_full |= ring_used(ring, CONSOLE_RING_SIZE, &broken) == CONSOLE_RING_SIZE;
		ring_read(ring, CONSOLE_RING_SIZE, bytes, taken);
		if (taken < count || !count)
			break;
	}
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (was_full) /* the server may wait for room */
		host_signal(b->peer, b->peer_bits);
}

static void look(struct backend_console *b)
{
	bool in;
	bool out;

	if (!b->session)
		return;
	ring_used(&b->session->to_client.ring, CONSOLE_RING_SIZE, &in);
	ring_used(&b->session->to_server.ring, CONSOLE_RING_SIZE, &out);
	if ((in || out) && !b->broken)
		host_broken(b->peer);
	b->broken = in || out;
}

void backend_console_event(struct machine *m, u32 port)
{
	look(backend(m, port));
	virtio_console_ready(m, &m->state->virtio.console, port);
	virtio_console_backend_pull(m, port);
}

bool backend_console_waiting(struct machine *m)
{
	bool broken;

	for (u32 i = 0; i < VIRTIO_CONSOLE_PORTS; i++) {
		const struct backend_console *b = &m->virtio.console[i];

		if (b->session && !__atomic_load_n(&b->session->gone, __ATOMIC_ACQUIRE) &&
			ring_used(&b->session->to_server.ring, CONSOLE_RING_SIZE, &broken))
			return true;
	}
	return false;
}
