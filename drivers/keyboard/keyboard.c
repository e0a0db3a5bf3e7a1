/* Keys to the bytes of a terminal: see keyboard.h. */
#include "drivers/keyboard/keyboard.h"
#include "drivers/keyboard/layout.h"
#include "drivers/lib/lib.h"

#define USAGE_ENTER       0x28
#define USAGE_ESCAPE      0x29
#define USAGE_BACKSPACE   0x2a
#define USAGE_TAB         0x2b
#define USAGE_CAPS_LOCK   0x39
#define USAGE_F1          0x3a
#define USAGE_F12         0x45
#define USAGE_SCROLL_LOCK 0x47
#define USAGE_INSERT      0x49
#define USAGE_UP          0x52
#define USAGE_NUM_LOCK    0x53
#define USAGE_PAD_FIRST   0x54 /* / */
#define USAGE_PAD_1       0x59
#define USAGE_PAD_LAST    0x63 /* . */
#define USAGE_MODIFIERS   0xe0

#define HELD_CTRL  0x11u
#define HELD_SHIFT 0x22u
#define HELD_ALT   0x04u
#define HELD_ALTGR 0x40u

#define ESC 0x1b
#define DEL 0x7f

struct bytes {
	u8 *to;
	u32 count;
};

static void put(struct bytes *b, u8 byte)
{
	if (b->count < KEYBOARD_BYTES)
		b->to[b->count++] = byte;
}

static bool held(const struct keyboard *k, u8 which)
{
	return k->modifiers & which;
}

static bool alt(const struct keyboard *k)
{
	return held(k, HELD_ALT) || (!k->layout->alt_gr && held(k, HELD_ALTGR));
}

/* The modifiers' parameter; 1: none is held. */
static u32 modifier(const struct keyboard *k)
{
	return 1 + (held(k, HELD_SHIFT) ? 1 : 0) + (alt(k) ? 2 : 0) + (held(k, HELD_CTRL) ? 4 : 0);
}

/* CSI number ; modifiers final, with what can be left out left out. */
static void put_sequence(const struct keyboard *k, struct bytes *b, u32 number, u8 final)
{
	u32 m = modifier(k);

	put(b, ESC);
	put(b, '[');
	if (number > 9)
		put(b, (u8)('0' + number / 10));
	if (number > 1 || m > 1)
		put(b, (u8)('0' + number % 10));
	if (m > 1) {
		put(b, ';');
		put(b, (u8)('0' + m));
	}
	put(b, final);
}

static void put_function(const struct keyboard *k, struct bytes *b, u32 n)
{
	static const u8 number[] = {15, 17, 18, 19, 20, 21, 23, 24};

	if (n >= 4) {
		put_sequence(k, b, number[n - 4], '~');
	} else if (modifier(k) > 1) {
		put_sequence(k, b, 1, (u8)('P' + n));
	} else {
		put(b, ESC);
		put(b, 'O');
		put(b, (u8)('P' + n));
	}
}

/* Insert, Home, Page Up, Delete, End, Page Down, and the arrows: right, left, down, up. */
static void put_motion(const struct keyboard *k, struct bytes *b, u32 n)
{
	static const u8 number[] = {2, 1, 5, 3, 1, 6, 1, 1, 1, 1};
	static const u8 final[] = "~H~~F~CDBA";

	put_sequence(k, b, number[n], final[n]);
}

/* A character in UTF-8 (RFC 3629); Alt is ESC before it. */
static void put_character(const struct keyboard *k, struct bytes *b, u32 code)
{
	if (alt(k))
		put(b, ESC);
	if (code < 0x80) {
		put(b, (u8)code);
	} else if (code < 0x800) {
		put(b, (u8)(0xc0 | code >> 6));
		put(b, (u8)(0x80 | (code & 0x3f)));
	} else {
		put(b, (u8)(0xe0 | code >> 12));
		put(b, (u8)(0x80 | (code >> 6 & 0x3f)));
		put(b, (u8)(0x80 | (code & 0x3f)));
	}
}

/* The control character that Ctrl makes of one, as a VT220's (Programmer Reference, table 3-5). */
static u32 controlled(u32 code)
{
	static const u8 digit[] = {0x00, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f, DEL}; /* 2 to 8 */

	if ((code >= '@' && code <= '_') || (code >= 'a' && code <= '~'))
		return code & 0x1f;
	if (code >= '2' && code <= '8')
		return digit[code - '2'];
	if (code == ' ')
		return 0;
	return code == '/' ? 0x1f : code == '?' ? DEL : code;
}

