/* A 16550: bytes from a source to the line and from the line to a sink. Pure but for the port
 * accesses it is given. */
#pragma once

#include "kernel/abi/types.h"

struct uart {
	u16 base; /* first I/O port */
	u32 fifo; /* bytes that the transmitter takes at once */
	u8 ier;   /* as last written */
	u8 (*in)(u16 port);
	void (*out)(u16 port, u8 value);
	u32 (*source)(u8 *bytes, u32 count); /* bytes to send; returns how many */
	bool (*source_waits)(void);          /* true if there are any */
	bool (*sink)(u8 byte);               /* takes a received byte; false if it has no room */
	bool (*sink_room)(void);
};

/* Sets the port up: 115200 baud, 8N1, FIFOs if it has them. False if there is no port. */
bool uart_start(struct uart *u);

/*
 * Moves all bytes that can be moved now, and enables the interrupts for what cannot. To be called
 * at each interrupt and whenever source or sink have changed. Bytes that find no room stay in the
 * FIFO.
 */
void uart_service(struct uart *u);
