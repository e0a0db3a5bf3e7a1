/* A virtio block device: see blk.h. Sections are of VIRTIO 1.2. */
#include "drivers/virtio_blk/blk.h"

/* 5.2.3 */
#define F_SIZE_MAX     BIT(1)
#define F_SEG_MAX      BIT(2)
#define F_RO           BIT(5)
#define F_BLK_SIZE     BIT(6)
#define F_FLUSH        BIT(9)
#define F_TOPOLOGY     BIT(10)
#define F_DISCARD      BIT(13)
#define F_WRITE_ZEROES BIT(14)
#define WANTED                                                                                     \
	(F_SIZE_MAX | F_SEG_MAX | F_RO | F_BLK_SIZE | F_FLUSH | F_TOPOLOGY | F_DISCARD |           \
		F_WRITE_ZEROES | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX)

/* 5.2.4: struct virtio_blk_config */
#define CONFIG_CAPACITY      0u
#define CONFIG_SIZE_MAX      8u
#define CONFIG_SEG_MAX       12u
#define CONFIG_BLK_SIZE      20u
#define CONFIG_PHYSICAL_EXP  24u
#define CONFIG_MAX_DISCARD   36u
#define CONFIG_DISCARD_SEG   40u
#define CONFIG_DISCARD_ALIGN 44u
#define CONFIG_MAX_ZEROES    48u
#define CONFIG_ZEROES_SEG    52u

/* 5.2.6 */
#define T_IN           0u
#define T_OUT          1u
#define T_FLUSH        4u
#define T_DISCARD      11u
#define T_WRITE_ZEROES 13u
#define S_OK           0u
#define S_UNSUPP       2u
#define S_NONE         0xffu /* what the driver writes before the device does */
#define ZEROES_UNMAP   BIT(0)

#define QUEUE         0u
#define QUEUE_SIZE    128u
#define MESSAGE_QUEUE 1u /* 0 if the function has one message only */
#define BIT_CONFIG    START_BIT_OWN
#define BIT_QUEUE     (START_BIT_OWN + 1)
#define TIMEOUT_US    20000000ull
#define MAX_SECTORS   512u
#define MAX_CLEAR     0x400000u /* sectors of a DISCARD or WRITE_ZEROES */
#define TRIES         16        /* to read a configuration that does not change meanwhile */
#define OVERHEAD      2u        /* pieces: header and status */
#define PIECES_MAX    (VIRTQUEUE_PIECES - OVERHEAD)

struct header {
	u32 type;
	u32 reserved;
	u64 sector;
};
static_assert(sizeof(struct header) == 16);

struct segment { /* of DISCARD and WRITE_ZEROES */
	u64 sector;
	u32 sectors;
	u32 flags;
};
static_assert(sizeof(struct segment) == 16);

/* What the device reads and writes of a request besides its data. */
struct frame {
	struct header header;
	struct segment segment;
	u8 status;
	u8 reserved[31];
};
static_assert(sizeof(struct frame) == 64);

static struct device *device;
static struct virtio virtio;
static struct virtio_queue queue;
static struct frame *frame; /* DISK_TAGS_MAX */
static u64 frame_bus;
static struct disk_geometry geometry;
static struct device_interrupt config_interrupt;
static struct device_interrupt queue_interrupt;
static u16 config_vector;
static u16 queue_vector;

static u32 config32(u32 offset)
{
	return (u32)virtio_config(&virtio, offset, 4);
}

static u32 at_most(u32 value, u32 most)
{
	return value < most ? value : most;
}

