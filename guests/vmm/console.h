/*
 * The console session behind the serial port. Bytes go into the session's ring at once; the server
 * is told when the ring is half full, or a millisecond after the first, so that a byte costs no
 * system call.
 *
 * Which bytes were written and taken is in the machine's state; the ring's own indices follow when
 * that is committed (journal.h). So no byte is lost or doubled when the VMM dies: an index may be
 * stored again.
 */
#pragma once

#include "guests/vmm/machine.h"

/* Opens the session; bytes go on where the state says. */
void console_open(struct machine *m, const struct start_resource *r);

/* Moves bytes from the session to the serial port, as long as it takes them without loss. */
void console_pull(struct machine *m);

/* Has the server told what has not been told, when it is published. */
void console_flush(struct machine *m);

/* Shows the server what is committed, and tells it if that was asked for. Under the lock. */
void console_publish(struct machine *m);

/* The server set our event bit: it has bytes for us, or room, or it is there again. */
void console_event(struct machine *m);

/* The guest has ended: waits, but not for ever, until the server took what the guest wrote. */
void console_drain(struct vcpu *v);
