/*
 * The common configuration structure: virtio 1.2, 4.1.4.3. Each field is accessed in its own width
 * and place (4.1.3.1), 64-bit ones by halves: other reads give 0, other writes have no effect.
 */
#include "guests/vmm/virtio/parts.h"

#define WORD 4u

/* A field's bits of a 64-bit set, by window; those beyond are 0. */
static u32 window(u64 bits, u32 select)
{
	return select < 2 ? (u32)(bits >> 32 * select) : 0;
}

static struct virtqueue *selected(struct virtio *d)
{
	return d->queue_select < d->queues ? &d->queue[d->queue_select] : NULL;
}

/* The half of a queue's address at `offset`; NULL: that is no address. */
static u64 *address_at(struct virtqueue *q, u32 offset)
{
	switch (offset & ~WORD) {
	case VIRTIO_QUEUE_DESC:
		return &q->descriptors;
	case VIRTIO_QUEUE_DRIVER:
		return &q->driver;
	case VIRTIO_QUEUE_DEVICE:
		return &q->device;
	default:
		return NULL;
	}
}

static u32 read_word(struct virtio *d, u32 offset)
{
	struct virtqueue *q = selected(d);
	const u64 *address;

	switch (offset) {
	case VIRTIO_DEVICE_FEATURE_SELECT:
		return d->offered_select;
	case VIRTIO_DEVICE_FEATURE:
		return window(d->offered, d->offered_select);
	case VIRTIO_DRIVER_FEATURE_SELECT:
		return d->accepted_select;
	case VIRTIO_DRIVER_FEATURE:
		return window(d->accepted, d->accepted_select);
	default:
		address = q ? address_at(q, offset) : NULL;
		return address ? (u32)(*address >> (offset & WORD) * 8) : 0;
	}
}

static bool resetting(struct machine *m, const struct virtio *d)
{
	const struct virtio_model *model = virtio_model(d->type);

	return model && model->resetting && model->resetting(m, d);
}

static u32 read_half(struct machine *m, struct virtio *d, u32 offset)
{
	const struct virtqueue *q = selected(d);

	switch (offset) {
	case VIRTIO_CONFIG_VECTOR:
		return d->config_vector;
	case VIRTIO_NUM_QUEUES:
		return d->queues;
	case VIRTIO_QUEUE_SELECT:
		return d->queue_select;
	case VIRTIO_QUEUE_SIZE:
		return q ? q->size : 0;
	case VIRTIO_QUEUE_VECTOR:
		return q ? q->vector : VIRTIO_NO_VECTOR;
	case VIRTIO_QUEUE_ENABLE:
		return q ? q->enabled : 0;
	case VIRTIO_QUEUE_NOTIFY_OFF:
		return q ? d->queue_select : 0;
	case VIRTIO_QUEUE_RESET: /* 2.6.1: 1 until it is over */
		return q && !q->enabled && resetting(m, d);
	default: /* queue_notify_data */
		return 0;
	}
}

u32 virtio_common_read(struct machine *m, struct virtio *d, u32 offset, unsigned size)
{
	if (size == WORD && offset % WORD == 0)
		return read_word(d, offset);
	if (size == 2 && offset % 2 == 0)
		return read_half(m, d, offset);
	if (size == 1 && offset == VIRTIO_STATUS) /* 4.1.4.3.2: the driver waits until it reads 0 */
		return d->status || !resetting(m, d) ? d->status : VIRTIO_STATUS_NEEDS_RESET;
	if (size == 1 && offset == VIRTIO_GENERATION)
		return d->generation;
	return 0;
}

/* What the driver may not change any more once it has said FEATURES_OK (3.1.1). */
static void write_features(struct virtio *d, u32 value)
{
	u32 shift = 32 * d->accepted_select;

	if (d->accepted_select >= 2 || d->status & VIRTIO_STATUS_FEATURES_OK)
		return;
	d->accepted = (d->accepted & ~((u64)UINT32_MAX << shift)) | (u64)value << shift;
}

static void write_word(struct virtio *d, u32 offset, u32 value)
{
	struct virtqueue *q = selected(d);
	u32 shift = (offset & WORD) * 8;
	u64 *address;

	switch (offset) {
	case VIRTIO_DEVICE_FEATURE_SELECT:
		d->offered_select = value;
		return;
	case VIRTIO_DRIVER_FEATURE_SELECT:
		d->accepted_select = value;
		return;
	case VIRTIO_DRIVER_FEATURE:
		write_features(d, value);
		return;
	default:
		address = q && !q->enabled ? address_at(q, offset) : NULL;
		if (address)
			*address = (*address & ~((u64)UINT32_MAX << shift)) | (u64)value << shift;
	}
}