/* One configuration as it was at one moment; limits that cannot be switch their feature off. */
static void read_config(struct disk_geometry *g)
{
	bool size_max = virtio.features & F_SIZE_MAX;
	u32 block = BLOCK_SECTOR;
	u32 exponent = 0;

	*g = (struct disk_geometry){.sectors = virtio_config(&virtio, CONFIG_CAPACITY, 8)};
	if (virtio.features & F_BLK_SIZE)
		block = config32(CONFIG_BLK_SIZE);
	if (virtio.features & F_TOPOLOGY)
		exponent = (u32)virtio_config(&virtio, CONFIG_PHYSICAL_EXP, 1);
	g->block_size = block;
	g->physical_size =
		exponent < 16 && (u64)block << exponent < BIT(31) ? block << exponent : block;
	g->features = virtio.features & F_RO ? BLOCK_READ_ONLY : 0;
	g->features |= virtio.features & F_FLUSH ? BLOCK_CAN_FLUSH : 0;
	g->max_sectors = MAX_SECTORS;
	if (size_max)
		g->max_sectors = at_most(config32(CONFIG_SIZE_MAX) / BLOCK_SECTOR, MAX_SECTORS);
	g->max_pieces = virtio.features & F_SEG_MAX ? config32(CONFIG_SEG_MAX) : 1;
	g->max_pieces = at_most(g->max_pieces ? g->max_pieces : 1, PIECES_MAX);
	g->tags = DISK_TAGS_MAX;
	if (block < BLOCK_SECTOR || block > PAGE_SIZE || block & (block - 1))
		return; /* disk_geometry_ok refuses it */
	block /= BLOCK_SECTOR;
	g->sectors -= g->sectors % block;
	g->max_sectors -= g->max_sectors % block;
	if (virtio.features & F_DISCARD && config32(CONFIG_DISCARD_SEG) > 0) {
		g->max_discard = at_most(config32(CONFIG_MAX_DISCARD), MAX_CLEAR);
		g->max_discard -= g->max_discard % block;
		g->discard_block = config32(CONFIG_DISCARD_ALIGN);
		g->discard_block = g->discard_block ? g->discard_block : block;
	}
	if (virtio.features & F_WRITE_ZEROES && config32(CONFIG_ZEROES_SEG) > 0) {
		g->max_zeroes = at_most(config32(CONFIG_MAX_ZEROES), MAX_CLEAR);
		g->max_zeroes -= g->max_zeroes % block;
	}
	g->features |= g->max_discard ? BLOCK_CAN_DISCARD : 0;
	g->features |= g->max_zeroes ? BLOCK_CAN_WRITE_ZEROES : 0;
}

static bool read_geometry(void)
{
	for (int i = 0; i < TRIES; i++) {
		u8 generation = virtio_generation(&virtio);

		read_config(&geometry);
		if (virtio_generation(&virtio) == generation)
			return true;
	}
	device_log(device, "its configuration does not stand still");
	return false;
}

/* From a device that was reset to one that works; the queue has its memory. */
static bool set_up(void)
{
	if (!virtio_queue_start(&virtio, &queue, QUEUE, queue_vector))
		return false;
	if (config_vector != VIRTIO_NO_VECTOR && !virtio_config_vector(&virtio, config_vector))
		return false;
	/* a chain of every request must fit */
	if (!queue.ring.indirect && queue.ring.size < geometry.max_pieces + OVERHEAD) {
		device_log(device, "its queue has %u entries: too few", queue.ring.size);
		return false;
	}
	virtio_ready(&virtio);
	virtqueue_arm(&queue.ring);
	return true;
}

static bool make_interrupts(void)
{
	u32 messages = device_messages(device);

	config_vector = messages > 1 ? 0 : VIRTIO_NO_VECTOR;
	queue_vector = messages > 1 ? MESSAGE_QUEUE : messages == 1 ? 0 : VIRTIO_NO_VECTOR;
	if (messages > 1 && !device_interrupt(device, config_vector, BIT_CONFIG, &config_interrupt))
		return false;
	return device_interrupt(device, messages ? queue_vector : 0, BIT_QUEUE, &queue_interrupt);
}

static bool blk_open(struct device *d, struct disk_geometry *g)
{
	device = d;
	if (!virtio_open(&virtio, d) || !virtio_reset(&virtio) ||
		!virtio_negotiate(&virtio, WANTED, 0) || !read_geometry())
		return false;
	frame = device_alloc(d, DISK_TAGS_MAX * sizeof(*frame), sizeof(*frame), &frame_bus);
	if (!frame || !virtio_queue_alloc(&virtio, &queue, QUEUE_SIZE) || !device_start(d) ||
		!make_interrupts() || !set_up())
		return false;
	*g = geometry;
	return true;
}

