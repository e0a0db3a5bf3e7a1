/* What is behind a USB host controller: see xhci.h. SCSI commands are those of SBC-3. */
#include "drivers/xhci/xhci.h"
#include "drivers/keyboard/session.h"
#include "drivers/lib/loop.h"
#include "drivers/xhci/bus.h"

#define TIMEOUT_US  20000000ull
#define LOOK_US     1000000u  /* whether the controller still works, at least */
#define AGAIN_US    5000000u  /* for a disk to come back after a reset */
#define SWAP_US     15000000u /* another disk is not taken up sooner after the start */
#define MAX_SECTORS 240u      /* more than some devices can is no use */
#define RETRIES     3u
#define RESETS      1u /* of a disk, after a recovery, before it is left alone */
#define ERRORS_TOLD 10u
#define FOR_EVER    ~0ull
#define TELL_US     1000000u
#define CALM_US     60000000u

#define CONTROLLER_RESETS 3u

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
static struct bus bus;
static struct storage storage;
static struct keyboard_session keyboard;
static struct device_interrupt interrupt;
static u64 opened;         /* when */
static u32 controller_bad; /* resets of the controller with no calm between, and the last */
static u64 controller_reset;

static const struct disk_request *request;
static bool flying;
static u32 flying_tag;
static u32 retries;    /* of the command under way */
static bool recovered; /* by reset recovery, since a command was good */
static u32 resets;     /* of the disk, since a command was good */
static bool no_cache;  /* it does not know SYNCHRONIZE CACHE */
static u32 errors;

/* What tells a disk from another. */
static struct {
	u8 what[USB_DEVICE_BYTES];
	u64 blocks;
	u32 block_size;
} identity;

/* --- the controller and what is behind it --- */

static void take_key(u8 usage, bool pressed)
{
	keyboard_session_key(&keyboard, usage, pressed);
}

static void meanwhile(void)
{
	bus_keyboards(&bus);
}

static bool open_controller(struct device *d, bool disk, u32 port)
{
	device = d;
	keyboard_session_open(&keyboard, d->info);
	bus = (struct bus){.storage = disk ? &storage : NULL,
		.disk_port = port == DISK_UNIT_FIRST ? BUS_ANY_PORT : port,
		.key = keyboard.open ? take_key : NULL,
		.leds = &keyboard.keyboard.locks};
	if (!xhci_open(&xhci, d) || !storage_open(&storage, &xhci) || !bus_open(&bus, &xhci) ||
		!device_start(d) || !device_interrupt(d, 0, START_BIT_OWN, &interrupt))
		return false;
	xhci.meanwhile = meanwhile;
	opened = device_time(d);
	controller_bad = 0;
	xhci_start(&xhci);
	return true;
}

/* The controller does not do what it should: all anew. False: that does not help. */
static bool reset_controller(void)
{
	u64 now = device_time(device);

	if (now - controller_reset > CALM_US)
		controller_bad = 0;
	controller_reset = now;
	if (++controller_bad > CONTROLLER_RESETS) {
		device_log(device, "%u resets of the controller did not help", CONTROLLER_RESETS);
		return false;
	}
	device_log(device, "the controller has failed: it is reset");
	bus_clear(&bus);
	if (!xhci_reset(&xhci))
		return false;
	xhci_start(&xhci);
	return true;
}

/* Sees to everything but transfers of the disk; `bits` are event bits that were set. */
static void see_to_bus(u64 bits)
{
	if (bits & interrupt.bits)
		device_interrupt_done(&interrupt);
	if (keyboard.open)
		keyboard_session_look(&keyboard);
	bus_turn(&bus);
}

/* Until something happens, or `most` microseconds. */
static u64 rest(u64 most)
{
	u64 due = bus_due(&bus);

	due = due < most ? due : most;
	return loop_wait_us(device->info, due < LOOK_US ? due : LOOK_US);
}

/* Waits for a disk, and sees to the rest meanwhile. False: none came in `us` microseconds, or the
 * controller fails for good. */
static bool await_disk(u64 us)
{
	u64 since = device_time(device);
	u64 bits = 0;
	bool told = false;

	for (;;) {
		u64 waited = device_time(device) - since;

		xhci_pump(&xhci);
		see_to_bus(bits);
		if (storage.ready)
			return true;
		if (!xhci_works(&xhci) && !reset_controller())
			return false;
		if (waited >= us)
			return false;
		if (!told && us == FOR_EVER && waited > TELL_US)
			device_log(device, "no disk is connected yet");
		told |= waited > TELL_US;
		bits = rest(us - waited);
	}
}

