/* What characters and control functions do: see terminal.h. */
#include "drivers/display/terminal.h"
#include "drivers/lib/lib.h"

#define BS 0x08
#define HT 0x09
#define LF 0x0a
#define VT 0x0b
#define FF 0x0c
#define CR 0x0d
#define SO 0x0e
#define SI 0x0f

#define REPLACEMENT 0xfffdu
#define TAB         8u
#define ALL         GRID_COLUMNS_MAX

/* DEC special graphics, 0x60 to 0x7e (VT220 Programmer Reference, table 2-4). */
static const u16 graphics[] = {0x25c6, 0x2592, 0x2409, 0x240c, 0x240d, 0x240a, 0x00b0, 0x00b1,
	0x2424, 0x240b, 0x2518, 0x2510, 0x250c, 0x2514, 0x253c, 0x23ba, 0x23bb, 0x2500, 0x23bc,
	0x23bd, 0x251c, 0x2524, 0x2534, 0x252c, 0x2502, 0x2264, 0x2265, 0x03c0, 0x2260, 0x00a3,
	0x00b7};

/* What is erased has the background of the pen and nothing else of it. */
static u16 blank(const struct terminal *t)
{
	return (u16)((t->pen.look & LOOK_BACKGROUND(15)) | LOOK_FOREGROUND(7));
}

/* Parameter `i`, or `otherwise` if it is absent or 0. */
static u32 number(const struct terminal *t, u32 i, u32 otherwise)
{
	return i < t->parameters && t->parameter[i] ? t->parameter[i] : otherwise;
}

static void index_down(struct terminal *t)
{
	if (t->pen.row == t->bottom)
		grid_up(&t->grid, t->top, t->bottom, 1, blank(t));
	else if (t->pen.row < t->grid.rows - 1)
		t->pen.row++;
}

static void index_up(struct terminal *t)
{
	if (t->pen.row == t->top)
		grid_down(&t->grid, t->top, t->bottom, 1, blank(t));
	else if (t->pen.row > 0)
		t->pen.row--;
}

static void to_column(struct terminal *t, u32 column)
{
	t->pen.column = column < t->grid.columns ? column : t->grid.columns - 1;
	t->wrap_next = 0;
}

/* To a row from 0 on; in origin mode from the region's top, and not out of it. */
static void to_row(struct terminal *t, u32 row)
{
	u32 first = t->pen.origin ? t->top : 0;
	u32 last = t->pen.origin ? t->bottom : t->grid.rows - 1;

	t->pen.row = row < last - first ? first + row : last;
	t->wrap_next = 0;
}

/* Up and down stop at the region's edge if they begin within it. */
static void move_up(struct terminal *t, u32 by)
{
	u32 least = t->pen.row >= t->top ? t->top : 0;

	t->pen.row = by < t->pen.row - least ? t->pen.row - by : least;
	t->wrap_next = 0;
}

static void move_down(struct terminal *t, u32 by)
{
	u32 most = t->pen.row <= t->bottom ? t->bottom : t->grid.rows - 1;

	t->pen.row = by < most - t->pen.row ? t->pen.row + by : most;
	t->wrap_next = 0;
}

static void tab_forth(struct terminal *t, u32 count)
{
	u32 column = t->pen.column;

	while (count-- > 0 && column < t->grid.columns - 1) {
		do
			column++;
		while (column < t->grid.columns - 1 && !(t->tab[column / 8] & 1u << column % 8));
	}
	to_column(t, column);
}

static void tab_back(struct terminal *t, u32 count)
{
	u32 column = t->pen.column;

	while (count-- > 0 && column > 0) {
		do
			column--;
		while (column > 0 && !(t->tab[column / 8] & 1u << column % 8));
	}
	to_column(t, column);
}

static void clear_tab(struct terminal *t, u32 which)
{
	if (which == 0)
		t->tab[t->pen.column / 8] &= (u8) ~(1u << t->pen.column % 8);
	else if (which == 3)
		memset(t->tab, 0, sizeof(t->tab));
}

/* Columns that a character takes: 0 combines with the one before. The ranges are those of Unicode
 * 15, EastAsianWidth.txt (W, F), without the gaps in them, and of its combining marks and format
 * characters as far as terminals meet them. */
