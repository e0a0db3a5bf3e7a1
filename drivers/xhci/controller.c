/* A USB host controller: see controller.h. Sections are of xHCI 1.2. */
#include "drivers/xhci/controller.h"

#define STEP_US      1000u
#define FIRMWARE_US  1000000u
#define RESET_US     1000000u
#define HALT_US      20000u
#define PORT_US      1000000u
#define RECOVERY_US  20000u /* USB 2.0, 7.1.7.5, and room */
#define COMMAND_US   5000000u
#define CONTROL_US   5000000u
#define PAGE_4K      BIT(0)
#define OPERATIONAL  0x400u /* bytes, before the ports' */
#define EXT_MAX      64u
#define PACKET_LEAST 8u
#define AVERAGE      8u /* bytes of a TRB's data: control, */
#define AVERAGE_BULK 4096u
#define SLOT_WORD    0u

static u32 op_read(const struct xhci *x, u32 offset)
{
	return mmio_read32(x->operational + offset);
}

static void op_write(const struct xhci *x, u32 offset, u64 value)
{
	mmio_write32(x->operational + offset, (u32)value);
}

static bool wait_op(const struct xhci *x, u32 offset, u64 mask, u64 wanted, u64 us)
{
	for (u64 i = 0; i <= us / STEP_US; i++) {
		u32 value = op_read(x, offset);

		if (value != XHCI_NONE && (value & mask) == wanted)
			return true;
		device_wait(x->device, STEP_US);
	}
	return false;
}

/* --- the controller --- */

/* 4.22.1; a firmware that keeps the controller beyond its time loses it, and its SMIs. */
static void take_from_firmware(struct device *d, u32 offset)
{
	for (u32 i = 0; i < EXT_MAX && offset != 0; i++) {
		volatile u8 *at = device_registers(d, 0, offset, 8);
		u32 value = at ? mmio_read32(at) : XHCI_NONE;

		if (value == XHCI_NONE)
			return;
		if (XHCI_EXT_ID(value) == XHCI_EXT_LEGACY) {
			mmio_write32(at, value | (u32)XHCI_LEGACY_OS);
			for (u32 k = 0; k < FIRMWARE_US / STEP_US; k++) {
				if (!(mmio_read32(at) & XHCI_LEGACY_BIOS))
					break;
				device_wait(d, STEP_US);
			}
			value = mmio_read32(at + XHCI_LEGACY_CONTROL);
			mmio_write32(at + XHCI_LEGACY_CONTROL,
				(value & ~XHCI_LEGACY_SMIS) | XHCI_LEGACY_EVENTS);
			return;
		}
		if (XHCI_EXT_NEXT(value) == 0)
			return;
		offset += XHCI_EXT_NEXT(value);
	}
}

bool xhci_reset(struct xhci *x)
{
	op_write(x, XHCI_USBCMD, 0);
	if (wait_op(x, XHCI_USBSTS, XHCI_STS_HCH, XHCI_STS_HCH, HALT_US))
		op_write(x, XHCI_USBCMD, XHCI_CMD_HCRST);
	if (wait_op(x, XHCI_USBCMD, XHCI_CMD_HCRST, 0, RESET_US) &&
		wait_op(x, XHCI_USBSTS, XHCI_STS_CNR | XHCI_STS_HCH, XHCI_STS_HCH, RESET_US)) {
		x->slot = 0;
		return true;
	}
	device_log(x->device, "the controller does not come out of its reset: status %#x",
		op_read(x, XHCI_USBSTS));
	return false;
}

