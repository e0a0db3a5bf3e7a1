/*
 * The console session behind the serial port. Bytes go into the session's ring at once; the server
 * is told when the ring is half full, or a millisecond after the first, so that a byte costs no
 * system call.
 */
#pragma once

#include "guests/vmm/machine.h"

/* Moves bytes from the session to the serial port, as long as it takes them without loss. */
void console_pull(struct machine *m);

/* Tells the server what has not been told. */
void console_flush(struct machine *m);

/* The server set our event bit: it has bytes for us, or room, or it is there again. */
void console_event(struct machine *m);

/* The guest has ended: waits, but not for ever, until the server took what the guest wrote. */
void console_drain(struct machine *m);