/* A vector that there is not cannot be mapped: the driver reads NO_VECTOR (4.1.5.1.2.1). */
static u16 vector_of(const struct virtio *d, u32 value)
{
	return value < virtio_vectors(d) ? (u16)value : VIRTIO_NO_VECTOR;
}

static void queue_enable(struct machine *m, struct virtio *d, struct virtqueue *q)
{
	if (q->enabled || d->status & VIRTIO_STATUS_NEEDS_RESET)
		return;
	if (!virtqueue_areas_valid(machine_memory(m), q)) {
		virtio_broken(m, d);
		return;
	}
	q->at.word = 0;
	q->indirect = virtio_has(d, VIRTIO_F_INDIRECT_DESC);
	q->event_index = virtio_has(d, VIRTIO_F_EVENT_IDX);
	q->enabled = 1;
	virtio_notify(m, d, (u32)(q - d->queue)); /* after a queue's reset it may have work */
}

/* 4.1.4.3.1; the driver waits until it reads 0. */
static void queue_reset(struct machine *m, struct virtio *d, struct virtqueue *q)
{
	const struct virtio_model *model = virtio_model(d->type);
	u32 queue = (u32)(q - d->queue);

	if (!virtio_has(d, VIRTIO_F_RING_RESET) || !q->enabled)
		return;
	virtqueue_reset(q, q->size_max);
	d->again &= ~(1u << queue);
	if (model && model->queue_reset)
		model->queue_reset(m, d, queue);
}

static void write_half(struct machine *m, struct virtio *d, u32 offset, u32 value)
{
	struct virtqueue *q = selected(d);

	if (offset == VIRTIO_CONFIG_VECTOR)
		d->config_vector = vector_of(d, value);
	else if (offset == VIRTIO_QUEUE_SELECT)
		d->queue_select = (u16)value;
	else if (!q)
		return;
	else if (offset == VIRTIO_QUEUE_VECTOR)
		q->vector = vector_of(d, value);
	else if (offset == VIRTIO_QUEUE_ENABLE && value == 1)
		queue_enable(m, d, q);
	else if (offset == VIRTIO_QUEUE_RESET && value == 1)
		queue_reset(m, d, q);
	else if (offset == VIRTIO_QUEUE_SIZE && !q->enabled && value && value <= q->size_max &&
		 !(value & (value - 1)))
		q->size = (u16)value;
}

static bool features_acceptable(const struct virtio *d)
{
	const struct virtio_model *model = virtio_model(d->type);

	if (d->accepted & ~d->offered || !virtio_has(d, VIRTIO_F_VERSION_1))
		return false;
	for (const struct virtio_need *n = model ? model->needs : NULL; n && n->feature; n++) {
		if (virtio_has(d, n->feature) && !virtio_has(d, n->needs))
			return false;
	}
	return true;
}

static void driver_ok(struct machine *m, struct virtio *d)
{
	const struct virtio_model *model = virtio_model(d->type);

	if (d->status & VIRTIO_STATUS_NEEDS_RESET) {
		virtio_signal_config(m, d);
		return;
	}
	for (u32 i = 0; i < d->queues; i++) { /* enabled before the features were final */
		d->queue[i].indirect = virtio_has(d, VIRTIO_F_INDIRECT_DESC);
		d->queue[i].event_index = virtio_has(d, VIRTIO_F_EVENT_IDX);
	}
	if (model && model->start)
		model->start(m, d);
	virtio_process_all(m, d);
}

/* The driver sets bits and never clears any but all (2.1.1). */
static void write_status(struct machine *m, struct virtio *d, u8 value)
{
	const struct virtio_model *model = virtio_model(d->type);
	u8 set = value & (u8)~d->status;

	if (value == 0) {
		virtio_device_reset(m, d);
		return;
	}
	d->status |=
		set & (VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER | VIRTIO_STATUS_FAILED);
	if (set & VIRTIO_STATUS_FEATURES_OK && features_acceptable(d)) {
		d->status |= VIRTIO_STATUS_FEATURES_OK;
		if (model && model->negotiated)
			model->negotiated(m, d);
	}
	if (set & VIRTIO_STATUS_DRIVER_OK && d->status & VIRTIO_STATUS_FEATURES_OK) {
		d->status |= VIRTIO_STATUS_DRIVER_OK;
		driver_ok(m, d);
	}
}

void virtio_common_write(struct machine *m, struct virtio *d, u32 offset, unsigned size, u32 value)
{
	if (size == WORD && offset % WORD == 0)
		write_word(d, offset, value);
	else if (size == 2 && offset % 2 == 0)
		write_half(m, d, offset, value);
	else if (size == 1 && offset == VIRTIO_STATUS)
		write_status(m, d, (u8)value);
}
