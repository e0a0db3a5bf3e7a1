/* A device at an xHCI controller: see usb.h. Sections are of xHCI 1.2. */
#include "drivers/xhci/usb.h"
#include "drivers/xhci/controller.h"

#define STEP_US      1000u
#define CONTROL_US   2000000u
#define OUTPUT_BYTES 2048u /* contexts of 64 bytes; they do not cross a page (6.1) */
#define PACKET_LEAST 8u
#define AVERAGE      8u /* bytes of a TRB's data (4.14.1.1): control, */
#define AVERAGE_BULK 4096u
#define SLOT_WORD    0u
#define ENDPOINT_IN  0x80u
#define FEATURE_HALT 0u
#define USB_LINE     120u

bool usb_open(struct usb_device *d, struct xhci *x)
{
	struct device *device = x->device;

	*d = (struct usb_device){.xhci = x};
	d->output = device_alloc(device, OUTPUT_BYTES, OUTPUT_BYTES, &d->output_bus);
	d->small = device_alloc(device, 2ull * USB_SMALL, 2ull * USB_SMALL, &d->small_bus);
	for (u32 i = 0; i < USB_PIPES && d->output && d->small; i++) {
		struct xhci_ring *r = &d->endpoint[i].ring;

		r->trb = device_alloc(device, XHCI_RING_BYTES, XHCI_RING_BYTES, &r->bus);
		if (!r->trb)
			return false;
	}
	return d->output && d->small;
}

void usb_place(const struct usb_device *d, char text[USB_PLACE])
{
	u32 at = (u32)format(text, USB_PLACE, "%u", d->port);

	for (u32 i = 0; i < d->depth && at < USB_PLACE; i++)
		at += (u32)format(text + at, USB_PLACE - at, ".%u", d->route >> 4 * i & 15);
}

void usb_log(const struct usb_device *d, const char *text, ...)
{
	char place[USB_PLACE];
	char line[USB_LINE];
	va_list args;

	usb_place(d, place);
	va_start(args, text);
	format_list(line, sizeof(line), text, args);
	va_end(args);
	device_log(d->xhci->device, "port %s: %s", place, line);
}

/* --- slot and endpoints --- */

static bool slot_command(struct usb_device *d, enum xhci_trb_type type, u64 parameter, u32 id)
{
	return xhci_command(d->xhci, parameter,
		XHCI_TRB_TYPE(type) | XHCI_TRB_SLOT(d->slot) | XHCI_TRB_ENDPOINT(id));
}

static u32 *input_context(struct xhci *x, u32 n)
{
	return x->input + (1 + n) * x->context_words;
}

static void set_endpoint(
	struct usb_device *d, enum usb_pipe which, u32 type, const struct usb_endpoint *of)
{
	struct xhci_endpoint *e = &d->endpoint[which];
	u32 *c = input_context(d->xhci, e->id);

	xhci_ring_init(&e->ring);
	e->trbs = 0;
	e->ended = false;
	c[1] = XHCI_EP_ERRORS | XHCI_EP_TYPE(type) | XHCI_EP_PACKET(e->packet);
	c[2] = (u32)e->ring.bus | (u32)XHCI_EP_CYCLE;
	c[3] = (u32)(e->ring.bus >> 32);
	c[4] = type == XHCI_EP_CONTROL ? AVERAGE : AVERAGE_BULK;
	if (type == XHCI_EP_INTERRUPT_IN) {
		c[0] = XHCI_EP_INTERVAL(of->interval);
		c[4] = e->packet | XHCI_EP_ESIT(e->packet);
	} else if (of) {
		c[1] |= XHCI_EP_BURST(of->burst);
	}
	d->xhci->input[XHCI_INPUT_ADD] |= 1u << e->id;
}

/* 6.2.2: the slot context with endpoints up to `last`. */
static u32 *set_slot(struct usb_device *d, u32 last)
{
	struct xhci *x = d->xhci;
	u32 *c = input_context(x, SLOT_WORD);

	memset(x->input, 0, PAGE_SIZE);
	x->input[XHCI_INPUT_ADD] = 1;
	c[0] = d->route | XHCI_SLOT_SPEED(d->speed) | XHCI_SLOT_ENTRIES(last);
	c[1] = XHCI_SLOT_PORT(d->port);
	c[2] = XHCI_SLOT_TT(d->tt_slot, d->tt_port);
	return c;
}

static bool slot_is_used(const struct xhci *x, u32 slot)
{
	for (u32 i = 0; i < XHCI_DEVICES; i++) {
		if (x->usb[i].slot == slot)
			return true;
	}
	return false;
}