static bool blk_reset(void)
{
	u64 features = virtio.features;

	if (!virtio_reset(&virtio) || !virtio_negotiate(&virtio, features, features))
		return false;
	return set_up();
}

static bool blk_room(void)
{
	return virtqueue_room(&queue.ring, geometry.max_pieces + OVERHEAD);
}

static u32 type_of(u8 op)
{
	static const u8 types[] = {
		[BLOCK_READ] = T_IN,
		[BLOCK_WRITE] = T_OUT,
		[BLOCK_FLUSH] = T_FLUSH,
		[BLOCK_DISCARD] = T_DISCARD,
		[BLOCK_WRITE_ZEROES] = T_WRITE_ZEROES,
	};

	return types[op];
}

static void blk_submit(u32 tag, const struct disk_request *r)
{
	struct virtqueue_piece piece[PIECES_MAX + OVERHEAD];
	u64 bus = frame_bus + tag * sizeof(struct frame);
	struct frame *f = &frame[tag];
	bool clears = r->op == BLOCK_DISCARD || r->op == BLOCK_WRITE_ZEROES;
	u32 n = 0;

	*f = (struct frame){.header = {.type = type_of(r->op)}, .status = S_NONE};
	piece[n++] = (struct virtqueue_piece){bus, sizeof(f->header), false};
	if (clears) { /* 5.2.6: the header's sector is 0 then */
		f->segment = (struct segment){.sector = r->sector,
			.sectors = r->sectors,
			.flags = r->flags & BLOCK_UNMAP ? ZEROES_UNMAP : 0};
		piece[n++] = (struct virtqueue_piece){
			bus + offsetof(struct frame, segment), sizeof(f->segment), false};
	} else {
		f->header.sector = r->sector;
	}
	for (u32 i = 0; i < r->pieces; i++)
		piece[n++] = (struct virtqueue_piece){
			r->piece[i].bus, r->piece[i].length, r->op == BLOCK_READ};
	piece[n++] = (struct virtqueue_piece){
		bus + offsetof(struct frame, status), sizeof(f->status), true};
	virtqueue_add(&queue.ring, piece, n, (u16)tag);
}

static void blk_kick(void)
{
	if (virtqueue_publish(&queue.ring))
		virtio_notify(&queue);
}

/* The device must have written the status; then all before it may be used. What it says it wrote
 * is not needed: the data go to the client as they are. */
static enum block_status status_of(u32 tag)
{
	switch (__atomic_load_n(&frame[tag].status, __ATOMIC_RELAXED)) {
	case S_OK:
		return BLOCK_OK;
	case S_UNSUPP:
		return BLOCK_UNSUPPORTED;
	default:
		return BLOCK_IO;
	}
}

static bool take_all(struct disk_server *s)
{
	enum virtqueue_taken taken;
	u32 written;
	u16 tag;

	do {
		while ((taken = virtqueue_take(&queue.ring, &tag, &written)) == VIRTQUEUE_TAKEN)
			disk_server_done(s, tag, status_of(tag));
		if (taken == VIRTQUEUE_BROKEN) {
			device_log(device, "it broke its queue");
			return false;
		}
	} while (virtqueue_arm(&queue.ring));
	return true;
}

static bool blk_poll(struct disk_server *s, u64 bits)
{
	bool config = bits & config_interrupt.bits;
	bool good;

	if (queue_interrupt.line && bits & queue_interrupt.bits)
		config |= virtio_isr(&virtio) & VIRTIO_ISR_CONFIG;
	if (config && virtio_failed(&virtio)) {
		device_log(device, "it asks for a reset");
		return false;
	}
	good = take_all(s);
	if (bits & queue_interrupt.bits)
		device_interrupt_done(&queue_interrupt);
	return good;
}

const struct disk_driver virtio_blk_driver = {
	.open = blk_open,
	.room = blk_room,
	.submit = blk_submit,
	.kick = blk_kick,
	.poll = blk_poll,
	.reset = blk_reset,
	.timeout_us = TIMEOUT_US,
};
