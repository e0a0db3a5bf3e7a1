/* The cells of a terminal: see grid.h. */
#include "drivers/display/grid.h"
#include "drivers/lib/lib.h"

/* The screen's rows are the ring's lines from `first` on, so a whole screen scrolls without a copy.
 */
static u64 line_at(const struct grid *g, u32 line)
{
	return (u64)(line % g->lines) * g->columns;
}

static u64 row_at(const struct grid *g, u32 row)
{
	return g->alternate ? (u64)(g->lines + row) * g->columns : line_at(g, g->first + row);
}

struct cell *grid_row(struct grid *g, u32 row)
{
	return &g->cell[row_at(g, row)];
}

const struct cell *grid_view(const struct grid *g, u32 row)
{
	return &g->cell[g->alternate ? row_at(g, row)
				     : line_at(g, g->first + g->lines - g->view + row)];
}

bool grid_init(struct grid *g, u64 size, u32 columns, u32 rows)
{
	u64 fit;

	if (size < grid_size(columns, rows, rows))
		return false;
	fit = (size - sizeof(*g)) / ((u64)columns * sizeof(struct cell)) - rows;
	*g = (struct grid){.columns = columns, .rows = rows, .lines = (u32)fit};
	for (u64 i = 0; i < (fit + rows) * columns; i++)
		g->cell[i] = (struct cell){0, LOOK_PLAIN};
	return true;
}

bool grid_valid(const struct grid *g, u64 size, u32 columns, u32 rows)
{
	return size >= sizeof(*g) && g->columns == columns && g->rows == rows && g->lines >= rows &&
	       g->lines <= size / ((u64)columns * sizeof(struct cell)) &&
	       grid_size(columns, rows, g->lines) <= size && g->first < g->lines &&
	       g->history <= g->lines - rows && g->view <= g->history && g->alternate <= 1;
}

void grid_look(struct grid *g, s32 by)
{
	s64 view = (s64)g->view + by;

	if (view > g->history)
		view = g->history;
	g->view = view < 0 || g->alternate ? 0 : (u32)view;
}

void grid_erase(struct grid *g, u32 row, u32 column, u32 count, u16 look)
{
	struct cell *cell = grid_row(g, row);

	for (u32 i = column; i < g->columns && i - column < count; i++)
		cell[i] = (struct cell){0, look};
}

void grid_insert(struct grid *g, u32 row, u32 column, u32 count, u16 look)
{
	struct cell *cell = grid_row(g, row) + column;
	u32 room = g->columns - column;

	if (count < room)
		memmove(cell + count, cell, (room - count) * sizeof(*cell));
	grid_erase(g, row, column, count, look);
}

void grid_delete(struct grid *g, u32 row, u32 column, u32 count, u16 look)
{
	struct cell *cell = grid_row(g, row) + column;
	u32 room = g->columns - column;

	if (count > room)
		count = room;
	memmove(cell, cell + count, (room - count) * sizeof(*cell));
	grid_erase(g, row, g->columns - count, count, look);
}

static void copy_row(struct grid *g, u32 to, u32 from)
{
	memcpy(grid_row(g, to), grid_row(g, from), g->columns * sizeof(struct cell));
}

/* The top line becomes history. A view that is scrolled back stays where it is, as long as that is
 * known. */
static void advance(struct grid *g)
{
	g->first = (g->first + 1) % g->lines;
	if (g->history < g->lines - g->rows)
		g->history++;
	if (g->view > 0 && g->view < g->history)
		g->view++;
}

void grid_up(struct grid *g, u32 top, u32 bottom, u32 count, u16 look)
{
	u32 height = bottom - top + 1;
	bool whole = top == 0 && bottom == g->rows - 1 && !g->alternate;

	if (count > height)
		count = height;
	for (u32 i = 0; i < count && whole; i++)
		advance(g);
	for (u32 row = top; row + count <= bottom && !whole; row++)
		copy_row(g, row, row + count);
	for (u32 i = 0; i < count; i++)
		grid_erase(g, bottom - i, 0, g->columns, look);
}

void grid_down(struct grid *g, u32 top, u32 bottom, u32 count, u16 look)
{
	u32 height = bottom - top + 1;

	if (count > height)
		count = height;
	for (u32 row = bottom; row >= top + count; row--)
		copy_row(g, row, row - count);
	for (u32 i = 0; i < count; i++)
		grid_erase(g, top + i, 0, g->columns, look);
}

void grid_alternate(struct grid *g, bool alternate)
{
	if (alternate == (g->alternate != 0))
		return;
	g->alternate = alternate;
	g->view = 0;
	for (u32 row = 0; row < g->rows && alternate; row++)
		grid_erase(g, row, 0, g->columns, LOOK_PLAIN);
}
