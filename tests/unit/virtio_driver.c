/* See virtio_driver.h. */
#include <stdlib.h>
#include "tests/unit/virtio_driver.h"

struct driver driver;
u8 *driver_ram;

static void config_written(struct machine *m, u32 offset, unsigned size)
{
	if (driver.d)
		virtio_pci_written(m, driver.d, offset, size);
}

static void config_read(struct machine *m, u32 offset, unsigned size)
{
	if (driver.d)
		virtio_pci_reading(m, driver.d, offset, size);
}

struct machine *driver_machine(void)
{
	if (!driver_ram)
		driver_ram = aligned_alloc(PAGE_SIZE, DRIVER_RAM);
	memset(driver_ram, 0, DRIVER_RAM);
	memset(&driver, 0, sizeof(driver));
	fake_init(&driver.m);
	pci_init(&driver.pci);
	driver.m.pci = &driver.pci;
	driver.m.config_written = config_written;
	driver.m.config_read = config_read;
	gmem_add(&driver.m.memory, 0, DRIVER_RAM, driver_ram);
	return &driver.m;
}

void driver_config_space(u32 offset, unsigned size, u32 value)
{
	pci_config_write(&driver.m, &driver.pci, driver.d->devfn, offset, size, value);
}

void driver_attach(struct virtio *d)
{
	driver.d = d;
	driver_config_space(PCI_BAR0, 4, 0xe0000000);
	driver_config_space(PCI_BAR0 + 4, 4, 0xc000);
	driver_config_space(PCI_COMMAND, 2, PCI_CMD_IO | PCI_CMD_MEMORY | PCI_CMD_MASTER);
}

u32 driver_read(u32 offset, unsigned size)
{
	return virtio_memory_read(&driver.m, driver.d, offset, size);
}

void driver_write(u32 offset, unsigned size, u32 value)
{
	virtio_memory_write(&driver.m, driver.d, offset, size, value);
}

u64 driver_offered(void)
{
	u64 features;

	driver_write(VIRTIO_DEVICE_FEATURE_SELECT, 4, 1);
	features = (u64)driver_read(VIRTIO_DEVICE_FEATURE, 4) << 32;
	driver_write(VIRTIO_DEVICE_FEATURE_SELECT, 4, 0);
	return features | driver_read(VIRTIO_DEVICE_FEATURE, 4);
}

bool driver_negotiate(u64 features)
{
	const u32 driver_status = VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER;

	driver_write(VIRTIO_STATUS, 1, 0);
	memset(driver.queue, 0, sizeof(driver.queue));
	driver_write(VIRTIO_STATUS, 1, VIRTIO_STATUS_ACKNOWLEDGE);
	driver_write(VIRTIO_STATUS, 1, driver_status);
	for (u32 i = 0; i < 2; i++) {
		driver_write(VIRTIO_DRIVER_FEATURE_SELECT, 4, i);
		driver_write(VIRTIO_DRIVER_FEATURE, 4, (u32)(features >> 32 * i));
	}
	driver_write(VIRTIO_STATUS, 1, driver_status | VIRTIO_STATUS_FEATURES_OK);
	return driver_read(VIRTIO_STATUS, 1) & VIRTIO_STATUS_FEATURES_OK;
}

static u64 rings(u32 queue)
{
	return DRIVER_RINGS + (u64)queue * DRIVER_RING_STEP;
}

void driver_queue(u32 queue, u16 size)
{
	memset(driver_ram + rings(queue), 0, DRIVER_RING_STEP);
	driver.queue[queue] = (struct driver_queue){.size = size};
	driver_write(VIRTIO_QUEUE_SELECT, 2, queue);
	driver_write(VIRTIO_QUEUE_SIZE, 2, size);
	driver_write(VIRTIO_QUEUE_DESC, 4, (u32)rings(queue));
	driver_write(VIRTIO_QUEUE_DESC + 4, 4, 0);
	driver_write(VIRTIO_QUEUE_DRIVER, 4, (u32)rings(queue) + DRIVER_AVAIL);
	driver_write(VIRTIO_QUEUE_DRIVER + 4, 4, 0);
	driver_write(VIRTIO_QUEUE_DEVICE, 4, (u32)rings(queue) + DRIVER_USED);
	driver_write(VIRTIO_QUEUE_DEVICE + 4, 4, 0);
	driver_write(VIRTIO_QUEUE_ENABLE, 2, 1);
}

