/* ATA disks by bus-master DMA: see ata.h. Sections are of ATA/ATAPI-6. */
#include "drivers/ata/ata.h"
#include "drivers/ata/regs.h"
#include "drivers/lib/port.h"

#define PRIMARY     0x1f0u /* its command block; any other is the second channel's */
#define TIMEOUT_US  20000000ull
#define RESET_US    31000000u /* 9.2: a device may take so long */
#define READY_US    1000000u
#define STEP_US     1000u
#define PULSE_US    10u
#define MAX_SECTORS 256u /* a count of 0 says so */
#define LBA28_TOP   BIT(28)
#define REGIONS     64u
#define MASTER_TOP  BIT(32) /* addresses that the bus master has */
#define ERRORS_TOLD 10u

/* More than the largest request needs: each piece may be cut where 64 KiB end. */
static_assert(REGIONS >= MAX_SECTORS * BLOCK_SECTOR / BM_REGION_BYTES + 1 + BLOCK_PIECES);

static struct device *device;
static u16 block;   /* ports: the command block, */
static u16 control; /* the control block, */
static u16 master;  /* and the channel's bus master */
static struct bm_region *table;
static u64 table_bus;
static struct device_interrupt interrupt;
static u64 sectors;
static bool lba48;
static bool flying;
static u32 tag_flying;
static bool dma; /* what is under way moves data */
static u32 errors;

/* Waits until neither BSY nor DRQ is set. */
static bool wait_idle(u64 us)
{
	for (u64 i = 0; i <= us / STEP_US; i++) {
		u8 status = port_in8(control);

		if (status != ATA_STATUS_NONE && !(status & (ATA_STATUS_BSY | ATA_STATUS_DRQ)))
			return true;
		device_wait(device, STEP_US);
	}
	device_log(device, "the disk does not become ready: status %#x", port_in8(control));
	return false;
}

static void master_stop(void)
{
	port_out8(master + BM_COMMAND, 0);
	port_out8(master + BM_STATUS, BM_STATUS_INTR | BM_STATUS_ERROR);
}

/* 9.2: software reset. It ends whatever the firmware or an earlier driver began. */
static bool reset_channel(void)
{
	flying = false;
	master_stop();
	port_out8(control, ATA_CONTROL_SRST | ATA_CONTROL_NIEN);
	device_wait(device, PULSE_US);
	port_out8(control, ATA_CONTROL_NIEN);
	device_wait(device, 2 * STEP_US);
	port_out8(block + ATA_DEVICE, ATA_DEVICE_LEGACY);
	return wait_idle(RESET_US);
}

/* Interrupts are off; 8.15 in PIO. */
static bool read_identity(u16 words[ATA_ID_WORDS])
{
	u8 status = ATA_STATUS_BSY;

	port_out8(block + ATA_DEVICE, ATA_DEVICE_LEGACY);
	port_out8(block + ATA_COMMAND, ATA_IDENTIFY);
	for (u32 i = 0; i < READY_US / STEP_US && status & ATA_STATUS_BSY; i++) {
		device_wait(device, STEP_US);
		status = port_in8(control);
	}
	if (status & (ATA_STATUS_BSY | ATA_STATUS_ERR | ATA_STATUS_DF) ||
		!(status & ATA_STATUS_DRQ)) {
		device_log(device, "the disk does not identify itself: status %#x", status);
		return false;
	}
	for (u32 i = 0; i < ATA_ID_WORDS; i++)
		words[i] = port_in16(block + ATA_DATA);
	port_in8(block + ATA_STATUS);
	return true;
}

static bool identify(struct disk_geometry *g)
{
	u16 words[ATA_ID_WORDS];
	struct ata_identity id;
	const char *why;

	if (!read_identity(words))
		return false;
	why = ata_identify(words, &id);
	if (!why && id.block_size != BLOCK_SECTOR)
		why = "sectors of more than 512 bytes are not supported";
	if (why) {
		device_log(device, "the disk: %s", why);
		return false;
	}
	lba48 = id.large;
	sectors = id.sectors;
	*g = (struct disk_geometry){
		.sectors = sectors,
		.block_size = BLOCK_SECTOR,
		.physical_size = id.physical_size,
		.features = id.flush ? BLOCK_CAN_FLUSH : 0,
		.max_sectors = MAX_SECTORS,
		.max_pieces = BLOCK_PIECES,
		.tags = 1,
		.bus_top = MASTER_TOP,
	};
	return true;
}

/* The ports: the function's own are the bus master's; the channel's are a device of the ISA bus. */
static bool find_ports(void)
{
	u32 count;
	u16 base;

	if (!device_ports(device, true, 0, &base, &count) || count < 2 * BM_CHANNEL) {
		device_log(device, "it has no bus master");
		return false;
	}
	master = base;
	if (!device_ports(device, false, 0, &block, &count) || count != ATA_BLOCK ||
		!device_ports(device, false, 1, &control, &count)) {
		device_log(device, "its node has no \"access\" to the ports of an ATA channel");
		return false;
	}
	if (block != PRIMARY)
		master += BM_CHANNEL;
	return true;
}