static bool find_registers(struct xhci *x, u32 *hcc, u32 *scratch)
{
	struct device *d = x->device;
	volatile u8 *cap = device_registers(d, 0, 0, XHCI_CAPABILITY_BYTES);
	u32 params;
	u32 length;

	if (!cap || mmio_read32(cap) == XHCI_NONE) {
		device_log(d, "it has not the registers of an xHCI controller");
		return false;
	}
	params = mmio_read32(cap + XHCI_HCSPARAMS1);
	x->slots = XHCI_SLOTS(params) < 1 ? 0 : 1; /* one device */
	x->ports = XHCI_PORTS(params);
	*scratch = XHCI_SCRATCH(mmio_read32(cap + XHCI_HCSPARAMS2));
	*hcc = mmio_read32(cap + XHCI_HCCPARAMS1);
	x->context_words = *hcc & XHCI_HCC_CSZ ? 16 : 8;
	x->wide = *hcc & XHCI_HCC_AC64;
	length = mmio_read32(cap + XHCI_CAPLENGTH) & 0xff;
	x->operational = device_registers(d, 0, length, OPERATIONAL + 0x10ull * x->ports);
	x->runtime =
		device_registers(d, 0, mmio_read32(cap + XHCI_RTSOFF) & ~31u, XHCI_RUNTIME_LEAST);
	x->doorbells = device_registers(d, 0, mmio_read32(cap + XHCI_DBOFF) & ~3u, 8);
	if (length % 4 == 0 && x->operational && x->runtime && x->doorbells && x->slots && x->ports)
		return true;
	device_log(d, "its registers lie outside what it has, or it has no slots or ports");
	return false;
}

static bool alloc_ring(struct device *d, struct xhci_ring *r)
{
	r->trb = device_alloc(d, XHCI_RING_BYTES, XHCI_RING_BYTES, &r->bus);
	return r->trb;
}

/* 4.20: pages that are the controller's own. */
static bool alloc_scratch(struct xhci *x, u32 count)
{
	struct device *d = x->device;
	u64 bus;
	u64 *array;

	if (count == 0)
		return true;
	if (!(op_read(x, XHCI_PAGESIZE) & PAGE_4K) || count > PAGE_SIZE / sizeof(u64)) {
		device_log(d, "%u scratchpads, or pages of %#x, are not supported", count,
			op_read(x, XHCI_PAGESIZE));
		return false;
	}
	array = device_alloc(d, PAGE_SIZE, PAGE_SIZE, &x->contexts[0]);
	for (u32 i = 0; i < count && array; i++) {
		if (!device_alloc(d, PAGE_SIZE, PAGE_SIZE, &bus))
			return false;
		array[i] = bus;
	}
	return array;
}

bool xhci_open(struct xhci *x, struct device *d)
{
	u32 scratch;
	u32 hcc;

	*x = (struct xhci){.device = d};
	if (!find_registers(x, &hcc, &scratch))
		return false;
	take_from_firmware(d, XHCI_HCC_XECP(hcc));
	if (!xhci_reset(x))
		return false;
	x->contexts = device_alloc(d, PAGE_SIZE, PAGE_SIZE, &x->contexts_bus);
	x->segment = device_alloc(d, sizeof(*x->segment), 64, &x->segment_bus);
	x->input = device_alloc(d, PAGE_SIZE, PAGE_SIZE, &x->input_bus);
	x->output = device_alloc(d, PAGE_SIZE, PAGE_SIZE, &x->output_bus);
	x->events.trb = device_alloc(
		d, XHCI_EVENT_SIZE * sizeof(struct xhci_trb), PAGE_SIZE, &x->events.bus);
	if (!x->contexts || !x->segment || !x->input || !x->output || !x->events.trb ||
		!alloc_ring(d, &x->command) || !alloc_scratch(x, scratch))
		return false;
	for (u32 i = 0; i < XHCI_ENDPOINTS; i++) {
		if (!alloc_ring(d, &x->endpoint[i].ring))
			return false;
	}
	if (!x->wide && d->bus > BIT(32)) {
		device_log(d, "its memory lies above 4 GiB, which it does not reach");
		return false;
	}
	return true;
}

