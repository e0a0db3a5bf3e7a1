/* A USB disk: see xhci.h. SCSI commands are those of SBC-3. */
#include "drivers/xhci/xhci.h"
#include "drivers/xhci/storage.h"

#define TIMEOUT_US  20000000ull
#define POWER_US    100000u /* until what is connected is seen */
#define LOOK_US     100000u
#define MAX_SECTORS 240u /* more than some devices can is no use */
#define RETRIES     3u
#define ERRORS_TOLD 10u

#define SCSI_READ_10    0x28u
#define SCSI_WRITE_10   0x2au
#define SCSI_SYNC_CACHE 0x35u
#define SCSI_READ_16    0x88u
#define SCSI_WRITE_16   0x8au
#define CDB_6           6u
#define CDB_10          10u
#define CDB_16          16u

static struct device *device;
static struct xhci xhci;
static struct storage storage;
static struct device_interrupt interrupt;
static const struct disk_request *request;
static bool flying;
static u32 flying_tag;
static u32 retries;    /* of the command under way */
static bool recovered; /* by reset recovery, since a command was good */
static bool no_cache;  /* it does not know SYNCHRONIZE CACHE */
static u32 errors;

static void describe(struct disk_geometry *g)
{
	*g = (struct disk_geometry){
		.unit = xhci.port,
		.sectors = storage.blocks * (storage.block_size / BLOCK_SECTOR),
		.block_size = storage.block_size,
		.physical_size = storage.block_size,
		.features = BLOCK_CAN_FLUSH | (storage.read_only ? BLOCK_READ_ONLY : 0),
		.max_sectors = MAX_SECTORS,
		.max_pieces = BLOCK_PIECES,
		.bus_top = xhci.wide ? 0 : BIT(32),
		.tags = 1,
	};
}

/* Looks at each port, or at `wanted`, until there is a disk: a stick may be put in later. What is
 * none is not looked at again until it is pulled out. False: the controller has failed. */
static bool find_disk(u32 wanted)
{
	u8 seen[32] = {0}; /* a bit for each port */
	bool told = false;

	device_wait(device, POWER_US);
	for (;;) {
		for (u32 port = 1; port <= xhci.ports; port++) {
			u8 *byte = &seen[port / 8];
			u8 bit = (u8)(1u << port % 8);

			if (wanted != DISK_UNIT_FIRST && wanted != port)
				continue;
			if (!xhci_connected(&xhci, port))
				*byte &= (u8)~bit;
			else if (!(*byte & bit) && storage_find(&storage, port))
				return true;
			else
				*byte |= bit;
		}
		if (!xhci_works(&xhci)) {
			device_log(device, "the controller has failed");
			return false;
		}
		if (!told)
			device_log(device, "no disk is connected yet");
		told = true;
		xhci_idle(&xhci);
		device_wait(device, LOOK_US);
	}
}

static bool xhci_disk_open(struct device *d, struct disk_geometry *g)
{
	device = d;
	flying = false;
	no_cache = false;
	recovered = false;
	errors = 0;
	if (!xhci_open(&xhci, d) || !storage_open(&storage, &xhci) || !device_start(d) ||
		!device_interrupt(d, 0, START_BIT_OWN, &interrupt))
		return false;
	xhci_start(&xhci);
	if (!find_disk(g->unit))
		return false;
	device_log(d, "port %u: a disk of %lu blocks of %u, packets of %u", xhci.port,
		storage.blocks, storage.block_size, storage.usb.in.packet);
	describe(g);
	return true;
}

/* First what disturbs least; then all anew. */
static bool xhci_disk_reset(void)
{
	u64 blocks = storage.blocks;
	u32 block_size = storage.block_size;
	u32 port = xhci.port;
	u8 what[USB_DEVICE_BYTES];

	flying = false;
	memcpy(what, storage.what, sizeof(what));
	if (!recovered && !xhci.gone && !xhci.lost && xhci.slot) {
		recovered = true;
		if (storage_recover(&storage))
			return true;
	}
	if (!xhci_reset(&xhci))
		return false;
	xhci_start(&xhci);
	device_wait(device, POWER_US);
	if (!xhci_connected(&xhci, port) || !storage_find(&storage, port)) {
		device_log(device, "port %u: the disk is gone", port);
		return false;
	}
	if (storage.blocks == blocks && storage.block_size == block_size &&
		memcmp(what, storage.what, sizeof(what)) == 0)
		return true;
	device_log(device, "it is another disk after a reset");
	return false;
}

