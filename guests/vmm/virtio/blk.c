/* virtio block device: see blk.h. Here: set-up, configuration; requests are carried out
 * in blk_request.c. */
#include "guests/vmm/virtio/blk_parts.h"
#include "drivers/lib/lib.h"

#define CLASS_STORAGE 0x010000 /* SCSI, as drivers expect it: none of them looks */

static void config(struct machine *m, const struct virtio *d, u8 *bytes)
{
	const struct virtio_blk *s = (const struct virtio_blk *)d;
	const struct virtio_blk_facts *f = &s->facts;
	struct virtio_blk_config c = {
		.capacity = f->sectors,
		.size_max = VIRTIO_BLK_SIZE_MAX,
		.seg_max = VIRTIO_BLK_SEG_MAX,
		.blk_size = f->block_bytes,
		.min_io_size = (u16)(f->physical_bytes / f->block_bytes),
		.writeback = s->writeback,
		.num_queues = d->queues,
		.max_discard_sectors = f->discard_sectors,
		.max_discard_seg = f->discard_sectors ? 1 : 0,
		.discard_sector_alignment = f->discard_alignment,
		.max_write_zeroes_sectors = f->zeroes_sectors,
		.max_write_zeroes_seg = f->zeroes_sectors ? 1 : 0,
		.write_zeroes_may_unmap = f->can_unmap,
	};

	(void)m;
	while (f->block_bytes << c.physical_block_exp < f->physical_bytes)
		c.physical_block_exp++;
	memcpy(bytes, &c, VIRTIO_BLK_CONFIG_BYTES);
}

static void config_write(struct machine *m, struct virtio *d, u32 offset, unsigned size, u32 value)
{
	struct virtio_blk *s = (struct virtio_blk *)d;

	(void)m;
	if (offset == offsetof(struct virtio_blk_config, writeback) && size == 1 && value <= 1 &&
		virtio_has(d, VIRTIO_BLK_F_CONFIG_WCE))
		s->writeback = (u8)value;
}

static u64 features(const struct virtio_blk *s)
{
	const struct virtio_blk_facts *f = &s->facts;
	u64 bits = VIRTIO_BLK_F_SIZE_MAX | VIRTIO_BLK_F_SEG_MAX | VIRTIO_BLK_F_BLK_SIZE |
		   VIRTIO_BLK_F_FLUSH | VIRTIO_BLK_F_TOPOLOGY | VIRTIO_BLK_F_CONFIG_WCE;

	if (s->virtio.queues > 1)
		bits |= VIRTIO_BLK_F_MQ;
	if (f->read_only)
		return bits | VIRTIO_BLK_F_RO;
	if (f->discard_sectors)
		bits |= VIRTIO_BLK_F_DISCARD;
	if (f->zeroes_sectors)
		bits |= VIRTIO_BLK_F_WRITE_ZEROES;
	return bits;
}

/* 5.2.5.2: a driver that toggles the cache but cannot flush starts with write-through. */
static void negotiated(struct machine *m, struct virtio *d)
{
	struct virtio_blk *s = (struct virtio_blk *)d;

	(void)m;
	s->writeback = virtio_has(d, VIRTIO_BLK_F_FLUSH);
}

static void process(struct machine *m, struct virtio *d, u32 queue)
{
	virtio_blk_process(m, (struct virtio_blk *)d, queue);
}

static void queue_reset(struct machine *m, struct virtio *d, u32 queue)
{
	virtio_blk_abandon(m, (struct virtio_blk *)d, queue);
}

static void reset(struct machine *m, struct virtio *d)
{
	struct virtio_blk *s = (struct virtio_blk *)d;

	virtio_blk_abandon(m, s, VIRTIO_BLK_ALL);
	s->writeback = 1;
	d->offered = features(s) | VIRTIO_F_ALL;
}

static bool resetting(struct machine *m, const struct virtio *d)
{
	const struct virtio_blk *s = (const struct virtio_blk *)d;

	return virtio_blk_backend_unsettled(m, s->number, s->orphans > 0);
}

const struct virtio_model virtio_blk_model = {
	.class_code = CLASS_STORAGE,
	.config_bytes = VIRTIO_BLK_CONFIG_BYTES,
	.config = config,
	.config_write = config_write,
	.negotiated = negotiated,
	.process = process,
	.queue_reset = queue_reset,
	.reset = reset,
	.resetting = resetting,
};

/* No volume yet: what the driver sees until there is one. */
static const struct virtio_blk_facts nothing = {
	.block_bytes = VIRTIO_BLK_SECTOR,
	.physical_bytes = VIRTIO_BLK_SECTOR,
	.piece_sectors = 1,
};

bool virtio_blk_init(struct machine *m, struct virtio_blk *s, u8 number, u8 devfn, u8 queues,
	const struct virtio_blk_facts *facts)
{
	const struct virtio_setup setup = {
		.magic = VIRTIO_BLK_MAGIC,
		.bytes = sizeof(*s),
		.type = VIRTIO_TYPE_BLOCK,
		.devfn = devfn,
		.queues = queues,
		.size = VIRTIO_BLK_SIZE,
	};

	memset(s, 0, sizeof(*s));
	s->number = number;
	s->writeback = 1;
	s->facts = facts->sectors ? *facts : nothing;
	if (queues == 0 || queues > VIRTIO_BLK_QUEUES || !virtio_init(m, &s->virtio, &setup))
		return false;
	s->virtio.offered |= features(s);
	return true;
}

void virtio_blk_facts(struct machine *m, struct virtio_blk *s, const struct virtio_blk_facts *facts)
{
	bool changed = memcmp(facts, &s->facts, sizeof(*facts)) != 0;

	s->facts = *facts;
	if (!changed)
		return;
	if (!s->virtio.status) /* no driver has looked at them */
		s->virtio.offered = features(s) | VIRTIO_F_ALL;
	virtio_config_changed(m, &s->virtio);
}
