/* Tests of keys as bytes: layouts, modifiers, keypad; and of scan codes of both sets. */
#include <stdlib.h>

#include "drivers/i8042/scan.h"
#include "drivers/keyboard/keyboard.h"
#include "drivers/lib/lib.h"
#include "tests/unit/test.h"

#define CTRL  0xe0
#define SHIFT 0xe1
#define ALT   0xe2
#define ALTGR 0xe6

static struct keyboard k;

/* What a key gives while another one is held (0: none). */
static bool with(u8 held, u8 usage, const char *want)
{
	u8 bytes[KEYBOARD_BYTES];
	u32 n;

	if (held)
		CHECK_EQ(keyboard_key(&k, held, true, bytes), 0);
	n = keyboard_key(&k, usage, true, bytes);
	CHECK_EQ(n <= KEYBOARD_BYTES, 1);
	if (n != strlen(want) || memcmp(bytes, want, n) != 0) {
		test_fail(__FILE__, __LINE__, "usage %#x with %#x: %u bytes, \"%.*s\"", usage, held,
			n, (int)n, (const char *)bytes);
		n = ~0u;
	}
	CHECK_EQ(keyboard_key(&k, usage, false, bytes), 0);
	if (held)
		keyboard_key(&k, held, false, bytes);
	return n != ~0u;
}

TEST(us)
{
	CHECK(keyboard_init(&k, "us"));
	with(0, 0x04, "a");
	with(SHIFT, 0x04, "A");
	with(0, 0x1f, "2");
	with(SHIFT, 0x1f, "@");
	with(0, 0x2d, "-");
	with(0, 0x31, "\\");
	with(SHIFT, 0x38, "?");
	with(0, 0x28, "\r");
	with(0, 0x2a, "\177");
	with(SHIFT, 0x2b, "\033[Z");
	with(0, 0x2c, " ");
	with(ALT, 0x04, "\033a");
	with(ALTGR, 0x04, "\033a");
	with(0, 0x64, "\\");
	with(0, 0x00, "");
	with(0, 0xff, "");
}

/* A lock's key that is held, and so repeats, changes it once. */
TEST(lock_repeats)
{
	u8 bytes[KEYBOARD_BYTES];

	CHECK(keyboard_init(&k, "us"));
	for (u32 i = 0; i < 4; i++)
		CHECK_EQ(keyboard_key(&k, 0x39, true, bytes), 0);
	CHECK_EQ(k.locks, KEYBOARD_NUM_LOCK | KEYBOARD_CAPS_LOCK);
	with(0, 0x04, "A");
	CHECK_EQ(keyboard_key(&k, 0x39, false, bytes), 0);
	with(0, 0x39, "");
	with(0, 0x04, "a");
	with(0, 0x53, "");
	with(0, 0x47, "");
	CHECK_EQ(k.locks, KEYBOARD_SCROLL_LOCK);
}

TEST(control)
{
	u8 bytes[KEYBOARD_BYTES];

	keyboard_init(&k, "us");
	with(CTRL, 0x06, "\003");
	with(CTRL, 0x30, "\035");
	with(CTRL, 0x22, "\035"); /* 5, for layouts that have ] with AltGr only */
	with(CTRL, 0x38, "\037");
	with(CTRL, 0x2a, "\b");
	with(CTRL, 0x24, "\037");
	keyboard_key(&k, CTRL, true, bytes);
	CHECK_EQ(keyboard_key(&k, 0x2c, true, bytes), 1);
	CHECK_EQ(bytes[0], 0);
}

TEST(functions)
{
	keyboard_init(&k, "us");
	with(0, 0x3a, "\033OP");
	with(ALT, 0x3a, "\033[1;3P");
	with(0, 0x3e, "\033[15~");
	with(ALT, 0x45, "\033[24;3~");
	with(0, 0x52, "\033[A");
	with(CTRL, 0x4f, "\033[1;5C");
	with(0, 0x4a, "\033[H");
	with(0, 0x4d, "\033[F");
	with(0, 0x4c, "\033[3~");
	with(SHIFT, 0x4b, "\033[5;2~");
}

