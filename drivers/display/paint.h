/*
 * Cells to pixels. What was painted is remembered, so that only cells that changed are painted
 * again: the framebuffer is mapped write-combining and is never read. Pure, but for the pixels.
 */
#pragma once

#include "drivers/display/terminal.h"

#define PAINT_COLOURS 16u

struct paint {
	u8 *pixels; /* of 4 bytes each */
	u32 pitch;  /* bytes from line to line */
	u32 width, height;
	u32 scale;                     /* pixels of a pixel of the font, each way */
	u32 columns, rows;             /* of text; the last row is the status line */
	u32 colour[PAINT_COLOURS + 2]; /* as pixels; then the status line's two */
	bool cleared;                  /* what no cell covers is dark */
	bool known; /* `shown` is what stands there; false: all of it is painted */
	struct cell shown[GRID_COLUMNS_MAX * GRID_ROWS_MAX];
};

/*
 * Takes up a framebuffer of `size` bytes; `format` is a BOOT_PIXEL (kernel/abi/boot.h). `scale` 0:
 * one that is good to read, see paint.c. False: it is none that text can be shown on.
 */
bool paint_open(struct paint *p, void *pixels, u64 size, u32 width, u32 height, u32 pitch,
	u32 format, u32 scale);

/* Rows of text above the status line. */
static inline u32 paint_text_rows(const struct paint *p)
{
	return p->rows - 1;
}

/* Brings the screen up to date: the view of the terminal's cells, its cursor, and the status line
 * (struct console_status). The terminal is of that size. */
void paint_show(struct paint *p, const struct terminal *t, const char *status);
