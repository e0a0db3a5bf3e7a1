/*
 * The registers and queues of a modern virtio device on PCI as hardware would be, over
 * fake_device.h: what the models of single devices share. It does what the driver asks, counts the
 * rules that the driver breaks, and does what VIRTIO forbids when it is told to.
 */
#pragma once

#include "tests/unit/fake_device.h"

#define FAKE_VIRTIO_QUEUES 3u
#define FAKE_VIRTIO_PARTS  32u /* of a chain */

struct fake_virtqueue {
	u64 desc;
	u64 available;
	u64 used;
	u16 vector;
	u16 enabled;
	u16 size;
	u16 seen; /* available chains taken */
	u16 done; /* used ones */
};

struct fake_virtio {
	u64 offered;
	u64 features;
	u8 status;
	u16 queue_size;
	bool no_reset; /* it does not become reset */
	bool refuse;   /* it refuses the features */
	u32 resets;
	u32 rules; /* times that the driver broke a rule */
	u32 queues;
	u16 config_vector;
	u32 (*config)(u32 offset, u32 size); /* of the device's own configuration, 64 bytes */
	struct fake_virtqueue queue[FAKE_VIRTIO_QUEUES];
};

extern struct fake_virtio fake_virtio;

struct fake_part {
	u8 *at;
	u32 length;
	bool write;
};

/* A fresh device that offers `features`, with `messages` MSI-X messages; it has one queue. */
void fake_virtio_init(u64 features, u32 messages, u32 (*config)(u32 offset, u32 size));

/*
 * Takes the next available chain of a queue. False: none waits, or the device may not. *parts is
 * their number, those that it reads first; 0: the chain is none, which is a broken rule.
 */
bool fake_virtio_take(u32 queue, u16 *id, struct fake_part part[FAKE_VIRTIO_PARTS], u32 *parts);

/* Says that a chain is used, which moves the index on by `more`, 1 by rights, and interrupts. */
void fake_virtio_use(u32 queue, u32 id, u32 written, u16 more);

/* It asks for a reset. */
void fake_virtio_needs_reset(void);
