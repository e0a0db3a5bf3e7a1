/* A driver of virtio devices in a whole machine: through its ports and memory BARs. */
#pragma once

#include "guests/vmm/mmio.h"
#include "tests/unit/machine_host.h"

#define GUEST_RINGS 0x40000u
#define GUEST_STEP  0x4000u
#define GUEST_AVAIL 0x1000u
#define GUEST_USED  0x2000u
#define GUEST_DATA  0x100000u
#define GUEST_QUEUE 64u /* entries */

struct guest_part {
	u64 address;
	u32 length;
	bool write;
};

/* Configuration space by the ports; memory BAR of a function; port of its I/O BAR. */
u32 guest_config(u8 devfn, u32 offset, unsigned size);
void guest_config_write(u8 devfn, u32 offset, unsigned size, u32 value);
u64 guest_memory(u8 devfn);
u16 guest_port(u8 devfn);

u32 guest_read(u8 devfn, u32 offset, unsigned size);
void guest_write(u8 devfn, u32 offset, unsigned size, u32 value);

/* Takes a device in use, with all its queues. */
void guest_start(u8 devfn, u64 features);

/* Adds a chain and rings the doorbell, as an event or (trapped) as an exit. */
void guest_add(u8 devfn, u32 queue, const struct guest_part *part, u32 parts);
void guest_ring(u8 devfn, u32 queue);
void guest_write_port(u8 devfn, u32 queue);

/* The next used entry. */
bool guest_used(u32 queue, u32 *id, u32 *length);
