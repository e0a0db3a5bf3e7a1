/*
 * Descriptors of USB devices (Universal Serial Bus 2.0, 9.6 and 11.23; 3.2, 9.6 and 10.15), of
 * which nothing is trusted. Pure.
 */
#pragma once

#include "drivers/xhci/regs.h"

#define USB_DEVICE_BYTES 18u
#define USB_CONFIG_BYTES 9u
#define USB_CONFIG_MOST  1024u /* of a configuration with all that belongs to it */
#define USB_HUB_BYTES    12u   /* of a hub's descriptor, as far as it is looked at */
#define USB_HUB_PORTS    15u   /* that a route string can name */

struct usb_endpoint {
	u8 address;  /* number; bit 7: in */
	u8 burst;    /* packets at once, less 1 */
	u8 interval; /* of an interrupt endpoint: 2^n times 125 us */
	u16 packet;  /* bytes; 0: there is none */
};

/* What is driven. */
enum usb_class {
	USB_STORAGE, /* Bulk-Only Transport with SCSI commands: bulk endpoints of both directions */
	USB_KEYBOARD, /* HID 1.11 with the boot protocol: an interrupt endpoint */
	USB_HUB,      /* likewise */
	USB_CLASSES,
};

struct usb_interface {
	u8 configuration;
	u8 number;
	struct usb_endpoint in;
	struct usb_endpoint out;
};

/* Finds the first interface of the class in a configuration of `size` bytes, with the endpoints
 * that it needs at that speed. False: there is none that can be. */
bool usb_find(const u8 *config, u32 size, enum usb_class class, enum xhci_speed speed,
	struct usb_interface *out);

struct usb_hub_facts {
	u32 ports;
	u32 think;    /* time of its transaction translator: 8 (n + 1) full-speed bit times */
	u32 power_us; /* from power to a port until it is good */
};

/* What a hub's descriptor says. False: it cannot be. */
bool usb_hub_read(const u8 descriptor[USB_HUB_BYTES], bool super, struct usb_hub_facts *out);
