/* The console server: guests' consoles and root's prompt on one serial line. */
#include "drivers/console/mux.h"
#include "drivers/lib/channel.h"
#include "drivers/lib/loop.h"

#define QUIET_US    30000ull
#define STATE_MAGIC 0x534e4f43u

/* What is kept over a restart of this program, in START_STATE. */
struct kept {
	u32 magic;
	u32 selected;
	u32 alone;
};

static struct mux mux;
static struct channel client[MUX_CLIENTS];
static struct channel line;
static bool client_broken[MUX_CLIENTS];
static bool line_broken;
static bool have_line;
static struct kept *kept;

/* A key for a client that takes none any more is dropped. */
static void deliver(u32 to, u8 byte)
{
	channel_write(&client[to], &byte, 1);
}

/* Opens the sessions; the peers hear of it. */
static void open_sessions(const struct start_info *info)
{
	const struct start_resource *r;

	for (u32 i = 0; (r = start_find(info, START_SESSION, i)) != NULL; i++) {
		u32 n;

		if (r->role == START_CLIENT) {
			line = channel_open(r);
			have_line = true;
			continue;
		}
		n = mux_add(&mux, r->name, strcmp(r->name, "root") == 0);
		if (n == MUX_NONE) {
			log_line("%s: more than %u consoles: this one is not shown", r->name,
				MUX_CLIENTS);
			continue;
		}
		client[n] = channel_open(r);
	}
	for (u32 i = 0; i < mux.clients; i++)
		channel_signal(&client[i]);
}

/* Takes up what an earlier run of this program has left, and shows who has the keyboard. */
static void restore(const struct start_info *info, u64 now)
{
	const struct start_resource *r = start_find(info, START_STATE, 0);
	u32 selected = mux.selected;

	if (r && r->size >= sizeof(*kept))
		kept = (struct kept *)r->address;
	if (kept && kept->magic == STATE_MAGIC && kept->selected < mux.clients) {
		selected = kept->selected;
		mux.alone = kept->alone == 1;
	}
	if (mux.clients > 1)
		mux_notice(&mux, now,
			"Ctrl-] and a digit, n or p: another console; Ctrl-] o: the "
			"operator's prompt; Ctrl-] ?: help");
	/* The operator's prompt shows itself at the first key, so that it does not stand in the
	 * log's way. */
	mux.selected = selected;
	if (selected != MUX_NONE)
		mux_notice(&mux, now, "typing goes to %s",
			mux.client[selected].operator? "the operator's prompt"
						     : mux.client[selected].name);
}

/* Moves bytes from the clients towards the terminal as far as there is room. */
static void move_output(u64 now)
{
	char bytes[512];
	bool again = true;

	while (again) {
		u32 n;

		again = false;
		for (u32 i = 0; i < mux.clients; i++) {
			u32 room = mux_room(&mux, i);

			n = channel_read(&client[i], bytes,
				room < sizeof(bytes) ? room : (u32)sizeof(bytes));
			mux_put(&mux, i, bytes, n);
			again |= n > 0;
		}
		mux_show(&mux, now);
		mux_time(&mux, now);
		/* Without a line nothing is shown, and the clients go on. */
		while ((n = mux_peek(&mux, bytes, sizeof(bytes))) > 0) {
			u32 went = have_line ? channel_write(&line, bytes, n) : n;

			mux_taken(&mux, went);
			again |= went > 0;
			if (went < n)
				return;
		}
	}
}

/* Tells root of a session that has just been found broken. */
static void look_at(const struct channel *c, bool *was_broken)
{
	bool broken = channel_broken(c);

	if (broken && !*was_broken)
		loop_peer_broken(c->peer);
	*was_broken = broken;
}

static void look_at_all(void)
{
	for (u32 i = 0; i < mux.clients; i++)
		look_at(&client[i], &client_broken[i]);
	if (have_line)
		look_at(&line, &line_broken);
}

int main(struct start_info *info);

int main(struct start_info *info)
{
	u64 now = tsc_now();

	mux_init(&mux, tsc_from_us(info->tsc_hz, QUIET_US), deliver);
	open_sessions(info);
	restore(info, now);
	if (!have_line)
		log_line("no serial line: what the consoles write is lost");
	loop_open(info, NULL);
	for (;;) {
		u8 keys[64];
		u32 n;

		now = tsc_now();
		look_at_all();
		while (have_line && (n = channel_read(&line, keys, sizeof(keys))) > 0) {
			for (u32 i = 0; i < n; i++)
				mux_key(&mux, now, keys[i]);
		}
		if (kept) {
			kept->selected = mux.selected;
			kept->alone = mux.alone;
			kept->magic = STATE_MAGIC;
		}
		move_output(now);
		loop_wait(mux_time(&mux, now));
	}
}