void driver_ok(void)
{
	driver_write(VIRTIO_STATUS, 1, driver_read(VIRTIO_STATUS, 1) | VIRTIO_STATUS_DRIVER_OK);
}

void driver_start(u64 features, u16 size)
{
	CHECK(driver_negotiate(features | VIRTIO_F_VERSION_1));
	for (u32 i = 0; i < driver.d->queues; i++) {
		u16 most = driver.d->queue[i].size_max;

		driver_queue(i, size < most ? size : most);
	}
	driver_ok();
}

struct virtqueue_descriptor *driver_descriptor(u32 queue, u32 index)
{
	return (struct virtqueue_descriptor *)(driver_ram + rings(queue)) + index;
}

u16 *driver_avail(u32 queue)
{
	return (u16 *)(driver_ram + rings(queue) + DRIVER_AVAIL);
}

u16 *driver_used_ring(u32 queue)
{
	return (u16 *)(driver_ram + rings(queue) + DRIVER_USED);
}

static u16 write_flag(const struct driver_part *part)
{
	return part->write ? VIRTQUEUE_WRITE : 0;
}

void driver_offer(u32 queue, u16 head)
{
	struct driver_queue *q = &driver.queue[queue];

	driver_avail(queue)[2 + q->avail % q->size] = head;
	driver_avail(queue)[1] = ++q->avail;
}

u16 driver_add(u32 queue, const struct driver_part *part, u32 parts)
{
	struct driver_queue *q = &driver.queue[queue];
	u16 head = q->descriptor % q->size;

	for (u32 i = 0; i < parts; i++) {
		u16 at = q->descriptor++ % q->size;

		*driver_descriptor(queue, at) =
			(struct virtqueue_descriptor){part[i].address, part[i].length,
				(u16)(write_flag(&part[i]) | (i + 1 < parts ? VIRTQUEUE_NEXT : 0)),
				(u16)(q->descriptor % q->size)};
	}
	driver_offer(queue, head);
	return head;
}

u16 driver_add_indirect(u32 queue, const struct driver_part *part, u32 parts)
{
	struct driver_queue *q = &driver.queue[queue];
	u16 head = q->descriptor++ % q->size;
	u64 at = rings(queue) + DRIVER_INDIRECT;
	struct virtqueue_descriptor *table = (struct virtqueue_descriptor *)(driver_ram + at);

	for (u32 i = 0; i < parts; i++)
		table[i] = (struct virtqueue_descriptor){part[i].address, part[i].length,
			(u16)(write_flag(&part[i]) | (i + 1 < parts ? VIRTQUEUE_NEXT : 0)),
			(u16)(i + 1)};
	*driver_descriptor(queue, head) = (struct virtqueue_descriptor){
		at, parts * (u32)sizeof(*table), VIRTQUEUE_INDIRECT, 0};
	driver_offer(queue, head);
	return head;
}

void driver_kick(u32 queue)
{
	virtio_notify(&driver.m, driver.d, queue);
}

bool driver_used(u32 queue, u32 *id, u32 *length)
{
	struct driver_queue *q = &driver.queue[queue];
	u16 *ring = driver_used_ring(queue);
	struct virtqueue_used *entry;

	if (ring[1] == q->used)
		return false;
	entry = (struct virtqueue_used *)(ring + 2) + q->used++ % q->size;
	*id = entry->id;
	*length = entry->length;
	return true;
}

bool driver_broken(void)
{
	return driver_read(VIRTIO_STATUS, 1) & VIRTIO_STATUS_NEEDS_RESET;
}
