/* Cells to pixels: see paint.h. */
#include "drivers/display/glyph.h"
#include "drivers/display/paint.h"
#include "drivers/lib/lib.h"
#include "drivers/protocols/console.h"
#include "kernel/abi/boot.h"

#define PIXEL            4u
#define SCALE_MAX        8u
#define LEAST_SIDE       64u
#define WANTED_COLS      100u /* the largest scale is taken that leaves as much as this: */
#define WANTED_ROWS      30u
#define STATUS_BACK      PAINT_COLOURS
#define STATUS_FORE      (PAINT_COLOURS + 1)
#define COLOURS_OF_PIXEL 3u
#define FIELD_LOW(f)     ((f)&31u)
#define FIELD_BITS(f)    ((f) >> 5)
#define FIELD_MOST       16u
#define STATUS           0x8000u /* in `look`: a cell of the status line */

/* 0xRRGGBB: dark and bright, and the status line's. */
static const u32 colours[PAINT_COLOURS + 2] = {0x101018, 0xc84b4b, 0x55b85a, 0xc8a03c, 0x5a82dc,
	0xb464c8, 0x46b4be, 0xd0d0d0, 0x6e6e7a, 0xff7878, 0x8ce68c, 0xffdc78, 0x96b4ff, 0xe696f0,
	0x8ce6f0, 0xffffff, 0x283c64, 0xc8d2e6};

static bool format_ok(u32 format)
{
	for (u32 i = 0; i < COLOURS_OF_PIXEL; i++) {
		u32 field = BOOT_PIXEL_OF(format, i);

		if (FIELD_BITS(field) == 0 || FIELD_BITS(field) > FIELD_MOST ||
			FIELD_LOW(field) + FIELD_BITS(field) > 32)
			return false;
	}
	return true;
}

static u32 pixel_of(u32 format, u32 rgb)
{
	u32 pixel = 0;

	for (u32 i = 0; i < COLOURS_OF_PIXEL; i++) {
		u32 field = BOOT_PIXEL_OF(format, i);
		u32 most = (1u << FIELD_BITS(field)) - 1;
		u32 value = rgb >> 8 * (2 - i) & 0xff;

		pixel |= (value * most + 127) / 255 << FIELD_LOW(field);
	}
	return pixel;
}

/* UEFI 2.10, 12.9: a line may have more pixels than are seen. */
bool paint_open(struct paint *p, void *pixels, u64 size, u32 width, u32 height, u32 pitch,
	u32 format, u32 scale)
{
	memset(p, 0, sizeof(*p));
	if (!format_ok(format) || width < LEAST_SIDE || height < LEAST_SIDE ||
		pitch / PIXEL < width || (u64)pitch * height > size)
		return false;
	p->pixels = pixels;
	p->pitch = pitch;
	p->width = width;
	p->height = height;
	p->scale = scale;
	if (scale == 0) {
		p->scale = 1;
		while (p->scale < SCALE_MAX &&
			width / (GLYPH_WIDTH * (p->scale + 1)) >= WANTED_COLS &&
			height / (GLYPH_HEIGHT * (p->scale + 1)) >= WANTED_ROWS)
			p->scale++;
	}
	while (p->scale > 1 &&
		(width / (GLYPH_WIDTH * p->scale) < 2 || height / (GLYPH_HEIGHT * p->scale) < 3))
		p->scale--;
	p->columns = width / (GLYPH_WIDTH * p->scale);
	p->rows = height / (GLYPH_HEIGHT * p->scale);
	if (p->columns > GRID_COLUMNS_MAX)
		p->columns = GRID_COLUMNS_MAX;
	if (p->rows > GRID_ROWS_MAX)
		p->rows = GRID_ROWS_MAX;
	for (u32 i = 0; i < ARRAY_SIZE(colours); i++)
		p->colour[i] = pixel_of(format, colours[i]);
	return true;
}

static void *line_at(const struct paint *p, u32 y)
{
	return p->pixels + (u64)y * p->pitch;
}

