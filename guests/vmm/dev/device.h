/*
 * How device models meet the virtual machine.
 *
 * A model is a struct of plain state (versioned, no pointers: it lies in the holder's memory and
 * is the snapshot format) and functions on it. A model knows nothing of exits, capabilities or
 * other models: it is given accesses and time, and asks the machine for lines, timers and power
 * through the functions below, which the VMM provides and a fake provides in unit tests. What only
 * one model asks for stands in that model's own header.
 *
 * Each model X has
 *   X_init(state, ...)     header, configuration and power-on state; calls nothing of the machine
 *   X_reset(m, state)      the machine's reset line; configuration stays, lines go low
 *   u32 X_read(m, state, port, size)
 *   void X_write(m, state, port, size, value)
 *                          an access of 1, 2 or 4 bytes; every value of every argument is safe. A
 *                          register narrower than the access takes part of it: wide accesses to
 *                          byte-wide registers are done as bytes, lowest port first
 *   X_timer(m, state)      the time that it asked for with machine_arm has come
 */
#pragma once

#include "kernel/abi/types.h"

struct machine; /* the virtual machine that a model is part of */

/* First field of each model's state; `version` changes whenever the layout does. */
struct device_header {
	u32 magic; /* DEVICE_MAGIC of the model */
	u16 version;
	u16 size; /* sizeof the state struct / 8 */
};
static_assert(sizeof(struct device_header) == 8, "eight bytes lead each state");

#define DEVICE_MAGIC(a, b, c, d) ((u32)(a) | (u32)(b) << 8 | (u32)(c) << 16 | (u32)(d) << 24)

/* A model's state struct may be stored as it is: whole words, and small enough for the header. */
#define DEVICE_STATE(type)                                                                         \
	static_assert(sizeof(type) % 8 == 0 && sizeof(type) / 8 <= 0xffff, #type);                 \
	static_assert(offsetof(type, header) == 0, #type)

/* Returns the header of a state struct of `bytes` bytes. */
static inline struct device_header device_header(u32 magic, u16 version, size_t bytes)
{
	return (struct device_header){magic, version, (u16)(bytes / 8)};
}

/* Tells whether stored state has the layout that this build of the model expects. */
static inline bool device_header_is(
	const struct device_header *h, u32 magic, u16 version, size_t bytes)
{
	return h->magic == magic && h->version == version && h->size == bytes / 8;
}

/* Returns the bits of a value that is `size` bytes wide; size is 1, 2 or 4. */
static inline u32 device_mask(unsigned size)
{
	return size >= 4 ? 0xffffffffu : (1u << size * 8) - 1;
}

#define DEVICE_NS_PER_SECOND 1000000000ull

/* Cycles of a clock of `hz` (at most 2^32) in `ns`, rounded down. */
static inline u64 device_cycles(u64 ns, u64 hz)
{
	return ns / DEVICE_NS_PER_SECOND * hz +
	       ns % DEVICE_NS_PER_SECOND * hz / DEVICE_NS_PER_SECOND;
}

/*
 * Nanoseconds that `cycles` of a clock of `hz` (1 to 2^32) take, rounded up: device_cycles of it is
 * `cycles` again if hz is at most 10^9. The result must fit.
 */
static inline u64 device_ns(u64 cycles, u64 hz)
{
	return cycles / hz * DEVICE_NS_PER_SECOND +
	       (cycles % hz * DEVICE_NS_PER_SECOND + hz - 1) / hz;
}

/* What a register that is not there reads as. */
#define DEVICE_NOTHING 0xffu

/* Timers that models may arm: one each. */
enum machine_timer {
	MACHINE_TIMER_PIT = 0, /* channel 0 */
	MACHINE_TIMER_RTC = 1,
	MACHINE_TIMER_LAPIC = 2,  /* the kernel's run-page timer, not the VMM's deadline: lapic.h */
	MACHINE_TIMER_PM = 3,     /* PM timer overflow */
	MACHINE_TIMER_SERIAL = 4, /* receive timeout */
	MACHINE_TIMER_VIRTIO = 5, /* queues with more to do than one event may take */
	MACHINE_TIMER_COUNT = 6,
};

#define MACHINE_NEVER (~0ull)

/* Nanoseconds of the guest's monotonic time. */
u64 machine_now(struct machine *m);

/* Wall clock: Unix time in seconds. Its seconds need not begin with machine_now's. */
u64 machine_wall_clock(struct machine *m);

/* Asks for X_timer of the model at time `ns` (machine_now's scale); MACHINE_NEVER cancels. */
void machine_arm(struct machine *m, enum machine_timer timer, u64 ns);

/*
 * Sets interrupt line `line` (0-23) asserted or not: to the PIC's input (0-15) and the I/O APIC's
 * pin of that number, but line 0, the PIT's, to pin 2, as the MADT says. Models call it also when
 * the level has not changed.
 */
void machine_line(struct machine *m, u32 line, bool level);

/* The I/O APIC or an MSI sends an interrupt message (SDM vol. 3, 11.11): lapic_parse_message. */
void machine_message(struct machine *m, u64 address, u32 data);

/* The PIC's INTR output changed. */
void machine_intr(struct machine *m, bool level);

/* The guest ends its machine. Both return; the machine acts when the access is over. */
void machine_power_off(struct machine *m);
void machine_reset(struct machine *m);

/* Tells the console backend that bytes wait to be sent; true if the byte was taken. */
bool machine_console_put(struct machine *m, u8 byte);
