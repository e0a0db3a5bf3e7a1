/* A USB host controller: see controller.h. Sections are of xHCI 1.2. */
#include "drivers/xhci/controller.h"

#define STEP_US     1000u
#define FIRMWARE_US 1000000u
#define RESET_US    1000000u
#define HALT_US     20000u
#define PORT_US     1000000u
#define RECOVERY_US 20000u /* USB 2.0, 7.1.7.5, and room */
#define COMMAND_US  5000000u
#define PAGE_4K     BIT(0)
#define OPERATIONAL 0x400u /* bytes, before the ports' */
#define EXT_MAX     64u

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
		for (u32 i = 0; i < XHCI_DEVICES; i++)
			x->usb[i].slot = 0;
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
	x->slots = XHCI_SLOTS(params) < XHCI_DEVICES ? XHCI_SLOTS(params) : XHCI_DEVICES;
	x->ports = XHCI_PORTS(params);
	*scratch = XHCI_SCRATCH(mmio_read32(cap + XHCI_HCSPARAMS2));
	*hcc = mmio_read32(cap + XHCI_HCCPARAMS1);
	x->context_words = *hcc & XHCI_HCC_CSZ ? 16 : 8;
	x->wide = *hcc & XHCI_HCC_AC64;
	length = mmio_read32(cap + XHCI_CAPLENGTH) & 0xff;
	x->operational = device_registers(d, 0, length, OPERATIONAL + 0x10ull * x->ports);
	x->runtime =
		device_registers(d, 0, mmio_read32(cap + XHCI_RTSOFF) & ~31u, XHCI_RUNTIME_LEAST);
	x->doorbells =
		device_registers(d, 0, mmio_read32(cap + XHCI_DBOFF) & ~3u, 4 * (1ull + x->slots));
	if (length % 4 == 0 && x->operational && x->runtime && x->doorbells && x->slots && x->ports)
		return true;
	device_log(d, "its registers lie outside what it has, or it has no slots or ports");
	return false;
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
	x->events.trb = device_alloc(
		d, XHCI_EVENT_SIZE * sizeof(struct xhci_trb), PAGE_SIZE, &x->events.bus);
	x->command.trb = device_alloc(d, XHCI_RING_BYTES, XHCI_RING_BYTES, &x->command.bus);
	if (!x->contexts || !x->segment || !x->input || !x->events.trb || !x->command.trb ||
		!alloc_scratch(x, scratch))
		return false;
	for (u32 i = 0; i < XHCI_DEVICES; i++) {
		if (!usb_open(&x->usb[i], x))
			return false;
	}
	if (!x->wide && d->bus > BIT(32)) {
		device_log(d, "its memory lies above 4 GiB, which it does not reach");
		return false;
	}
	return true;
}

/* Event ring dequeue pointer; EHB is cleared, so that the next event interrupts (5.5.2.3.3). */
static void taken(struct xhci *x)
{
	mmio_write64(x->runtime + XHCI_ERDP,
		(x->events.bus + x->events.at * sizeof(struct xhci_trb)) | XHCI_ERDP_EHB);
}

