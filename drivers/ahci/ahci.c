/*
 * A SATA disk on an AHCI port: see ahci.h. Requests are carried out in their order: queued commands
 * (READ and WRITE FPDMA QUEUED) together, any other alone, as neither a disk nor an HBA takes both
 * at once (ACS-3, 4.15; AHCI 1.3.1, 5.6.4).
 */
#include "drivers/ahci/ahci.h"
#include "drivers/ahci/port.h"

#define TIMEOUT_US       20000000ull
#define MAX_SECTORS      2048u
#define ERRORS_TOLD      10u
#define QUEUE_ERRORS_MAX 8u /* after which the disk is used without its queue */

static_assert(AHCI_TABLE_REGIONS >= BLOCK_PIECES && AHCI_SLOTS_MAX <= DISK_TAGS_MAX);
static_assert(MAX_SECTORS * BLOCK_SECTOR <= AHCI_REGION_MOST);

static struct device *device;
static struct ahci_port port;
static struct ata_identity id;
static struct device_interrupt interrupt;
static const struct disk_request *request[AHCI_SLOTS_MAX];

static u32 fifo[AHCI_SLOTS_MAX]; /* tags that wait to be issued: a ring */
static u32 first;
static u32 waiting;
static u32 one_by_one; /* requests, the next of all, that go without the disk's queue */
static bool queueing;
static u32 queue_errors;
static u32 errors;

static void describe(struct disk_geometry *g)
{
	u32 block = id.block_size / BLOCK_SECTOR;

	*g = (struct disk_geometry){
		.unit = port.number,
		.sectors = id.sectors * block,
		.block_size = id.block_size,
		.physical_size = id.physical_size,
		.max_sectors = MAX_SECTORS,
		.max_pieces = BLOCK_PIECES,
		.bus_top = port.cap & HBA_CAP_S64A ? 0 : BIT(32),
		.tags = port.slots,
	};
	g->features |= id.flush ? BLOCK_CAN_FLUSH : 0;
	g->features |= id.fua ? BLOCK_CAN_FUA : 0;
	if (id.trim) {
		g->features |= BLOCK_CAN_DISCARD;
		g->max_discard = ATA_DATASET_RANGES * ATA_DATASET_MOST * block;
		g->discard_block = block;
	}
	if (queueing && g->tags > id.depth)
		g->tags = id.depth;
}

static bool ahci_disk_open(struct device *d, struct disk_geometry *g)
{
	device = d;
	waiting = 0;
	one_by_one = 0;
	queue_errors = 0;
	errors = 0;
	if (!ahci_open(&port, d) || !device_start(d) ||
		!device_interrupt(d, 0, START_BIT_OWN, &interrupt) || !ahci_start(&port, g->unit) ||
		!ahci_identify(&port, &id))
		return false;
	if (!id.large) {
		device_log(d, "a disk without 48-bit addresses is not supported");
		return false;
	}
	queueing = port.cap & HBA_CAP_NCQ && id.depth > 0;
	describe(g);
	device_log(d, "port %u, %u commands at once", port.number, queueing ? g->tags : 1);
	return true;
}

static bool same_disk(const struct ata_identity *now)
{
	return now->sectors == id.sectors && now->block_size == id.block_size &&
	       now->depth == id.depth && memcmp(now->serial, id.serial, sizeof(id.serial)) == 0;
}

static bool ahci_disk_reset(void)
{
	struct ata_identity now;

	waiting = 0;
	one_by_one = 0;
	if (!ahci_reset_hba(&port) || !ahci_start(&port, port.number) ||
		!ahci_identify(&port, &now))
		return false;
	if (same_disk(&now))
		return true;
	device_log(device, "it is another disk after a reset");
	return false;
}

/* --- requests --- */

static bool ahci_disk_room(void)
{
	return true; /* there is a slot for each tag */
}

static void ahci_disk_submit(u32 tag, const struct disk_request *r)
{
	request[tag] = r;
	fifo[(first + waiting) % AHCI_SLOTS_MAX] = tag;
	waiting++;
}

/* Puts a request back before all that wait. */
static void put_back(u32 tag)
{
	first = (first + AHCI_SLOTS_MAX - 1) % AHCI_SLOTS_MAX;
	fifo[first] = tag;
	waiting++;
}

/* ACS-3, 7.5: one block of ranges. Only one command that is not queued is under way, so there is
 * one page for all. */
static u32 set_ranges(u32 slot, u64 lba, u64 blocks)
{
	u64 range[ATA_DATASET_RANGES] = {0};

	for (u32 i = 0; i < ATA_DATASET_RANGES && blocks > 0; i++) {
		u64 most = blocks < ATA_DATASET_MOST ? blocks : ATA_DATASET_MOST;

		range[i] = lba | most << ATA_DATASET_COUNT;
		lba += most;
		blocks -= most;
	}
	memcpy(port.page, range, sizeof(range));
	ahci_region(&port, slot, 0, port.page_bus, sizeof(range));
	return 1;
}

