/* Tests of the screen's terminal: what stands in its cells after what was written. */
#include <stdlib.h>

#include "drivers/display/terminal.h"
#include "drivers/lib/lib.h"
#include "tests/unit/test.h"

#define COLUMNS 20u
#define ROWS    6u
#define LINES   30u

static u8 space[sizeof(struct terminal) + (LINES + ROWS) * COLUMNS * sizeof(struct cell)]
	__attribute__((aligned(8)));
static struct terminal *const t = (struct terminal *)space;

static void setup(void)
{
	bool ok;

	memset(space, 0, sizeof(space));
	CHECK(!terminal_open(t, sizeof(space), COLUMNS, ROWS, &ok));
	CHECK(ok);
}

static void put(const char *text)
{
	terminal_write(t, text, (u32)strlen(text));
}

/* A row as text; U+FFFD is `?`, another character beyond ASCII `#`. */
static const char *row_text(const struct cell *cell)
{
	static char text[COLUMNS + 1];
	u32 n = COLUMNS;

	for (u32 i = 0; i < COLUMNS; i++) {
		u16 code = cell[i].code;

		text[i] = (char)(code == 0 ? ' ' : code == 0xfffd ? '?' : code < 0x80 ? code : '#');
	}
	while (n > 0 && text[n - 1] == ' ')
		n--;
	text[n] = 0;
	return text;
}

#define ROW(row, expected)                                                                         \
	do {                                                                                       \
		const char *is = row_text(grid_row(&t->grid, row));                                \
		if (strcmp(is, expected) != 0)                                                     \
			test_fail(__FILE__, __LINE__, "row %u is \"%s\", not \"%s\"", row, is,     \
				expected);                                                         \
	} while (0)

#define CURSOR(row_, column_)                                                                      \
	do {                                                                                       \
		CHECK_EQ(t->pen.row, row_);                                                        \
		CHECK_EQ(t->pen.column, column_);                                                  \
	} while (0)

static const struct cell *cell_at(u32 row, u32 column)
{
	return grid_row(&t->grid, row) + column;
}

static void fill(void)
{
	put("\033[H");
	for (u32 row = 0; row < ROWS; row++) {
		char c = (char)('a' + row);
		char line[8] = {c, c, c, row < ROWS - 1 ? '\r' : 0, '\n'};

		put(line);
	}
}

TEST(text_wraps_and_scrolls)
{
	setup();
	put("01234567890123456789");
	CURSOR(0, 19); /* the last column is written, but the line is not left yet */
	put("\r\nx");
	ROW(0, "01234567890123456789");
	ROW(1, "x");
	put("\033[H01234567890123456789AB");
	ROW(1, "AB");
	put("\033[?7l\033[H01234567890123456789YZ");
	ROW(0, "0123456789012345678Z");
	setup();
	fill();
	put("\r\nend");
	ROW(0, "bbb");
	ROW(5, "end");
	CHECK_EQ(t->grid.history, 1);
}

TEST(controls)
{
	setup();
	put("ab\bc\td\re\vf");
	ROW(0, "ec      d");
	ROW(1, " f");
	put("\033[H\033[3g\tx");
	CURSOR(0, 19);
	put("\033[H\033[5C\033H\r\ty");
	CURSOR(0, 6);
	put("\a\033[20h\nz");
	ROW(1, "zf");
}

TEST(cursor_moves)
{
	setup();
	put("\033[3;5H");
	CURSOR(2, 4);
	put("\033[A\033[2B\033[3C\033[D");
	CURSOR(3, 6);
	put("\033[99;99H");
	CURSOR(5, 19);
	put("\033[99A\033[99D");
	CURSOR(0, 0);
	put("\033[2E\033[4G\033[F");
	CURSOR(1, 0);
	put("\033[4d\033[7`\0337\033[H\0338");
	CURSOR(3, 6);
	put("\033[s\033[H\033[u\033[0;0H");
	CURSOR(0, 0);
	put("\033[2I\033[Z");
	CURSOR(0, 8);
	put("\033[2\bC"); /* a control within a sequence is done at once */
	CURSOR(0, 9);
}

