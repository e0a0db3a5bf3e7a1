/* The serial line, acknowledgements, and when what is answered. */
#include "gdb.h"
#include "debug.h"
#include "drivers/lib/start.h"
#include "guests/vmm/host.h"

bool gdb_open(struct machine *m, const struct start_resource *r, bool wait)
{
	struct debug *d = &m->debug;

	if (r->size < sizeof(struct console_session))
		return false;
	d->line.session = (struct console_session *)r->address;
	d->line.peer = r->cap;
	d->line.peer_bits = r->value;
	d->line.own_bit = BIT(r->bit);
	m->wake_mask |= d->line.own_bit;
	d->resume = DEBUG_ALL;
	debug_points_clear(m);
	if (!wait)
		return true;
	log_line("the guest waits for a debugger");
	debug_halt(m);
	for (u32 i = 0; i < m->vcpus; i++)
		m->vcpu[i].pause = true;
	return true;
}

/* A whole packet or nothing: one that finds no room is asked for again. */
static void send(struct machine *m, const char *bytes, u32 count)
{
	struct ring *ring = &m->debug.line.session->to_server.ring;

	if (ring_room(ring, CONSOLE_RING_SIZE) >= count)
		ring_write(ring, CONSOLE_RING_SIZE, bytes, count);
	host_signal(m->debug.line.peer, m->debug.line.peer_bits);
}

static void send_reply(struct machine *m)
{
	send(m, m->debug.out.text, m->debug.out.size);
}

/* The vCPU to report: the one that the debugger looks at if it has something to say, else the first
 * that has. */
static u32 reported(const struct machine *m)
{
	if (m->vcpu[m->debug.thread].debug.why != DEBUG_WHY_NONE)
		return m->debug.thread;
	for (u32 i = 0; i < m->vcpus; i++) {
		if (m->vcpu[i].debug.why != DEBUG_WHY_NONE)
			return i;
	}
	return m->debug.thread;
}

static void report(struct machine *m)
{
	struct debug *d = &m->debug;

	d->owed = false;
	d->thread = reported(m);
	gdb_begin(&d->out);
	gdb_stop_reply(m, d->thread);
	gdb_end(&d->out);
	send_reply(m);
}

/* A packet of a debugger that is new, or has lost patience, stops the guest before it is answered;
 * the stop reply that another one waited for is not due any more. */
static void packet_came(struct machine *m)
{
	struct debug *d = &m->debug;

	if (!d->attached)
		log_line("a debugger attached");
	d->attached = true;
	d->waiting = true;
	d->owed = false;
	if (!debug_all_held(m))
		debug_halt(m);
}

static void byte_came(struct machine *m, u8 byte)
{
	struct debug *d = &m->debug;

	switch (gdb_feed(&d->in, byte)) {
	case GDB_PACKET:
		send(m, "+", 1);
		packet_came(m);
		break;
	case GDB_BAD:
		send(m, "-", 1);
		break;
	case GDB_NAK:
		if (d->attached && d->out.size)
			send_reply(m);
		break;
	case GDB_INTERRUPT:
		if (d->attached && d->owed) {
			d->interrupted = true;
			debug_halt(m);
		}
		break;
	default:
		break;
	}
}

/* What waits for the vCPUs to be held. */
static void held(struct machine *m)
{
	struct debug *d = &m->debug;

	if (d->owed)
		report(m);
	if (!d->waiting)
		return;
	d->waiting = false;
	if (gdb_command(m))
		send_reply(m);
	if (d->owed && debug_all_held(m)) /* there was news */
		report(m);
}

void gdb_attend(struct machine *m)
{
	struct console_session *session = m->debug.line.session;
	bool broken;
	u32 count;

	if (!session)
		return;
	/* What comes later is told of later. */
	count = ring_used(&session->to_client.ring, CONSOLE_RING_SIZE, &broken);
	if (count == CONSOLE_RING_SIZE)
		host_signal(m->debug.line.peer, m->debug.line.peer_bits);
	for (;;) {
		u8 byte;

		if (debug_all_held(m))
			held(m);
		if (m->debug.waiting || !count ||
			!ring_read(&session->to_client.ring, CONSOLE_RING_SIZE, &byte, 1))
			return;
		count--;
		byte_came(m, byte);
	}
}

void gdb_guest_ended(struct machine *m, bool failed)
{
	struct debug *d = &m->debug;

	if (!d->line.session || !d->attached || !d->owed)
		return;
	d->owed = false;
	gdb_begin(&d->out);
	gdb_put_text(&d->out, failed ? "X06" : "W00");
	gdb_end(&d->out);
	send_reply(m);
}
