/* Fuzzes the screen: any bytes to the terminal, any keys, any view; what is shown and kept stays
 * sound, and a fresh program can take it up at any time. */
#include <string.h>

#include "drivers/display/keys.h"
#include "drivers/display/paint.h"
#include "drivers/lib/lib.h"
#include "kernel/abi/boot.h"
#include "tests/fuzz/fuzz.h"

#define WIDTH  200u
#define HEIGHT 128u
#define LINES  20u

#define RGBX BOOT_PIXEL(BOOT_PIXEL_FIELD(0, 8), BOOT_PIXEL_FIELD(8, 8), BOOT_PIXEL_FIELD(16, 8))

static struct paint paint;
static u8 pixels[WIDTH * HEIGHT * 4];

/* The first byte chooses how often the screen is painted; the others are written. 0xff and a byte:
 * the view moves, or the program begins anew. */
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	u64 bytes = offsetof(struct terminal, grid) + grid_size(WIDTH / 8, HEIGHT / 16 - 1, LINES);
	struct terminal *t;
	u8 *keys;
	struct keys k = {.cursor_keys = size & 1};
	char answer[8];
	bool ok;

	if (size < 1)
		return 0;
	t = calloc(1, bytes);
	keys = malloc(size);
	require(paint_open(&paint, pixels, sizeof(pixels), WIDTH, HEIGHT, WIDTH * 4, RGBX, 0));
	require(!terminal_open(t, bytes, paint.columns, paint_text_rows(&paint), &ok) && ok);
	for (size_t i = 1; i < size; i++) {
		fuzz_operations++;
		if (data[i] == 0xff && i + 1 < size) {
			i++;
			if (data[i] == 0)
				require(terminal_open(t, bytes, paint.columns,
						paint_text_rows(&paint), &ok) &&
					ok);
			else
				grid_look(&t->grid, (s8)data[i]);
		} else {
			terminal_write(t, (const char *)&data[i], 1);
		}
		if (i % ((data[0] | 15u) + 1) == 0)
			paint_show(&paint, t, "status");
		require(terminal_answer(t, answer, sizeof(answer)) <= sizeof(answer));
		require(t->pen.row < t->grid.rows && t->pen.column < t->grid.columns);
	}
	paint_show(&paint, t, "");
	memcpy(keys, data, size);
	require(keys_translate(&k, keys, (u32)size) <= size);
	free(keys);
	free(t);
	return 0;
}