static u32 width_of(u32 code)
{
	if ((code >= 0x300 && code < 0x370) || (code >= 0x200b && code < 0x2010) ||
		(code >= 0x20d0 && code < 0x2100) || (code >= 0xfe00 && code < 0xfe10) ||
		code == 0xfeff)
		return 0;
	if ((code >= 0x1100 && code < 0x1160) || (code >= 0x2e80 && code < 0xa4d0) ||
		(code >= 0xac00 && code < 0xd7a4) || (code >= 0xf900 && code < 0xfb00) ||
		(code >= 0xfe30 && code < 0xfe70) || (code >= 0xff00 && code < 0xff61) ||
		(code >= 0xffe0 && code < 0xffe7) || (code >= 0x1f300 && code < 0x1fb00) ||
		(code >= 0x20000 && code < 0x40000))
		return 2;
	return 1;
}

static void wrap(struct terminal *t)
{
	t->pen.column = 0;
	t->wrap_next = 0;
	index_down(t);
}

void terminal_print(struct terminal *t, u32 code)
{
	u32 last = t->grid.columns - 1;
	u32 width = width_of(code);
	struct cell *cell;

	if (t->pen.graphics[t->pen.shift] && code >= 0x60 && code < 0x7f)
		code = graphics[code - 0x60];
	if (width == 0 || (code >= 0x80 && code < 0xa0))
		return;
	if (width > t->grid.columns)
		width = 1;
	if (t->autowrap && (t->wrap_next || t->pen.column + width > t->grid.columns))
		wrap(t);
	if (t->pen.column + width > t->grid.columns)
		t->pen.column = t->grid.columns - width;
	if (t->insert)
		grid_insert(&t->grid, t->pen.row, t->pen.column, width, blank(t));
	cell = grid_row(&t->grid, t->pen.row) + t->pen.column;
	t->last = (u16)(code > 0xffff ? REPLACEMENT : code);
	*cell = (struct cell){t->last, t->pen.look};
	if (width == 2)
		cell[1] = (struct cell){0, t->pen.look};
	t->wrap_next = t->pen.column + width > last;
	t->pen.column = t->wrap_next ? last : t->pen.column + width;
}

void terminal_control(struct terminal *t, u8 byte)
{
	switch (byte) {
	case BS:
		to_column(t, t->pen.column > 0 ? t->pen.column - 1 : 0);
		break;
	case HT:
		tab_forth(t, 1);
		break;
	case LF:
	case VT:
	case FF:
		if (t->newline)
			to_column(t, 0);
		t->wrap_next = 0;
		index_down(t);
		break;
	case CR:
		to_column(t, 0);
		break;
	case SO:
		t->pen.shift = 1;
		break;
	case SI:
		t->pen.shift = 0;
		break;
	default:
		break;
	}
}

static void home(struct terminal *t)
{
	to_column(t, 0);
	to_row(t, 0);
}

/* DECSTR, and the part of RIS that it has. VT220 Programmer Reference, table 4-10; autowrap stays
 * on, as in xterm. */
static void soft_reset(struct terminal *t)
{
	t->top = 0;
	t->bottom = t->grid.rows - 1;
	t->insert = 0;
	t->newline = 0;
	t->autowrap = 1;
	t->cursor_shown = 1;
	t->cursor_keys = 0;
	t->wrap_next = 0;
	t->pen = (struct terminal_pen){
		.row = t->pen.row, .column = t->pen.column, .look = LOOK_PLAIN};
	t->saved = (struct terminal_pen){.look = LOOK_PLAIN};
}

void terminal_reset(struct terminal *t)
{
	grid_alternate(&t->grid, false);
	soft_reset(t);
	home(t);
	memset(t->tab, 0, sizeof(t->tab));
	for (u32 i = TAB; i < GRID_COLUMNS_MAX; i += TAB)
		t->tab[i / 8] |= (u8)(1u << i % 8);
}

static void erase_rows(struct terminal *t, u32 from, u32 to)
{
	for (u32 row = from; row < to; row++)
		grid_erase(&t->grid, row, 0, ALL, blank(t));
}