/* True for letters that Caps Lock makes capitals. */
static bool is_letter(u32 plain, u32 shifted)
{
	return (plain >= 'a' && plain <= 'z') ||
	       (plain >= 0xe0 && plain <= 0xfe && shifted + 0x20 == plain);
}

static void press_character(const struct keyboard *k, struct bytes *b, u8 usage)
{
	u32 plain = layout_code(k->layout, usage, 0);
	u32 shifted = layout_code(k->layout, usage, 1);
	u32 third = layout_code(k->layout, usage, 2);
	bool shift = held(k, HELD_SHIFT);
	u32 code;

	if (k->locks & KEYBOARD_CAPS_LOCK && is_letter(plain, shifted))
		shift = !shift;
	code = shift ? shifted : plain;
	if (k->layout->alt_gr && held(k, HELD_ALTGR))
		code = third;
	if (code == 0)
		return;
	put_character(k, b, held(k, HELD_CTRL) ? controlled(code) : code);
}

/* The keypad: characters with NumLock, else what stands below them. */
static void press_pad(const struct keyboard *k, struct bytes *b, u8 usage)
{
	static const char character[] = "/*-+\r1234567890.";
	static const u8 motion[] = {4, 8, 5, 7, 10, 6, 1, 9, 2, 0, 3}; /* 1 to 9, 0, . */
	bool digit = usage >= USAGE_PAD_1;

	if (digit && !(k->locks & KEYBOARD_NUM_LOCK)) {
		u8 n = motion[usage - USAGE_PAD_1];

		if (n < 10)
			put_motion(k, b, n);
		return;
	}
	put_character(k, b, (u8)character[usage - USAGE_PAD_FIRST]);
}

static void press(struct keyboard *k, struct bytes *b, u8 usage)
{
	switch (usage) {
	case USAGE_ENTER:
		put_character(k, b, '\r');
		break;
	case USAGE_ESCAPE:
		put_character(k, b, ESC);
		break;
	case USAGE_BACKSPACE:
		put_character(k, b, held(k, HELD_CTRL) ? '\b' : DEL);
		break;
	case USAGE_TAB:
		if (held(k, HELD_SHIFT)) {
			put(b, ESC);
			put(b, '[');
			put(b, 'Z');
		} else {
			put_character(k, b, '\t');
		}
		break;
	default:
		if (usage >= USAGE_F1 && usage <= USAGE_F12)
			put_function(k, b, usage - USAGE_F1);
		else if (usage >= USAGE_INSERT && usage <= USAGE_UP)
			put_motion(k, b, usage - USAGE_INSERT);
		else if (usage >= USAGE_PAD_FIRST && usage <= USAGE_PAD_LAST)
			press_pad(k, b, usage);
		else
			press_character(k, b, usage);
	}
}

/* The lock that a key changes; 0: none. */
static u8 lock_of(u8 usage)
{
	switch (usage) {
	case USAGE_CAPS_LOCK:
		return KEYBOARD_CAPS_LOCK;
	case USAGE_NUM_LOCK:
		return KEYBOARD_NUM_LOCK;
	case USAGE_SCROLL_LOCK:
		return KEYBOARD_SCROLL_LOCK;
	default:
		return 0;
	}
}

u32 keyboard_key(struct keyboard *k, u8 usage, bool pressed, u8 bytes[KEYBOARD_BYTES])
{
	struct bytes b = {bytes, 0};
	u8 lock = lock_of(usage);

	if (lock) {
		if (pressed && !(k->locks_held & lock)) /* a key that repeats was pressed once */
			k->locks ^= lock;
		k->locks_held = pressed ? k->locks_held | lock : k->locks_held & (u8)~lock;
	} else if (usage >= USAGE_MODIFIERS && usage < USAGE_MODIFIERS + 8) {
		u8 bit = (u8)(1u << (usage - USAGE_MODIFIERS));

		k->modifiers = pressed ? k->modifiers | bit : k->modifiers & (u8)~bit;
	} else if (pressed) {
		press(k, &b, usage);
	}
	return b.count;
}

bool keyboard_init(struct keyboard *k, const char *layout)
{
	const struct keyboard_layout *found = layout_find(layout);

	*k = (struct keyboard){
		.layout = found ? found : layout_find("us"),
		.locks = KEYBOARD_NUM_LOCK,
	};
	return found != NULL;
}
