/* Fuzzes the keyboard: any scan codes of both sets, in any layout, and a controller that answers
 * anything. */
#include <string.h>

#include "drivers/i8042/i8042.h"
#include "drivers/i8042/scan.h"
#include "drivers/keyboard/keyboard.h"
#include "drivers/lib/lib.h"
#include "drivers/lib/port.h"
#include "tests/fuzz/fuzz.h"

static const u8 *input;
static size_t left;

u32 port_read(u16 port, u32 size)
{
	require((port == 0x60 || port == 0x64) && size == 1);
	fuzz_operations++;
	if (left == 0)
		return 0;
	left--;
	return *input++;
}

void port_write(u16 port, u32 size, u32 value)
{
	require((port == 0x60 || port == 0x64) && size == 1);
	require(port == 0x60 || value != 0xfe);
}

static void wait(u32 us)
{
	require(us > 0 && us < 1000);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static const char *const layouts[] = {"us", "de", "uk", "none"};
	struct i8042 c = {.data = 0x60, .command = 0x64, .wait = wait};
	u8 bytes[KEYBOARD_BYTES];
	struct keyboard k;
	struct scan s = {0};
	struct scan_key key;
	u8 byte;

	if (size < 1)
		return 0;
	s.set2 = data[0] & 4;
	keyboard_init(&k, layouts[data[0] & 3]);
	for (size_t i = 1; i < size; i++) {
		fuzz_operations++;
		if (scan_byte(&s, data[i], &key))
			require(keyboard_key(&k, key.usage, key.pressed, bytes) <= KEYBOARD_BYTES);
	}
	input = data;
	left = size;
	if (!i8042_start(&c))
		return 0;
	while (i8042_read(&c, &byte) && left > 0)
		require(c.kept_count <= I8042_KEPT);
	i8042_leds(&c, data[0]);
	return 0;
}
