/* A namespace of an NVMe controller: see nvme.h. Sections are of the Base Specification 1.4. */
#include "drivers/nvme/nvme.h"

#define TIMEOUT_US   20000000ull
#define MAX_CLEAR    0x400000u /* sectors of a DISCARD */
#define MAX_ZEROES   0x10000u  /* blocks of a WRITE_ZEROES: 16 bits, less 1 (6.17) */
#define MAX_PHYSICAL 0x10000u
#define LIST_ENTRIES 128u /* of a PRP list: more than the largest transfer needs */
#define ERRORS_TOLD  10u

/* What a command refers to besides its data; none crosses a page. */
struct extra {
	union {
		u64 prp[LIST_ENTRIES]; /* 4.4 */
		struct nvme_range range;
	};
};
static_assert(sizeof(struct extra) == 1024 && PAGE_SIZE % sizeof(struct extra) == 0);

static struct device *device;
static struct nvme_controller controller;
static struct nvme_namespace namespace;
static struct extra *extra; /* DISK_TAGS_MAX */
static u64 extra_bus;
static struct device_interrupt interrupt[NVME_IO_QUEUES];
static u32 interrupts;
static u32 errors;

static u32 power_of_two(u64 bytes, u32 most)
{
	u32 found = 1;

	while (found * 2ull <= bytes && found < most)
		found *= 2;
	return found;
}

static void describe(struct disk_geometry *g)
{
	const struct nvme_namespace *n = &namespace;
	u32 block = n->block_size / BLOCK_SECTOR;

	*g = (struct disk_geometry){
		.unit = n->nsid,
		.sectors = n->blocks * block,
		.block_size = n->block_size,
		.physical_size = power_of_two((u64)n->write_blocks * n->block_size, MAX_PHYSICAL),
		.features = BLOCK_CAN_FUA | BLOCK_WHOLE_PAGES, /* a PRP list has no holes */
		.max_sectors = (u32)(controller.max_bytes / BLOCK_SECTOR),
		.max_pieces = BLOCK_PIECES,
		.discard_block = n->discard_blocks * block,
		.tags = DISK_TAGS_MAX,
	};
	g->features |= n->read_only ? BLOCK_READ_ONLY : 0;
	g->features |= controller.has_cache ? BLOCK_CAN_FLUSH : 0;
	if (controller.can_dataset) {
		g->features |= BLOCK_CAN_DISCARD;
		g->max_discard = MAX_CLEAR;
	}
	if (controller.can_zeroes) {
		g->features |= BLOCK_CAN_WRITE_ZEROES;
		g->max_zeroes = MAX_ZEROES * block;
	}
	if (g->tags > controller.queues * (controller.io[0].size - 1u))
		g->tags = controller.queues * (controller.io[0].size - 1u);
}

/* A message for each I/O queue behind the admin queue's, or what there is for all of them. */
static bool make_interrupts(void)
{
	u32 messages = device_messages(device);

	controller.queues = NVME_IO_QUEUES;
	interrupts = messages > NVME_IO_QUEUES ? NVME_IO_QUEUES : 1;
	for (u32 i = 0; i < NVME_IO_QUEUES; i++)
		controller.vector[i] = interrupts > 1 ? (u16)(i + 1) : 0;
	for (u32 i = 0; i < interrupts; i++) {
		if (!device_interrupt(
			    device, controller.vector[i], START_BIT_OWN + i, &interrupt[i]))
			return false;
	}
	return true;
}

static bool nvme_disk_open(struct device *d, struct disk_geometry *g)
{
	device = d;
	errors = 0;
	if (!nvme_open(&controller, d))
		return false;
	extra = device_alloc(d, DISK_TAGS_MAX * sizeof(*extra), sizeof(*extra), &extra_bus);
	if (!extra || !device_start(d) || !make_interrupts() || !nvme_start(&controller) ||
		!nvme_identify(&controller, g->unit, &namespace) || !nvme_make_queues(&controller))
		return false;
	describe(g);
	return true;
}

static bool nvme_disk_reset(void)
{
	u32 queues = controller.queues;
	struct nvme_namespace now;

	if (!nvme_stop(&controller) || !nvme_start(&controller) ||
		!nvme_identify(&controller, namespace.nsid, &now) || !nvme_make_queues(&controller))
		return false;
	if (controller.queues == queues && now.blocks == namespace.blocks &&
		now.block_size == namespace.block_size)
		return true;
	device_log(device, "it is another after a reset");
	return false;
}

static struct nvme_queue *queue_of(u32 tag)
{
	return &controller.io[tag % controller.queues];
}

/* Tags are spread over the queues so that each has room for all of its own. */
static bool nvme_disk_room(void)
{
	return true;
}

