/*
 * The cells of a terminal: a screen of rows and columns, the lines that were scrolled off it, and a
 * second screen without such lines, for full-screen programs. All of it lies in memory that
 * outlives the program, without pointers. Pure.
 */
#pragma once

#include "kernel/abi/types.h"

#define GRID_COLUMNS_MAX 512u
#define GRID_ROWS_MAX    160u

/* Looks: colours of the foreground and background (ISO 8613-6's 8, and 8 bright ones), and more. */
#define LOOK_FOREGROUND(c) ((u16)((c)&15u))
#define LOOK_BACKGROUND(c) ((u16)(((c)&15u) << 4))
#define LOOK_BOLD          0x0100u
#define LOOK_UNDERLINE     0x0200u
#define LOOK_REVERSE       0x0400u
#define LOOK_HIDDEN        0x0800u
#define LOOK_PLAIN         (LOOK_FOREGROUND(7) | LOOK_BACKGROUND(0))

struct cell {
	u16 code; /* Unicode, basic plane; 0: the right half of a wide one, or nothing was written
		   */
	u16 look;
};

struct grid {
	u32 columns, rows;
	u32 lines;          /* that the ring has, at least `rows` */
	u32 first;          /* of the ring: the screen's top line */
	u32 history;        /* lines above it that are known, at most `lines` - `rows` */
	u32 view;           /* lines that the view is scrolled back, at most `history` */
	u32 alternate;      /* 1: the second screen is used */
	struct cell cell[]; /* the ring, and behind it the second screen */
};

/* Bytes of a grid whose ring has `lines` lines. */
static inline u64 grid_size(u32 columns, u32 rows, u32 lines)
{
	return sizeof(struct grid) + (u64)(lines + rows) * columns * sizeof(struct cell);
}

/*
 * Makes an empty grid in `size` bytes; columns and rows are at least 1 and at most the limits
 * above. False: not even the two screens fit.
 */
bool grid_init(struct grid *g, u64 size, u32 columns, u32 rows);

/* True if what lies there is a grid of that size and shape whose numbers can be. */
bool grid_valid(const struct grid *g, u64 size, u32 columns, u32 rows);

/* The cells of a row of the screen in use. `row` is below `rows`. */
struct cell *grid_row(struct grid *g, u32 row);

/* The cells of a row as it is to be seen, with the view scrolled back. */
const struct cell *grid_view(const struct grid *g, u32 row);

/* Scrolls the view back (by > 0) or forth, as far as there are lines. The second screen has none.
 */
void grid_look(struct grid *g, s32 by);

/* Makes `count` cells from `column` on empty, in the background of `look`; what is beyond the row's
 * end is left out. */
void grid_erase(struct grid *g, u32 row, u32 column, u32 count, u16 look);

/* Moves the cells from `column` on by `count` to the right (the last ones go) or to the left. */
void grid_insert(struct grid *g, u32 row, u32 column, u32 count, u16 look);
void grid_delete(struct grid *g, u32 row, u32 column, u32 count, u16 look);

/*
 * Moves rows top to bottom (inclusive) up or down by `count`; rows that come in are empty. What
 * leaves a whole first screen at its top becomes history.
 */
void grid_up(struct grid *g, u32 top, u32 bottom, u32 count, u16 look);
void grid_down(struct grid *g, u32 top, u32 bottom, u32 count, u16 look);

/* Changes to the second screen, emptied, or back. */
void grid_alternate(struct grid *g, bool alternate);
