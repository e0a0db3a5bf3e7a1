/* USB mass storage: see storage.h. Sections are of Bulk-Only Transport 1.0 unless they say more. */
#include "drivers/xhci/storage.h"

#define COMMAND_SIGNATURE 0x43425355u
#define STATUS_SIGNATURE  0x53425355u
#define COMMAND_BYTES     31u
#define COMMAND_IN        0x80u
#define STATUS_BYTES      13u
#define STATUS_GOOD       0u
#define STATUS_FAILED     1u
#define STATUS_AT         64u /* offsets in the page */
#define DATA_AT           1024u
#define COMMAND_US        5000000u
#define READY_US          15000000u
#define READY_STEP_US     100000u
#define BLOCK_MOST        4096u

/* USB 2.0, 9.4 and the class's own (3.1) */
#define USB_TO_DEVICE         0x00u
#define USB_TO_ENDPOINT       0x02u
#define USB_FROM_DEVICE       0x80u
#define USB_CLASS_INTERFACE   0x21u
#define USB_CLEAR_FEATURE     1u
#define USB_GET_DESCRIPTOR    6u
#define USB_SET_CONFIGURATION 9u
#define USB_BULK_ONLY_RESET   0xffu
#define USB_DESCRIPTOR_DEVICE 0x100u
#define USB_DESCRIPTOR_CONFIG 0x200u
#define DEVICE_PACKET         7u
#define DEVICE_LEAST          8u
#define PACKET_FULL_MOST      64u

#define SCSI_TEST_UNIT_READY  0x00u
#define SCSI_REQUEST_SENSE    0x03u
#define SCSI_INQUIRY          0x12u
#define SCSI_MODE_SENSE       0x1au
#define SCSI_READ_CAPACITY    0x25u
#define SCSI_READ_CAPACITY_16 0x9eu
#define SCSI_SERVICE_CAPACITY 0x10u
#define SCSI_ALL_PAGES        0x3fu
#define MODE_PROTECTED        BIT(7)
#define SENSE_BYTES           18u
#define SENSE_FIXED           0x70u
#define INQUIRY_BYTES         36u
#define INQUIRY_TYPE          0x1fu

struct bulk_command {
	u32 signature;
	u32 tag;
	u32 bytes;
	u8 flags;
	u8 unit;
	u8 length;
	u8 cdb[SCSI_CDB_MOST];
	u8 rest;
};
static_assert(offsetof(struct bulk_command, rest) == COMMAND_BYTES);

struct bulk_status {
	u32 signature;
	u32 tag;
	u32 residue;
	u8 status;
	u8 rest[3];
};
static_assert(offsetof(struct bulk_status, rest) == STATUS_BYTES);

static u64 big(const u8 *bytes, u32 count)
{
	u64 value = 0;

	for (u32 i = 0; i < count; i++)
		value = value << 8 | bytes[i];
	return value;
}

/* --- the transport --- */

static void go(struct storage *s, u32 which, u32 offset, u32 bytes)
{
	xhci_put(s->xhci, which, s->page_bus + offset, bytes,
		XHCI_TRB_TYPE(XHCI_NORMAL) | (u32)XHCI_TRB_IOC | (u32)XHCI_TRB_ISP);
	xhci_go(s->xhci, which);
}

/* xHCI 1.2, 4.11.2.4: packets that are left behind this TRB. */
static u32 td_size(u32 left, u32 packet)
{
	u32 packets = (left + packet - 1) / packet;

	return packets < XHCI_TD_SIZE_MOST ? packets : XHCI_TD_SIZE_MOST;
}

