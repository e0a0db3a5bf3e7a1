/*
 * What a driver of a PCI function needs of the kernel and of its start page.
 *
 * The order of things, at each start of the program:
 *   1 device_open: waits for the end of the reset that root began, if the function can be reset
 *   2 finds its registers (device_registers, device_capability) and stops, by the device's own
 *     means, what an earlier driver or the firmware left running: there is no DMA before 4, but
 *     where root could not reset the function, 4 would let it go on
 *   3 attaches memory: its own (device_alloc) and that of sessions (device_session)
 *   4 device_start: DMA is allowed
 *   5 device_interrupt, then the device is set to work
 *
 * A function that says what cannot be is told of with device_log and the program ends with
 * device_fail: root resets the function and starts a fresh program, within `restart-limit`.
 * One thread at a time may use these; events are the first thread's.
 */
#pragma once

#include "drivers/lib/lib.h"
#include "drivers/lib/mmio.h"

#define PCI_CAP_VENDOR 0x09u
#define PCI_CAP_MSIX   0x11u

struct device {
	const struct start_info *info;
	const struct start_resource *function;
	cap_t dev;
	cap_t event; /* the program's own bits of the first thread's event */
	u32 left;    /* bytes of START_DMA not given away yet */
	u8 *memory;  /* the next of those */
	u64 bus;     /* and its bus address */
	char name[12];
};

/*
 * Takes up the n-th (from 0) PCI function of the program and waits until its reset is over. Its
 * registers can be accessed then. False, with a line in the log: the node has no such function, or
 * not enough pool.
 */
bool device_open(struct device *d, const struct start_info *info, u32 n);

/* `size` (1, 2, 4) bytes of configuration space at `offset`, a multiple of it; all bits are 1 where
 * there is nothing. */
u32 device_config(const struct device *d, u32 offset, u32 size);

/* The offset of the next capability `id` after that at `after` (0: the first); 0: there is none.
 * PCI Local Bus Specification 3.0, 6.7. */
u32 device_capability(const struct device *d, u32 id, u32 after);

/* `size` bytes at `offset` of the memory register that base address register `bar` names; NULL if
 * it has none that are so large. */
volatile u8 *device_registers(const struct device *d, u32 bar, u64 offset, u64 size);

/*
 * Zeroed memory of the program's own that the device may read and write: *bus is its bus address.
 * `size` bytes, aligned to `align`, a power of two up to PAGE_SIZE; it does not cross a page if it
 * is aligned to its size. NULL, with a line in the log: `dma-kib` of the node is too small.
 */
void *device_alloc(struct device *d, u64 size, u64 align, u64 *bus);

/*
 * Lets the device read and write `size` bytes from `offset` of a session that the program serves
 * (both whole pages). *bus is the bus address of its first byte; the rest follows. False, with a
 * line in the log: it cannot be.
 */
bool device_session(
	struct device *d, const struct start_resource *session, u64 offset, u64 size, u64 *bus);

/*
 * The same for a part of the RAM of a client's guest, a START_GUEST of the start page, as a whole.
 * The program itself does not reach that memory.
 */
bool device_guest(struct device *d, const struct start_resource *part, u64 *bus);

/* The device reaches that part, whose bus address is `bus`, no longer. */
void device_guest_end(struct device *d, const struct start_resource *part, u64 bus);

/* Lets the device do DMA and send messages. False, with a line in the log: it may not. */
bool device_start(struct device *d);

/* A source of event bits. */
struct device_interrupt {
	cap_t irq; /* CAP_NULL: none */
	u64 bits;
	bool line; /* level-triggered: masked from its event until device_interrupt_done */
};

/*
 * Makes message `number` of the device set bit `bit` (START_BIT_OWN to 63) of the first thread's
 * event; a function without messages has its line, with a bit of root's choice in out->bits. After
 * device_start. False, with a line in the log: it has neither.
 */
bool device_interrupt(struct device *d, u32 number, u32 bit, struct device_interrupt *out);

/* The n-th (from 0) range of I/O ports that is the function's own or, without `own`, of a device of
 * the ISA bus that the program has beside it: *count ports from *base on. False: there is none. */
bool device_ports(const struct device *d, bool own, u32 n, u16 *base, u32 *count);

/* The line of that device of the ISA bus, which is no level: nothing is to be done after it. False,
 * with a line in the log: there is none. */
bool device_isa_interrupt(const struct device *d, struct device_interrupt *out);

/* Number of messages that it can send; 0: it has a line, if anything. */
u32 device_messages(const struct device *d);

static inline void device_interrupt_done(const struct device_interrupt *i)
{
	if (i->line)
		sys_irq_ctl(i->irq, IRQ_CTL_ACK);
}

/* No more DMA and no messages, until the next program's device_start. */
void device_stop(struct device *d);

/* Resets the function, waits until that is over, and starts it; its addresses are as before. False:
 * it cannot be reset alone, or may do no DMA. */
bool device_reset(struct device *d);

/* Waits `us` microseconds; no event is lost. */
void device_wait(const struct device *d, u64 us);

/* Microseconds since some time, that never go back. */
u64 device_time(const struct device *d);

/* log_line with the function's number before it. */
void device_log(const struct device *d, const char *text, ...)
	__attribute__((format(printf, 2, 3)));

/* Stops the device, and ends the program with a code that makes root start it again; the log has
 * the reason already. */
_Noreturn void device_fail(struct device *d);
