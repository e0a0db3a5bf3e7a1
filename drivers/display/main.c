/*
 * The driver of the screen: a terminal of the console on the framebuffer that the firmware left,
 * and the keys of its keyboards.
 */
#include <libfdt.h>

#include "drivers/display/keys.h"
#include "drivers/display/paint.h"
#include "drivers/lib/channel.h"
#include "drivers/lib/loop.h"
#include "drivers/protocols/display.h"

#define FRAME_US  20000ull /* the screen is not painted more often */
#define KEYBOARDS 4u
#define SCALE_MAX 8u
#define TEXT_MOST 512u /* bytes of a turn: two of them can be the work of a screen */

static struct paint paint;
static struct terminal *terminal;
static struct channel console;
static struct console_session *session;
static bool have_console;
static bool console_broken;
static struct channel keyboard[KEYBOARDS];
static bool keyboard_broken[KEYBOARDS];
static u32 keyboards;
static char status[CONSOLE_STATUS];
static u32 status_version;

static void open_sessions(const struct start_info *info)
{
	const struct start_resource *r;

	for (u32 i = 0; (r = start_find(info, START_SESSION, i)) != NULL; i++) {
		if (strcmp(r->protocol, "serial") != 0)
			continue;
		if (r->role == START_SERVER && !have_console) {
			console = channel_open(r);
			session = (struct console_session *)r->address;
			have_console = true;
		} else if (r->role == START_CLIENT && keyboards < KEYBOARDS) {
			keyboard[keyboards++] = channel_open(r);
		}
	}
	if (have_console)
		channel_signal(&console);
}

/* `scale` of the node; 0: the driver chooses. */
static u32 wanted_scale(const struct start_info *info)
{
	const struct start_resource *r = start_find(info, START_CONFIG, 0);
	const fdt32_t *cell;
	int size;

	if (!r || fdt_check_full((const void *)r->address, r->size) != 0)
		return 0;
	cell = fdt_getprop((const void *)r->address, 0, "scale", &size);
	if (!cell || size != 4 || fdt32_ld(cell) > SCALE_MAX)
		return 0;
	return fdt32_ld(cell);
}

/* The terminal of an earlier run of this program goes on; a new one begins with what the log said
 * before. */
static bool open_terminal(const struct start_info *info)
{
	const struct start_resource *r = start_find(info, START_STATE, 0);
	const struct display_state *state;
	u64 size;
	bool ok;

	if (!r || r->size < sizeof(*state) + sizeof(*terminal))
		return false;
	state = (const struct display_state *)r->address;
	size = r->size - sizeof(*state);
	terminal = (struct terminal *)(state + 1);
	if (!terminal_open(terminal, size, paint.columns, paint_text_rows(&paint), &ok) && ok) {
		terminal->newline = 1;
		terminal_write(
			terminal, state->log, state->log_size <= DISPLAY_LOG ? state->log_size : 0);
		terminal->newline = 0;
	}
	return ok;
}

static bool open_all(const struct start_info *info)
{
	const struct start_resource *f = start_find(info, START_FRAMEBUFFER, 0);

	if (!f) {
		log_line("the firmware left no framebuffer that text can be shown on");
		return false;
	}
	if (!paint_open(&paint, (void *)f->address, f->size, (u32)f->value, (u32)(f->value >> 32),
		    f->bit, f->role, wanted_scale(info)) ||
		!open_terminal(info)) {
		log_line("the framebuffer cannot be used: %u x %u pixels, %u bytes a line",
			(u32)f->value, (u32)(f->value >> 32), f->bit);
		return false;
	}
	log_line("%u x %u pixels, %u columns, %u rows", paint.width, paint.height, paint.columns,
		paint_text_rows(&paint));
	return true;
}

/* Shows what the console wrote; true if there was anything. What the terminal is asked is answered
 * at once, or never if there is no room. */
static bool take_text(void)
{
	static char text[TEXT_MOST];
	char answer[TERMINAL_ANSWERS];
	u32 n = channel_read(&console, text, sizeof(text));

	terminal_write(terminal, text, n);
	while (n > 0) {
		u32 size = terminal_answer(terminal, answer, sizeof(answer));

		if (size == 0)
			break;
		if (channel_room(&console) >= size)
			channel_write(&console, answer, size);
	}
	return n > 0;
}

/* Hands keys on; those that find no room are lost. True if the view is to be shown anew. */
static bool take_keys(const struct channel *from)
{
	static u8 bytes[CONSOLE_RING_SIZE];
	struct keys k = {.cursor_keys = terminal->cursor_keys};
	u32 n = channel_read(from, bytes, sizeof(bytes));
	u32 view = terminal->grid.view;

	if (n == 0)
		return false;
	n = keys_translate(&k, bytes, n);
	grid_look(&terminal->grid, k.pages * (s32)(terminal->grid.rows / 2 + 1));
	if (n > 0) {
		terminal->grid.view = 0;
		if (channel_room(&console) >= n)
			channel_write(&console, bytes, n);
	}
	return terminal->grid.view != view;
}

int main(struct start_info *info);

int main(struct start_info *info)
{
	u64 frame = tsc_from_us(info->tsc_hz, FRAME_US);
	u64 next = 0;
	bool changed = true;

	open_sessions(info);
	if (!have_console) {
		log_line("there is no console that could be shown");
		return 0;
	}
	if (!open_all(info))
		return 0;
	loop_open(info, NULL);
	loop_limit();
	for (;;) {
		bool again;
		u64 now;

		loop_look_at(&console, &console_broken);
		again = take_text();
		changed |= again;
		for (u32 i = 0; i < keyboards; i++) {
			loop_look_at(&keyboard[i], &keyboard_broken[i]);
			changed |= take_keys(&keyboard[i]);
		}
		/* Another console, or view: painted anew, whatever else may have written there. */
		if (console_status_get(&session->status, &status_version, status)) {
			paint.known = false;
			changed = true;
		}
		now = tsc_now();
		if (changed && now >= next) {
			paint_show(&paint, terminal, status);
			changed = false;
			next = tsc_now() + frame;
		}
		loop_wait(again ? 0 : changed ? next : TIME_NEVER);
	}
}