/* Keyboards go on while there is no disk. */
static void pass_time(u64 until)
{
	u64 bits = 0;

	while (device_time(device) < until && xhci_works(&xhci)) {
		xhci_pump(&xhci);
		see_to_bus(bits);
		bits = rest(until - device_time(device));
	}
}

/* --- the disk --- */

static void know_disk(void)
{
	memcpy(identity.what, bus_disk_what(&bus), sizeof(identity.what));
	identity.blocks = storage.blocks;
	identity.block_size = storage.block_size;
}

static bool is_known(void)
{
	return storage.blocks == identity.blocks && storage.block_size == identity.block_size &&
	       memcmp(identity.what, bus_disk_what(&bus), sizeof(identity.what)) == 0;
}

static void describe(struct disk_geometry *g)
{
	*g = (struct disk_geometry){
		.unit = storage.device->port,
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

static bool xhci_disk_open(struct device *d, struct disk_geometry *g)
{
	flying = false;
	no_cache = false;
	recovered = false;
	resets = 0;
	errors = 0;
	if (!open_controller(d, true, g->unit) || !await_disk(FOR_EVER))
		return false;
	usb_log(storage.device, "a disk of %lu blocks of %u, packets of %u", storage.blocks,
		storage.block_size, storage.device->endpoint[USB_IN].packet);
	know_disk();
	describe(g);
	return true;
}

/* First what disturbs least; then the disk is set up anew, and if it is not there any more, the
 * program begins anew with the next that is. Keyboards see only what fails with the controller. */
static bool xhci_disk_reset(void)
{
	flying = false;
	if (!xhci_works(&xhci)) {
		if (!reset_controller())
			return false;
	} else if (storage.device && !storage.device->gone) {
		if (!recovered) {
			recovered = true;
			if (storage_recover(&storage))
				return true;
		}
		if (resets++ < RESETS)
			bus_disk_again(&bus);
		else
			bus_disk_leave(&bus);
	}
	if (await_disk(AGAIN_US)) {
		if (is_known())
			return true;
		device_log(device, "it is another disk after a reset");
	} else if (xhci_works(&xhci)) {
		device_log(device, "the disk is gone");
		if (!await_disk(FOR_EVER))
			return false;
	}
	pass_time(opened + SWAP_US);
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
	memcpy(c.piece, r->piece, r->pieces * sizeof(c.piece[0]));
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
static bool take(struct disk_server *s, const struct storage_end *end)
{
	switch (storage_go_on(&storage, end)) {
	case STORAGE_GOOD:
		recovered = false;
		resets = 0;
		done(s, storage.short_data ? BLOCK_IO : BLOCK_OK);
		return true;
	case STORAGE_FAILED:
		failed(s);
		return true;
	case STORAGE_BROKEN:
		usb_log(storage.device, "the transport is broken, code %u", end->code);
		return false;
	default:
		return true;
	}
}

static bool take_ends(struct disk_server *s)
{
	static const enum usb_pipe pipes[] = {USB_IN, USB_OUT};

	for (u32 i = 0; i < ARRAY_SIZE(pipes); i++) {
		struct storage_end end = {.which = pipes[i]};

		if (!storage.device || !usb_ended(storage.device, pipes[i]))
			continue;
		end.code = storage.device->endpoint[pipes[i]].code;
		if (!take(s, &end))
			return false;
	}
	return true;
}

static bool xhci_disk_poll(struct disk_server *s, u64 bits)
{
	xhci_pump(&xhci);
	if (storage.ready && !take_ends(s))
		return false;
	see_to_bus(bits);
	if (!xhci_works(&xhci)) {
		device_log(device, "the controller has failed");
		return false;
	}
	if (!storage.ready)
		device_log(device, "the disk is pulled out");
	return storage.ready;
}

static u64 xhci_disk_due(void)
{
	return bus_due(&bus);
}

static bool xhci_serves_others(void)
{
	return keyboard.open;
}

const struct disk_driver xhci_driver = {
	.open = xhci_disk_open,
	.room = xhci_disk_room,
	.submit = xhci_disk_submit,
	.kick = xhci_disk_kick,
	.poll = xhci_disk_poll,
	.reset = xhci_disk_reset,
	.due = xhci_disk_due,
	.serves_others = xhci_serves_others,
	.progress = &xhci.ended,
	.timeout_us = TIMEOUT_US,
	.unit = "usb-port",
};

/* --- without a disk --- */

bool xhci_keyboards_open(struct device *d)
{
	return open_controller(d, false, DISK_UNIT_FIRST) && keyboard.open;
}

bool xhci_keyboards_turn(void)
{
	static u64 bits;

	xhci_pump(&xhci);
	see_to_bus(bits);
	if (!xhci_works(&xhci) && !reset_controller())
		return false;
	bits = rest(FOR_EVER);
	return true;
}