static void data(struct storage *s)
{
	const struct scsi_command *c = &s->command;
	u32 which = c->in ? USB_IN : USB_OUT;
	u32 left = c->bytes;

	for (u32 i = 0; i < c->pieces; i++) {
		u64 bus = c->piece[i].bus;
		u32 of_piece = c->piece[i].length;

		while (of_piece > 0) {
			u32 room = XHCI_TRB_BOUNDARY - (u32)(bus % XHCI_TRB_BOUNDARY);
			u32 length = of_piece < room ? of_piece : room;
			u32 size = td_size(left - length, s->xhci->endpoint[which].packet);

			left -= length;
			xhci_put(s->xhci, which, bus, length | XHCI_TRB_TD_SIZE(size),
				XHCI_TRB_TYPE(XHCI_NORMAL) | (u32)XHCI_TRB_ISP |
					(u32)(left ? XHCI_TRB_CHAIN : XHCI_TRB_IOC));
			bus += length;
			of_piece -= length;
		}
	}
	s->stage = STORAGE_DATA;
	xhci_go(s->xhci, which);
}

static void status(struct storage *s)
{
	memset(s->page + STATUS_AT, 0, STATUS_BYTES);
	s->stage = STORAGE_STATUS;
	go(s, USB_IN, STATUS_AT, STATUS_BYTES);
}

void storage_begin(struct storage *s, const struct scsi_command *c)
{
	struct bulk_command b = {.signature = COMMAND_SIGNATURE,
		.tag = ++s->tag,
		.bytes = c->bytes,
		.flags = c->in ? COMMAND_IN : 0,
		.length = c->length};

	s->command = *c;
	s->short_data = false;
	s->status_again = false;
	memcpy(b.cdb, c->cdb, sizeof(b.cdb));
	memcpy(s->page, &b, COMMAND_BYTES);
	s->stage = STORAGE_COMMAND;
	go(s, USB_OUT, 0, COMMAND_BYTES);
}

/* The endpoint takes transfers again, on both sides (xHCI 1.2, 4.6.8). */
static bool clear_halt(struct storage *s, u32 which)
{
	u8 address = which == USB_IN ? s->usb.in.address : s->usb.out.address;
	struct usb_request r = {
		.type = USB_TO_ENDPOINT, .request = USB_CLEAR_FEATURE, .index = address};

	return xhci_clear(s->xhci, which) && xhci_control(s->xhci, &r, 0) == XHCI_CODE_SUCCESS;
}

/* 6.3: valid and meaningful. */
static enum storage_result read_status(struct storage *s)
{
	struct bulk_status b = {0};

	memcpy(&b, s->page + STATUS_AT, STATUS_BYTES);
	asm volatile("" ::: "memory"); /* the copy is checked */
	s->stage = STORAGE_IDLE;
	if (b.signature != STATUS_SIGNATURE || b.tag != s->tag || b.residue > s->command.bytes ||
		b.status > STATUS_FAILED)
		return STORAGE_BROKEN;
	s->short_data |= b.residue != 0;
	return b.status == STATUS_GOOD ? STORAGE_GOOD : STORAGE_FAILED;
}

/* 5.3 and 6.7: a pipe that stalls in the middle is no error yet. */
enum storage_result storage_go_on(struct storage *s, const struct xhci_end *end)
{
	bool good = end->code == XHCI_CODE_SUCCESS;
	u32 data_pipe = s->command.in ? USB_IN : USB_OUT;

	switch (s->stage) {
	case STORAGE_COMMAND:
		if (end->which != USB_OUT || !good)
			break;
		if (s->command.bytes)
			data(s);
		else
			status(s);
		return STORAGE_GOES_ON;
	case STORAGE_DATA:
		if (end->which != data_pipe)
			break;
		if (end->code == XHCI_CODE_STALL ? !clear_halt(s, data_pipe)
						 : !good && end->code != XHCI_CODE_SHORT)
			break;
		s->short_data |= !good;
		status(s);
		return STORAGE_GOES_ON;
	case STORAGE_STATUS:
		if (end->which != USB_IN)
			break;
		if (good)
			return read_status(s);
		if (end->code != XHCI_CODE_STALL || s->status_again || !clear_halt(s, USB_IN))
			break;
		s->status_again = true;
		status(s);
		return STORAGE_GOES_ON;
	default:
		break;
	}
	s->stage = STORAGE_IDLE;
	return STORAGE_BROKEN;
}