TEST(erases)
{
	setup();
	fill();
	put("\033[2;2H\033[K");
	ROW(1, "b");
	put("\033[3;2H\033[1K");
	ROW(2, "  c");
	put("\033[4;2H\033[2K");
	ROW(3, "");
	put("\033[5;2H\033[J");
	ROW(4, "e");
	ROW(5, "");
	fill();
	put("\033[2;2H\033[1J");
	ROW(0, "");
	ROW(1, "  b");
	ROW(2, "ccc");
	put("\033[2;1H\033[3X\033[44m\033[2J");
	ROW(2, "");
	CHECK_EQ(cell_at(2, 0)->look, LOOK_FOREGROUND(7) | LOOK_BACKGROUND(4));
}

TEST(inserts_and_deletes)
{
	setup();
	put("abcdef\033[3G\033[2@");
	ROW(0, "ab  cdef");
	put("\033[P");
	ROW(0, "ab cdef");
	put("\033[99P");
	ROW(0, "ab");
	put("\rxy\033[4h\rAB\033[4l");
	ROW(0, "ABxy");
	fill();
	put("\033[2;3H\033[2L");
	ROW(1, "");
	ROW(3, "bbb");
	CURSOR(1, 0);
	put("\033[3M");
	ROW(1, "ccc");
	ROW(5, "");
	put("\033[Hq\033[3b");
	ROW(0, "qqqq");
}

TEST(scrolling_region)
{
	setup();
	fill();
	put("\033[2;4r");
	CURSOR(0, 0);
	put("\033[4;1H\nN");
	ROW(0, "aaa");
	ROW(1, "ccc");
	ROW(3, "N");
	ROW(4, "eee");
	CHECK_EQ(t->grid.history, 0);
	put("\033[2;1H\033MR");
	ROW(1, "R");
	ROW(2, "ccc");
	put("\033[?6h\033[1;1HO\033[99;1HP");
	ROW(1, "O");
	ROW(3, "Pdd");
	put("\033[6n");
	CHECK_EQ(t->answers, strlen("\033[3;2R"));
	put("\033[?6l\033[S");
	ROW(1, "ccc");
	put("\033[2T\033[4;2r"); /* wrong: top below bottom */
	CHECK_EQ(t->top, 1);
	ROW(3, "ccc");
	put("\033[!p");
	CHECK_EQ(t->bottom, ROWS - 1);
}

TEST(looks)
{
	setup();
	put("\033[1;4;31;42ma\033[mb\033[7;96;105mc\033[22;24;27;39;49md");
	CHECK_EQ(cell_at(0, 0)->look,
		LOOK_BOLD | LOOK_UNDERLINE | LOOK_FOREGROUND(1) | LOOK_BACKGROUND(2));
	CHECK_EQ(cell_at(0, 1)->look, LOOK_PLAIN);
	CHECK_EQ(cell_at(0, 2)->look, LOOK_REVERSE | LOOK_FOREGROUND(14) | LOOK_BACKGROUND(13));
	CHECK_EQ(cell_at(0, 3)->look, LOOK_PLAIN);
	put("\033[38;5;196me\033[48;2;0;0;200;1mf\033[0;38;5;9;4mg\033[38m\033[38;5mh");
	CHECK_EQ(cell_at(0, 4)->look & 15, 9);
	CHECK_EQ(cell_at(0, 5)->look, LOOK_FOREGROUND(9) | LOOK_BACKGROUND(4) | LOOK_BOLD);
	CHECK_EQ(cell_at(0, 6)->look, LOOK_FOREGROUND(9) | LOOK_UNDERLINE);
	CHECK_EQ(cell_at(0, 7)->look, LOOK_FOREGROUND(9) | LOOK_UNDERLINE);
}

TEST(characters)
{
	setup();
	put("\303\244\342\202\254\342\224\200x"); /* ä € ─ */
	CHECK_EQ(cell_at(0, 0)->code, 0xe4);
	CHECK_EQ(cell_at(0, 1)->code, 0x20ac);
	CHECK_EQ(cell_at(0, 2)->code, 0x2500);
	CURSOR(0, 4);
	put("\r\377\300\200\342\202\303x\355\240\200");
	ROW(0, "?????x?"); /* ff, c0, 80, cut, cut; a surrogate */
	setup();
	put("\360\237\230\200e\314\201\345\255\227|"); /* wide, combining, wide */
	CHECK_EQ(cell_at(0, 0)->code, 0xfffd);
	CHECK_EQ(cell_at(0, 2)->code, 'e');
	CHECK_EQ(cell_at(0, 3)->code, 0x5b57);
	CHECK_EQ(cell_at(0, 5)->code, '|');
	put("\r\033(0lqk\033(B\016q\033)0q\017q");
	CHECK_EQ(cell_at(0, 0)->code, 0x250c);
	CHECK_EQ(cell_at(0, 1)->code, 0x2500);
	CHECK_EQ(cell_at(0, 3)->code, 'q');
	CHECK_EQ(cell_at(0, 4)->code, 0x2500);
	CHECK_EQ(cell_at(0, 5)->code, 'q');
}