static void erase_in_line(struct terminal *t, u32 what)
{
	u32 from = what == 0 ? t->pen.column : 0;
	u32 count = what == 1 ? t->pen.column + 1 : ALL;

	if (what <= 2)
		grid_erase(&t->grid, t->pen.row, from, count, blank(t));
	t->wrap_next = 0;
}

static void erase_in_display(struct terminal *t, u32 what)
{
	if (what == 0)
		erase_rows(t, t->pen.row + 1, t->grid.rows);
	else if (what == 1)
		erase_rows(t, 0, t->pen.row);
	else if (what == 2)
		erase_rows(t, 0, t->grid.rows);
	else if (what == 3)
		t->grid.history = t->grid.view = 0;
	if (what < 2)
		erase_in_line(t, what);
}

static void save(struct terminal *t)
{
	t->saved = t->pen;
}

static void restore(struct terminal *t)
{
	t->pen = t->saved;
	t->wrap_next = 0;
}

/* ?1049 keeps the cursor of the first screen (xterm, "The Alternate Screen Buffer"). */
static void second_screen(struct terminal *t, bool on, bool with_cursor)
{
	if (on == (t->grid.alternate != 0))
		return;
	if (on && with_cursor)
		save(t);
	grid_alternate(&t->grid, on);
	if (!on && with_cursor)
		restore(t);
}

static void set_private(struct terminal *t, u32 mode, bool on)
{
	switch (mode) {
	case 1:
		t->cursor_keys = on;
		break;
	case 6:
		t->pen.origin = on;
		home(t);
		break;
	case 7:
		t->autowrap = on;
		t->wrap_next = 0;
		break;
	case 25:
		t->cursor_shown = on;
		break;
	case 47:
	case 1047:
		second_screen(t, on, false);
		break;
	case 1048:
		if (on)
			save(t);
		else
			restore(t);
		break;
	case 1049:
		second_screen(t, on, true);
		break;
	default:
		break;
	}
}

static void set_modes(struct terminal *t, bool on)
{
	for (u32 i = 0; i < t->parameters; i++) {
		if (t->private == '?')
			set_private(t, t->parameter[i], on);
		else if (!t->private && t->parameter[i] == 4)
			t->insert = on;
		else if (!t->private && t->parameter[i] == 20)
			t->newline = on;
	}
}

static void set_region(struct terminal *t)
{
	u32 top = number(t, 0, 1) - 1;
	u32 bottom = number(t, 1, t->grid.rows) - 1;

	if (bottom >= t->grid.rows)
		bottom = t->grid.rows - 1;
	if (top >= bottom)
		return;
	t->top = top;
	t->bottom = bottom;
	home(t);
}

static void answer(struct terminal *t, const char *text)
{
	u32 n = (u32)strlen(text);

	if (n > TERMINAL_ANSWERS - t->answers)
		return;
	memcpy(t->answer + t->answers, text, n);
	t->answers = (u8)(t->answers + n);
}

static void report(struct terminal *t)
{
	u32 first = t->pen.origin ? t->top : 0;
	char text[24];

	if (number(t, 0, 0) == 5)
		answer(t, "\033[0n");
	if (number(t, 0, 0) != 6)
		return;
	format(text, sizeof(text), "\033[%u;%uR", t->pen.row - first + 1, t->pen.column + 1);
	answer(t, text);
}

/* Lines come and go from the cursor's to the region's bottom, if it is in the region. */
static void lines(struct terminal *t, bool insert, u32 count)
{
	if (t->pen.row < t->top || t->pen.row > t->bottom)
		return;
	if (insert)
		grid_down(&t->grid, t->pen.row, t->bottom, count, blank(t));
	else
		grid_up(&t->grid, t->pen.row, t->bottom, count, blank(t));
	to_column(t, 0);
}

/* No more than a row: a few bytes would be the work of a screen each time. */
static void repeat(struct terminal *t, u32 count)
{
	for (u32 i = 0; i < count && i < t->grid.columns && t->last; i++)
		terminal_print(t, t->last);
}

