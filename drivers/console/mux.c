/* The console's line discipline: output. */
#include "drivers/console/mux.h"
#include "drivers/lib/lib.h"

/*
 * What one quantum can become on the terminal: each byte may be a line end or a carriage return,
 * which brings a prefix; in front of it an incomplete line may be shown anew. Nothing is shown
 * unless that much room is there.
 */
#define ROOM_NEEDED (MUX_QUANTUM * (MUX_NAME + 8) + MUX_LINE + 256u)
static_assert(ROOM_NEEDED < MUX_OUT);

/* Quiet times after which an interrupted prompt is shown anew: longer, so that it does not come up
 * in every pause. */
#define RETURN 10u

static u32 room(const struct mux *m)
{
	return MUX_OUT - (m->out_head - m->out_tail);
}

static void put(struct mux *m, char c)
{
	if (room(m) > 0)
		m->out[m->out_head++ % MUX_OUT] = c;
}

static void put_text(struct mux *m, const char *text)
{
	while (*text)
		put(m, *text++);
}

static void put_prefix(struct mux *m, const struct mux_client *c)
{
	if (c->operator)
		return;
	put(m, '[');
	put_text(m, c->name);
	put_text(m, "] ");
}

/* Ends the incomplete line on the screen, if there is one; the keyboard's owner gets it back after
 * a while. */
static void leave_line(struct mux *m, u64 now)
{
	struct mux_client *c;

	if (m->owner == MUX_NONE)
		return;
	c = &m->client[m->owner];
	if (c->shown > 0 || m->alone)
		put_text(m, "\r\n");
	c->shown = 0;
	if (m->owner == m->selected && c->length > 0) {
		c->pending = true;
		c->due = now + RETURN * m->quiet;
	}
	m->owner = MUX_NONE;
}

/* Brings the client's incomplete line to the screen, as far as it is known. */
static void show_line(struct mux *m, u64 now, u32 client)
{
	struct mux_client *c = &m->client[client];

	if (m->owner != client) {
		leave_line(m, now);
		put_prefix(m, c);
		m->owner = client;
		c->shown = 0;
	}
	for (; c->shown < c->length; c->shown++) {
		put(m, c->line[c->shown]);
		if (c->line[c->shown] == '\r')
			put_prefix(m, c);
	}
	c->pending = false;
}

static void end_line(struct mux *m, u64 now, u32 client)
{
	show_line(m, now, client);
	put_text(m, "\r\n");
	m->owner = MUX_NONE;
	m->client[client].length = 0;
	m->client[client].shown = 0;
}

static void append(struct mux *m, u64 now, u32 client, char byte)
{
	struct mux_client *c = &m->client[client];

	if (c->length == MUX_LINE)
		end_line(m, now, client);
	c->line[c->length++] = byte;
}

static void take_byte(struct mux *m, u64 now, u32 client, char byte)
{
	struct mux_client *c = &m->client[client];

	if (byte == '\n') {
		c->cr = false;
		end_line(m, now, client);
		return;
	}
	if (byte == '\r') {
		c->cr = true;
		return;
	}
	/* A carriage return on its own starts the line over; several are one. */
	if (c->cr)
		append(m, now, client, '\r');
	c->cr = false;
	append(m, now, client, byte);
}

/* Shows one quantum of a client's store. */
static void show_quantum(struct mux *m, u64 now, u32 client)
{
	struct mux_client *c = &m->client[client];
	bool raw = m->alone;

	if (c->dropped) {
		u32 dropped = c->dropped;

		c->dropped = 0;
		mux_notice(m, now, "%u bytes of %s were not shown", dropped, c->name);
	}
	for (u32 i = 0; i < MUX_QUANTUM && c->store_head != c->store_tail; i++) {
		char byte = c->store[c->store_tail++ % MUX_STORE];

		if (raw) {
			if (byte == '\n' && c->operator)
				put(m, '\r');
			put(m, byte);
			m->owner = byte == '\n' ? MUX_NONE : client;
		} else {
			take_byte(m, now, client, byte);
		}
	}
	if (raw || c->length == c->shown)
		return;
	if (m->owner == client) {
		show_line(m, now, client);
	} else {
		c->pending = true;
		c->due = now + m->quiet;
	}
}

