/* What virtio models need of the transport: queues, reset, notifications. See virtio.h. */
#include "guests/vmm/virtio/parts.h"

#define STATUS_RUNNING (VIRTIO_STATUS_DRIVER_OK | VIRTIO_STATUS_NEEDS_RESET | VIRTIO_STATUS_FAILED)

bool virtio_live(struct machine *m, const struct virtio *d, u32 queue)
{
	const struct pci_function *f = pci_find(machine_pci(m), d->devfn);

	return queue < d->queues && d->queue[queue].enabled &&
	       (d->status & STATUS_RUNNING) == VIRTIO_STATUS_DRIVER_OK && f && pci_is_master(f);
}

void virtio_broken(struct machine *m, struct virtio *d)
{
	if (d->status & VIRTIO_STATUS_NEEDS_RESET)
		return;
	d->status |= VIRTIO_STATUS_NEEDS_RESET;
	if (d->status & VIRTIO_STATUS_DRIVER_OK) /* 2.1.2 */
		virtio_signal_config(m, d);
}

bool virtio_look(
	struct machine *m, struct virtio *d, u32 queue, u32 ahead, struct virtqueue_chain *c)
{
	const struct gmem *g = machine_memory(m);
	enum virtqueue_next next;

	if (!virtio_live(m, d, queue))
		return false;
	next = virtqueue_look(g, &d->queue[queue], ahead, c);
	if (next == VIRTQUEUE_EMPTY && virtqueue_sleep(g, &d->queue[queue], ahead))
		next = virtqueue_look(g, &d->queue[queue], ahead, c);
	if (next == VIRTQUEUE_BROKEN)
		virtio_broken(m, d);
	return next == VIRTQUEUE_CHAIN;
}

bool virtio_chain(
	struct machine *m, struct virtio *d, u32 queue, u16 head, struct virtqueue_chain *c)
{
	if (!virtio_live(m, d, queue))
		return false;
	if (virtqueue_chain_of(machine_memory(m), &d->queue[queue], head, c))
		return true;
	virtio_broken(m, d);
	return false;
}

void virtio_finish(struct machine *m, struct virtio *d, u32 queue, u16 head, u32 written)
{
	const struct gmem *g = machine_memory(m);

	virtqueue_fill(g, &d->queue[queue], 0, head, written);
	virtqueue_advance(g, &d->queue[queue], 1, 1);
}

void virtio_return(struct machine *m, struct virtio *d, u32 queue, u16 head, u32 written)
{
	const struct gmem *g = machine_memory(m);

	virtqueue_fill(g, &d->queue[queue], 0, head, written);
	virtqueue_advance(g, &d->queue[queue], 0, 1);
}

void virtio_interrupt(struct machine *m, struct virtio *d, u32 queue)
{
	if (virtio_live(m, d, queue) &&
		virtqueue_wants_interrupt(machine_memory(m), &d->queue[queue]))
		virtio_signal_queue(m, d, queue);
}

void virtio_again(struct machine *m, struct virtio *d, u32 queue)
{
	d->again |= 1u << queue;
	machine_arm(m, MACHINE_TIMER_VIRTIO, machine_now(m));
}

void virtio_config_changed(struct machine *m, struct virtio *d)
{
	d->changed = 1;
	if ((d->status & STATUS_RUNNING) == VIRTIO_STATUS_DRIVER_OK)
		virtio_signal_config(m, d);
}

void virtio_notify(struct machine *m, struct virtio *d, u32 queue)
{
	const struct virtio_model *model = virtio_model(d->type);

	if (model && virtio_live(m, d, queue))
		model->process(m, d, queue);
}

void virtio_process_all(struct machine *m, struct virtio *d)
{
	for (u32 i = 0; i < d->queues; i++)
		virtio_notify(m, d, i);
}

void virtio_timer(struct machine *m, struct virtio *d)
{
	u32 queues = d->again;

	d->again = 0;
	for (u32 i = 0; i < d->queues; i++) {
		if (queues & 1u << i)
			virtio_notify(m, d, i);
	}
}

void virtio_device_reset(struct machine *m, struct virtio *d)
{
	const struct virtio_model *model = virtio_model(d->type);

	d->status = 0;
	d->accepted = 0;
	d->offered_select = 0;
	d->accepted_select = 0;
	d->queue_select = 0;
	d->config_vector = VIRTIO_NO_VECTOR;
	d->isr = 0;
	d->again = 0;
	d->pending = 0;
	for (u32 i = 0; i < d->queues; i++)
		virtqueue_reset(&d->queue[i], d->queue[i].size_max);
	virtio_interrupts_update(m, d);
	if (model && model->reset)
		model->reset(m, d);
}

void virtio_reset(struct machine *m, struct virtio *d)
{
	virtio_msix_reset(d);
	virtio_device_reset(m, d);
}

void virtio_resume(struct machine *m, struct virtio *d)
{
	for (u32 i = 0; i < d->queues; i++) {
		if (!virtio_live(m, d, i))
			continue;
		virtqueue_publish(machine_memory(m), &d->queue[i]);
		/* whether the driver was told of what it had asked to be told is not known */
		virtqueue_wants_interrupt(machine_memory(m), &d->queue[i]);
		virtio_signal_queue(m, d, i);
	}
	virtio_process_all(m, d);
}