bool usb_address(struct usb_device *d)
{
	static const u32 packet[] = {[XHCI_FULL] = PACKET_LEAST,
		[XHCI_LOW] = PACKET_LEAST,
		[XHCI_HIGH] = 64,
		[XHCI_SUPER] = 512,
		[XHCI_SUPER_PLUS] = 512};
	struct xhci *x = d->xhci;
	u32 slot;

	if (!xhci_command(x, 0, XHCI_TRB_TYPE(XHCI_ENABLE_SLOT)))
		return false;
	slot = XHCI_TRB_SLOT_OF(x->answer.control);
	if (slot == 0 || slot > x->slots || slot_is_used(x, slot)) {
		device_log(x->device, "it gives slot %u, which it has not", slot);
		return false;
	}
	d->slot = slot;
	d->gone = false;
	memset(d->output, 0, OUTPUT_BYTES);
	x->contexts[slot] = d->output_bus;
	for (u32 i = 0; i < USB_PIPES; i++)
		d->endpoint[i].id = 0;
	set_slot(d, 1);
	d->endpoint[USB_CONTROL].id = 1;
	d->endpoint[USB_CONTROL].packet = packet[d->speed];
	set_endpoint(d, USB_CONTROL, XHCI_EP_CONTROL, NULL);
	return slot_command(d, XHCI_ADDRESS_DEVICE, x->input_bus, 0);
}

void usb_release(struct usb_device *d)
{
	if (d->slot == 0)
		return;
	if (!d->xhci->lost)
		slot_command(d, XHCI_DISABLE_SLOT, 0, 0);
	d->xhci->contexts[d->slot] = 0;
	d->slot = 0;
}

bool usb_control_packet(struct usb_device *d, u32 packet)
{
	struct xhci *x = d->xhci;

	if (packet == d->endpoint[USB_CONTROL].packet)
		return true;
	d->endpoint[USB_CONTROL].packet = packet;
	memset(x->input, 0, PAGE_SIZE);
	x->input[XHCI_INPUT_ADD] = 2;
	input_context(x, 1)[1] =
		XHCI_EP_ERRORS | XHCI_EP_TYPE(XHCI_EP_CONTROL) | XHCI_EP_PACKET(packet);
	return slot_command(d, XHCI_EVALUATE_CONTEXT, x->input_bus, 0);
}

static u32 endpoint_id(const struct usb_endpoint *e)
{
	return e->packet ? 2u * (e->address & 0xf) + (e->address & ENDPOINT_IN ? 1 : 0) : 0;
}

bool usb_configure(struct usb_device *d, const struct usb_interface *i)
{
	u32 in = endpoint_id(&i->in);
	u32 out = i->in.interval ? 0 : endpoint_id(&i->out);

	d->endpoint[USB_IN].id = in;
	d->endpoint[USB_IN].packet = i->in.packet;
	d->endpoint[USB_OUT].id = out;
	d->endpoint[USB_OUT].packet = i->out.packet;
	set_slot(d, in > out ? in : out);
	set_endpoint(d, USB_IN, i->in.interval ? XHCI_EP_INTERRUPT_IN : XHCI_EP_BULK_IN, &i->in);
	if (out)
		set_endpoint(d, USB_OUT, XHCI_EP_BULK_OUT, &i->out);
	return slot_command(d, XHCI_CONFIGURE_ENDPOINT, d->xhci->input_bus, 0) &&
	       usb_do(d, USB_TO_DEVICE, USB_SET_CONFIGURATION, i->configuration, 0);
}

bool usb_is_hub(struct usb_device *d, u32 ports, u32 think)
{
	u32 *c = set_slot(d, d->endpoint[USB_IN].id);

	c[0] |= (u32)XHCI_SLOT_HUB;
	c[1] |= XHCI_SLOT_PORTS(ports);
	c[2] |= XHCI_SLOT_THINK(think);
	return slot_command(d, XHCI_CONFIGURE_ENDPOINT, d->xhci->input_bus, 0);
}

bool usb_clear(struct usb_device *d, enum usb_pipe which)
{
	struct xhci_endpoint *e = &d->endpoint[which];
	const u32 *context = d->output + e->id * d->xhci->context_words;
	u32 state = XHCI_EP_STATE(__atomic_load_n(context, __ATOMIC_ACQUIRE));

	if (state == XHCI_EP_HALTED && !slot_command(d, XHCI_RESET_ENDPOINT, 0, e->id))
		return false;
	if (state == XHCI_EP_RUNNING && !slot_command(d, XHCI_STOP_ENDPOINT, 0, e->id))
		return false;
	xhci_ring_init(&e->ring);
	e->trbs = 0;
	e->ended = false;
	return slot_command(d, XHCI_SET_DEQUEUE, e->ring.bus | XHCI_EP_CYCLE, e->id);
}

