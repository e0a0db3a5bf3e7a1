/* What the files of the virtio transport share; for nobody else. */
#pragma once

#include "guests/vmm/virtio/virtio.h"

/* common.c: the common configuration structure. */
u32 virtio_common_read(struct machine *m, struct virtio *d, u32 offset, unsigned size);
void virtio_common_write(struct machine *m, struct virtio *d, u32 offset, unsigned size, u32 value);

/* msix.c: interrupts. */

/* A queue's event or (config) a change of configuration: by MSI-X or INTx, whichever is enabled. */
void virtio_signal_queue(struct machine *m, struct virtio *d, u32 queue);
void virtio_signal_config(struct machine *m, struct virtio *d);

/* Sets the INTx pin to what it must be now, and sends pending messages that may be sent now. */
void virtio_interrupts_update(struct machine *m, struct virtio *d);

/* Reading ISR status clears it. */
u8 virtio_isr_read(struct machine *m, struct virtio *d);

/* MSI-X table and pending bits, by offset in the memory BAR. */
u32 virtio_msix_read(const struct virtio *d, u32 offset, unsigned size);
void virtio_msix_write(struct machine *m, struct virtio *d, u32 offset, unsigned size, u32 value);

/* No vector is pending, all are masked: the state at reset. */
void virtio_msix_reset(struct virtio *d);

/* How many vectors the device has. */
static inline u32 virtio_vectors(const struct virtio *d)
{
	return d->queues + 1u;
}

/* virtio.c */

/* Resets the device as a driver does by writing 0 to the status. */
void virtio_device_reset(struct machine *m, struct virtio *d);

/* Has the model process every queue. */
void virtio_process_all(struct machine *m, struct virtio *d);
