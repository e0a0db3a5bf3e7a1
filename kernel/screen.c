/* Text on the framebuffer that UEFI left: boot messages and panics. Glyphs: font.c. */
#include "kernel/font.h"
#include "kernel/kernel.h"

#define GLYPH_WIDTH  8
#define GLYPH_HEIGHT 16
#define FOREGROUND   0xd0d0d0u
#define BACKGROUND   0x101018u

static volatile u32 *pixels;
static u32 columns, rows, column, row, stride;

void screen_init(void)
{
	const struct boot_framebuffer *f = &boot->framebuffer;

	if (f->format == BOOT_PIXEL_NONE || !f->base || f->pitch % 4 || f->pitch / 4 < f->width ||
		(u64)f->pitch * f->height > f->size)
		return;
	pixels = device_map(f->base, f->size, MEM_CACHE_WC);
	columns = f->width / GLYPH_WIDTH;
	rows = f->height / GLYPH_HEIGHT;
	stride = f->pitch / 4;
}

static void clear_row(u32 r)
{
	for (u32 y = 0; y < GLYPH_HEIGHT; y++)
		for (u32 x = 0; x < columns * GLYPH_WIDTH; x++)
			pixels[(r * GLYPH_HEIGHT + y) * stride + x] = BACKGROUND;
}

/* The screen is filled again from the top instead of scrolled: reading a framebuffer back is slow. */
static void next_line(void)
{
	column = 0;
	row = (row + 1) % rows;
	clear_row(row);
	if (rows > 1)
		clear_row((row + 1) % rows);
}

void screen_put(char c)
{
	const u8 *glyph;

	if (!pixels || !columns || !rows)
		return;
	if (c == '\n' || column == columns) {
		next_line();
		if (c == '\n')
			return;
	}
	glyph = font[(u8)c >= ' ' && (u8)c < 127 ? c - ' ' : 0];
	for (u32 y = 0; y < GLYPH_HEIGHT; y++)
		for (u32 x = 0; x < GLYPH_WIDTH; x++)
			pixels[(row * GLYPH_HEIGHT + y) * stride + column * GLYPH_WIDTH + x] =
				glyph[y / 2] & (0x80 >> x) ? FOREGROUND : BACKGROUND;
	column++;
}
