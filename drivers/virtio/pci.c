/* virtio over PCI: see pci.h. Sections are of VIRTIO 1.2. */
#include "drivers/virtio/pci.h"

/* 4.1.4: struct virtio_pci_cap */
#define CAP_LENGTH     2u
#define CAP_TYPE       3u
#define CAP_BAR        4u
#define CAP_OFFSET     8u
#define CAP_SIZE       12u
#define CAP_MULTIPLIER 16u
#define TYPE_COMMON    1u
#define TYPE_NOTIFY    2u
#define TYPE_ISR       3u
#define TYPE_DEVICE    4u
#define CAPS_MAX       48

/* 4.1.4.3: struct virtio_pci_common_cfg */
#define DEVICE_FEATURE_SELECT 0u
#define DEVICE_FEATURE        4u
#define DRIVER_FEATURE_SELECT 8u
#define DRIVER_FEATURE        12u
#define CONFIG_VECTOR         16u
#define DEVICE_STATUS         20u
#define CONFIG_GENERATION     21u
#define QUEUE_SELECT          22u
#define QUEUE_SIZE            24u
#define QUEUE_VECTOR          26u
#define QUEUE_ENABLE          28u
#define QUEUE_NOTIFY_OFF      30u
#define QUEUE_DESC            32u
#define QUEUE_DRIVER          40u
#define QUEUE_DEVICE          48u
#define COMMON_SIZE           56u

/* 2.1 */
#define ACKNOWLEDGE 1u
#define DRIVER      2u
#define DRIVER_OK   4u
#define FEATURES_OK 8u
#define NEEDS_RESET 64u
#define GONE        0xffu /* what is read where no device is */

#define RESET_STEP_US 1000u
#define RESET_STEPS   5000

/* The first capability of a type that is usable (4.1.4.1); *at is its place. */
static volatile u8 *find(struct device *d, u32 type, u32 least, u32 *at, u32 *size)
{
	u32 cap = 0;

	for (int i = 0; i < CAPS_MAX; i++) {
		volatile u8 *found;

		cap = device_capability(d, PCI_CAP_VENDOR, cap);
		if (!cap)
			break;
		if (device_config(d, cap + CAP_TYPE, 1) != type)
			continue;
		*size = device_config(d, cap + CAP_SIZE, 4);
		found = device_registers(d, device_config(d, cap + CAP_BAR, 1),
			device_config(d, cap + CAP_OFFSET, 4), *size);
		if (found && *size >= least) {
			*at = cap;
			return found;
		}
	}
	return NULL;
}

bool virtio_open(struct virtio *v, struct device *d)
{
	volatile u8 *notify;
	u32 size;
	u32 at;

	*v = (struct virtio){.device = d};
	v->common = find(d, TYPE_COMMON, COMMON_SIZE, &at, &size);
	v->isr = find(d, TYPE_ISR, 1, &at, &size);
	v->config = find(d, TYPE_DEVICE, 1, &at, &v->config_size);
	notify = find(d, TYPE_NOTIFY, 2, &at, &v->notify_size);
	if (!v->common || !v->isr || !notify) {
		device_log(d, "it has not the registers of a virtio device of version 1");
		return false;
	}
	if (!v->config)
		v->config_size = 0;
	v->notify_bar = device_config(d, at + CAP_BAR, 1);
	v->notify_offset = device_config(d, at + CAP_OFFSET, 4);
	v->notify_multiplier = device_config(d, at + CAP_LENGTH, 1) >= CAP_MULTIPLIER + 4
				       ? device_config(d, at + CAP_MULTIPLIER, 4)
				       : 0;
	return true;
}

bool virtio_reset(struct virtio *v)
{
	mmio_write8(v->common + DEVICE_STATUS, 0);
	for (int i = 0; i < RESET_STEPS; i++) {
		if (mmio_read8(v->common + DEVICE_STATUS) == 0)
			return true;
		device_wait(v->device, RESET_STEP_US);
	}
	device_log(v->device, "it cannot be reset");
	return false;
}

static void add_status(struct virtio *v, u8 bits)
{
	u8 status = mmio_read8(v->common + DEVICE_STATUS);

	mmio_write8(v->common + DEVICE_STATUS, status | bits);
}

