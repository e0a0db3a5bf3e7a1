/*
 * A PCI function on the build host, for the tests and fuzzers of drivers: what lib/device.h and
 * lib/mmio.h say, over a configuration space, registers and memory of the test's own. A model of
 * the device sets fake_device's functions; it reaches memory by fake_memory only, which knows what
 * was attached.
 */
#pragma once

#include "drivers/lib/device.h"
#include "drivers/protocols/block.h"

#define FAKE_REGISTERS 0x8000u  /* bytes of its one BAR */
#define FAKE_DMA       0x80000u /* bytes that device_alloc gives away */
#define FAKE_DMA_BUS   0x100000ull
#define FAKE_CLIENTS   3u
#define FAKE_MASTER    0xc000u /* ports of the function; beside it those of an ATA channel */
#define FAKE_BLOCK     0x170u
#define FAKE_CONTROL   0x376u

struct fake_device {
	u8 config[256];
	u32 bar;                           /* number of the BAR that it has */
	u32 (*read)(u32 offset, u32 size); /* of a register */
	void (*write)(u32 offset, u32 size, u32 value);
	u32 (*port_read)(u32 port, u32 size);
	void (*port_write)(u32 port, u32 size, u32 value);
	u32 messages;
	bool started;   /* it may do DMA */
	u64 interrupts; /* event bits set, taken by the test */
	u64 message_bit[8];
	void (*idle)(void); /* what the device does while the driver waits; NULL: nothing */
	u64 waited;         /* microseconds that the driver has waited: its clock */
	u32 logs;           /* lines that the driver has logged */
	char last[200];     /* the last of them */
	u32 wild;           /* addresses outside what was attached */
	u32 garbled;        /* next reads of registers that are changed by garble */
	u32 garble;
};

extern struct fake_device fake_device;

/* A fresh function without capabilities. */
void fake_device_reset(void);

/* What device_open does: memory to give away. */
void fake_device_memory(struct device *d);

/* The memory of client `n`'s session, at bus address fake_session_bus(n). */
u8 *fake_session(u32 n);
u64 fake_session_bus(u32 n);
#define FAKE_SESSION_SIZE BLOCK_SESSION_SIZE

/* `size` bytes at bus address `bus`, or NULL, and counted as wild, if that is not all attached. */
void *fake_memory(u64 bus, u64 size);

/* Message `number` is sent. */
void fake_interrupt(u32 number);