static bool visible(const struct mux *m, u32 client)
{
	return !m->alone || client == m->selected;
}

bool mux_show(struct mux *m, u64 now)
{
	bool left = true;

	while (left) {
		left = false;
		for (u32 n = 0; n < m->clients; n++) {
			u32 i = (m->turn + n) % m->clients;
			struct mux_client *c = &m->client[i];

			if (!visible(m, i) || c->store_head == c->store_tail)
				continue;
			if (room(m) < ROOM_NEEDED) {
				m->turn = i;
				return true;
			}
			show_quantum(m, now, i);
			left |= c->store_head != c->store_tail;
		}
		m->turn = m->clients ? (m->turn + 1) % m->clients : 0;
	}
	return false;
}

u64 mux_time(struct mux *m, u64 now)
{
	u64 next = ~0ull;

	for (u32 i = 0; i < m->clients; i++) {
		struct mux_client *c = &m->client[i];

		if (!c->pending || !visible(m, i))
			continue;
		if (m->alone)
			c->pending = false;
		else if (c->due <= now && room(m) >= ROOM_NEEDED)
			show_line(m, now, i);
	}
	for (u32 i = 0; i < m->clients; i++) {
		const struct mux_client *c = &m->client[i];

		if (c->pending && visible(m, i) && c->due < next)
			next = c->due > now ? c->due : now + m->quiet;
	}
	return next;
}

void mux_plain(struct mux *m)
{
	put_text(m, "\033[?47l\033[!p");
}

void mux_notice(struct mux *m, u64 now, const char *text, ...)
{
	char line[160];
	va_list args;

	va_start(args, text);
	format_list(line, sizeof(line), text, args);
	va_end(args);
	leave_line(m, now);
	put_text(m, "[console] ");
	put_text(m, line);
	put_text(m, "\r\n");
}

void mux_init(struct mux *m, u64 quiet, void (*deliver)(u32 client, u8 byte))
{
	memset(m, 0, sizeof(*m));
	m->selected = MUX_NONE;
	m->owner = MUX_NONE;
	m->quiet = quiet;
	m->deliver = deliver;
}

u32 mux_add(struct mux *m, const char *name, bool operator)
{
	struct mux_client *c = &m->client[m->clients];

	if (m->clients == MUX_CLIENTS)
		return MUX_NONE;
	string_copy(c->name, sizeof(c->name), name);
	c->operator= operator;
	/* The first guest gets the keyboard; the operator only while there is no guest. */
	if (m->selected == MUX_NONE || (m->client[m->selected].operator&& !operator))
		m->selected = m->clients;
	return m->clients++;
}

u32 mux_room(const struct mux *m, u32 client)
{
	const struct mux_client *c = &m->client[client];

	return visible(m, client) ? MUX_STORE - (c->store_head - c->store_tail) : MUX_STORE;
}

void mux_put(struct mux *m, u32 client, const char *bytes, u32 count)
{
	struct mux_client *c = &m->client[client];

	for (u32 i = 0; i < count; i++) {
		if (c->store_head - c->store_tail == MUX_STORE) {
			c->store_tail++;
			c->dropped++;
		}
		c->store[c->store_head++ % MUX_STORE] = bytes[i];
	}
}

u32 mux_peek(const struct mux *m, char *bytes, u32 count)
{
	u32 n = 0;

	while (n < count && m->out_tail + n != m->out_head) {
		bytes[n] = m->out[(m->out_tail + n) % MUX_OUT];
		n++;
	}
	return n;
}

void mux_taken(struct mux *m, u32 count)
{
	m->out_tail += count;
}
