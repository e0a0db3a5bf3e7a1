/*
 * What is connected to an xHCI controller: looks at the ports of its root hub and of all hubs
 * behind it, sets up what is plugged in, and gives up what is pulled out. Disks, keyboards and hubs
 * are used, the rest is left alone.
 *
 * A device may be hostile: setting it up takes no more than 4 s in all, keyboards work on
 * meanwhile; one that fails, or comes and goes, is looked at ever more seldom; hubs have 15 ports
 * at most, five stand one behind another, and there are XHCI_DEVICES devices.
 */
#pragma once

#include "drivers/xhci/controller.h"
#include "drivers/xhci/hub.h"
#include "drivers/xhci/keys.h"
#include "drivers/xhci/storage.h"

#define BUS_ANY_PORT ~0u

struct bus_port {
	enum {
		PORT_EMPTY,
		PORT_SETTLES, /* something is there; it is set up when it is `due` */
		PORT_USED,
		PORT_LEFT, /* what is there is not wanted, until it is pulled out */
	} state;
	u8 device;   /* PORT_USED: index */
	u8 tries;    /* to set this device up */
	u8 restless; /* times that it failed or changed, with less than CALM_US between */
	u64 since;   /* the last of them */
	u64 due;
};

struct bus_device {
	enum {
		DEVICE_NONE,
		DEVICE_HUB,
		DEVICE_KEYBOARD,
		DEVICE_DISK,
	} kind;
	u8 parent; /* index of the hub, or BUS_ROOT */
	u8 port;   /* of it */
	u8 what[USB_DEVICE_BYTES];
	struct hub hub;
	struct bus_port ports[USB_HUB_PORTS]; /* of the hub, from port 1 on */
	struct keys keys;
};
#define BUS_ROOT 0xffu

struct bus {
	struct xhci *xhci;
	struct storage *storage; /* for the first disk; NULL: disks are not wanted */
	u32 disk_port;           /* of the root hub: there, or behind it; or BUS_ANY_PORT */
	report_key *key;         /* takes keys; NULL: keyboards are not wanted */
	const u8 *leds;          /* KEYBOARD_* of drivers/keyboard, that they are to light */
	u32 next;                /* the device that is seen to first */
	bool full;               /* a device was refused, for there are too many */
	u8 *page;
	u64 page_bus;
	struct bus_port root[XHCI_PORTS_MOST];
	struct bus_device device[XHCI_DEVICES];
};

static inline u64 bus_time(const struct bus *b)
{
	return device_time(b->xhci->device);
}

/* Memory, once. The fields from storage to leds are set. */
bool bus_open(struct bus *b, struct xhci *x);

/* The controller was reset: there is no device, and each port is looked at. */
void bus_clear(struct bus *b);

/* Sees to all that has happened (xhci_pump) or is due, but for transfers of a disk that is ready.
 * One device at most is set up in a call. */
void bus_turn(struct bus *b);

/* Microseconds until bus_turn has something to do, if nothing happens; ~0: nothing. */
u64 bus_due(const struct bus *b);

/* Keyboards are seen to while something is waited for: for xhci->meanwhile. */
void bus_keyboards(struct bus *b);

/* The disk does not work: it is set up again at once, or left alone until it is pulled out. */
void bus_disk_again(struct bus *b);
void bus_disk_leave(struct bus *b);

/* The disk's device descriptor; there is a disk. */
const u8 *bus_disk_what(const struct bus *b);
