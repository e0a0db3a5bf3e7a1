/* USB mass storage: see storage.h. Sections are of Bulk-Only Transport 1.0 unless they say more. */
#include "drivers/xhci/storage.h"
#include "drivers/xhci/controller.h"

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

#define BULK_ONLY_RESET 0xffu /* 3.1 */

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

/* xHCI 1.2, 4.11.2.4: packets that are left behind this TRB. */
static u32 td_size(u32 left, u32 packet)
{
	u32 packets = (left + packet - 1) / packet;

	return packets < XHCI_TD_SIZE_MOST ? packets : XHCI_TD_SIZE_MOST;
}

static void data(struct storage *s)
{
	const struct scsi_command *c = &s->command;
	enum usb_pipe which = c->in ? USB_IN : USB_OUT;
	u32 left = c->bytes;

	for (u32 i = 0; i < c->pieces; i++) {
		u64 bus = c->piece[i].bus;
		u32 of_piece = c->piece[i].length;

		while (of_piece > 0) {
			u32 room = XHCI_TRB_BOUNDARY - (u32)(bus % XHCI_TRB_BOUNDARY);
			u32 length = of_piece < room ? of_piece : room;
			u32 size = td_size(left - length, s->device->endpoint[which].packet);

			left -= length;
			usb_put(s->device, which, bus, length | XHCI_TRB_TD_SIZE(size),
				XHCI_TRB_TYPE(XHCI_NORMAL) | (u32)XHCI_TRB_ISP |
					(u32)(left ? XHCI_TRB_CHAIN : XHCI_TRB_IOC));
			bus += length;
			of_piece -= length;
		}
	}
	s->stage = STORAGE_DATA;
	usb_go(s->device, which);
}

static void status(struct storage *s)
{
	memset(s->page + STATUS_AT, 0, STATUS_BYTES);
	s->stage = STORAGE_STATUS;
	usb_transfer(s->device, USB_IN, s->page_bus + STATUS_AT, STATUS_BYTES);
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
	usb_transfer(s->device, USB_OUT, s->page_bus, COMMAND_BYTES);
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
enum storage_result storage_go_on(struct storage *s, const struct storage_end *end)
{
	bool good = end->code == XHCI_CODE_SUCCESS;
	enum usb_pipe data_pipe = s->command.in ? USB_IN : USB_OUT;

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
		if (end->code == XHCI_CODE_STALL ? !usb_clear_halt(s->device, data_pipe)
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
		if (end->code != XHCI_CODE_STALL || s->status_again ||
			!usb_clear_halt(s->device, USB_IN))
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
	s->stage = STORAGE_IDLE;
	return usb_do(s->device, USB_CLASS_INTERFACE, BULK_ONLY_RESET, 0, s->interface) &&
	       usb_clear_halt(s->device, USB_IN) && usb_clear_halt(s->device, USB_OUT);
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
		struct storage_end end = {.which = s->stage == STORAGE_COMMAND ? USB_OUT : USB_IN};

		end.code = usb_wait(s->device, end.which, COMMAND_US);
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
	static const u8 mode[6] = {SCSI_MODE_SENSE, 0, SCSI_ALL_PAGES, 0, 4};

	if (!read_capacity(s)) {
		usb_log(s->device, "%lu blocks of %u are not supported", s->blocks, s->block_size);
		return false;
	}
	switch (perform(s, mode, sizeof(mode), 4)) {
	case STORAGE_GOOD:
		s->read_only = s->page[DATA_AT + 2] & MODE_PROTECTED;
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

bool storage_open(struct storage *s, struct xhci *x)
{
	*s = (struct storage){0};
	s->page = device_alloc(x->device, PAGE_SIZE, PAGE_SIZE, &s->page_bus);
	return s->page;
}

bool storage_start(struct storage *s, struct usb_device *d, u8 interface, u64 now)
{
	static const u8 inquiry[6] = {SCSI_INQUIRY, [4] = INQUIRY_BYTES};

	s->device = d;
	s->interface = interface;
	s->ready = false;
	s->stage = STORAGE_IDLE;
	s->again = now;
	s->until = now + READY_US;
	if (perform(s, inquiry, sizeof(inquiry), INQUIRY_BYTES) == STORAGE_GOOD &&
		!(s->page[DATA_AT] & INQUIRY_TYPE))
		return true;
	s->device = NULL;
	return false;
}

bool storage_turn(struct storage *s, u64 now)
{
	static const u8 cdb[6] = {SCSI_TEST_UNIT_READY};
	enum scsi_sense why;

	if (s->ready || now < s->again)
		return true;
	switch (perform(s, cdb, sizeof(cdb), 0)) {
	case STORAGE_GOOD:
		s->ready = read_disk(s);
		return s->ready;
	case STORAGE_FAILED:
		break;
	default:
		return false;
	}
	why = storage_sense(s);
	if (now >= s->until)
		usb_log(s->device, "the disk does not become ready: sense key %u", why);
	s->again = now + (why == SCSI_ATTENTION ? 0 : READY_STEP_US);
	return now < s->until;
}
