/*
 * A USB hub (USB 2.0, 11; 3.2, 10): its ports, and its endpoint that says which have changed.
 * Nothing that it says is trusted, nor that it says it twice alike.
 */
#pragma once

#include "drivers/xhci/usb.h"

struct hub {
	struct usb_device *device;
	struct usb_hub_facts facts;
	u8 *page; /* for what is read; shared by all hubs */
	u64 page_bus;
	bool listening; /* a transfer of the interrupt endpoint is under way */
	u64 again;      /* when the next begins: a hub is heard no more often than that */
	u32 errors;     /* one after another */
	u32 changed;    /* ports that are to be looked at, a bit for each; cleared by who does */
};

struct hub_port {
	bool connected;
	bool changed; /* the connection, since it was asked last */
	enum xhci_speed speed;
};

/* Sets up the configured device, and gives its ports power, which is good facts.power_us later.
 * False: it is no hub that can be used. */
bool hub_start(struct hub *h, struct usb_device *d, u8 *page, u64 page_bus);

/* Marks the ports that it says have changed, and goes on listening. False: it fails for good. */
bool hub_turn(struct hub *h, u64 now);

/* When hub_turn is to be called next, in microseconds; ~0: when something comes. */
u64 hub_due(const struct hub *h);

/* Asks for a port's state, and has the hub forget what has changed. False: no answer. */
bool hub_port_read(struct hub *h, u32 port, struct hub_port *out);

/* Resets the port (USB 2.0, 11.5.1.5). 0: it does not come out of that with a device; else its
 * speed. */
enum xhci_speed hub_port_reset(struct hub *h, u32 port);
