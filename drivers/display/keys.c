/* The screen's own keys: see keys.h. */
#include "drivers/display/keys.h"
#include "drivers/lib/lib.h"

#define ESC           0x1b
#define CONSOLE       0x1d /* Ctrl-], the console's escape key */
#define SHIFT         2u   /* the modifiers' parameter of xterm's keys */
#define ALT           3u
#define NUMBER_MAX    99u
#define KEY_PAGE_UP   5u
#define KEY_PAGE_DOWN 6u

/* A key as a control sequence: ESC [ first ; modifier final. */
struct key {
	u32 first;
	u32 modifier;
	u8 final;
};

/* Reads one at `bytes`; returns its length, or 0: it is none. */
static u32 read_key(const u8 *bytes, u32 count, struct key *key)
{
	u32 value[2] = {0};
	u32 n = 0;

	if (count < 3 || bytes[0] != ESC || bytes[1] != '[')
		return 0;
	for (u32 i = 2; i < count; i++) {
		if (bytes[i] >= '0' && bytes[i] <= '9') {
			value[n] = value[n] * 10 + (bytes[i] - '0');
			if (value[n] > NUMBER_MAX)
				return 0;
		} else if (bytes[i] == ';' && n == 0) {
			n = 1;
		} else if (bytes[i] >= '@' && bytes[i] < 0x7f) {
			*key = (struct key){value[0], value[1], bytes[i]};
			return i + 1;
		} else {
			return 0;
		}
	}
	return 0;
}

/* The number of a function key, or 0. */
static u32 function_of(const struct key *k)
{
	static const u8 number[] = {15, 17, 18, 19, 20, 21, 23, 24}; /* F5 on */

	if (k->final >= 'P' && k->final <= 'S' && k->first == 1)
		return k->final - 'P' + 1u;
	for (u32 i = 0; i < ARRAY_SIZE(number) && k->final == '~'; i++) {
		if (number[i] == k->first)
			return i + 5;
	}
	return 0;
}

/* What the console's escape key is followed by for a key with Alt; 0: it is none of those. */
static u8 console_key(const struct key *k)
{
	u32 function = function_of(k);

	if (function >= 1 && function <= 9)
		return (u8)('0' + function);
	if (function)
		return (u8) "?so"[function - 10];
	if (k->first == 1 && (k->final == 'C' || k->final == 'D'))
		return k->final == 'C' ? 'n' : 'p';
	return 0;
}

u32 keys_translate(struct keys *k, u8 *bytes, u32 count)
{
	u32 to = 0;

	for (u32 at = 0; at < count;) {
		struct key key;
		u32 length = read_key(bytes + at, count - at, &key);
		bool page = length && key.final == '~' && key.modifier == SHIFT &&
			    (key.first == KEY_PAGE_UP || key.first == KEY_PAGE_DOWN);

		if (page) {
			k->pages += key.first == KEY_PAGE_UP ? 1 : -1;
		} else if (length && key.modifier == ALT && console_key(&key)) {
			bytes[to++] = CONSOLE;
			bytes[to++] = console_key(&key);
		} else if (length == 3 && k->cursor_keys && strchr("ABCDHF", key.final)) {
			bytes[to++] = ESC;
			bytes[to++] = 'O';
			bytes[to++] = key.final;
		} else {
			length = length ? length : 1;
			memmove(bytes + to, bytes + at, length);
			to += length;
		}
		at += length;
	}
	return to;
}
