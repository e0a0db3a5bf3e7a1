/*
 * The `console` and `serial` protocols: two byte rings, one each way.
 *
 * `console`: a client (a VMM's 16550, root's operator prompt) and the console server.
 * `serial`: the console server as client and the driver of a terminal as server: of a UART, or of
 * the screen, which may show `status` beside the text. A keyboard's driver serves it to the
 * screen's. The producer of bytes sets the peer's event bit after writing; the consumer does so
 * after it made room in a ring that was full. Bytes that do not fit wait with the producer, but for
 * a server that is `gone`: then they are dropped.
 */
#pragma once

#include "ring.h"

#define CONSOLE_RING_SIZE 4096u /* bytes of data in each ring */

#define CONSOLE_STATUS   256u
#define CONSOLE_EMPHASIS 0x01 /* in a status line: begins, or ends, what is to stand out */

/*
 * A line about the console, by the client: printable ASCII and CONSOLE_EMPHASIS, with a NUL. It is
 * no part of the bytes, so that what a guest writes cannot look like it.
 */
struct console_status {
	u32 version; /* odd: it is being written */
	char text[CONSOLE_STATUS];
};

/* Writes a status line; only the client does. */
static inline void console_status_set(struct console_status *s, const char *text)
{
	u32 i = 0;

	__atomic_fetch_or(&s->version, 1, __ATOMIC_SEQ_CST);
	for (; text[i] && i + 1 < CONSOLE_STATUS; i++)
		s->text[i] = text[i];
	s->text[i] = 0;
	__atomic_fetch_add(&s->version, 1, __ATOMIC_SEQ_CST);
}

/* Copies the status line if it is whole and its version is not *version, which it then becomes.
 * True if it did; `text` has CONSOLE_STATUS bytes and always ends then. */
static inline bool console_status_get(const struct console_status *s, u32 *version, char *text)
{
	u32 before = __atomic_load_n(&s->version, __ATOMIC_SEQ_CST);
	char copy[CONSOLE_STATUS];

	if (before == *version || before & 1)
		return false;
	for (u32 i = 0; i < CONSOLE_STATUS; i++)
		copy[i] = ((const volatile char *)s->text)[i];
	copy[CONSOLE_STATUS - 1] = 0;
	if (__atomic_load_n(&s->version, __ATOMIC_SEQ_CST) != before)
		return false;
	__builtin_memcpy(text, copy, sizeof(copy));
	*version = before;
	return true;
}

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
	struct console_status status;
};
#define CONSOLE_SESSION_SIZE 12288u
static_assert(sizeof(struct console_session) <= CONSOLE_SESSION_SIZE);
