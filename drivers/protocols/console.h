/*
 * The `console` and `serial` protocols: two byte rings, one each way.
 *
 * `console`: a client (a VMM's 16550, root's operator prompt) and the console server.
 * `serial`: the console server as client and a UART driver as server.
 * The producer of bytes sets the peer's event bit after writing; the consumer does so after it made
 * room in a ring that was full. Bytes that do not fit wait with the producer, but for a server that
 * is `gone`: then they are dropped.
 */
#pragma once

#include "ring.h"

#define CONSOLE_RING_SIZE 4096u /* bytes of data in each ring */

/* `space` gives the size of the rings. */
struct console_session {
	union {
		struct ring ring;
		u8 space[128 + CONSOLE_RING_SIZE];
	} to_server;
	union {
		struct ring ring;
		u8 space[128 + CONSOLE_RING_SIZE];
	} to_client;
	u32 gone; /* root's: not 0: the server has ended and is not restarted */
};
#define CONSOLE_SESSION_SIZE 12288u
static_assert(sizeof(struct console_session) <= CONSOLE_SESSION_SIZE);