/* Event ring dequeue pointer; EHB is cleared. */
void xhci_taken(struct xhci *x)
{
	mmio_write64(x->runtime + XHCI_ERDP,
		(x->events.bus + x->events.at * sizeof(struct xhci_trb)) | XHCI_ERDP_EHB);
}

/* 4.2 */
void xhci_start(struct xhci *x)
{
	x->lost = false;
	x->command_bus = 0;
	for (u32 i = 0; i < XHCI_ENDPOINTS; i++)
		x->endpoint[i].id = 0;
	xhci_ring_init(&x->command);
	memset(x->events.trb, 0, XHCI_EVENT_SIZE * sizeof(struct xhci_trb));
	x->events.at = 0;
	x->events.cycle = XHCI_TRB_CYCLE;
	*x->segment = (struct xhci_segment){.base = x->events.bus, .size = XHCI_EVENT_SIZE};
	op_write(x, XHCI_CONFIG, x->slots);
	mmio_write64(x->operational + XHCI_DCBAAP, x->contexts_bus);
	mmio_write64(x->operational + XHCI_CRCR, x->command.bus | XHCI_TRB_CYCLE);
	mmio_write32(x->runtime + XHCI_ERSTSZ, 1);
	xhci_taken(x);
	mmio_write64(x->runtime + XHCI_ERSTBA, x->segment_bus);
	mmio_write32(x->runtime + XHCI_IMOD, 0);
	mmio_write32(x->runtime + XHCI_IMAN, XHCI_IMAN_IE | XHCI_IMAN_IP);
	op_write(x, XHCI_USBCMD, XHCI_CMD_RS | XHCI_CMD_INTE);
	for (u32 i = 1; i <= x->ports; i++)
		op_write(x, XHCI_PORTSC(i), XHCI_PORT_PP);
}

/* --- events --- */

static void port_event(struct xhci *x, u32 port)
{
	u32 state;

	if (port == 0 || port > x->ports)
		return;
	state = op_read(x, XHCI_PORTSC(port));
	op_write(x, XHCI_PORTSC(port), (state & XHCI_PORT_KEPT) | (state & XHCI_PORT_CHANGES));
	if (port == x->port && x->slot && state & XHCI_PORT_CSC)
		x->gone = true;
}

/* True if the TRB at `bus` belongs to what is under way. */
static bool is_of(const struct xhci_endpoint *e, u64 bus)
{
	u64 offset = bus - e->ring.bus;
	u64 first = e->td - e->ring.bus;

	if (e->trbs == 0 || offset >= XHCI_RING_BYTES || offset % sizeof(struct xhci_trb))
		return false;
	offset = (offset - first + XHCI_RING_BYTES) % XHCI_RING_BYTES;
	return offset / sizeof(struct xhci_trb) <= e->trbs; /* one more: it may hold the link */
}

static bool transfer_event(struct xhci *x, const struct xhci_trb *t, struct xhci_end *out)
{
	u32 code = XHCI_CODE(t->status);

	if (XHCI_TRB_SLOT_OF(t->control) != x->slot ||
		(code >= XHCI_CODE_STOPPED && code <= XHCI_CODE_STOPPED_LAST))
		return false;
	for (u32 i = 0; i < XHCI_ENDPOINTS; i++) {
		struct xhci_endpoint *e = &x->endpoint[i];

		if (!e->id || e->id != (t->control >> 16 & 31) || !is_of(e, t->parameter))
			continue;
		*out = (struct xhci_end){.which = i, .code = code, .last = t->parameter == e->last};
		e->trbs = 0;
		return true;
	}
	return false;
}

bool xhci_take(struct xhci *x, struct xhci_end *out)
{
	struct xhci_trb t;

	while (xhci_event_take(&x->events, &t)) {
		switch (XHCI_TRB_TYPE_OF(t.control)) {
		case XHCI_EVENT_TRANSFER:
			if (transfer_event(x, &t, out))
				return true;
			break;
		case XHCI_EVENT_COMMAND:
			if (x->command_bus && t.parameter == x->command_bus) {
				x->answer = t;
				x->command_bus = 0;
			}
			break;
		case XHCI_EVENT_PORT:
			port_event(x, (u32)t.parameter >> 24);
			break;
		default:
			break;
		}
	}
	return false;
}

