/* virtio devices as PCI functions: capabilities, BARs, the PCI-access window. See virtio.h. */
#include "guests/vmm/virtio/parts.h"

#define CAPABILITY_VENDOR 0x09

/* struct virtio_pci_cap (4.1.4): offsets of its fields, and what follows it. */
enum capability {
	CAP_LENGTH = 2,
	CAP_TYPE = 3,
	CAP_BAR = 4,
	CAP_OFFSET = 8,
	CAP_SIZE = 12, /* `length` */
	CAP_END = 16,
	CAP_MULTIPLIER = 16, /* notify */
	CAP_WINDOW = 16,     /* PCI access: pci_cfg_data */
	CAP_EXTENDED_END = 20,
};

enum capability_type {
	CAP_COMMON = 1,
	CAP_NOTIFY = 2,
	CAP_ISR = 3,
	CAP_DEVICE = 4,
	CAP_ACCESS = 5,
};

#define INTERRUPT_PIN_A 1
#define SUBSYSTEM_MIN   0x40 /* of a non-transitional device (4.1.2.1) */

static bool capability_add(struct pci_function *f, enum capability_type type, u8 bar, u32 offset,
	u32 length, u8 size, u8 *at)
{
	u8 cap = pci_add_capability(f, CAPABILITY_VENDOR, size);

	if (!cap)
		return false;
	pci_set(f, cap + CAP_LENGTH, 1, size, 0);
	pci_set(f, cap + CAP_TYPE, 1, type, 0);
	pci_set(f, cap + CAP_BAR, 1, bar, 0);
	pci_set(f, cap + CAP_OFFSET, 4, offset, 0);
	pci_set(f, cap + CAP_SIZE, 4, length, 0);
	*at = cap;
	return true;
}

static bool capabilities_add(struct virtio *d, struct pci_function *f, u32 config_bytes)
{
	u8 at;

	d->msix = msix_add(f, virtio_vectors(d), VIRTIO_OFFSET_MSIX_TABLE | VIRTIO_BAR_MEMORY,
		VIRTIO_OFFSET_MSIX_PENDING | VIRTIO_BAR_MEMORY);
	if (!d->msix ||
		!capability_add(f, CAP_COMMON, VIRTIO_BAR_MEMORY, VIRTIO_OFFSET_COMMON,
			VIRTIO_COMMON_SIZE, CAP_END, &at) ||
		!capability_add(f, CAP_ISR, VIRTIO_BAR_MEMORY, VIRTIO_OFFSET_ISR, VIRTIO_ISR_SIZE,
			CAP_END, &at))
		return false;
	if (config_bytes && !capability_add(f, CAP_DEVICE, VIRTIO_BAR_MEMORY, VIRTIO_OFFSET_DEVICE,
				    config_bytes, CAP_END, &at))
		return false;
	if (!capability_add(f, CAP_NOTIFY, VIRTIO_BAR_IO, 0, d->queues * VIRTIO_NOTIFY_STEP,
		    CAP_EXTENDED_END, &at))
		return false;
	pci_set(f, at + CAP_MULTIPLIER, 4, VIRTIO_NOTIFY_STEP, 0);
	if (!capability_add(f, CAP_ACCESS, 0, 0, 0, CAP_EXTENDED_END, &d->access))
		return false;
	pci_set(f, d->access + CAP_BAR, 1, 0, UINT8_MAX);
	pci_set(f, d->access + CAP_OFFSET, 4, 0, UINT32_MAX);
	pci_set(f, d->access + CAP_SIZE, 4, 0, UINT32_MAX);
	pci_set(f, d->access + CAP_WINDOW, 4, 0, UINT32_MAX);
	return true;
}

bool virtio_init(struct machine *m, struct virtio *d, const struct virtio_setup *setup)
{
	const struct virtio_model *model = virtio_model(setup->type);
	const struct pci_identity identity = {
		.vendor = VIRTIO_PCI_VENDOR,
		.device = (u16)(VIRTIO_PCI_DEVICE + setup->type),
		.subsystem_vendor = VIRTIO_PCI_VENDOR,
		.subsystem = (u16)(SUBSYSTEM_MIN + setup->type),
		.class_code = model ? model->class_code : 0,
		.revision = VIRTIO_PCI_REVISION,
		.interrupt_pin = INTERRUPT_PIN_A,
	};
	struct pci_function *f;

	*d = (struct virtio){
		.header = device_header(setup->magic, VIRTIO_VERSION, setup->bytes),
		.offered = setup->offered | VIRTIO_F_ALL,
		.config_vector = VIRTIO_NO_VECTOR,
		.type = (u8)setup->type,
		.devfn = setup->devfn,
		.queues = setup->queues,
	};
	virtio_msix_reset(d);
	for (u32 i = 0; i < VIRTIO_QUEUES; i++)
		virtqueue_reset(&d->queue[i], i < setup->queues ? setup->size : 0);
	f = model ? pci_add(machine_pci(m), setup->devfn, &identity) : NULL;
	return f && pci_set_bar(f, VIRTIO_BAR_MEMORY, VIRTIO_MEMORY_SIZE, 0) &&
	       pci_set_bar(f, VIRTIO_BAR_IO, VIRTIO_IO_SIZE, PCI_BAR_IO) &&
	       capabilities_add(d, f, model->config_bytes);
}

