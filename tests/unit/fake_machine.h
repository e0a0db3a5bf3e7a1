/* A machine for device models under test: it records what they ask for, and its time is set by
 * hand. */
#pragma once

#include "guests/vmm/dev/ioapic.h"
#include "guests/vmm/dev/lapic.h"
#include "guests/vmm/dev/pci.h"
#include "guests/vmm/gmem.h"

#define FAKE_LINES    24
#define FAKE_CONSOLE  4096
#define FAKE_MESSAGES 64

struct fake_message {
	u64 address;
	u32 data;
};

struct fake_bar {
	u8 devfn;
	unsigned number;
	u64 old;
	u64 address;
	bool was_mapped;
	bool mapped;
};

struct machine {
	u64 now;
	u64 wall; /* Unix time at now == 0 */
	bool line[FAKE_LINES];
	u32 rises[FAKE_LINES]; /* low to high */
	u64 armed[MACHINE_TIMER_COUNT];
	u32 messages; /* counts all; the first FAKE_MESSAGES are kept */
	struct fake_message message[FAKE_MESSAGES];
	bool intr;
	u32 power_offs;
	u32 resets;
	u32 room; /* bytes that the console still takes */
	u32 console_used;
	u8 console[FAKE_CONSOLE]; /* what it took, from the start again when full */
	u32 eois;
	u8 eoi_vector;
	u32 sent;
	struct lapic_ipi ipi; /* last one */
	u32 nmis;
	u32 inits;
	u32 startups;
	u8 startup_page;
	u32 vectors;
	u32 changes; /* of the I/O APIC */
	u32 level_ends;
	u32 bar_changes;
	struct fake_bar bar; /* last one */
	u32 config_writes;
	u32 config_reads;
	void (*config_written)(
		struct machine *m, u32 offset, unsigned size); /* NULL: only counts */
	void (*config_read)(struct machine *m, u32 offset, unsigned size);
	struct gmem memory; /* of virtio devices: a test adds its own */
	struct pci *pci;    /* the bus of virtio devices */
};

/* An empty machine at time 0, on 2024-01-01 00:00:00, whose console takes everything. */
void fake_init(struct machine *m);
#define FAKE_WALL 1704067200ull

/* Tells whether a timer is due, and takes it off. */
bool fake_due(struct machine *m, enum machine_timer timer);

/* The next number of a fixed sequence; *seed begins with any number but 0. */
u64 fake_random(u64 *seed);

/* 1, 2 or 4. */
unsigned fake_random_size(u64 *seed);