void xhci_idle(struct xhci *x)
{
	struct xhci_end end;

	xhci_interrupt(x);
	while (xhci_take(x, &end))
		;
	xhci_taken(x);
}

/* 5.4.2: EINT is cleared before IP. */
void xhci_interrupt(struct xhci *x)
{
	op_write(x, XHCI_USBSTS, XHCI_STS_EINT);
	mmio_write32(x->runtime + XHCI_IMAN, XHCI_IMAN_IE | XHCI_IMAN_IP);
}

bool xhci_works(const struct xhci *x)
{
	u32 status = op_read(x, XHCI_USBSTS);

	return !x->lost && status != XHCI_NONE && !(status & (XHCI_STS_HSE | XHCI_STS_HCE));
}

/* Ends of transfers that come meanwhile are those of what is being given up. */
static bool carry_out(struct xhci *x, u64 parameter, u32 control)
{
	struct xhci_end end;

	x->command_bus = xhci_ring_put(&x->command, parameter, 0, control);
	xhci_ring_give(&x->command);
	mmio_write32(x->doorbells, 0);
	for (u32 i = 0; i < COMMAND_US / STEP_US && x->command_bus; i++) {
		while (xhci_take(x, &end))
			;
		xhci_taken(x);
		if (x->command_bus)
			device_wait(x->device, STEP_US);
	}
	if (!x->command_bus && XHCI_CODE(x->answer.status) == XHCI_CODE_SUCCESS)
		return true;
	device_log(x->device, "command %u: %s, code %u", XHCI_TRB_TYPE_OF(control),
		x->command_bus ? "no answer" : "it failed",
		x->command_bus ? 0 : XHCI_CODE(x->answer.status));
	x->lost |= x->command_bus != 0;
	x->command_bus = 0;
	return false;
}

static bool slot_command(struct xhci *x, enum xhci_trb_type type, u32 which)
{
	return carry_out(x, 0,
		XHCI_TRB_TYPE(type) | XHCI_TRB_SLOT(x->slot) |
			XHCI_TRB_ENDPOINT(x->endpoint[which].id));
}

/* --- the device --- */

bool xhci_connected(const struct xhci *x, u32 port)
{
	u32 state = op_read(x, XHCI_PORTSC(port));

	return state != XHCI_NONE && state & XHCI_PORT_CCS;
}

/* 4.3.1: the port, whatever its protocol, is enabled after a reset. */
static bool reset_port(struct xhci *x, u32 port)
{
	u32 at = XHCI_PORTSC(port);
	u32 state = op_read(x, at) & XHCI_PORT_KEPT;

	op_write(x, at, state | XHCI_PORT_CHANGES);
	op_write(x, at, state | XHCI_PORT_PR);
	if (!wait_op(x, at, XHCI_PORT_PRC, XHCI_PORT_PRC, PORT_US))
		return false;
	op_write(x, at, (op_read(x, at) & XHCI_PORT_KEPT) | XHCI_PORT_CHANGES);
	device_wait(x->device, RECOVERY_US);
	state = op_read(x, at);
	x->speed = XHCI_PORT_SPEED(state);
	return state & XHCI_PORT_PED && x->speed >= XHCI_FULL && x->speed <= XHCI_SUPER_PLUS;
}

static u32 *input_context(struct xhci *x, u32 n)
{
	return x->input + (1 + n) * x->context_words;
}