TEST(locks)
{
	keyboard_init(&k, "us");
	CHECK_EQ(k.locks, KEYBOARD_NUM_LOCK);
	with(0, 0x59, "1");
	with(0, 0x39, "");
	CHECK_EQ(k.locks, KEYBOARD_NUM_LOCK | KEYBOARD_CAPS_LOCK);
	with(0, 0x04, "A");
	with(SHIFT, 0x04, "a");
	with(0, 0x1e, "1");
	with(0, 0x53, "");
	with(0, 0x59, "\033[F");
	with(0, 0x5d, "");
	with(0, 0x62, "\033[2~");
	with(0, 0x63, "\033[3~");
	with(0, 0x60, "\033[A");
	with(0, 0x57, "+");
}

TEST(de)
{
	CHECK(keyboard_init(&k, "de"));
	with(0, 0x1c, "z");
	with(0, 0x33, "\303\266");
	with(SHIFT, 0x33, "\303\226");
	with(ALTGR, 0x14, "@");
	with(ALTGR, 0x08, "\342\202\254");
	with(ALTGR, 0x24, "{");
	with(ALTGR, 0x04, "");
	with(SHIFT, 0x24, "/");
	with(0, 0x64, "<");
	with(0, 0x39, "");
	with(0, 0x34, "\303\204"); /* Caps Lock */
	CHECK(keyboard_init(&k, "uk"));
	with(SHIFT, 0x20, "\302\243");
	CHECK(!keyboard_init(&k, "xx"));
	with(0, 0x1c, "y");
}

static u32 scan_all(struct scan *s, const u8 *bytes, u32 count, struct scan_key *keys)
{
	u32 n = 0;

	for (u32 i = 0; i < count; i++)
		n += scan_byte(s, bytes[i], &keys[n]) ? 1 : 0;
	return n;
}

TEST(set_1)
{
	static const u8 bytes[] = {0x1e, 0x9e, 0xe0, 0x48, 0xe0, 0xc8, 0xe0, 0x2a, 0xe0, 0x37, 0xe1,
		0x1d, 0x45, 0xe1, 0x9d, 0xc5, 0x3b, 0x7f, 0x00, 0xff, 0x38};
	struct scan s = {0};
	struct scan_key keys[32];

	CHECK_EQ(scan_all(&s, bytes, sizeof(bytes), keys), 7);
	CHECK(keys[0].usage == 0x04 && keys[0].pressed);
	CHECK(keys[1].usage == 0x04 && !keys[1].pressed);
	CHECK(keys[2].usage == 0x52 && keys[2].pressed);
	CHECK(keys[3].usage == 0x52 && !keys[3].pressed);
	CHECK_EQ(keys[4].usage, 0x46);
	CHECK_EQ(keys[5].usage, 0x3a);
	CHECK_EQ(keys[6].usage, 0xe2);
}

TEST(set_2)
{
	static const u8 bytes[] = {0x1c, 0xf0, 0x1c, 0xe0, 0x75, 0xe0, 0xf0, 0x75, 0xe1, 0x14, 0x77,
		0xe1, 0xf0, 0x14, 0xf0, 0x77, 0x83, 0x90, 0x02, 0x11};
	struct scan s = {.set2 = true};
	struct scan_key keys[32];

	CHECK_EQ(scan_all(&s, bytes, sizeof(bytes), keys), 6);
	CHECK(keys[0].usage == 0x04 && keys[0].pressed);
	CHECK(keys[1].usage == 0x04 && !keys[1].pressed);
	CHECK(keys[2].usage == 0x52 && keys[2].pressed);
	CHECK(keys[3].usage == 0x52 && !keys[3].pressed);
	CHECK_EQ(keys[4].usage, 0x40); /* F7 */
	CHECK_EQ(keys[5].usage, 0xe2);
}