/* 4.2 */
void xhci_start(struct xhci *x)
{
	x->lost = false;
	x->command_bus = 0;
	memset(x->changed, 0xff, sizeof(x->changed));
	xhci_ring_init(&x->command);
	memset(x->events.trb, 0, XHCI_EVENT_SIZE * sizeof(struct xhci_trb));
	x->events.at = 0;
	x->events.cycle = XHCI_TRB_CYCLE;
	*x->segment = (struct xhci_segment){.base = x->events.bus, .size = XHCI_EVENT_SIZE};
	op_write(x, XHCI_CONFIG, x->slots);
	mmio_write64(x->operational + XHCI_DCBAAP, x->contexts_bus);
	mmio_write64(x->operational + XHCI_CRCR, x->command.bus | XHCI_TRB_CYCLE);
	mmio_write32(x->runtime + XHCI_ERSTSZ, 1);
	taken(x);
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
	if (!(state & XHCI_PORT_CSC)) /* a reset's end and the like are seen to elsewhere */
		return;
	x->changed[port / 8] |= (u8)(1u << port % 8);
	for (u32 i = 0; i < XHCI_DEVICES; i++) {
		if (x->usb[i].slot && x->usb[i].port == port)
			x->usb[i].gone = true;
	}
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

static void transfer_event(struct xhci *x, const struct xhci_trb *t)
{
	u32 slot = XHCI_TRB_SLOT_OF(t->control);
	u32 code = XHCI_CODE(t->status);
	u32 id = t->control >> 16 & 31;

	if (slot == 0 || (code >= XHCI_CODE_STOPPED && code <= XHCI_CODE_STOPPED_LAST))
		return;
	for (u32 i = 0; i < XHCI_DEVICES * USB_PIPES; i++) {
		struct usb_device *d = &x->usb[i / USB_PIPES];
		struct xhci_endpoint *e = &d->endpoint[i % USB_PIPES];

		if (d->slot != slot || !e->id || e->id != id || !is_of(e, t->parameter))
			continue;
		e->code = code;
		e->left = XHCI_LEFT(t->status);
		e->ended = true;
		e->trbs = 0;
		x->ended++;
		return;
	}
}

/* 5.4.2: EINT is cleared before IP. A controller that never stops is not waited for. */
void xhci_pump(struct xhci *x)
{
	struct xhci_trb t;

	op_write(x, XHCI_USBSTS, XHCI_STS_EINT);
	mmio_write32(x->runtime + XHCI_IMAN, XHCI_IMAN_IE | XHCI_IMAN_IP);
	for (u32 i = 0; i < XHCI_EVENT_SIZE && xhci_event_take(&x->events, &t); i++) {
		switch (XHCI_TRB_TYPE_OF(t.control)) {
		case XHCI_EVENT_TRANSFER:
			transfer_event(x, &t);
			break;
		case XHCI_EVENT_COMMAND:
			if (x->command_bus && t.parameter == x->command_bus) {
				x->answer = t;
				x->command_bus = 0;
				x->ended++;
			}
			break;
		case XHCI_EVENT_PORT:
			port_event(x, (u32)t.parameter >> 24);
			break;
		default:
			break;
		}
	}
	taken(x);
}

void xhci_pause(struct xhci *x, u64 us)
{
	for (u64 i = 0; i < us; i += STEP_US) {
		device_wait(x->device, STEP_US);
		xhci_pump(x);
		if (x->meanwhile)
			x->meanwhile();
	}
}

bool xhci_works(const struct xhci *x)
{
	u32 status = op_read(x, XHCI_USBSTS);

	return !x->lost && status != XHCI_NONE && !(status & (XHCI_STS_HSE | XHCI_STS_HCE));
}

bool xhci_command(struct xhci *x, u64 parameter, u32 control)
{
	x->command_bus = xhci_ring_put(&x->command, parameter, 0, control);
	xhci_ring_give(&x->command);
	mmio_write32(x->doorbells, 0);
	xhci_pump(x);
	for (u32 i = 0; i < COMMAND_US / STEP_US && x->command_bus; i++)
		xhci_pause(x, STEP_US);
	if (!x->command_bus && XHCI_CODE(x->answer.status) == XHCI_CODE_SUCCESS)
		return true;
	device_log(x->device, "command %u: %s, code %u", XHCI_TRB_TYPE_OF(control),
		x->command_bus ? "no answer" : "it failed",
		x->command_bus ? 0 : XHCI_CODE(x->answer.status));
	x->lost |= x->command_bus != 0;
	x->command_bus = 0;
	return false;
}

/* --- ports --- */

bool xhci_port_changed(struct xhci *x, u32 port)
{
	u8 bit = (u8)(1u << port % 8);
	bool changed = x->changed[port / 8] & bit;

	x->changed[port / 8] &= (u8)~bit;
	return changed;
}

bool xhci_port_connected(const struct xhci *x, u32 port)
{
	u32 state = op_read(x, XHCI_PORTSC(port));

	return state != XHCI_NONE && state & XHCI_PORT_CCS;
}

/* The port, whatever its protocol, is enabled after a reset. A change of the connection meanwhile
 * stays for port_event. */
enum xhci_speed xhci_port_reset(struct xhci *x, u32 port)
{
	u32 at = XHCI_PORTSC(port);
	u32 state = op_read(x, at) & XHCI_PORT_KEPT;
	u32 speed;

	op_write(x, at, state | XHCI_PORT_CHANGES);
	op_write(x, at, state | XHCI_PORT_PR);
	if (wait_op(x, at, XHCI_PORT_PRC, XHCI_PORT_PRC, PORT_US)) {
		op_write(x, at, (op_read(x, at) & XHCI_PORT_KEPT) | XHCI_PORT_RESETS);
		xhci_pause(x, RECOVERY_US);
	}
	state = op_read(x, at);
	speed = XHCI_PORT_SPEED(state);
	if (state != XHCI_NONE && state & XHCI_PORT_PED && speed >= XHCI_FULL &&
		speed <= XHCI_SUPER_PLUS)
		return speed;
	device_log(x->device, "port %u does not come out of its reset: %#x", port, state);
	return 0;
}