/* 4.4: the first page from its offset on; then the second, or a list of the others. Pieces meet
 * where pages end. */
static void set_data(struct nvme_command *c, u32 tag, const struct disk_request *r)
{
	u64 *prp = extra[tag].prp;
	u32 n = 0;

	c->prp1 = r->piece[0].bus;
	for (u32 i = 0; i < r->pieces; i++) {
		const struct disk_piece *p = &r->piece[i];
		u64 at = i == 0 ? ALIGN_DOWN(p->bus, PAGE_SIZE) + PAGE_SIZE : p->bus;

		for (; at < p->bus + p->length; at += PAGE_SIZE)
			prp[n++] = at;
	}
	if (n == 1)
		c->prp2 = prp[0];
	else if (n > 1)
		c->prp2 = extra_bus + tag * sizeof(struct extra);
}

static void nvme_disk_submit(u32 tag, const struct disk_request *r)
{
	u32 shift = (u32)__builtin_ctz(namespace.block_size / BLOCK_SECTOR);
	u64 lba = r->sector >> shift;
	u32 blocks = r->sectors >> shift;
	u32 fua = r->flags & BLOCK_FUA ? (u32)NVME_FUA : 0;
	struct nvme_command c = {.id = (u16)tag, .nsid = namespace.nsid};

	if (r->op != BLOCK_FLUSH) {
		c.dword[0] = (u32)lba;
		c.dword[1] = (u32)(lba >> 32);
	}
	switch (r->op) {
	case BLOCK_FLUSH:
		c.opcode = NVME_FLUSH;
		break;
	case BLOCK_DISCARD:
		c.opcode = NVME_DATASET;
		c.dword[0] = 0; /* one range */
		c.dword[1] = NVME_DATASET_AD;
		extra[tag].range = (struct nvme_range){.blocks = blocks, .lba = lba};
		c.prp1 = extra_bus + tag * sizeof(struct extra);
		break;
	case BLOCK_WRITE_ZEROES:
		c.opcode = NVME_WRITE_ZEROES;
		c.dword[2] =
			(blocks - 1) | fua | (r->flags & BLOCK_UNMAP ? (u32)NVME_DEALLOCATE : 0);
		break;
	default:
		c.opcode = r->op == BLOCK_READ ? NVME_READ : NVME_WRITE;
		c.dword[2] = (blocks - 1) | fua;
		set_data(&c, tag, r);
	}
	nvme_queue_add(queue_of(tag), &c);
}

static void nvme_disk_kick(void)
{
	for (u32 i = 0; i < controller.queues; i++)
		nvme_queue_kick(&controller.io[i]);
}

static enum block_status status_of(u16 status)
{
	u32 code = NVME_STATUS_CODE(status);

	if (code == NVME_SC_OK)
		return BLOCK_OK;
	if (errors < ERRORS_TOLD) {
		errors++;
		device_log(device, "a request failed with status %#x%s", code,
			errors == ERRORS_TOLD ? "; more are not told" : "");
	}
	return code == NVME_SC_INVALID_OPCODE ? BLOCK_UNSUPPORTED
	       : code == NVME_SC_LBA_RANGE    ? BLOCK_RANGE
					      : BLOCK_IO;
}

static bool take_all(struct disk_server *s, struct nvme_queue *q)
{
	struct nvme_completion c;
	enum nvme_taken taken;
	bool any = false;

	while ((taken = nvme_queue_take(q, &c)) == NVME_TAKEN) {
		disk_server_done(s, c.id, status_of(c.status));
		any = true;
	}
	if (any)
		nvme_queue_release(q);
	if (taken == NVME_BROKEN)
		device_log(device, "it broke its queue %u", q->number);
	return taken != NVME_BROKEN;
}

/* Completions are looked at in memory; an interrupt comes for each that is written after that, as
 * interrupts are not coalesced unless asked for (7.5). */
static bool nvme_disk_poll(struct disk_server *s, u64 bits)
{
	bool good = true;

	for (u32 i = 0; i < controller.queues; i++)
		good = good && take_all(s, &controller.io[i]);
	for (u32 i = 0; i < interrupts; i++) {
		if (bits & interrupt[i].bits)
			device_interrupt_done(&interrupt[i]);
	}
	if (good && bits == 0 && s->busy > 0 && nvme_failed(&controller)) {
		device_log(device, "the controller reports a fatal state");
		return false;
	}
	return good;
}

const struct disk_driver nvme_driver = {
	.open = nvme_disk_open,
	.room = nvme_disk_room,
	.submit = nvme_disk_submit,
	.kick = nvme_disk_kick,
	.poll = nvme_disk_poll,
	.reset = nvme_disk_reset,
	.timeout_us = TIMEOUT_US,
	.unit = "namespace",
};