bool storage_recover(struct storage *s)
{
	struct usb_request r = {.type = USB_CLASS_INTERFACE,
		.request = USB_BULK_ONLY_RESET,
		.index = s->usb.interface};

	s->stage = STORAGE_IDLE;
	return xhci_control(s->xhci, &r, 0) == XHCI_CODE_SUCCESS && clear_halt(s, USB_IN) &&
	       clear_halt(s, USB_OUT);
}

/* --- small commands, that are waited for --- */

static enum storage_result perform(struct storage *s, const u8 *cdb, u8 length, u32 bytes)
{
	struct scsi_command c = {.length = length,
		.bytes = bytes,
		.in = true,
		.pieces = bytes ? 1 : 0,
		.piece = {{.bus = s->page_bus + DATA_AT, .length = bytes}}};
	enum storage_result result = STORAGE_GOES_ON;

	memcpy(c.cdb, cdb, length);
	memset(s->page + DATA_AT, 0, bytes);
	storage_begin(s, &c);
	while (result == STORAGE_GOES_ON) {
		u32 which = s->stage == STORAGE_COMMAND ? USB_OUT : USB_IN;
		struct xhci_end end = {.which = which};

		end.code = xhci_wait(s->xhci, which, COMMAND_US);
		if (end.code == XHCI_CODE_NONE)
			return STORAGE_BROKEN;
		result = storage_go_on(s, &end);
	}
	return result;
}

enum scsi_sense storage_sense(struct storage *s)
{
	static const u8 cdb[6] = {SCSI_REQUEST_SENSE, [4] = SENSE_BYTES};
	const u8 *sense = s->page + DATA_AT;

	if (perform(s, cdb, sizeof(cdb), SENSE_BYTES) != STORAGE_GOOD ||
		(sense[0] & 0x7e) != SENSE_FIXED)
		return SCSI_NONE;
	return sense[2] & 0xf;
}

/* A device needs a while, and tells of its reset first. */
static bool wait_ready(struct storage *s)
{
	static const u8 cdb[6] = {SCSI_TEST_UNIT_READY};
	enum scsi_sense why = SCSI_NONE;

	for (u32 i = 0; i < READY_US / READY_STEP_US; i++) {
		enum storage_result result = perform(s, cdb, sizeof(cdb), 0);

		if (result == STORAGE_GOOD)
			return true;
		if (result == STORAGE_BROKEN)
			return false;
		why = storage_sense(s);
		if (why != SCSI_ATTENTION)
			device_wait(s->xhci->device, READY_STEP_US);
	}
	device_log(s->xhci->device, "port %u: the disk does not become ready: sense key %u",
		s->xhci->port, why);
	return false;
}

static bool read_capacity(struct storage *s)
{
	static const u8 short_cdb[10] = {SCSI_READ_CAPACITY};
	static const u8 long_cdb[16] = {SCSI_READ_CAPACITY_16, SCSI_SERVICE_CAPACITY, [13] = 32};
	const u8 *answer = s->page + DATA_AT;

	if (perform(s, short_cdb, sizeof(short_cdb), 8) != STORAGE_GOOD)
		return false;
	s->blocks = big(answer, 4) + 1;
	s->block_size = (u32)big(answer + 4, 4);
	if (s->blocks > 0xffffffffu) {
		if (perform(s, long_cdb, sizeof(long_cdb), 32) != STORAGE_GOOD)
			return false;
		s->blocks = big(answer, 8) + 1;
		s->block_size = (u32)big(answer + 8, 4);
	}
	return s->blocks != 0 && s->blocks < BIT(48) && s->block_size >= BLOCK_SECTOR &&
	       s->block_size <= BLOCK_MOST && !(s->block_size & (s->block_size - 1));
}

