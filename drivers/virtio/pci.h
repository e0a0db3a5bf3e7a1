/*
 * The driver's side of a virtio device on PCI (VIRTIO 1.2, 3.1 and 4.1): modern only. The registers
 * are found by the vendor's capabilities and checked to lie in the function's own. Errors are
 * logged here.
 */
#pragma once

#include "drivers/lib/device.h"
#include "drivers/virtio/queue.h"

/* 2.2, 6: features of every device */
#define VIRTIO_F_INDIRECT_DESC   BIT(28)
#define VIRTIO_F_EVENT_IDX       BIT(29)
#define VIRTIO_F_VERSION_1       BIT(32)
#define VIRTIO_F_ACCESS_PLATFORM BIT(33)
#define VIRTIO_F_ORDER_PLATFORM  BIT(36)

#define VIRTIO_NO_VECTOR 0xffffu /* 4.1.5.1.2 */

/* 4.1.4.5.1 */
#define VIRTIO_ISR_QUEUE  1u
#define VIRTIO_ISR_CONFIG 2u

struct virtio {
	struct device *device;
	volatile u8 *common; /* 4.1.4.3 */
	volatile u8 *isr;
	volatile u8 *config; /* of the kind of device; NULL: none */
	u32 config_size;
	u32 notify_bar;
	u32 notify_offset;
	u32 notify_size;
	u32 notify_multiplier;
	u64 features; /* agreed upon */
};

/* A queue with its memory and its doorbell. */
struct virtio_queue {
	struct virtqueue ring;
	u64 desc_bus;
	u64 available_bus;
	u64 used_bus;
	volatile u8 *doorbell;
	u16 number;
};

/* Finds the registers of the opened device. False: it is no modern virtio device. */
bool virtio_open(struct virtio *v, struct device *d);

/* Resets the device and waits until it is (2.4). False: it does not. */
bool virtio_reset(struct virtio *v);

/*
 * After virtio_reset: steps 1 to 6 of 3.1.1. Agrees upon those of `wanted` that the device offers,
 * of which it must have `needed`; VERSION_1, ACCESS_PLATFORM and ORDER_PLATFORM are taken care of.
 */
bool virtio_negotiate(struct virtio *v, u64 wanted, u64 needed);

/* Takes memory for a queue of at most `most` descriptors (a power of two, VIRTQUEUE_MAX or less).
 * Once in the program's life; indirect descriptors come with it. */
bool virtio_queue_alloc(struct virtio *v, struct virtio_queue *q, u16 most);

/* Sets up queue `number` with that memory, empty, to send message `vector`. Before
 * virtio_ready. */
bool virtio_queue_start(struct virtio *v, struct virtio_queue *q, u16 number, u16 vector);

/* The message for changes of the configuration. */
bool virtio_config_vector(struct virtio *v, u16 vector);

/* Sets DRIVER_OK: the device works from now on. */
void virtio_ready(struct virtio *v);

/* True if the device asks for a reset (2.1.2, DEVICE_NEEDS_RESET) or does not answer. */
bool virtio_failed(const struct virtio *v);

/* Why the line is active, which it is not any more then (4.1.4.5). Without messages only. */
u32 virtio_isr(const struct virtio *v);

static inline void virtio_notify(struct virtio_queue *q)
{
	mmio_write16(q->doorbell, q->number);
}

/* A field of `size` (1, 2, 4, 8) bytes of the device's configuration; 0 beyond its end. Several
 * fields that must fit each other are read between two equal values of virtio_generation. */
u64 virtio_config(const struct virtio *v, u32 offset, u32 size);
u8 virtio_generation(const struct virtio *v);
