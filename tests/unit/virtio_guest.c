/* See virtio_guest.h. */
#include "tests/unit/virtio_guest.h"

static struct {
	u16 descriptor;
	u16 avail;
	u16 used;
} queues[VIRTIO_QUEUES];

static void point(u8 devfn, u32 offset)
{
	port_write(&host_machine.vcpu[0], PCI_ADDRESS, 4,
		PCI_ADDRESS_ENABLE | (u32)devfn << 8 | (offset & 0xfcu));
}

u32 guest_config(u8 devfn, u32 offset, unsigned size)
{
	point(devfn, offset);
	return port_read(&host_machine.vcpu[0], (u16)(PCI_DATA + (offset & 3)), size);
}

void guest_config_write(u8 devfn, u32 offset, unsigned size, u32 value)
{
	point(devfn, offset);
	port_write(&host_machine.vcpu[0], (u16)(PCI_DATA + (offset & 3)), size, value);
}

u64 guest_memory(u8 devfn)
{
	return guest_config(devfn, PCI_BAR0, 4) & ~15u;
}

u16 guest_port(u8 devfn)
{
	return (u16)(guest_config(devfn, PCI_BAR0 + 4, 4) & ~3u);
}

u32 guest_read(u8 devfn, u32 offset, unsigned size)
{
	return (u32)mmio_read(&host_machine.vcpu[0], guest_memory(devfn) + offset, size);
}

void guest_write(u8 devfn, u32 offset, unsigned size, u32 value)
{
	mmio_write(&host_machine.vcpu[0], guest_memory(devfn) + offset, size, value);
}

static u8 *rings(u32 queue)
{
	return host_ram + GUEST_RINGS + (u64)queue * GUEST_STEP;
}

void guest_start(u8 devfn, u64 features)
{
	u32 count;

	guest_config_write(devfn, PCI_COMMAND, 2, PCI_CMD_IO | PCI_CMD_MEMORY | PCI_CMD_MASTER);
	guest_write(devfn, VIRTIO_STATUS, 1, 0);
	guest_write(devfn, VIRTIO_STATUS, 1, 3);
	features |= VIRTIO_F_VERSION_1;
	for (u32 i = 0; i < 2; i++) {
		guest_write(devfn, VIRTIO_DRIVER_FEATURE_SELECT, 4, i);
		guest_write(devfn, VIRTIO_DRIVER_FEATURE, 4, (u32)(features >> 32 * i));
	}
	guest_write(devfn, VIRTIO_STATUS, 1, 0x0b);
	CHECK_EQ(guest_read(devfn, VIRTIO_STATUS, 1), 0x0b);
	count = guest_read(devfn, VIRTIO_NUM_QUEUES, 2);
	memset(queues, 0, sizeof(queues));
	for (u32 i = 0; i < count; i++) {
		u32 at = GUEST_RINGS + i * GUEST_STEP;

		memset(rings(i), 0, GUEST_STEP);
		guest_write(devfn, VIRTIO_QUEUE_SELECT, 2, i);
		guest_write(devfn, VIRTIO_QUEUE_SIZE, 2, GUEST_QUEUE);
		guest_write(devfn, VIRTIO_QUEUE_DESC, 4, at);
		guest_write(devfn, VIRTIO_QUEUE_DRIVER, 4, at + GUEST_AVAIL);
		guest_write(devfn, VIRTIO_QUEUE_DEVICE, 4, at + GUEST_USED);
		guest_write(devfn, VIRTIO_QUEUE_ENABLE, 2, 1);
	}
	guest_write(devfn, VIRTIO_STATUS, 1, 0x0f);
	CHECK_EQ(guest_read(devfn, VIRTIO_STATUS, 1), 0x0f);
}

void guest_ring(u8 devfn, u32 queue)
{
	u64 bits = host.doorbell_bits[guest_port(devfn) + queue * VIRTIO_NOTIFY_STEP];

	CHECK(bits != 0 && (host_machine.wake_mask & bits) == bits);
	machine_virtio_event(&host_machine, bits);
}

void guest_write_port(u8 devfn, u32 queue)
{
	port_write(&host_machine.vcpu[0], (u16)(guest_port(devfn) + queue * VIRTIO_NOTIFY_STEP), 2,
		queue);
}

void guest_add(u8 devfn, u32 queue, const struct guest_part *part, u32 parts)
{
	struct virtqueue_descriptor *d = (struct virtqueue_descriptor *)rings(queue);
	u16 *avail = (u16 *)(rings(queue) + GUEST_AVAIL);
	u16 head = queues[queue].descriptor % GUEST_QUEUE;

	for (u32 i = 0; i < parts; i++) {
		u16 at = queues[queue].descriptor++ % GUEST_QUEUE;

		d[at] = (struct virtqueue_descriptor){part[i].address, part[i].length,
			(u16)((part[i].write ? VIRTQUEUE_WRITE : 0) |
				(i + 1 < parts ? VIRTQUEUE_NEXT : 0)),
			(u16)((at + 1) % GUEST_QUEUE)};
	}
	avail[2 + queues[queue].avail % GUEST_QUEUE] = head;
	avail[1] = ++queues[queue].avail;
	guest_ring(devfn, queue);
}

bool guest_used(u32 queue, u32 *id, u32 *length)
{
	u16 *ring = (u16 *)(rings(queue) + GUEST_USED);
	struct virtqueue_used *entry = (struct virtqueue_used *)(ring + 2);

	if (ring[1] == queues[queue].used)
		return false;
	entry += queues[queue].used++ % GUEST_QUEUE;
	*id = entry->id;
	*length = entry->length;
	return true;
}