/* What no cell covers. Cells are painted over what stands there, so that a restart of the driver is
 * not seen. */
static void clear(struct paint *p)
{
	u32 right = p->columns * GLYPH_WIDTH * p->scale;
	u32 bottom = p->rows * GLYPH_HEIGHT * p->scale;

	for (u32 y = 0; y < p->height; y++) {
		u32 *to = line_at(p, y);

		for (u32 x = y < bottom ? right : 0; x < p->width; x++)
			to[x] = p->colour[0];
	}
}

/* Colours of a cell: bold is bright, too; reverse exchanges them. */
static void colours_of(const struct paint *p, u16 look, u32 *fore, u32 *back)
{
	u32 f = look & 15;
	u32 b = look >> 4 & 15;

	if (look & STATUS) {
		*fore = p->colour[look & LOOK_BOLD ? 15 : STATUS_FORE];
		*back = p->colour[look & LOOK_BOLD ? 4 : STATUS_BACK];
		return;
	}
	if (look & LOOK_BOLD && f < 8)
		f += 8;
	*fore = p->colour[look & LOOK_REVERSE ? b : f];
	*back = p->colour[look & LOOK_REVERSE ? f : b];
	if (look & LOOK_HIDDEN)
		*fore = *back;
}

static void draw(struct paint *p, u32 row, u32 column, struct cell c)
{
	u32 line[GLYPH_WIDTH * SCALE_MAX];
	u32 width = GLYPH_WIDTH * p->scale;
	u8 glyph[GLYPH_HEIGHT];
	u32 fore;
	u32 back;

	colours_of(p, c.look, &fore, &back);
	glyph_draw(c.code ? c.code : ' ', glyph);
	if (c.look & LOOK_UNDERLINE)
		glyph[GLYPH_HEIGHT - 1] = 0xff;
	for (u32 y = 0; y < GLYPH_HEIGHT; y++) {
		u32 *to = line;

		for (u32 bit = 0x80; bit > 0; bit >>= 1) {
			for (u32 i = 0; i < p->scale; i++)
				*to++ = glyph[y] & bit ? fore : back;
		}
		for (u32 i = 0; i < p->scale; i++)
			memcpy((u32 *)line_at(p, (row * GLYPH_HEIGHT + y) * p->scale + i) +
					column * width,
				line, width * PIXEL);
	}
}

static void put(struct paint *p, u32 row, u32 column, struct cell c)
{
	struct cell *shown = &p->shown[row * GRID_COLUMNS_MAX + column];

	if (p->known && shown->code == c.code && shown->look == c.look)
		return;
	*shown = c;
	draw(p, row, column, c);
}

static void show_status(struct paint *p, const char *status)
{
	bool emphasis = false;
	u32 column = 0;

	for (; *status && column < p->columns; status++) {
		if (*status == CONSOLE_EMPHASIS)
			emphasis = !emphasis;
		else if (*status >= ' ' && *status < 0x7f)
			put(p, p->rows - 1, column++,
				(struct cell){
					(u8)*status, (u16)(STATUS | (emphasis ? LOOK_BOLD : 0))});
	}
	while (column < p->columns)
		put(p, p->rows - 1, column++, (struct cell){' ', STATUS});
}

void paint_show(struct paint *p, const struct terminal *t, const char *status)
{
	const struct grid *g = &t->grid;

	if (!p->cleared)
		clear(p);
	p->cleared = true;
	for (u32 row = 0; row < g->rows; row++) {
		const struct cell *cell = grid_view(g, row);

		for (u32 column = 0; column < g->columns; column++) {
			struct cell c = cell[column];

			c.look &= (u16)~STATUS;
			if (t->cursor_shown && g->view == 0 && row == t->pen.row &&
				column == t->pen.column)
				c.look ^= LOOK_REVERSE;
			put(p, row, column, c);
		}
	}
	show_status(p, status);
	p->known = true;
#ifndef HOST_TEST
	asm volatile("sfence" ::: "memory"); /* the last writes would wait in the buffers */
#endif
}
