/*
 * Interrupts of virtio devices: MSI-X (PCI 3.0, 6.8.2 and 6.8.3), and INTx with ISR status when it
 * is off (virtio 1.2, 4.1.4.5, 4.1.5.3, 4.1.5.4).
 */
#include "guests/vmm/virtio/parts.h"

#define MSIX_CONTROL 2 /* offset in the capability */
#define MSIX_ENABLE  0x8000u
#define MSIX_MASK    0x4000u

/* Offsets in a table entry. */
#define ENTRY_SIZE    16u
#define ENTRY_LOW     0u
#define ENTRY_HIGH    4u
#define ENTRY_DATA    8u
#define ENTRY_CONTROL 12u
#define ADDRESS_LOW   0xfffffffcull
#define WORD          4u

static const struct pci_function *function(struct machine *m, const struct virtio *d)
{
	return pci_find(machine_pci(m), d->devfn);
}

static u32 msix_control(struct machine *m, const struct virtio *d)
{
	const struct pci_function *f = function(m, d);

	return f ? pci_get(f, d->msix + MSIX_CONTROL, 2) : 0;
}

static bool msix_on(struct machine *m, const struct virtio *d)
{
	return msix_control(m, d) & MSIX_ENABLE;
}

/* May a vector's message be sent now? A message is a write to memory. */
static bool sendable(struct machine *m, const struct virtio *d, u32 vector)
{
	const struct pci_function *f = function(m, d);

	return (msix_control(m, d) & (MSIX_ENABLE | MSIX_MASK)) == MSIX_ENABLE && f &&
	       pci_is_master(f) && !(d->vector[vector].control & VIRTIO_VECTOR_MASKED);
}

static void send_pending(struct machine *m, struct virtio *d, u32 vector)
{
	if (!(d->pending & BIT(vector)) || !sendable(m, d, vector))
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
		d->vector[i] = (struct virtio_vector){.control = VIRTIO_VECTOR_MASKED};
}

/* Words only (6.8.2: software accesses table and pending bits by DWORD or QWORD). */
u32 virtio_msix_read(const struct virtio *d, u32 offset, unsigned size)
{
	u32 at = offset - VIRTIO_OFFSET_MSIX_TABLE;
	const struct virtio_vector *v = &d->vector[at / ENTRY_SIZE % VIRTIO_VECTORS];

	if (size != WORD || offset % WORD)
		return 0;
	if (offset == VIRTIO_OFFSET_MSIX_PENDING)
		return (u32)d->pending;
	if (offset == VIRTIO_OFFSET_MSIX_PENDING + WORD)
		return (u32)(d->pending >> 32);
	if (at / ENTRY_SIZE >= virtio_vectors(d))
		return 0;
	switch (at % ENTRY_SIZE) {
	case ENTRY_LOW:
		return (u32)v->address;
	case ENTRY_HIGH:
		return (u32)(v->address >> 32);
	case ENTRY_DATA:
		return v->data;
	default:
		return v->control;
	}
}

void virtio_msix_write(struct machine *m, struct virtio *d, u32 offset, unsigned size, u32 value)
{
	u32 at = offset - VIRTIO_OFFSET_MSIX_TABLE;
	u32 vector = at / ENTRY_SIZE;
	struct virtio_vector *v;

	if (size != WORD || offset % WORD || vector >= virtio_vectors(d))
		return;
	v = &d->vector[vector];
	switch (at % ENTRY_SIZE) {
	case ENTRY_LOW:
		v->address = (v->address & ~(u64)UINT32_MAX) | (value & ADDRESS_LOW);
		break;
	case ENTRY_HIGH:
		v->address = (v->address & UINT32_MAX) | (u64)value << 32;
		break;
	case ENTRY_DATA:
		v->data = value;
		break;
	default:
		v->control = value & VIRTIO_VECTOR_MASKED;
		send_pending(m, d, vector);
	}
}
