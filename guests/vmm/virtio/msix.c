/*
 * Interrupts of virtio devices: MSI-X (PCI 3.0, 6.8.2 and 6.8.3), and INTx with ISR status when it
 * is off (virtio 1.2, 4.1.4.5, 4.1.5.3, 4.1.5.4).
 */
#include "guests/vmm/virtio/parts.h"

#define WORD 4u

static const struct pci_function *function(struct machine *m, const struct virtio *d)
{
	return pci_find(machine_pci(m), d->devfn);
}

static bool msix_on(struct machine *m, const struct virtio *d)
{
	const struct pci_function *f = function(m, d);

	return f && pci_get(f, d->msix + MSIX_CONTROL, 2) & MSIX_ENABLE;
}

static void send_pending(struct machine *m, struct virtio *d, u32 vector)
{
	const struct pci_function *f = function(m, d);

	if (!(d->pending & BIT(vector)) || !f || !msix_sendable(f, d->msix, &d->vector[vector]))
		return;
	d->pending &= ~BIT(vector);
	machine_message(m, d->vector[vector].address, d->vector[vector].data);
}

void virtio_interrupts_update(struct machine *m, struct virtio *d)
{
	for (u32 i = 0; d->pending && i < virtio_vectors(d); i++)
		send_pending(m, d, i);
	pci_intx(m, machine_pci(m), d->devfn, d->isr && !msix_on(m, d));
}

static void signal_event(struct machine *m, struct virtio *d, u16 vector, u8 isr)
{
	if (!msix_on(m, d) || isr == VIRTIO_ISR_CONFIG)
		d->isr |= isr;
	if (!msix_on(m, d)) {
		virtio_interrupts_update(m, d);
	} else if (vector < virtio_vectors(d)) {
		d->pending |= BIT(vector);
		send_pending(m, d, vector);
	}
}

void virtio_signal_queue(struct machine *m, struct virtio *d, u32 queue)
{
	signal_event(m, d, d->queue[queue].vector, VIRTIO_ISR_QUEUE);
}

void virtio_signal_config(struct machine *m, struct virtio *d)
{
	signal_event(m, d, d->config_vector, VIRTIO_ISR_CONFIG);
}

u8 virtio_isr_read(struct machine *m, struct virtio *d)
{
	u8 isr = d->isr;

	d->isr = 0;
	virtio_interrupts_update(m, d);
	return isr;
}

void virtio_msix_reset(struct virtio *d)
{
	d->pending = 0;
	for (u32 i = 0; i < VIRTIO_VECTORS; i++)
		d->vector[i] = (struct msix_vector){.control = MSIX_VECTOR_MASKED};
}

u32 virtio_msix_read(const struct virtio *d, u32 offset, unsigned size)
{
	if (size == WORD && offset == VIRTIO_OFFSET_MSIX_PENDING)
		return (u32)d->pending;
	if (size == WORD && offset == VIRTIO_OFFSET_MSIX_PENDING + WORD)
		return (u32)(d->pending >> 32);
	return msix_table_read(
		d->vector, virtio_vectors(d), offset - VIRTIO_OFFSET_MSIX_TABLE, size);
}

void virtio_msix_write(struct machine *m, struct virtio *d, u32 offset, unsigned size, u32 value)
{
	u32 vector = msix_table_write(
		d->vector, virtio_vectors(d), offset - VIRTIO_OFFSET_MSIX_TABLE, size, value);

	if (vector != MSIX_NONE)
		send_pending(m, d, vector);
}