static void interrupts_on(void)
{
	port_in8(block + ATA_STATUS);
	port_out8(control, 0);
}

static bool ata_open(struct device *d, struct disk_geometry *g)
{
	device = d;
	errors = 0;
	if (!find_ports() || !reset_channel() || !identify(g))
		return false;
	table = device_alloc(d, REGIONS * sizeof(*table), REGIONS * sizeof(*table), &table_bus);
	if (!table)
		return false;
	if (table_bus >= MASTER_TOP) {
		device_log(d, "its memory lies above 4 GiB, which the bus master does not reach");
		return false;
	}
	if (!device_start(d) || !device_isa_interrupt(d, &interrupt))
		return false;
	interrupts_on();
	return true;
}

static bool ata_reset(void)
{
	u64 before = sectors;
	struct disk_geometry g;

	if (!reset_channel() || !identify(&g))
		return false;
	interrupts_on();
	if (g.sectors == before)
		return true;
	device_log(device, "it is another disk after a reset");
	return false;
}

static bool ata_room(void)
{
	return !flying;
}

static void make_table(const struct disk_request *r)
{
	u32 n = 0;

	for (u32 i = 0; i < r->pieces; i++) {
		u64 bus = r->piece[i].bus;
		u32 left = r->piece[i].length;

		while (left > 0) {
			u32 room = BM_REGION_BYTES - (u32)(bus % BM_REGION_BYTES);
			u32 length = left < room ? left : room;

			table[n++] = (struct bm_region){.address = (u32)bus, .length = (u16)length};
			bus += length;
			left -= length;
		}
	}
	table[n - 1].flags = BM_REGION_LAST;
}

/* 6.2 and 7: the upper half of each register is written first. */
static void set_address(const struct disk_request *r, bool large)
{
	u64 lba = r->sector;

	if (large) {
		port_out8(block + ATA_COUNT, (u8)(r->sectors >> 8));
		port_out8(block + ATA_LBA_LOW, (u8)(lba >> 24));
		port_out8(block + ATA_LBA_MID, (u8)(lba >> 32));
		port_out8(block + ATA_LBA_HIGH, (u8)(lba >> 40));
	}
	port_out8(block + ATA_COUNT, (u8)r->sectors);
	port_out8(block + ATA_LBA_LOW, (u8)lba);
	port_out8(block + ATA_LBA_MID, (u8)(lba >> 8));
	port_out8(block + ATA_LBA_HIGH, (u8)(lba >> 16));
}

static void ata_submit(u32 tag, const struct disk_request *r)
{
	bool large = lba48 && r->sector + r->sectors > LBA28_TOP;
	u8 direction = r->op == BLOCK_READ ? BM_COMMAND_READ : 0;
	u8 command = lba48 ? ATA_FLUSH_CACHE_EXT : ATA_FLUSH_CACHE;

	flying = true;
	tag_flying = tag;
	dma = r->op != BLOCK_FLUSH;
	port_out8(block + ATA_DEVICE,
		(u8)(ATA_DEVICE_LEGACY | ATA_DEVICE_LBA | (large ? 0 : r->sector >> 24 & 0xf)));
	master_stop();
	if (dma) {
		make_table(r);
		port_out32(master + BM_TABLE, (u32)table_bus);
		port_out8(master + BM_COMMAND, direction);
		set_address(r, large);
		if (r->op == BLOCK_READ)
			command = large ? ATA_READ_DMA_EXT : ATA_READ_DMA;
		else
			command = large ? ATA_WRITE_DMA_EXT : ATA_WRITE_DMA;
	}
	port_out8(block + ATA_COMMAND, command);
	if (dma)
		port_out8(master + BM_COMMAND, direction | BM_COMMAND_START);
}

static void ata_kick(void)
{
}

static bool ata_poll(struct disk_server *s, u64 bits)
{
	u8 state;
	u8 status;

	(void)bits;
	if (!flying)
		return true;
	state = port_in8(master + BM_STATUS);
	if (!(state & BM_STATUS_INTR))
		return true; /* not its interrupt, or none yet */
	status = port_in8(block + ATA_STATUS);
	if (status & ATA_STATUS_BSY)
		return true;
	master_stop();
	flying = false;
	if (status & (ATA_STATUS_ERR | ATA_STATUS_DF) || (dma && state & BM_STATUS_ERROR)) {
		if (errors++ < ERRORS_TOLD)
			device_log(device, "a request failed: status %#x, error %#x, master %#x",
				status, port_in8(block + ATA_ERROR), state);
		disk_server_done(s, tag_flying, BLOCK_IO);
		return true;
	}
	if (status & ATA_STATUS_DRQ) {
		device_log(device, "it wants more data than a request has");
		flying = true;
		return false;
	}
	disk_server_done(s, tag_flying, BLOCK_OK);
	return true;
}

const struct disk_driver ata_driver = {
	.open = ata_open,
	.room = ata_room,
	.submit = ata_submit,
	.kick = ata_kick,
	.poll = ata_poll,
	.reset = ata_reset,
	.timeout_us = TIMEOUT_US,
};
