/* Text on the framebuffer that UEFI left: boot messages and panics. Glyphs: the loader's. */
#include "kernel/kernel.h"

#define GLYPH_WIDTH  8
#define GLYPH_HEIGHT 16
#define FOREGROUND   0xd0d0d0u
#define BACKGROUND   0x101018u

static volatile u32 *pixels;
static u32 columns, rows, column, row, stride; /* stride in pixels */

static void clear(u32 first, u32 lines)
{
	for (u64 at = (u64)first * stride; at < (u64)(first + lines) * stride; at++)
		pixels[at] = BACKGROUND;
}

void screen_init(void)
{
	const struct boot_framebuffer *f = &boot->framebuffer;

	if (f->format == BOOT_PIXEL_NONE)
		return;
	columns = f->width / GLYPH_WIDTH;
	rows = f->height / GLYPH_HEIGHT;
	stride = f->pitch / sizeof(*pixels);
	pixels = device_map(f->base, f->size, MEM_CACHE_WC);
	clear(0, f->height);
}

/*
 * The screen is filled again from the top instead of scrolled: reading a framebuffer back is slow.
 * The row after the current one is empty: it shows where the text ends.
 */
static void next_line(void)
{
	column = 0;
	row = (row + 1) % rows;
	clear((row + 1) % rows * GLYPH_HEIGHT, GLYPH_HEIGHT);
	/* Writes wait in the write-combining buffers, the last ones before a halt for ever. */
	__asm__ volatile("sfence" ::: "memory");
}

void screen_put(char c)
{
	volatile u32 *to;
	const u8 *glyph;

	if (!pixels)
		return;
	if (c == '\n' || column >= columns) /* a panic may write in the middle of a line */
		next_line();
	if (c == '\n')
		return;
	glyph = boot->font[c >= ' ' && c < 127 ? c - ' ' : 0];
	to = pixels + (u64)row * GLYPH_HEIGHT * stride + column++ * GLYPH_WIDTH;
	for (u32 y = 0; y < GLYPH_HEIGHT; y++, to += stride)
		for (u32 x = 0; x < GLYPH_WIDTH; x++)
			to[x] = glyph[y / 2] & (0x80 >> x) ? FOREGROUND : BACKGROUND;
}