TEST(second_screen)
{
	setup();
	fill();
	put("\033[3;3H\033[?1049h");
	ROW(0, "");
	put("\033[Hfull\r\n\n\n\n\n\n\n");
	CHECK_EQ(t->grid.history, 0);
	put("\033[?1049l");
	ROW(0, "aaa");
	CURSOR(2, 2);
	put("\033[?47hx\033[?47l");
	ROW(2, "ccc");
}

TEST(answers)
{
	char bytes[64] = {0};

	setup();
	put("\033[2;3H\033[6n\033[5n\033[c");
	CHECK_EQ(terminal_answer(t, bytes, 4), 4);
	CHECK_EQ(terminal_answer(t, bytes + 4, 60), strlen("\033[2;3R\033[0n\033[?6c") - 4);
	CHECK(strcmp(bytes, "\033[2;3R\033[0n\033[?6c") == 0);
	for (int i = 0; i < 100; i++)
		put("\033[6n");
	CHECK(terminal_answer(t, bytes, 64) <= TERMINAL_ANSWERS);
	CHECK_EQ(terminal_answer(t, bytes, 64), 0);
}

TEST(strings_and_wrong_sequences)
{
	setup();
	put("a\033]0;title\007b\033Pq#1\033\\c\033_x\033[Hd");
	ROW(0, "dbc");
	setup();
	put("a\033[1;2;3;4;5;6;7;8;9;10;11;12;13;14;15;16;17;18;19Hb\033[?25;1$pc\033[3\030d\033["
	    "9999999"
	    "999Ce");
	ROW(0, "abcd               e");
	put("\033[?25lx\033[?25h\033[=3hy");
	CHECK(t->cursor_shown);
}

TEST(repeated_within_bounds)
{
	setup();
	put("ab\033[3b");
	ROW(0, "abbbb");
	put("\033[9999bc"); /* a row of it at most */
	ROW(0, "abbbbbbbbbbbbbbbbbbb");
	ROW(1, "bbbbbc");
	ROW(2, "");
}

TEST(history)
{
	setup();
	for (int i = 0; i < 50; i++) {
		char line[16];

		snprintf(line, sizeof(line), "%d\r\n", i);
		put(line);
	}
	CHECK_EQ(t->grid.history, LINES - ROWS);
	grid_look(&t->grid, 3);
	CHECK(strcmp(row_text(grid_view(&t->grid, 0)), "42") == 0);
	put("more\r\n"); /* the view stays */
	CHECK(strcmp(row_text(grid_view(&t->grid, 0)), "42") == 0);
	grid_look(&t->grid, 1000);
	CHECK(strcmp(row_text(grid_view(&t->grid, 0)), "22") == 0);
	grid_look(&t->grid, -1000);
	CHECK_EQ(t->grid.view, 0);
	CHECK(strcmp(row_text(grid_view(&t->grid, 0)), "46") == 0);
	put("\033[3J");
	CHECK_EQ(t->grid.history, 0);
}

TEST(taken_up_after_a_restart)
{
	bool ok;

	setup();
	put("kept");
	CHECK(terminal_open(t, sizeof(space), COLUMNS, ROWS, &ok));
	ROW(0, "kept");
	CHECK(!terminal_open(t, sizeof(space), COLUMNS - 1, ROWS, &ok));
	CHECK(ok);
	setup();
	t->pen.row = ROWS; /* what a wild write may leave */
	CHECK(!terminal_open(t, sizeof(space), COLUMNS, ROWS, &ok));
	t->grid.first = LINES + 1;
	CHECK(!terminal_open(t, sizeof(space), COLUMNS, ROWS, &ok));
	t->bottom = ROWS;
	CHECK(!terminal_open(t, sizeof(space), COLUMNS, ROWS, &ok));
	CHECK(!terminal_open(t, sizeof(*t) + 8, COLUMNS, ROWS, &ok));
	CHECK(!ok);
}