static bool read_disk(struct storage *s)
{
	static const u8 inquiry[6] = {SCSI_INQUIRY, [4] = INQUIRY_BYTES};
	static const u8 mode[6] = {SCSI_MODE_SENSE, 0, SCSI_ALL_PAGES, 0, 4};
	const u8 *answer = s->page + DATA_AT;

	if (perform(s, inquiry, sizeof(inquiry), INQUIRY_BYTES) != STORAGE_GOOD ||
		answer[0] & INQUIRY_TYPE || !wait_ready(s))
		return false;
	if (!read_capacity(s)) {
		device_log(s->xhci->device, "port %u: %lu blocks of %u are not supported",
			s->xhci->port, s->blocks, s->block_size);
		return false;
	}
	switch (perform(s, mode, sizeof(mode), 4)) {
	case STORAGE_GOOD:
		s->read_only = answer[2] & MODE_PROTECTED;
		return true;
	case STORAGE_FAILED: /* it need not know that */
		s->read_only = false;
		storage_sense(s);
		return true;
	default:
		return storage_recover(s);
	}
}

/* --- the device --- */

static bool get_descriptor(struct storage *s, u16 which, u16 length)
{
	struct usb_request r = {.type = USB_FROM_DEVICE,
		.request = USB_GET_DESCRIPTOR,
		.value = which,
		.length = length};
	enum xhci_code code;

	memset(s->page + DATA_AT, 0, length);
	code = xhci_control(s->xhci, &r, s->page_bus + DATA_AT);
	return code == XHCI_CODE_SUCCESS || code == XHCI_CODE_SHORT;
}

/* USB 2.0, 9.6.1: only the first bytes are sure to fit a packet at full speed. */
static bool read_device(struct storage *s)
{
	struct xhci *x = s->xhci;

	if (!get_descriptor(s, USB_DESCRIPTOR_DEVICE, DEVICE_LEAST))
		return false;
	if (x->speed == XHCI_FULL) {
		u32 packet = s->page[DATA_AT + DEVICE_PACKET];

		if (packet < DEVICE_LEAST || packet > PACKET_FULL_MOST || packet & (packet - 1) ||
			!xhci_control_packet(x, packet))
			return false;
	}
	if (!get_descriptor(s, USB_DESCRIPTOR_DEVICE, USB_DEVICE_BYTES))
		return false;
	memcpy(s->what, s->page + DATA_AT, sizeof(s->what));
	return true;
}

static bool read_configuration(struct storage *s)
{
	u8 config[USB_CONFIG_MOST];
	u32 size;

	if (!get_descriptor(s, USB_DESCRIPTOR_CONFIG, USB_CONFIG_BYTES))
		return false;
	size = s->page[DATA_AT + 2] | (u32)s->page[DATA_AT + 3] << 8;
	size = size < sizeof(config) ? size : sizeof(config);
	if (size < USB_CONFIG_BYTES || !get_descriptor(s, USB_DESCRIPTOR_CONFIG, (u16)size))
		return false;
	memcpy(config, s->page + DATA_AT, size);
	return usb_find_storage(config, size, s->xhci->speed >= XHCI_SUPER, &s->usb);
}

static bool configure(struct storage *s)
{
	struct xhci *x = s->xhci;
	struct usb_request r = {.type = USB_TO_DEVICE,
		.request = USB_SET_CONFIGURATION,
		.value = s->usb.configuration};

	xhci_bulk(x, USB_IN, s->usb.in.address & 0xf, s->usb.in.packet);
	xhci_bulk(x, USB_OUT, s->usb.out.address, s->usb.out.packet);
	return xhci_configure(x, s->usb.in.burst, s->usb.out.burst) &&
	       xhci_control(x, &r, 0) == XHCI_CODE_SUCCESS;
}

bool storage_open(struct storage *s, struct xhci *x)
{
	*s = (struct storage){.xhci = x};
	s->page = device_alloc(x->device, PAGE_SIZE, PAGE_SIZE, &s->page_bus);
	return s->page;
}

bool storage_find(struct storage *s, u32 port)
{
	s->stage = STORAGE_IDLE;
	if (xhci_address(s->xhci, port) && read_device(s) && read_configuration(s) &&
		configure(s) && read_disk(s))
		return true;
	xhci_release(s->xhci);
	return false;
}
