/* A driver of virtio devices for tests: RAM, rings in it, and a device on the fake machine's bus.
 */
#pragma once

#include "guests/vmm/virtio/virtio.h"
#include "tests/unit/fake_machine.h"
#include "tests/unit/test.h"

#define DRIVER_RAM       0x100000u
#define DRIVER_RINGS     0x10000u /* guest-physical, of queue 0; others follow */
#define DRIVER_RING_STEP 0x4000u
#define DRIVER_AVAIL     0x1000u /* from a queue's rings */
#define DRIVER_USED      0x2000u
#define DRIVER_INDIRECT  0x3000u
#define DRIVER_DATA      0x80000u /* for a test's buffers */
#define DRIVER_DEVFN     PCI_DEVFN(4, 0)
#define DRIVER_CONFIG    VIRTIO_OFFSET_DEVICE

struct driver_part {
	u64 address;
	u32 length;
	bool write;
};

struct driver_queue {
	u16 size;
	u16 descriptor; /* next to use */
	u16 avail;
	u16 used;
};

struct driver {
	struct machine m;
	struct pci pci;
	struct virtio *d;
	struct driver_queue queue[VIRTIO_QUEUES];
};

extern struct driver driver;
extern u8 *driver_ram;

/* An empty machine with RAM and a bus. The caller makes its device and calls driver_attach. */
struct machine *driver_machine(void);

/* d stands on the bus: maps its BARs and makes it bus master. */
void driver_attach(struct virtio *d);

/* Registers in the memory BAR. */
u32 driver_read(u32 offset, unsigned size);
void driver_write(u32 offset, unsigned size, u32 value);
void driver_config_space(u32 offset, unsigned size, u32 value);

u64 driver_offered(void);

/* Reset, then up to FEATURES_OK with these features; tells whether that is set. */
bool driver_negotiate(u64 features);

/* Makes queue `queue` of `size` entries, and enables it. */
void driver_queue(u32 queue, u16 size);

/* DRIVER_OK. */
void driver_ok(void);

/* driver_negotiate, all queues of `size` entries (or their greatest), and DRIVER_OK. */
void driver_start(u64 features, u16 size);

/* Places in RAM of a queue's parts. */
struct virtqueue_descriptor *driver_descriptor(u32 queue, u32 index);
u16 *driver_avail(u32 queue); /* flags, index, entries, used_event */
u16 *driver_used_ring(u32 queue);

/* Adds a chain without telling; returns its head. */
u16 driver_add(u32 queue, const struct driver_part *part, u32 parts);
u16 driver_add_indirect(u32 queue, const struct driver_part *part, u32 parts);
void driver_offer(u32 queue, u16 head);

/* Tells the device. */
void driver_kick(u32 queue);

/* The next used entry; false: none. */
bool driver_used(u32 queue, u32 *id, u32 *length);

/* DEVICE_NEEDS_RESET is set. */
bool driver_broken(void);