/* On both sides (4.6.8). */
bool usb_clear_halt(struct usb_device *d, enum usb_pipe which)
{
	u32 id = d->endpoint[which].id;
	u16 address = (u16)(id / 2 | (id & 1 ? ENDPOINT_IN : 0));

	return usb_clear(d, which) &&
	       usb_do(d, USB_TO_ENDPOINT, USB_CLEAR_FEATURE, FEATURE_HALT, address);
}

/* --- transfers --- */

void usb_put(struct usb_device *d, enum usb_pipe which, u64 parameter, u32 status, u32 control)
{
	struct xhci_endpoint *e = &d->endpoint[which];
	bool first = !e->ring.open;

	e->last = xhci_ring_put(&e->ring, parameter, status, control);
	if (first) {
		e->td = e->last;
		e->trbs = 0;
		e->ended = false;
	}
	e->trbs++;
}

void usb_go(struct usb_device *d, enum usb_pipe which)
{
	xhci_ring_give(&d->endpoint[which].ring);
	mmio_write32(d->xhci->doorbells + 4ull * d->slot, d->endpoint[which].id);
}

void usb_transfer(struct usb_device *d, enum usb_pipe which, u64 bus, u32 bytes)
{
	usb_put(d, which, bus, bytes,
		XHCI_TRB_TYPE(XHCI_NORMAL) | (u32)XHCI_TRB_IOC | (u32)XHCI_TRB_ISP);
	usb_go(d, which);
}

bool usb_ended(struct usb_device *d, enum usb_pipe which)
{
	bool ended = d->endpoint[which].ended;

	d->endpoint[which].ended = false;
	return ended;
}

enum xhci_code usb_wait(struct usb_device *d, enum usb_pipe which, u64 us)
{
	struct xhci *x = d->xhci;

	xhci_pump(x);
	for (u64 i = 0; i <= us / STEP_US; i++) {
		if (usb_ended(d, which))
			return d->endpoint[which].code;
		if (d->gone || x->lost || (x->until && device_time(x->device) >= x->until))
			break;
		xhci_pause(x, STEP_US);
	}
	return XHCI_CODE_NONE;
}

/* --- requests --- */

/* 4.11.2.2 */
void usb_request(struct usb_device *d, const struct usb_request *r, u64 bus)
{
	bool in = r->type & USB_FROM_DEVICE;
	u64 setup;

	memcpy(&setup, r, sizeof(setup));
	usb_put(d, USB_CONTROL, setup, sizeof(setup),
		XHCI_TRB_TYPE(XHCI_SETUP) | (u32)XHCI_TRB_IDT |
			(r->length == 0 ? 0
				: in    ? XHCI_TRB_SETUP_IN
					: XHCI_TRB_SETUP_OUT));
	if (r->length)
		usb_put(d, USB_CONTROL, bus, r->length,
			XHCI_TRB_TYPE(XHCI_DATA) | (in ? (u32)XHCI_TRB_IN : 0));
	usb_put(d, USB_CONTROL, 0, 0,
		XHCI_TRB_TYPE(XHCI_STATUS) | (u32)XHCI_TRB_IOC |
			(in && r->length ? 0 : (u32)XHCI_TRB_IN));
	usb_go(d, USB_CONTROL);
}

enum xhci_code usb_control(struct usb_device *d, const struct usb_request *r, u64 bus)
{
	enum xhci_code code;

	/* one that was begun is let end first */
	if (d->endpoint[USB_CONTROL].trbs &&
		usb_wait(d, USB_CONTROL, CONTROL_US) != XHCI_CODE_SUCCESS && !d->gone)
		usb_clear(d, USB_CONTROL);
	usb_request(d, r, bus);
	code = usb_wait(d, USB_CONTROL, CONTROL_US);
	if (code != XHCI_CODE_SUCCESS && code != XHCI_CODE_SHORT && !d->gone && !d->xhci->lost)
		usb_clear(d, USB_CONTROL);
	return code;
}

bool usb_do(struct usb_device *d, u8 type, u8 request, u16 value, u16 index)
{
	struct usb_request r = {.type = type, .request = request, .value = value, .index = index};

	return usb_control(d, &r, 0) == XHCI_CODE_SUCCESS;
}

bool usb_read(struct usb_device *d, u8 type, u8 request, u16 value, u16 index, void *at, u64 bus,
	u16 length)
{
	struct usb_request r = {
		.type = type, .request = request, .value = value, .index = index, .length = length};
	enum xhci_code code;

	memset(at, 0, length);
	code = usb_control(d, &r, bus);
	return code == XHCI_CODE_SUCCESS || code == XHCI_CODE_SHORT;
}