/* Sequences that move the cursor; false: it is none of them. */
static bool motion(struct terminal *t, u8 final)
{
	u32 n = number(t, 0, 1);

	switch (final) {
	case 'A':
		move_up(t, n);
		return true;
	case 'B':
	case 'e':
		move_down(t, n);
		return true;
	case 'C':
	case 'a':
		to_column(t, t->pen.column + n);
		return true;
	case 'D':
		to_column(t, n < t->pen.column ? t->pen.column - n : 0);
		return true;
	case 'E':
		move_down(t, n);
		to_column(t, 0);
		return true;
	case 'F':
		move_up(t, n);
		to_column(t, 0);
		return true;
	case 'G':
	case '`':
		to_column(t, n - 1);
		return true;
	case 'H':
	case 'f':
		to_column(t, number(t, 1, 1) - 1);
		to_row(t, n - 1);
		return true;
	case 'I':
		tab_forth(t, n);
		return true;
	case 'Z':
		tab_back(t, n);
		return true;
	case 'd':
		to_row(t, n - 1);
		return true;
	default:
		return false;
	}
}

/* Sequences that change cells; false: it is none of them. */
static bool edit(struct terminal *t, u8 final)
{
	struct grid *g = &t->grid;
	u32 n = number(t, 0, 1);

	switch (final) {
	case '@':
		grid_insert(g, t->pen.row, t->pen.column, n, blank(t));
		break;
	case 'P':
		grid_delete(g, t->pen.row, t->pen.column, n, blank(t));
		break;
	case 'X':
		grid_erase(g, t->pen.row, t->pen.column, n, blank(t));
		break;
	case 'J':
		erase_in_display(t, number(t, 0, 0));
		return true;
	case 'K':
		erase_in_line(t, number(t, 0, 0));
		return true;
	case 'L':
		lines(t, true, n);
		return true;
	case 'M':
		lines(t, false, n);
		return true;
	case 'S':
		grid_up(g, t->top, t->bottom, n, blank(t));
		return true;
	case 'T':
		grid_down(g, t->top, t->bottom, n, blank(t));
		return true;
	case 'b':
		repeat(t, n);
		return true;
	default:
		return false;
	}
	t->wrap_next = 0;
	return true;
}

void terminal_sequence(struct terminal *t, u8 final)
{
	if (t->intermediate) {
		if (t->intermediate == '!' && final == 'p')
			soft_reset(t);
		return;
	}
	if (final == 'h' || final == 'l') {
		set_modes(t, final == 'h');
		return;
	}
	if (t->private || motion(t, final) || edit(t, final))
		return;
	switch (final) {
	case 'c':
		answer(t, "\033[?6c"); /* a VT102 */
		break;
	case 'g':
		clear_tab(t, number(t, 0, 0));
		break;
	case 'm':
		terminal_rendition(t);
		break;
	case 'n':
		report(t);
		break;
	case 'r':
		set_region(t);
		break;
	case 's':
		save(t);
		break;
	case 'u':
		restore(t);
		break;
	default:
		break;
	}
}

/* DECALN: the screen full of E. */
static void alignment(struct terminal *t)
{
	for (u32 row = 0; row < t->grid.rows; row++) {
		struct cell *cell = grid_row(&t->grid, row);

		for (u32 i = 0; i < t->grid.columns; i++)
			cell[i] = (struct cell){'E', LOOK_PLAIN};
	}
	t->top = 0;
	t->bottom = t->grid.rows - 1;
	home(t);
}

void terminal_escape(struct terminal *t, u8 final)
{
	if (t->intermediate == '(' || t->intermediate == ')')
		t->pen.graphics[t->intermediate - '('] = final == '0';
	if (t->intermediate == '#' && final == '8')
		alignment(t);
	if (t->intermediate)
		return;
	switch (final) {
	case '7':
		save(t);
		break;
	case '8':
		restore(t);
		break;
	case 'D':
		index_down(t);
		break;
	case 'E':
		to_column(t, 0);
		index_down(t);
		break;
	case 'H':
		t->tab[t->pen.column / 8] |= (u8)(1u << t->pen.column % 8);
		break;
	case 'M':
		index_up(t);
		break;
	case 'c':
		terminal_reset(t);
		erase_rows(t, 0, t->grid.rows);
		break;
	default:
		break;
	}
}
