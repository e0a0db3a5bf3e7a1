/*
 * Keys to the bytes of a terminal, as xterm sends them: characters in UTF-8, control characters,
 * cursor and function keys as control sequences with their modifiers (xterm, "PC-Style Function
 * Keys"). Keys are named as USB does, whatever keyboard has them: usages of page 7 (HID Usage
 * Tables 1.12, 10). For the drivers of keyboards; pure.
 */
#pragma once

#include "kernel/abi/types.h"

#define KEYBOARD_BYTES 8u /* of a key, at most */

/* LEDs, as in a boot keyboard's report (HID 1.11, B.1). */
#define KEYBOARD_NUM_LOCK    0x01u
#define KEYBOARD_CAPS_LOCK   0x02u
#define KEYBOARD_SCROLL_LOCK 0x04u

struct keyboard_layout;

struct keyboard {
	const struct keyboard_layout *layout;
	u8 modifiers; /* held: a bit for each usage from 0xe0 on */
	u8 locks;     /* the LEDs that should be lit */
	u8 locks_held;
};

/* Begins with no key held and NumLock on. `layout` is the layout's name; false: there is none of
 * that name, and the keys are those of "us". */
bool keyboard_init(struct keyboard *k, const char *layout);

/* A key was pressed, or repeats, or was released: writes what is to be sent and returns how many
 * bytes. */
u32 keyboard_key(struct keyboard *k, u8 usage, bool pressed, u8 bytes[KEYBOARD_BYTES]);