static void set_endpoint(struct xhci *x, u32 which, u32 type, u32 burst)
{
	struct xhci_endpoint *e = &x->endpoint[which];
	u32 *c = input_context(x, e->id);

	xhci_ring_init(&e->ring);
	e->trbs = 0;
	c[1] = XHCI_EP_ERRORS | XHCI_EP_TYPE(type) | XHCI_EP_BURST(burst) |
	       XHCI_EP_PACKET(e->packet);
	c[2] = (u32)e->ring.bus | (u32)XHCI_EP_CYCLE;
	c[3] = (u32)(e->ring.bus >> 32);
	c[4] = type == XHCI_EP_CONTROL ? AVERAGE : AVERAGE_BULK;
	x->input[XHCI_INPUT_ADD] |= 1u << e->id;
}

/* 6.2.2: the slot context with endpoints up to `last`. */
static void set_slot(struct xhci *x, u32 last)
{
	u32 *c = input_context(x, SLOT_WORD);

	memset(x->input, 0, PAGE_SIZE);
	x->input[XHCI_INPUT_ADD] = 1;
	c[0] = XHCI_SLOT_SPEED(x->speed) | XHCI_SLOT_ENTRIES(last);
	c[1] = XHCI_SLOT_PORT(x->port);
}

bool xhci_address(struct xhci *x, u32 port)
{
	static const u32 packet[] = {[XHCI_FULL] = PACKET_LEAST,
		[XHCI_LOW] = PACKET_LEAST,
		[XHCI_HIGH] = 64,
		[XHCI_SUPER] = 512,
		[XHCI_SUPER_PLUS] = 512};

	if (!reset_port(x, port)) {
		device_log(x->device, "port %u does not come out of its reset: %#x", port,
			op_read(x, XHCI_PORTSC(port)));
		return false;
	}
	if (!carry_out(x, 0, XHCI_TRB_TYPE(XHCI_ENABLE_SLOT)))
		return false;
	x->slot = XHCI_TRB_SLOT_OF(x->answer.control);
	if (x->slot == 0 || x->slot > x->slots) {
		device_log(x->device, "it gives slot %u, which it has not", x->slot);
		x->slot = 0;
		return false;
	}
	x->port = port;
	x->gone = false;
	memset(x->output, 0, PAGE_SIZE);
	x->contexts[x->slot] = x->output_bus;
	for (u32 i = 0; i < XHCI_ENDPOINTS; i++)
		x->endpoint[i].id = 0;
	set_slot(x, 1);
	x->endpoint[USB_CONTROL].id = 1;
	x->endpoint[USB_CONTROL].packet = packet[x->speed];
	set_endpoint(x, USB_CONTROL, XHCI_EP_CONTROL, 0);
	return carry_out(
		x, x->input_bus, XHCI_TRB_TYPE(XHCI_ADDRESS_DEVICE) | XHCI_TRB_SLOT(x->slot));
}

void xhci_release(struct xhci *x)
{
	if (x->slot)
		slot_command(x, XHCI_DISABLE_SLOT, USB_CONTROL);
	x->contexts[x->slots] = 0;
	x->slot = 0;
}

bool xhci_control_packet(struct xhci *x, u32 packet)
{
	if (packet == x->endpoint[USB_CONTROL].packet)
		return true;
	x->endpoint[USB_CONTROL].packet = packet;
	memset(x->input, 0, PAGE_SIZE);
	x->input[XHCI_INPUT_ADD] = 2;
	input_context(x, 1)[1] =
		XHCI_EP_ERRORS | XHCI_EP_TYPE(XHCI_EP_CONTROL) | XHCI_EP_PACKET(packet);
	return carry_out(
		x, x->input_bus, XHCI_TRB_TYPE(XHCI_EVALUATE_CONTEXT) | XHCI_TRB_SLOT(x->slot));
}

void xhci_bulk(struct xhci *x, u32 which, u32 number, u32 packet)
{
	x->endpoint[which].id = 2 * number + (which == USB_IN);
	x->endpoint[which].packet = packet;
}