bool virtio_negotiate(struct virtio *v, u64 wanted, u64 needed)
{
	u64 offered = 0;

	needed |= VIRTIO_F_VERSION_1;
	wanted |= needed | VIRTIO_F_ACCESS_PLATFORM | VIRTIO_F_ORDER_PLATFORM;
	add_status(v, ACKNOWLEDGE);
	add_status(v, DRIVER);
	for (u32 i = 0; i < 2; i++) {
		mmio_write32(v->common + DEVICE_FEATURE_SELECT, i);
		offered |= (u64)mmio_read32(v->common + DEVICE_FEATURE) << 32 * i;
	}
	v->features = offered & wanted;
	if ((v->features & needed) != needed) {
		device_log(v->device, "it lacks the features %#lx", needed & ~v->features);
		return false;
	}
	for (u32 i = 0; i < 2; i++) {
		mmio_write32(v->common + DRIVER_FEATURE_SELECT, i);
		mmio_write32(v->common + DRIVER_FEATURE, (u32)(v->features >> 32 * i));
	}
	add_status(v, FEATURES_OK);
	if (mmio_read8(v->common + DEVICE_STATUS) & FEATURES_OK)
		return true;
	device_log(v->device, "it refuses the features %#lx", v->features);
	return false;
}

bool virtio_queue_alloc(struct virtio *v, struct virtio_queue *q, u16 most)
{
	struct virtqueue *r = &q->ring;
	struct device *d = v->device;

	check(most > 0 && most <= VIRTQUEUE_MAX);
	r->indirect = NULL;
	r->desc = device_alloc(d, virtqueue_desc_bytes(most), 16, &q->desc_bus);
	r->available = device_alloc(d, virtqueue_available_bytes(most), 2, &q->available_bus);
	r->used = device_alloc(d, virtqueue_used_bytes(most), 4, &q->used_bus);
	if (!r->desc || !r->available || !r->used)
		return false;
	if (v->features & VIRTIO_F_INDIRECT_DESC) {
		r->indirect = device_alloc(d, virtqueue_indirect_bytes(most), 16, &r->indirect_bus);
		if (!r->indirect)
			return false;
	}
	r->size = most;
	return true;
}

bool virtio_queue_start(struct virtio *v, struct virtio_queue *q, u16 number, u16 vector)
{
	volatile u8 *c = v->common;
	u16 size;
	u64 at;

	mmio_write16(c + QUEUE_SELECT, number);
	size = mmio_read16(c + QUEUE_SIZE);
	if (size == 0 || size & (size - 1)) {
		device_log(v->device, "its queue %u has the size %u", number, size);
		return false;
	}
	if (q->ring.size > size)
		q->ring.size = size;
	at = (u64)mmio_read16(c + QUEUE_NOTIFY_OFF) * v->notify_multiplier;
	if (v->notify_size < 2 || at > v->notify_size - 2 || at % 2) {
		device_log(v->device, "the doorbell of its queue %u lies outside", number);
		return false;
	}
	q->number = number;
	q->doorbell = device_registers(v->device, v->notify_bar, v->notify_offset + at, 2);
	if (!q->doorbell)
		return false;
	q->ring.event_index = v->features & VIRTIO_F_EVENT_IDX;
	virtqueue_init(&q->ring);
	mmio_write16(c + QUEUE_SIZE, q->ring.size);
	mmio_write64(c + QUEUE_DESC, q->desc_bus);
	mmio_write64(c + QUEUE_DRIVER, q->available_bus);
	mmio_write64(c + QUEUE_DEVICE, q->used_bus);
	mmio_write16(c + QUEUE_VECTOR, vector);
	if (mmio_read16(c + QUEUE_VECTOR) != vector) {
		device_log(v->device, "its queue %u gets no message", number);
		return false;
	}
	mmio_write16(c + QUEUE_ENABLE, 1);
	return true;
}

bool virtio_config_vector(struct virtio *v, u16 vector)
{
	mmio_write16(v->common + CONFIG_VECTOR, vector);
	return mmio_read16(v->common + CONFIG_VECTOR) == vector;
}

void virtio_ready(struct virtio *v)
{
	add_status(v, DRIVER_OK);
}

bool virtio_failed(const struct virtio *v)
{
	u8 status = mmio_read8(v->common + DEVICE_STATUS);

	return status == GONE || status & NEEDS_RESET || !(status & DRIVER_OK);
}

u32 virtio_isr(const struct virtio *v)
{
	return mmio_read8(v->isr);
}

u64 virtio_config(const struct virtio *v, u32 offset, u32 size)
{
	volatile u8 *at = v->config + offset;

	if (offset > v->config_size || size > v->config_size - offset)
		return 0;
	return size == 1   ? mmio_read8(at)
	       : size == 2 ? mmio_read16(at)
	       : size == 4 ? mmio_read32(at)
			   : mmio_read64(at);
}

u8 virtio_generation(const struct virtio *v)
{
	return mmio_read8(v->common + CONFIG_GENERATION);
}
