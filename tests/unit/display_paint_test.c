/* Tests of painting: that what is seen is what the cells say, on every shape of framebuffer, and
 * that only what changed is painted. */
#include <stdlib.h>

#include "drivers/display/glyph.h"
#include "drivers/display/paint.h"
#include "drivers/lib/lib.h"
#include "drivers/protocols/console.h"
#include "kernel/abi/boot.h"
#include "tests/unit/test.h"

#define MARK 0xabababab
#define BGRX BOOT_PIXEL(BOOT_PIXEL_FIELD(16, 8), BOOT_PIXEL_FIELD(8, 8), BOOT_PIXEL_FIELD(0, 8))

static struct paint p;
static struct terminal *t;
static u8 *pixels;

static void open_screen(u32 width, u32 height, u32 pitch, u32 scale)
{
	u64 size = (u64)pitch * height;
	bool ok;

	free(pixels);
	free(t);
	pixels = malloc(size);
	memset(pixels, 0xab, size);
	CHECK(paint_open(&p, pixels, size, width, height, pitch, BGRX, scale));
	size = offsetof(struct terminal, grid) + grid_size(p.columns, p.rows - 1, 2 * p.rows);
	t = calloc(1, size);
	terminal_open(t, size, p.columns, p.rows - 1, &ok);
	CHECK(ok);
}

static void put(const char *text)
{
	terminal_write(t, text, (u32)strlen(text));
}

static u32 pixel(u32 x, u32 y)
{
	u32 value;

	memcpy(&value, pixels + (u64)y * p.pitch + 4ull * x, 4);
	return value;
}

/* A cell's glyph as it is seen: a bit for each pixel that is not of the background. */
static bool shows(u32 row, u32 column, u32 code, u32 back)
{
	u8 glyph[GLYPH_HEIGHT];

	glyph_draw(code, glyph);
	for (u32 y = 0; y < GLYPH_HEIGHT * p.scale; y++) {
		for (u32 x = 0; x < GLYPH_WIDTH * p.scale; x++) {
			u32 is = pixel(column * GLYPH_WIDTH * p.scale + x,
				row * GLYPH_HEIGHT * p.scale + y);
			bool set = glyph[y / p.scale] & 0x80 >> x / p.scale;

			if ((is != back) != set)
				return false;
		}
	}
	return true;
}

TEST(scales)
{
	static const struct {
		u32 width, height, scale, columns, rows;
	} want[] = {{640, 480, 1, 80, 30}, {800, 600, 1, 100, 37}, {1280, 800, 1, 160, 50},
		{1920, 1080, 2, 120, 33}, {3840, 2160, 4, 120, 33}, {7680, 4320, 8, 120, 33},
		{64, 64, 1, 8, 4}};

	for (u32 i = 0; i < ARRAY_SIZE(want); i++) {
		static u8 none[1];

		CHECK(paint_open(&p, none, ~0ull, want[i].width, want[i].height, 4 * want[i].width,
			BGRX, 0));
		CHECK_EQ(p.scale, want[i].scale);
		CHECK_EQ(p.columns, want[i].columns);
		CHECK_EQ(p.rows, want[i].rows);
	}
}

TEST(refuses_what_is_no_framebuffer)
{
	static u8 none[1];

	CHECK(!paint_open(&p, none, 640 * 480 * 4, 640, 480, 640 * 4, BOOT_PIXEL_NONE, 0));
	CHECK(!paint_open(&p, none, 640 * 480 * 4 - 1, 640, 480, 640 * 4, BGRX, 0));
	CHECK(!paint_open(&p, none, 640 * 480 * 4, 641, 480, 640 * 4, BGRX, 0));
	CHECK(!paint_open(&p, none, 640 * 480 * 4, 40, 480, 640 * 4, BGRX, 0));
}

/* What colours are in pixels of each kind: red, and the background 0x101018. */
TEST(formats)
{
	static const struct {
		u32 format, red, back;
	} want[] = {
		{BGRX, 0xc84b4b, 0x101018},
		{BOOT_PIXEL(
			 BOOT_PIXEL_FIELD(0, 8), BOOT_PIXEL_FIELD(8, 8), BOOT_PIXEL_FIELD(16, 8)),
			0x4b4bc8, 0x181010},
		{BOOT_PIXEL(BOOT_PIXEL_FIELD(20, 10), BOOT_PIXEL_FIELD(10, 10),
			 BOOT_PIXEL_FIELD(0, 10)),
			802u << 20 | 301 << 10 | 301, 64u << 20 | 64 << 10 | 96},
		{BOOT_PIXEL(
			 BOOT_PIXEL_FIELD(31, 1), BOOT_PIXEL_FIELD(26, 5), BOOT_PIXEL_FIELD(0, 16)),
			0x80000000 | 9u << 26 | 0x4b4b, 2u << 26 | 0x1818},
	};
	static u8 none[1];

	for (u32 i = 0; i < ARRAY_SIZE(want); i++) {
		CHECK(paint_open(&p, none, ~0ull, 640, 480, 4 * 640, want[i].format, 0));
		CHECK_EQ(p.colour[1], want[i].red);
		CHECK_EQ(p.colour[0], want[i].back);
	}
	CHECK(!paint_open(&p, none, ~0ull, 640, 480, 4 * 640,
		BOOT_PIXEL(BOOT_PIXEL_FIELD(30, 3), BOOT_PIXEL_FIELD(8, 8), BOOT_PIXEL_FIELD(0, 8)),
		0));
	CHECK(!paint_open(&p, none, ~0ull, 640, 480, 4 * 640,
		BOOT_PIXEL(BOOT_PIXEL_FIELD(8, 0), BOOT_PIXEL_FIELD(8, 8), BOOT_PIXEL_FIELD(0, 8)),
		0));
}