bool xhci_configure(struct xhci *x, u32 in_burst, u32 out_burst)
{
	u32 in = x->endpoint[USB_IN].id;
	u32 out = x->endpoint[USB_OUT].id;

	set_slot(x, in > out ? in : out);
	set_endpoint(x, USB_IN, XHCI_EP_BULK_IN, in_burst);
	set_endpoint(x, USB_OUT, XHCI_EP_BULK_OUT, out_burst);
	return carry_out(
		x, x->input_bus, XHCI_TRB_TYPE(XHCI_CONFIGURE_ENDPOINT) | XHCI_TRB_SLOT(x->slot));
}

bool xhci_clear(struct xhci *x, u32 which)
{
	struct xhci_endpoint *e = &x->endpoint[which];
	const u32 *context = x->output + e->id * x->context_words;
	u32 state = XHCI_EP_STATE(__atomic_load_n(context, __ATOMIC_ACQUIRE));

	if (state == XHCI_EP_HALTED && !slot_command(x, XHCI_RESET_ENDPOINT, which))
		return false;
	if (state == XHCI_EP_RUNNING && !slot_command(x, XHCI_STOP_ENDPOINT, which))
		return false;
	xhci_ring_init(&e->ring);
	e->trbs = 0;
	return carry_out(x, e->ring.bus | XHCI_EP_CYCLE,
		XHCI_TRB_TYPE(XHCI_SET_DEQUEUE) | XHCI_TRB_SLOT(x->slot) |
			XHCI_TRB_ENDPOINT(e->id));
}

/* --- transfers --- */

void xhci_put(struct xhci *x, u32 which, u64 parameter, u32 status, u32 control)
{
	struct xhci_endpoint *e = &x->endpoint[which];
	bool first = !e->ring.open;

	e->last = xhci_ring_put(&e->ring, parameter, status, control);
	if (first) {
		e->td = e->last;
		e->trbs = 0;
	}
	e->trbs++;
}

void xhci_go(struct xhci *x, u32 which)
{
	xhci_ring_give(&x->endpoint[which].ring);
	mmio_write32(x->doorbells + 4ull * x->slot, x->endpoint[which].id);
}

enum xhci_code xhci_wait(struct xhci *x, u32 which, u64 us)
{
	struct xhci_end end;

	for (u64 i = 0; i <= us / STEP_US; i++) {
		while (xhci_take(x, &end)) {
			if (end.which != which)
				continue;
			xhci_taken(x);
			return end.code;
		}
		xhci_taken(x);
		if (x->gone)
			break;
		device_wait(x->device, STEP_US);
	}
	return XHCI_CODE_NONE;
}

/* 4.11.2.2 */
enum xhci_code xhci_control(struct xhci *x, const struct usb_request *r, u64 bus)
{
	bool in = r->type & 0x80;
	enum xhci_code code;
	u64 setup;

	memcpy(&setup, r, sizeof(setup));
	xhci_put(x, USB_CONTROL, setup, sizeof(setup),
		XHCI_TRB_TYPE(XHCI_SETUP) | (u32)XHCI_TRB_IDT |
			(r->length == 0 ? 0
				: in    ? XHCI_TRB_SETUP_IN
					: XHCI_TRB_SETUP_OUT));
	if (r->length)
		xhci_put(x, USB_CONTROL, bus, r->length,
			XHCI_TRB_TYPE(XHCI_DATA) | (in ? (u32)XHCI_TRB_IN : 0));
	xhci_put(x, USB_CONTROL, 0, 0,
		XHCI_TRB_TYPE(XHCI_STATUS) | (u32)XHCI_TRB_IOC |
			(in && r->length ? 0 : (u32)XHCI_TRB_IN));
	xhci_go(x, USB_CONTROL);
	code = xhci_wait(x, USB_CONTROL, CONTROL_US);
	if (code != XHCI_CODE_SUCCESS && code != XHCI_CODE_SHORT && !x->gone)
		xhci_clear(x, USB_CONTROL);
	return code;
}
