/* A USB hub: see hub.h. Sections are of USB 2.0 unless they say more. */
#include "drivers/xhci/hub.h"
#include "drivers/xhci/controller.h"

#define DESCRIPTOR       0x2900u /* 11.23.2.1; 3.2, 10.15.2.1: */
#define DESCRIPTOR_SUPER 0x2a00u
#define SET_DEPTH        12u /* 3.2, 10.16.2 */
#define PORT_RESET       4u  /* features: 11.24.2; 3.2, 10.16.2 */
#define PORT_POWER       8u
#define C_HUB_POWER      0u /* the hub's own changes */
#define C_HUB_CURRENT    1u
#define CHANGE_FEATURES  16u /* that of the change in bit n is this and n, but for SuperSpeed: */
#define C_BH_RESET       29u
#define C_LINK_STATE     25u
#define C_CONFIG_ERROR   26u

/* 11.24.2.7; 3.2, 10.16.2.6 */
#define STATUS_BYTES     4u
#define STATUS_CONNECTED BIT(0)
#define STATUS_ENABLED   BIT(1)
#define STATUS_CURRENT   BIT(3)
#define STATUS_LOW       BIT(9)
#define STATUS_HIGH      BIT(10)
#define CHANGE_CONNECTED BIT(0)
#define CHANGE_CURRENT   BIT(3)
#define CHANGE_RESET     BIT(4)
#define CHANGES          8u
#define RESET_STEP_US    10000u
#define RESET_STEPS      80u
#define RECOVERY_US      20000u
#define LISTEN_US        50000u
#define ERRORS_MOST      10u

static bool is_super(const struct hub *h)
{
	return h->device->speed >= XHCI_SUPER;
}

static bool port_feature(struct hub *h, u8 request, u32 feature, u32 port)
{
	return usb_do(h->device, USB_CLASS_PORT, request, (u16)feature, (u16)port);
}

bool hub_start(struct hub *h, struct usb_device *d, u8 *page, u64 page_bus)
{
	u8 descriptor[USB_HUB_BYTES];

	*h = (struct hub){.device = d, .page = page, .page_bus = page_bus};
	if (is_super(h) && !usb_do(d, USB_CLASS_DEVICE, SET_DEPTH, (u16)d->depth, 0))
		return false;
	if (!usb_read(d, USB_FROM_CLASS, USB_GET_DESCRIPTOR,
		    is_super(h) ? DESCRIPTOR_SUPER : DESCRIPTOR, 0, page, page_bus, USB_HUB_BYTES))
		return false;
	memcpy(descriptor, page, sizeof(descriptor));
	asm volatile("" ::: "memory"); /* the copy is checked */
	if (!usb_hub_read(descriptor, is_super(h), &h->facts) ||
		!usb_is_hub(d, h->facts.ports, d->speed == XHCI_HIGH ? h->facts.think : 0))
		return false;
	for (u32 port = 1; port <= h->facts.ports; port++) {
		if (!port_feature(h, USB_SET_FEATURE, PORT_POWER, port))
			return false;
	}
	return true;
}

/* Changes of the hub itself, which it would tell of for ever. */
static void forget_own(struct hub *h)
{
	usb_do(h->device, USB_CLASS_DEVICE, USB_CLEAR_FEATURE, C_HUB_POWER, 0);
	usb_do(h->device, USB_CLASS_DEVICE, USB_CLEAR_FEATURE, C_HUB_CURRENT, 0);
}

bool hub_turn(struct hub *h, u64 now)
{
	struct usb_device *d = h->device;
	struct xhci_endpoint *e = &d->endpoint[USB_IN];

	if (e->ended) {
		e->ended = false;
		h->listening = false;
		h->again = now + LISTEN_US;
		if (e->code == XHCI_CODE_SUCCESS || e->code == XHCI_CODE_SHORT) {
			h->errors = 0;
			h->changed |= d->small[0] | (u32)d->small[1] << 8;
			if (h->changed & 1)
				forget_own(h);
		} else if (++h->errors > ERRORS_MOST || !usb_clear_halt(d, USB_IN)) {
			return false;
		}
	}
	if (h->listening || d->gone || now < h->again)
		return true;
	h->listening = true;
	d->small[0] = d->small[1] = 0;
	usb_transfer(d, USB_IN, d->small_bus, e->packet);
	return true;
}

u64 hub_due(const struct hub *h)
{
	return h->listening ? ~0ull : h->again;
}

/* Status in the lower half, changes in the upper. */
static bool read_status(struct hub *h, u32 port, u32 *status)
{
	if (!usb_read(h->device, USB_FROM_PORT, USB_GET_STATUS, 0, (u16)port, h->page, h->page_bus,
		    STATUS_BYTES))
		return false;
	memcpy(status, h->page, STATUS_BYTES);
	asm volatile("" ::: "memory");
	return true;
}

static bool forget(struct hub *h, u32 port, u32 changes)
{
	static const u8 feature_super[CHANGES] = {
		[5] = C_BH_RESET, [6] = C_LINK_STATE, [7] = C_CONFIG_ERROR};

	for (u32 bit = 0; bit < CHANGES; bit++) {
		u32 feature = CHANGE_FEATURES + bit;

		if (bit > 4)
			feature = is_super(h) ? feature_super[bit] : 0;
		if (changes >> bit & 1 && feature &&
			!port_feature(h, USB_CLEAR_FEATURE, feature, port))
			return false;
	}
	return true;
}

static enum xhci_speed speed_of(const struct hub *h, u32 status)
{
	if (is_super(h))
		return XHCI_SUPER;
	if (status & STATUS_LOW)
		return XHCI_LOW;
	return status & STATUS_HIGH ? XHCI_HIGH : XHCI_FULL;
}

bool hub_port_read(struct hub *h, u32 port, struct hub_port *out)
{
	u32 status;
	u32 changes;

	if (!read_status(h, port, &status))
		return false;
	changes = status >> 16;
	*out = (struct hub_port){.connected = status & STATUS_CONNECTED,
		.changed = changes & CHANGE_CONNECTED,
		.speed = speed_of(h, status)};
	/* a port that had switched itself off gets power again (11.12.5) */
	if (changes & CHANGE_CURRENT && !(status & STATUS_CURRENT) &&
		!port_feature(h, USB_SET_FEATURE, PORT_POWER, port))
		return false;
	return forget(h, port, changes);
}

/* A change of the connection meanwhile stays for hub_port_read. */
enum xhci_speed hub_port_reset(struct hub *h, u32 port)
{
	struct xhci *x = h->device->xhci;
	u32 status = 0;

	if (!port_feature(h, USB_SET_FEATURE, PORT_RESET, port))
		return 0;
	for (u32 i = 0; i < RESET_STEPS && !(status >> 16 & CHANGE_RESET); i++) {
		xhci_pause(x, RESET_STEP_US);
		if (h->device->gone || !read_status(h, port, &status))
			return 0;
	}
	if (!(status >> 16 & CHANGE_RESET) ||
		!forget(h, port, status >> 16 & ~(u32)CHANGE_CONNECTED))
		return 0;
	xhci_pause(x, RECOVERY_US);
	if (!(status & STATUS_ENABLED) || !(status & STATUS_CONNECTED))
		return 0;
	return speed_of(h, status);
}
