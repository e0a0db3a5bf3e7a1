/* Descriptors of USB devices: see descriptor.h. */
#include "drivers/xhci/descriptor.h"

#define CONFIG             2u
#define INTERFACE          4u
#define INTERFACE_BYTES    9u
#define ENDPOINT           5u
#define ENDPOINT_BYTES     7u
#define COMPANION          0x30u /* of SuperSpeed */
#define COMPANION_BYTES    6u
#define TRANSFER_TYPE      3u
#define BULK               2u
#define INTERRUPT          3u
#define ADDRESS_IN         0x80u
#define ADDRESS_NUMBER     0x0fu
#define PACKET_MASK        0x7ffu
#define PACKET_SUPER       1024u
#define PACKET_HIGH        512u
#define PACKET_LEAST       8u
#define PACKET_FULL_MOST   64u
#define PACKET_LOW_MOST    8u
#define BURST_MOST         15u
#define INTERVAL_FAST      3u /* 1 ms: nothing here needs it sooner */
#define INTERVAL_SLOW      8u /* 32 ms, whatever it says */
#define HUB_TYPE           0x29u
#define HUB_TYPE_SUPER     0x2au
#define HUB_LEAST          7u
#define HUB_THINK(c)       ((c) >> 5 & 3u)
#define HUB_POWER_STEP_US  2000u
#define HUB_POWER_LEAST_US 20000u /* what it says is often too short */

/* Class, subclass and protocol of an interface; a hub's protocol tells of its translators. */
static const struct {
	u8 class;
	u8 subclass;
	u8 protocol;
	bool any_protocol;
	bool bulk;
} wanted[] = {
	[USB_STORAGE] = {0x08, 0x06, 0x50, false, true},
	[USB_KEYBOARD] = {0x03, 0x01, 0x01, false, false},
	[USB_HUB] = {0x09, 0x00, 0x00, true, false},
};

static bool is_wanted(const u8 *d, enum usb_class class)
{
	return d[0] >= INTERFACE_BYTES && d[3] == 0 && d[5] == wanted[class].class &&
	       d[6] == wanted[class].subclass &&
	       (d[7] == wanted[class].protocol || wanted[class].any_protocol);
}

/* USB 2.0, 5.7.3 and 5.8.3; 3.2, 9.6.6. An interrupt's data must fit a packet of those here. */
static bool packet_ok(u32 packet, bool bulk, enum xhci_speed speed)
{
	if (!bulk)
		return packet >= 1 &&
		       packet <= (speed == XHCI_LOW ? PACKET_LOW_MOST : PACKET_FULL_MOST);
	if (speed >= XHCI_SUPER)
		return packet == PACKET_SUPER;
	if (speed == XHCI_HIGH)
		return packet == PACKET_HIGH;
	return speed == XHCI_FULL && packet >= PACKET_LEAST && packet <= PACKET_FULL_MOST &&
	       !(packet & (packet - 1));
}

/* xHCI 1.2, 6.2.3.6: from milliseconds, or from 2^(n-1) times 125 us. */
static u8 interval(u32 said, enum xhci_speed speed)
{
	u32 n = said - 1;

	if (said == 0)
		return INTERVAL_SLOW;
	if (speed == XHCI_FULL || speed == XHCI_LOW)
		n = 31 - (u32)__builtin_clz(said * 8);
	if (n < INTERVAL_FAST)
		return INTERVAL_FAST;
	return n < INTERVAL_SLOW ? (u8)n : INTERVAL_SLOW;
}

/* The first endpoint of the kind in each direction counts. */
static struct usb_endpoint *take_endpoint(
	struct usb_interface *i, const u8 *d, bool bulk, enum xhci_speed speed)
{
	struct usb_endpoint *e;
	u32 packet;

	if (d[0] < ENDPOINT_BYTES || (d[3] & TRANSFER_TYPE) != (bulk ? BULK : INTERRUPT) ||
		!(d[2] & ADDRESS_NUMBER))
		return NULL;
	e = d[2] & ADDRESS_IN ? &i->in : &i->out;
	packet = (d[4] | (u32)d[5] << 8) & PACKET_MASK;
	if (e->packet || !packet_ok(packet, bulk, speed))
		return NULL;
	*e = (struct usb_endpoint){.address = d[2] & (ADDRESS_IN | ADDRESS_NUMBER),
		.interval = bulk ? 0 : interval(d[6], speed),
		.packet = (u16)packet};
	return e;
}

static bool is_whole(const struct usb_interface *i, bool bulk)
{
	return i->configuration && i->in.packet && (i->out.packet || !bulk);
}

bool usb_find(const u8 *config, u32 size, enum usb_class class, enum xhci_speed speed,
	struct usb_interface *out)
{
	struct usb_endpoint *last = NULL; /* that a companion would belong to */
	bool bulk = wanted[class].bulk;
	bool ours = false;

	if (size < USB_CONFIG_BYTES || config[0] < USB_CONFIG_BYTES || config[1] != CONFIG)
		return false;
	for (u32 at = config[0]; at + 2 <= size && config[at] >= 2 && config[at] <= size - at;
		at += config[at]) {
		const u8 *d = config + at;

		if (d[1] == INTERFACE) {
			if (ours && is_whole(out, bulk))
				return true;
			ours = is_wanted(d, class);
			*out = (struct usb_interface){.configuration = config[5], .number = d[2]};
			last = NULL;
		} else if (ours && d[1] == ENDPOINT) {
			last = take_endpoint(out, d, bulk, speed);
		} else if (last && speed >= XHCI_SUPER && d[1] == COMPANION &&
			   d[0] >= COMPANION_BYTES) {
			last->burst = d[2] <= BURST_MOST ? d[2] : BURST_MOST;
			last = NULL;
		}
	}
	return ours && is_whole(out, bulk);
}

bool usb_hub_read(const u8 descriptor[USB_HUB_BYTES], bool super, struct usb_hub_facts *out)
{
	u32 power = descriptor[5] * HUB_POWER_STEP_US;

	*out = (struct usb_hub_facts){
		.ports = descriptor[2] < USB_HUB_PORTS ? descriptor[2] : USB_HUB_PORTS,
		.think = super ? 0 : HUB_THINK(descriptor[3]),
		.power_us = power > HUB_POWER_LEAST_US ? power : HUB_POWER_LEAST_US,
	};
	return descriptor[0] >= (super ? USB_HUB_BYTES : HUB_LEAST) &&
	       descriptor[1] == (super ? HUB_TYPE_SUPER : HUB_TYPE) && out->ports > 0;
}