/* --- requests --- */

static bool xhci_disk_room(void)
{
	return !flying;
}

static void put_big(u8 *at, u64 value, u32 bytes)
{
	for (u32 i = 0; i < bytes; i++)
		at[i] = (u8)(value >> 8 * (bytes - 1 - i));
}

static void begin(void)
{
	const struct disk_request *r = request;
	u32 block = storage.block_size / BLOCK_SECTOR;
	struct scsi_command c = {.length = CDB_10};
	u64 lba = r->sector / block;
	u32 count = r->sectors / block;

	if (r->op == BLOCK_FLUSH) { /* six bytes of zeroes are TEST UNIT READY */
		c.length = no_cache ? CDB_6 : CDB_10;
		c.cdb[0] = no_cache ? 0 : SCSI_SYNC_CACHE;
		storage_begin(&storage, &c);
		return;
	}
	c.in = r->op == BLOCK_READ;
	c.bytes = r->sectors * BLOCK_SECTOR;
	c.pieces = (u8)r->pieces;
	memcpy(c.piece, r->piece, sizeof(c.piece));
	if (lba + count > 0xffffffffu) {
		c.length = CDB_16;
		c.cdb[0] = c.in ? SCSI_READ_16 : SCSI_WRITE_16;
		put_big(c.cdb + 2, lba, 8);
		put_big(c.cdb + 10, count, 4);
	} else {
		c.cdb[0] = c.in ? SCSI_READ_10 : SCSI_WRITE_10;
		put_big(c.cdb + 2, lba, 4);
		put_big(c.cdb + 7, count, 2);
	}
	storage_begin(&storage, &c);
}

static void xhci_disk_submit(u32 tag, const struct disk_request *r)
{
	flying = true;
	flying_tag = tag;
	request = r;
	retries = 0;
	begin();
}

static void xhci_disk_kick(void)
{
}

static void done(struct disk_server *s, enum block_status status)
{
	flying = false;
	disk_server_done(s, flying_tag, status);
}

/* A command that has failed, and why. */
static void failed(struct disk_server *s)
{
	enum scsi_sense why = storage_sense(&storage);

	if ((why == SCSI_ATTENTION || why == SCSI_NO_SENSE) && retries++ < RETRIES) {
		begin();
		return;
	}
	if (why == SCSI_RECOVERED) {
		done(s, BLOCK_OK);
		return;
	}
	if (request->op == BLOCK_FLUSH && why == SCSI_ILLEGAL) {
		no_cache = true;
		done(s, BLOCK_OK);
		return;
	}
	if (errors < ERRORS_TOLD) {
		errors++;
		device_log(device, "a request failed: sense key %u%s", why,
			errors == ERRORS_TOLD ? "; more are not told" : "");
	}
	done(s, BLOCK_IO);
}

/* False: the transport is broken. */
static bool take(struct disk_server *s, const struct xhci_end *end)
{
	switch (storage_go_on(&storage, end)) {
	case STORAGE_GOOD:
		recovered = false;
		done(s, storage.short_data ? BLOCK_IO : BLOCK_OK);
		return true;
	case STORAGE_FAILED:
		failed(s);
		return true;
	case STORAGE_BROKEN:
		device_log(
			device, "port %u: the transport is broken, code %u", xhci.port, end->code);
		return false;
	default:
		return true;
	}
}

static bool xhci_disk_poll(struct disk_server *s, u64 bits)
{
	struct xhci_end end;
	bool good = true;

	xhci_interrupt(&xhci);
	while (good && xhci_take(&xhci, &end))
		good = take(s, &end);
	xhci_taken(&xhci);
	if (bits & interrupt.bits)
		device_interrupt_done(&interrupt);
	if (xhci.gone || !xhci_works(&xhci)) {
		device_log(device,
			xhci.gone ? "port %u: the disk is pulled out"
				  : "the controller of port %u has failed",
			xhci.port);
		return false;
	}
	return good;
}

const struct disk_driver xhci_driver = {
	.open = xhci_disk_open,
	.room = xhci_disk_room,
	.submit = xhci_disk_submit,
	.kick = xhci_disk_kick,
	.poll = xhci_disk_poll,
	.reset = xhci_disk_reset,
	.timeout_us = TIMEOUT_US,
	.unit = "usb-port",
};
