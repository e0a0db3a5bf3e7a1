/*
 * Keys on their way from a keyboard to the console: those of the screen itself, and those that mean
 * the console's own (drivers/README.md, "Screen and keyboard"). Pure.
 */
#pragma once

#include "kernel/abi/types.h"

struct keys {
	bool cursor_keys; /* DECCKM: cursor keys are to be sent with SS3 */
	s32 pages;        /* to look back (forth: negative); added to */
};

/* Translates `count` bytes, whole keys, in place; returns how many are left. */
u32 keys_translate(struct keys *k, u8 *bytes, u32 count);
