/* The console's keyboard: the escape key, and who gets what is typed. */
#include "drivers/console/mux.h"
#include "drivers/lib/lib.h"

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
	mux_notice(m, now, m->alone ? "all consoles are shown" : "only %s is shown",
		m->selected == MUX_NONE ? "nothing" : m->client[m->selected].name);
	m->alone = !m->alone;
	/* What stood in an incomplete line goes on behind the notice. */
	for (u32 i = 0; i < m->clients; i++) {
		m->client[i].pending = !m->alone && m->client[i].length > 0;
		m->client[i].due = now;
	}
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
