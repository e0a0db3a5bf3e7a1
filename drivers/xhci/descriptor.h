/*
 * Descriptors of USB devices (Universal Serial Bus 2.0, 9.6; 3.2, 9.6), of which nothing is
 * trusted. Pure.
 */
#pragma once

#include "kernel/abi/types.h"

#define USB_DEVICE_BYTES 18u
#define USB_CONFIG_BYTES 9u
#define USB_CONFIG_MOST  1024u /* of a configuration with all that belongs to it */

struct usb_bulk {
	u8 address; /* number; bit 7: in */
	u8 burst;   /* packets at once, less 1 */
	u16 packet; /* bytes */
};

/* An interface for Bulk-Only mass storage. */
struct usb_storage {
	u8 configuration;
	u8 interface;
	struct usb_bulk in;
	struct usb_bulk out;
};

/* Finds the first interface with class, subclass and protocol of Bulk-Only mass storage with SCSI
 * commands in a configuration of `size` bytes. `super`: packets are those of SuperSpeed. False:
 * there is none that can be. */
bool usb_find_storage(const u8 *config, u32 size, bool super, struct usb_storage *out);
