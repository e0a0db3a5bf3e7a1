/*
 * What the driver of the screen shares with others.
 *
 * It serves a `serial` session (protocols/console.h): the console server is its client, the screen
 * a terminal of ECMA-48, the keys come back. Its own keyboards are `serial` sessions that it is the
 * client of: to_client has the bytes of keys (drivers/keyboard/keyboard.h), to_server is not used.
 */
#pragma once

#include "kernel/abi/types.h"

#define DISPLAY_LOG        16376u
#define DISPLAY_STATE_SIZE 0x180000ull /* START_STATE of the driver; the rest is its own */

/* At the beginning of START_STATE. Root leaves the log there that the kernel has shown on the
 * screen itself, before the driver's first start. */
struct display_state {
	u32 log_size;
	u32 reserved;
	char log[DISPLAY_LOG];
};
