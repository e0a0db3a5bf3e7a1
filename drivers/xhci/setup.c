/* Sets up a device on an xHCI controller: see setup.h. */
#include "drivers/xhci/setup.h"

#define HUBS_DEEP     5u /* USB 2.0, 4.1.1 */
#define DEVICE_PACKET 7u /* offsets in a device descriptor */
#define DEVICE_LEAST  8u /* bytes of it that any packet holds */
#define PACKET_MOST   64u

static void place(struct bus *b, struct usb_device *d, u32 parent, u32 port)
{
	const struct usb_device *hub;

	d->tt_slot = d->tt_port = d->route = d->depth = 0;
	d->port = port;
	if (parent == BUS_ROOT)
		return;
	hub = &b->xhci->usb[parent];
	d->port = hub->port;
	d->depth = hub->depth + 1;
	d->route = hub->route | port << 4 * hub->depth;
}

/* USB 2.0, 11.14.1.3: the hub that takes it from high speed to the device's. */
static void translate(struct bus *b, struct usb_device *d, u32 parent, u32 port)
{
	const struct usb_device *hub;
	bool here;

	if (parent == BUS_ROOT || d->speed > XHCI_LOW)
		return;
	hub = &b->xhci->usb[parent];
	here = hub->speed == XHCI_HIGH;
	d->tt_slot = here ? hub->slot : hub->tt_slot;
	d->tt_port = here ? port : hub->tt_port;
}

static bool get_descriptor(struct bus *b, struct usb_device *d, u16 which, u32 length)
{
	return usb_read(d, USB_FROM_DEVICE, USB_GET_DESCRIPTOR, which, 0, b->page, b->page_bus,
		(u16)length);
}

/* USB 2.0, 9.6.1: only the first bytes are sure to fit a packet at full speed. */
static bool read_device(struct bus *b, struct usb_device *d, u8 what[USB_DEVICE_BYTES])
{
	if (!get_descriptor(b, d, USB_DESCRIPTOR_DEVICE, DEVICE_LEAST))
		return false;
	if (d->speed == XHCI_FULL) {
		u32 packet = *(volatile u8 *)&b->page[DEVICE_PACKET];

		if (packet < DEVICE_LEAST || packet > PACKET_MOST || packet & (packet - 1) ||
			!usb_control_packet(d, packet))
			return false;
	}
	if (!get_descriptor(b, d, USB_DESCRIPTOR_DEVICE, USB_DEVICE_BYTES))
		return false;
	memcpy(what, b->page, USB_DEVICE_BYTES);
	return true;
}

/* Reads the first configuration; returns its size, 0 if it cannot be. */
static u32 read_config(struct bus *b, struct usb_device *d, u8 config[USB_CONFIG_MOST])
{
	u32 size;

	if (!get_descriptor(b, d, USB_DESCRIPTOR_CONFIG, USB_CONFIG_BYTES))
		return 0;
	memcpy(config, b->page, USB_CONFIG_BYTES);
	asm volatile("" ::: "memory"); /* the copy counts */
	size = config[2] | (u32)config[3] << 8;
	size = size < USB_CONFIG_MOST ? size : USB_CONFIG_MOST;
	if (size < USB_CONFIG_BYTES || !get_descriptor(b, d, USB_DESCRIPTOR_CONFIG, size))
		return 0;
	memcpy(config, b->page, size);
	asm volatile("" ::: "memory");
	return size;
}

static bool start_hub(struct bus *b, u32 i, const struct usb_interface *f)
{
	struct usb_device *u = &b->xhci->usb[i];
	struct bus_device *d = &b->device[i];
	u64 good;

	if (!usb_configure(u, f) || !hub_start(&d->hub, u, b->page, b->page_bus))
		return false;
	good = bus_time(b) + d->hub.facts.power_us;
	for (u32 k = 0; k < d->hub.facts.ports; k++)
		d->ports[k] = (struct bus_port){.state = PORT_SETTLES, .due = good};
	usb_log(u, "a hub of %u ports", d->hub.facts.ports);
	d->kind = DEVICE_HUB;
	return true;
}

/* Takes up the addressed device as what it is. */
static enum setup take_up(struct bus *b, u32 i, const u8 *config, u32 size)
{
	struct usb_device *u = &b->xhci->usb[i];
	struct bus_device *d = &b->device[i];
	struct usb_interface f = {0};

	if (usb_find(config, size, USB_HUB, u->speed, &f)) {
		if (u->depth < HUBS_DEEP)
			return start_hub(b, i, &f) ? SETUP_USED : SETUP_FAILED;
		usb_log(u, "a hub behind %u others is not used", HUBS_DEEP);
		return SETUP_UNWANTED;
	}
	if (b->storage && !b->storage->device &&
		(b->disk_port == BUS_ANY_PORT || b->disk_port == u->port) &&
		usb_find(config, size, USB_STORAGE, u->speed, &f)) {
		if (!usb_configure(u, &f) || !storage_start(b->storage, u, f.number, bus_time(b)))
			return SETUP_FAILED;
		d->kind = DEVICE_DISK;
		return SETUP_USED;
	}
	if (b->key && usb_find(config, size, USB_KEYBOARD, u->speed, &f)) {
		if (!usb_configure(u, &f) || !keys_start(&d->keys, u, f.number))
			return SETUP_FAILED;
		usb_log(u, "a keyboard");
		d->kind = DEVICE_KEYBOARD;
		return SETUP_USED;
	}
	return SETUP_UNWANTED;
}

enum setup setup_device(struct bus *b, u32 i, u32 parent, u32 port)
{
	struct usb_device *u = &b->xhci->usb[i];
	struct bus_device *d = &b->device[i];
	u8 config[USB_CONFIG_MOST];
	u32 size;

	place(b, u, parent, port);
	d->parent = (u8)parent;
	d->port = (u8)port;
	u->speed = parent == BUS_ROOT ? xhci_port_reset(b->xhci, port)
				      : hub_port_reset(&b->device[parent].hub, port);
	translate(b, u, parent, port);
	if (!u->speed || !usb_address(u) || !read_device(b, u, d->what))
		return SETUP_FAILED;
	size = read_config(b, u, config);
	return size ? take_up(b, i, config, size) : SETUP_FAILED;
}
