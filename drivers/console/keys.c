/* The console's keyboard: the escape key, and who gets what is typed. */
#include "drivers/console/mux.h"
#include "drivers/lib/lib.h"
#include "drivers/protocols/console.h"

#define KEY_HELLO   0x0c /* ^L: the operator comes to root's prompt */
#define KEY_GOODBYE 0x04 /* ^D: the operator leaves it */

/* The `n`-th guest from 1, or MUX_NONE. */
static u32 guest(const struct mux *m, u32 n)
{
	for (u32 i = 0; i < m->clients; i++) {
		if (!m->client[i].operator&& -- n == 0)
			return i;
	}
	return MUX_NONE;
}

static u32 operator(const struct mux *m)
{
	for (u32 i = 0; i < m->clients; i++) {
		if (m->client[i].operator)
			return i;
	}
	return MUX_NONE;
}

/* The guest `step` after the selected client, which may be the operator. */
static u32 neighbour(const struct mux *m, u32 step)
{
	u32 i = m->selected;

	for (u32 n = 0; n < m->clients; n++) {
		i = (i + step) % m->clients;
		if (!m->client[i].operator)
			return i;
	}
	return MUX_NONE;
}

void mux_select(struct mux *m, u64 now, u32 client)
{
	if (client >= m->clients) {
		mux_notice(m, now, "there is no such console");
		return;
	}
	if (m->selected != MUX_NONE && m->selected != client && m->client[m->selected].operator)
		m->deliver(m->selected, KEY_GOODBYE);
	if (m->alone && m->selected != client)
		mux_plain(m);
	m->selected = client;
	if (m->client[client].operator) {
		mux_notice(m, now, "typing goes to the operator's prompt%s",
			m->alone ? ", and it alone is shown" : "");
		m->deliver(client, KEY_HELLO);
	} else {
		mux_notice(m, now, "typing goes to %s%s", m->client[client].name,
			m->alone ? ", and it alone is shown" : "");
	}
}

static void toggle_alone(struct mux *m, u64 now)
{
	if (m->alone)
		mux_plain(m);
	mux_notice(m, now, m->alone ? "all consoles are shown" : "only %s is shown",
		m->selected == MUX_NONE ? "nothing" : m->client[m->selected].name);
	m->alone = !m->alone;
	/* What stood in an incomplete line goes on behind the notice. */
	for (u32 i = 0; i < m->clients; i++) {
		m->client[i].pending = !m->alone && m->client[i].length > 0;
		m->client[i].due = now;
	}
}

void mux_status(const struct mux *m, char *text, u32 size)
{
	const struct mux_client *c = m->selected == MUX_NONE ? NULL : &m->client[m->selected];
	u32 at = (u32)format(text, size, " %c %s %c %s  ", CONSOLE_EMPHASIS,
		!c           ? "nobody"
		: c->operator? "operator's prompt"
			     : c->name,
		CONSOLE_EMPHASIS, m->alone ? "alone" : "and all others");

	for (u32 i = 1; guest(m, i) != MUX_NONE && i < 10 && at < size; i++)
		at += (u32)format(text + at, size - at, "%s%u %s", i == 1 ? "  Alt-F" : "  F", i,
			m->client[guest(m, i)].name);
	if (at < size)
		format(text + at, size - at, "  F11 one/all  F12 operator  Shift-PgUp");
}

static void help(struct mux *m, u64 now)
{
	mux_notice(m, now,
		"Ctrl-] and: a digit, n, p: a guest; o: the operator's prompt; s: one or "
		"all shown; Ctrl-]: itself");
	for (u32 i = 1; guest(m, i) != MUX_NONE && i < 10; i++)
		mux_notice(m, now, "%u: %s", i, m->client[guest(m, i)].name);
}

void mux_key(struct mux *m, u64 now, u8 byte)
{
	if (!m->escape) {
		if (byte == MUX_ESCAPE)
			m->escape = true;
		else if (m->selected != MUX_NONE)
			m->deliver(m->selected, byte);
		return;
	}
	m->escape = false;
	if (byte == MUX_ESCAPE && m->selected != MUX_NONE)
		m->deliver(m->selected, byte);
	else if (byte >= '1' && byte <= '9')
		mux_select(m, now, guest(m, byte - '0'));
	else if (byte == 'n')
		mux_select(m, now, neighbour(m, 1));
	else if (byte == 'p')
		mux_select(m, now, neighbour(m, m->clients - 1));
	else if (byte == 'o' || byte == '0')
		mux_select(m, now, operator(m));
	else if (byte == 's')
		toggle_alone(m, now);
	else
		help(m, now);
}
