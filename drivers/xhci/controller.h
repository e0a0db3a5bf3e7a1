/*
 * A USB host controller (xHCI 1.2): reset, event ring, commands, the ports of its root hub. Errors
 * are logged here. What is done with one device is in usb.h.
 *
 * The controller may be hostile: registers and events are copied and checked; an event that belongs
 * to nothing under way is dropped. Contexts that it writes are only looked at for what to do next.
 */
#pragma once

#include "drivers/xhci/usb.h"

#define XHCI_DEVICES    16u /* at once, with the hubs between */
#define XHCI_PORTS_MOST 255u

struct xhci {
	struct device *device; /* the PCI function */
	volatile u8 *operational;
	volatile u8 *runtime;
	volatile u8 *doorbells;
	u32 slots; /* that are enabled */
	u32 ports;
	u32 context_words; /* of 32 bits, of a context */
	bool wide;         /* it has addresses of 64 bits */
	u64 *contexts;     /* DCBAA */
	u64 contexts_bus;
	struct xhci_segment *segment;
	u64 segment_bus;
	u32 *input; /* contexts */
	u64 input_bus;
	struct xhci_ring command;
	struct xhci_events events;
	u64 command_bus; /* the command under way; 0: none */
	struct xhci_trb answer;
	struct usb_device usb[XHCI_DEVICES];
	u8 changed[XHCI_PORTS_MOST / 8 + 1]; /* a bit for each port: to be looked at */
	bool lost;                           /* an answer was, or the controller failed */
	u64 ended;                           /* transfers and commands that were under way */

	/* Called while something is waited for; must not wait itself. NULL: nothing. */
	void (*meanwhile)(void);
	u64 until; /* device_time by which all waiting for devices ends; 0: no limit */
};

/* Takes up the opened function: takes the controller from the firmware and resets it (4.2, 4.22.1);
 * memory. The function was not started. */
bool xhci_open(struct xhci *x, struct device *d);

/* Resets the controller, which then does nothing and knows no device. */
bool xhci_reset(struct xhci *x);

/* Starts the reset controller; each port is to be looked at. The function was started. */
void xhci_start(struct xhci *x);

/* False: the controller says that it has failed, or is not there. */
bool xhci_works(const struct xhci *x);

/* Takes what has happened: ends of transfers go to their endpoints, changed ports are marked, a
 * device whose root port has lost it is `gone`. The next event interrupts. */
void xhci_pump(struct xhci *x);

/* Waits, while events are taken. */
void xhci_pause(struct xhci *x, u64 us);

/* Has a command carried out, `control` without its cycle bit. False: it failed, or brought no
 * answer; then the controller counts as lost. */
bool xhci_command(struct xhci *x, u64 parameter, u32 control);

/* --- ports of the root hub, 1 to x->ports --- */

/* True, once, if the port is to be looked at. */
bool xhci_port_changed(struct xhci *x, u32 port);

/* True if something is connected. */
bool xhci_port_connected(const struct xhci *x, u32 port);

/* Resets the port (4.3.1). 0: it does not come out of that with a device; else its speed. */
enum xhci_speed xhci_port_reset(struct xhci *x, u32 port);