static void prepare(u32 tag, bool queued)
{
	const struct disk_request *r = request[tag];
	u32 block = id.block_size / BLOCK_SECTOR;
	bool fua = r->flags & BLOCK_FUA;
	struct ahci_command c = {.queued = queued,
		.write = r->op == BLOCK_WRITE || r->op == BLOCK_DISCARD,
		.device = ATA_DEVICE_LBA};
	u32 regions = 0;

	if (r->op == BLOCK_READ || r->op == BLOCK_WRITE) {
		c.lba = r->sector / block;
		c.count = (u16)(r->sectors / block);
		for (; regions < r->pieces; regions++)
			ahci_region(&port, tag, regions, r->piece[regions].bus,
				r->piece[regions].length);
	}
	switch (r->op) {
	case BLOCK_FLUSH:
		c.code = ATA_FLUSH_CACHE_EXT;
		break;
	case BLOCK_DISCARD:
		c.code = ATA_DATASET;
		c.feature = ATA_DATASET_TRIM;
		c.count = 1;
		regions = set_ranges(tag, r->sector / block, r->sectors / block);
		break;
	case BLOCK_READ:
		c.code = queued ? ATA_READ_FPDMA : ATA_READ_DMA_EXT;
		break;
	default:
		c.code = queued ? ATA_WRITE_FPDMA : fua ? ATA_WRITE_DMA_FUA_EXT : ATA_WRITE_DMA_EXT;
		c.device |= queued && fua ? ATA_DEVICE_FUA : 0;
	}
	ahci_prepare(&port, tag, &c, regions);
}

/* Issues what may be under way at once. */
static void ahci_disk_kick(void)
{
	u32 slots = 0;

	if (port.flying & ~port.queued)
		return;
	while (waiting > 0) {
		u32 tag = fifo[first];
		bool data = request[tag]->op == BLOCK_READ || request[tag]->op == BLOCK_WRITE;
		bool queued = queueing && data && one_by_one == 0;

		if (!queued && (port.flying | slots))
			break;
		first = (first + 1) % AHCI_SLOTS_MAX;
		waiting--;
		prepare(tag, queued);
		if (!queued) {
			ahci_issue(&port, (u32)BIT(tag), false);
			return;
		}
		slots |= (u32)BIT(tag);
	}
	if (slots)
		ahci_issue(&port, slots, true);
}

/* --- their ends --- */

static void done(struct disk_server *s, u32 slots, enum block_status status)
{
	for (; slots; slots &= slots - 1) {
		one_by_one -= one_by_one > 0;
		disk_server_done(s, (u32)__builtin_ctz(slots), status);
	}
}

/*
 * The disk has ended a command with an error. One that was alone has failed. Of several queued ones
 * the disk has given up all (ACS-3, 4.15.4), and a reset makes it take commands again; then they go
 * one by one, and the one that fails is known.
 */
static bool fail(struct disk_server *s, u32 alone)
{
	u32 left = port.flying & ~alone;

	if (!ahci_restart(&port, left != 0))
		return false;
	if (alone) {
		done(s, alone, BLOCK_IO);
		return true;
	}
	for (one_by_one = 0; left; left &= left - 1, one_by_one++)
		put_back((u32)__builtin_ctz(left));
	if (queueing && ++queue_errors == QUEUE_ERRORS_MAX) {
		device_log(device, "its queue has failed %u times: it is used without",
			QUEUE_ERRORS_MAX);
		queueing = false;
	}
	return true;
}

static bool ahci_disk_poll(struct disk_server *s, u64 bits)
{
	u32 alone = port.flying & ~port.queued;
	struct ahci_events e = ahci_take(&port);
	u32 state;

	if (bits & interrupt.bits)
		device_interrupt_done(&interrupt);
	if (e.is & PORT_IS_LOST) {
		device_log(
			device, "port %u has lost its disk for a moment: %#x", port.number, e.is);
		return false;
	}
	if (!(e.is & PORT_IS_FATAL)) {
		done(s, e.done, BLOCK_OK);
		ahci_disk_kick();
		return true;
	}
	done(s, e.done & ~alone, BLOCK_OK);
	state = ahci_register(&port, PORT_TFD);
	if (errors < ERRORS_TOLD) {
		errors++;
		device_log(device, "an error of %s: interrupts %#x, status %#x, link %#x%s",
			alone ? "a command" : "its queue", e.is, state & 0xffff,
			ahci_register(&port, PORT_SERR),
			errors == ERRORS_TOLD ? "; more are not told" : "");
	}
	/* what was lost on the way may be sent again: all of it is */
	if (!(e.is & PORT_IS_TFES) || state & ATA_ERROR_ICRC || !fail(s, alone))
		return false;
	ahci_disk_kick();
	return true;
}

const struct disk_driver ahci_driver = {
	.open = ahci_disk_open,
	.room = ahci_disk_room,
	.submit = ahci_disk_submit,
	.kick = ahci_disk_kick,
	.poll = ahci_disk_poll,
	.reset = ahci_disk_reset,
	.timeout_us = TIMEOUT_US,
	.unit = "sata-port",
};