TEST(paints_cells)
{
	for (u32 scale = 1; scale <= 3; scale++) {
		open_screen(403, 301, 410 * 4, scale);
		put("A\033[41mB\033[m\033[7mC");
		paint_show(&p, t, "");
		CHECK(shows(0, 0, 'A', p.colour[0]));
		CHECK(shows(0, 1, 'B', p.colour[1]));
		CHECK(shows(0, 2, 'C', p.colour[7]));
		CHECK_EQ(pixel(402, 300), p.colour[0]);
		CHECK_EQ(pixel(404, 0), MARK); /* between the lines */
	}
}

TEST(cursor_and_view)
{
	open_screen(400, 200, 1600, 1);
	put("A");
	paint_show(&p, t, "");
	CHECK_EQ(pixel(8, 0), p.colour[7]);
	put("\033[?25l");
	paint_show(&p, t, "");
	CHECK_EQ(pixel(8, 0), p.colour[0]);
	for (int i = 0; i < 20; i++)
		put("\r\n");
	paint_show(&p, t, "");
	CHECK(shows(0, 0, ' ', p.colour[0]));
	grid_look(&t->grid, 1000);
	paint_show(&p, t, "");
	CHECK(shows(0, 0, 'A', p.colour[0]));
}

TEST(paints_only_what_changed)
{
	open_screen(400, 200, 1600, 1);
	paint_show(&p, t, "");
	memset(pixels, 0xab, 1600 * 200);
	paint_show(&p, t, "");
	for (u32 i = 0; i < 400 * 200; i++)
		CHECK_EQ(pixel(i % 400, i / 400), MARK);
	put("x");
	paint_show(&p, t, "");
	CHECK(pixel(0, 0) != MARK && pixel(8, 0) != MARK);
	CHECK_EQ(pixel(16, 0), MARK);
	CHECK_EQ(pixel(0, 16), MARK);
}

TEST(status_line)
{
	char text[CONSOLE_STATUS];
	struct console_status s = {0};
	u32 version = 0;

	open_screen(400, 200, 1600, 1);
	CHECK(!console_status_get(&s, &version, text));
	console_status_set(&s, "\001on\001 of\f\377f");
	CHECK(console_status_get(&s, &version, text));
	CHECK(!console_status_get(&s, &version, text));
	paint_show(&p, t, text);
	CHECK(shows(11, 0, 'o', p.colour[4]));
	CHECK(shows(11, 3, 'o', p.colour[16]));
	CHECK(shows(11, 5, 'f', p.colour[16])); /* what is no text is left out */
	memset(s.text, 'x', sizeof(s.text));    /* a client that writes no end */
	s.version = 8;
	CHECK(console_status_get(&s, &version, text));
	CHECK_EQ(strlen(text), CONSOLE_STATUS - 1);
	s.version = 9;
	CHECK(!console_status_get(&s, &version, text));
}

TEST(glyphs)
{
	u8 unknown[GLYPH_HEIGHT];
	u8 rows[GLYPH_HEIGHT];
	u32 drawn = 0;

	glyph_draw(0xfffd, unknown);
	for (u32 code = ' '; code < 0x2600; code++) {
		glyph_draw(code, rows);
		if (memcmp(rows, unknown, sizeof(rows)) != 0)
			drawn++;
		else if ((code < 0x7f) || (code >= 0xa0 && code < 0x100) ||
			 (code >= 0x2500 && code < 0x25a0))
			test_fail(__FILE__, __LINE__, "U+%04X has no shape", code);
	}
	CHECK(drawn > 95 + 96 + 160);
	glyph_draw(0x253c, rows); /* ┼ reaches all edges, and meets itself */
	CHECK(rows[0] == 0x18 && rows[15] == 0x18 && rows[7] == 0xff && rows[8] == 0xff);
	glyph_draw(0x2588, rows);
	CHECK(rows[0] == 0xff && rows[15] == 0xff);
	glyph_draw(0x2597, rows);
	CHECK(rows[0] == 0 && rows[15] == 0x0f);
	glyph_draw(0xe4, rows); /* ä is a with dots */
	CHECK(rows[1] == 0x66 && rows[3] == 0);
}
