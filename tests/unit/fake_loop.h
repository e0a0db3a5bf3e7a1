/* The main loop's waiting (drivers/lib/loop.h), and the session of a keyboard's driver
 * (drivers/keyboard/session.h), on the build host. */
#pragma once

#include "drivers/keyboard/session.h"

struct fake_loop {
	bool keyboard;    /* the program has a keyboard's session */
	u32 keys;         /* times that a key was told of */
	u32 size;         /* what was typed */
	char typed[4096]; /* ends with a NUL */
};

extern struct fake_loop fake_loop;