/* Device configuration (4.1.4.6): any width and place; what is beyond its end is 0. */
static u32 config_read(struct machine *m, struct virtio *d, u32 offset, unsigned size)
{
	const struct virtio_model *model = virtio_model(d->type);
	u8 bytes[VIRTIO_CONFIG] = {0};
	u32 value = 0;

	if (!model || !model->config)
		return 0;
	if (d->changed) { /* the driver reads the generation again after this (4.1.4.3.1) */
		d->changed = 0;
		d->generation++;
	}
	model->config(m, d, bytes);
	for (u32 i = 0; i < size && offset + i < model->config_bytes; i++)
		value |= (u32)bytes[offset + i] << i * 8;
	return value;
}

static void config_write(struct machine *m, struct virtio *d, u32 offset, unsigned size, u32 value)
{
	const struct virtio_model *model = virtio_model(d->type);

	if (model && model->config_write && offset < model->config_bytes &&
		size <= model->config_bytes - offset)
		model->config_write(m, d, offset, size, value);
}

u32 virtio_memory_read(struct machine *m, struct virtio *d, u64 offset, unsigned size)
{
	if (offset >= VIRTIO_MEMORY_SIZE || size > VIRTIO_MEMORY_SIZE - offset)
		return device_mask(size);
	if (offset >= VIRTIO_OFFSET_MSIX_TABLE)
		return virtio_msix_read(d, (u32)offset, size);
	if (offset >= VIRTIO_OFFSET_DEVICE)
		return config_read(m, d, (u32)offset - VIRTIO_OFFSET_DEVICE, size);
	if (offset == VIRTIO_OFFSET_ISR)
		return virtio_isr_read(m, d);
	return virtio_common_read(m, d, (u32)offset, size);
}

void virtio_memory_write(struct machine *m, struct virtio *d, u64 offset, unsigned size, u32 value)
{
	if (offset >= VIRTIO_MEMORY_SIZE || size > VIRTIO_MEMORY_SIZE - offset)
		return;
	value &= device_mask(size);
	if (offset >= VIRTIO_OFFSET_MSIX_TABLE)
		virtio_msix_write(m, d, (u32)offset, size, value);
	else if (offset >= VIRTIO_OFFSET_DEVICE)
		config_write(m, d, (u32)offset - VIRTIO_OFFSET_DEVICE, size, value);
	else
		virtio_common_write(m, d, (u32)offset, size, value);
}

/* An access that the PCI-access capability asks for: aligned, of 1, 2 or 4 bytes. */
struct access {
	u32 bar;
	u32 offset;
	u32 size;
};

static bool access_get(const struct virtio *d, const struct pci_function *f, struct access *a)
{
	a->bar = pci_get(f, d->access + CAP_BAR, 1);
	a->offset = pci_get(f, d->access + CAP_OFFSET, 4);
	a->size = pci_get(f, d->access + CAP_SIZE, 4);
	return (a->size == 1 || a->size == 2 || a->size == 4) && a->offset % a->size == 0;
}

static bool touches(u32 offset, unsigned size, u32 start, u32 length)
{
	return offset < start + length && offset + size > start;
}

static void window_write(struct machine *m, struct virtio *d, const struct pci_function *f)
{
	u32 value = pci_get(f, d->access + CAP_WINDOW, 4);
	struct access a;

	if (!access_get(d, f, &a))
		return;
	if (a.bar == VIRTIO_BAR_MEMORY)
		virtio_memory_write(m, d, a.offset, a.size, value);
	else if (a.bar == VIRTIO_BAR_IO && a.offset < VIRTIO_IO_SIZE)
		virtio_notify(m, d, a.offset / VIRTIO_NOTIFY_STEP);
}

void virtio_pci_written(struct machine *m, struct virtio *d, u32 offset, unsigned size)
{
	const struct pci_function *f = pci_find(machine_pci(m), d->devfn);

	if (!f)
		return;
	if (touches(offset, size, d->access + CAP_WINDOW, 4))
		window_write(m, d, f);
	if (touches(offset, size, d->msix + MSIX_CONTROL, 2))
		virtio_interrupts_update(m, d);
	if (touches(offset, size, PCI_COMMAND, 2) && pci_is_master(f)) {
		virtio_interrupts_update(m, d); /* messages and queues that waited for it */
		virtio_process_all(m, d);
	}
}

void virtio_pci_reading(struct machine *m, struct virtio *d, u32 offset, unsigned size)
{
	struct pci_function *f = pci_find(machine_pci(m), d->devfn);
	struct access a;

	if (!f || !touches(offset, size, d->access + CAP_WINDOW, 4) || !access_get(d, f, &a))
		return;
	if (a.bar == VIRTIO_BAR_MEMORY)
		pci_put(f, d->access + CAP_WINDOW, a.size,
			virtio_memory_read(m, d, a.offset, a.size));
}
