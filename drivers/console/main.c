/* The console server: guests' consoles and root's prompt, on each of its terminals. */
#include "drivers/console/mux.h"
#include "drivers/lib/channel.h"
#include "drivers/lib/loop.h"

#define QUIET_US    30000ull
#define STATE_MAGIC 0x324e4f43u
#define LINES       2u /* the serial line at stdout-path, and the screen */

/* A terminal: a serial line, or the screen. */
struct line {
	struct mux mux;
	struct channel channel;
	struct console_session *session;
	bool broken;
	char status[CONSOLE_STATUS]; /* as last written */
};

/* What is kept over a restart of this program, in START_STATE. */
struct kept {
	u32 magic;
	struct {
		u32 selected;
		u32 alone;
	} line[LINES];
};

static struct line line[LINES];
static u32 lines;
static struct channel client[MUX_CLIENTS];
static u32 clients;
static bool client_broken[MUX_CLIENTS];
static struct kept *kept;

/* A key for a client that takes none any more is dropped. */
static void deliver(u32 to, u8 byte)
{
	channel_write(&client[to], &byte, 1);
}

static void open_line(const struct start_info *info, const struct start_resource *r)
{
	struct line *l = &line[lines];

	if (lines == LINES) {
		log_line("more than %u terminals: one is not used", LINES);
		return;
	}
	lines++;
	mux_init(&l->mux, tsc_from_us(info->tsc_hz, QUIET_US), deliver);
	l->channel = channel_open(r);
	l->session = (struct console_session *)r->address;
}

static void open_client(const struct start_resource *r)
{
	if (clients == MUX_CLIENTS) {
		log_line("%s: more than %u consoles: this one is not shown", r->name, MUX_CLIENTS);
		return;
	}
	client[clients++] = channel_open(r);
	for (u32 i = 0; i < lines; i++)
		mux_add(&line[i].mux, r->name, strcmp(r->name, "root") == 0);
}

/* Opens the sessions, terminals first; the peers hear of it. */
static void open_sessions(const struct start_info *info)
{
	const struct start_resource *r;

	for (u32 i = 0; (r = start_find(info, START_SESSION, i)) != NULL; i++) {
		if (r->role == START_CLIENT)
			open_line(info, r);
	}
	for (u32 i = 0; (r = start_find(info, START_SESSION, i)) != NULL; i++) {
		if (r->role == START_SERVER)
			open_client(r);
	}
	for (u32 i = 0; i < clients; i++)
		channel_signal(&client[i]);
}

/* Takes up what an earlier run of this program has left, and shows who has the keyboard. */
static void restore(struct mux *mux, u32 number, u64 now)
{
	u32 selected = mux->selected;

	if (kept && kept->magic == STATE_MAGIC && kept->line[number].selected < mux->clients) {
		selected = kept->line[number].selected;
		mux->alone = kept->line[number].alone == 1;
	}
	if (mux->clients > 1)
		mux_notice(mux, now,
			"Ctrl-] and a digit, n or p: another console; Ctrl-] o: the "
			"operator's prompt; Ctrl-] ?: help");
	/* The operator's prompt shows itself at the first key, so that it does not stand in the
	 * log's way. */
	mux->selected = selected;
	if (selected != MUX_NONE)
		mux_notice(mux, now, "typing goes to %s",
			mux->client[selected].operator? "the operator's prompt"
						      : mux->client[selected].name);
}

static void restore_all(const struct start_info *info, u64 now)
{
	const struct start_resource *r = start_find(info, START_STATE, 0);

	if (r && r->size >= sizeof(*kept))
		kept = (struct kept *)r->address;
	for (u32 i = 0; i < lines; i++)
		restore(&line[i].mux, i, now);
}

/* Keeps what a restart is to find, and says it beside the text. */
static void keep(void)
{
	char text[CONSOLE_STATUS];

	for (u32 i = 0; i < lines; i++) {
		struct mux *m = &line[i].mux;

		mux_status(m, text, sizeof(text));
		if (strcmp(text, line[i].status) != 0) {
			string_copy(line[i].status, sizeof(line[i].status), text);
			console_status_set(&line[i].session->status, text);
			channel_signal(&line[i].channel);
		}
		if (kept) {
			kept->line[i].selected = m->selected;
			kept->line[i].alone = m->alone;
		}
	}
	if (kept)
		kept->magic = STATE_MAGIC;
}

/* Moves what one client wrote to all terminals, as much as each of them has room for. */
static u32 move_client(u32 i)
{
	char bytes[512];
	u32 room = sizeof(bytes);
	u32 n;

	for (u32 k = 0; k < lines; k++) {
		if (mux_room(&line[k].mux, i) < room)
			room = mux_room(&line[k].mux, i);
	}
	n = channel_read(&client[i], bytes, room);
	for (u32 k = 0; k < lines; k++)
		mux_put(&line[k].mux, i, bytes, n);
	return n;
}

/* Moves what a terminal is to show as far as there is room; true if anything went. One whose driver
 * is gone for good takes everything, so that the clients go on. */
static bool move_line(struct line *l, u64 now)
{
	bool gone = __atomic_load_n(&l->session->gone, __ATOMIC_RELAXED) != 0;
	bool moved = false;
	char bytes[512];
	u32 n;

	mux_show(&l->mux, now);
	mux_time(&l->mux, now);
	while ((n = mux_peek(&l->mux, bytes, sizeof(bytes))) > 0) {
		u32 went = gone ? n : channel_write(&l->channel, bytes, n);

		mux_taken(&l->mux, went);
		moved |= went > 0;
		if (went < n)
			break;
	}
	return moved;
}

/* Moves bytes from the clients towards the terminals as far as there is room. */
static void move_output(u64 now)
{
	bool again = true;

	while (again) {
		again = false;
		for (u32 i = 0; i < clients; i++)
			again |= move_client(i) > 0;
		for (u32 i = 0; i < lines; i++)
			again |= move_line(&line[i], now);
	}
}

static void look_at_all(void)
{
	for (u32 i = 0; i < clients; i++)
		loop_look_at(&client[i], &client_broken[i]);
	for (u32 i = 0; i < lines; i++)
		loop_look_at(&line[i].channel, &line[i].broken);
}

int main(struct start_info *info);

static void take_keys(struct line *l, u64 now)
{
	u8 keys[64];
	u32 n;

	while ((n = channel_read(&l->channel, keys, sizeof(keys))) > 0) {
		for (u32 i = 0; i < n; i++)
			mux_key(&l->mux, now, keys[i]);
	}
}

int main(struct start_info *info)
{
	u64 now = tsc_now();

	open_sessions(info);
	restore_all(info, now);
	if (!lines)
		log_line("no terminal: what the consoles write is lost");
	loop_open(info, NULL);
	loop_limit();
	for (;;) {
		u64 next = TIME_NEVER;

		now = tsc_now();
		look_at_all();
		for (u32 i = 0; i < lines; i++)
			take_keys(&line[i], now);
		keep();
		move_output(now);
		for (u32 i = 0; i < lines; i++) {
			u64 time = mux_time(&line[i].mux, now);

			next = time < next ? time : next;
		}
		loop_wait(next);
	}
}
