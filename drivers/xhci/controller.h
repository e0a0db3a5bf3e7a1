/*
 * A USB host controller (xHCI 1.2) with one device on one of its root ports: reset, rings, events,
 * commands, endpoints. Errors are logged here.
 *
 * The controller may be hostile: registers and events are copied and checked; an event that belongs
 * to nothing under way is dropped. Contexts that it writes are only looked at for what to do next.
 */
#pragma once

#include "drivers/lib/device.h"
#include "drivers/xhci/ring.h"

#define XHCI_ENDPOINTS 3u /* of a device: control, and a bulk endpoint of each direction */

struct xhci_endpoint {
	u32 id; /* DCI (4.5.1); 0: it is not there */
	u32 packet;
	struct xhci_ring ring;
	u64 td; /* what is under way: the bus address of its first TRB, and their number */
	u32 trbs;
	u64 last; /* of its last one */
};

struct xhci {
	struct device *device;
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
	u32 *input; /* contexts, a page each */
	u64 input_bus;
	u32 *output;
	u64 output_bus;
	struct xhci_ring command;
	struct xhci_events events;
	u64 command_bus; /* the command under way; 0: none */
	struct xhci_trb answer;

	u32 port; /* the device's */
	u32 slot; /* 0: none */
	enum xhci_speed speed;
	struct xhci_endpoint endpoint[XHCI_ENDPOINTS];
	bool gone; /* the device was pulled out */
	bool lost; /* an event was, or the controller failed */
};

enum {
	USB_CONTROL = 0,
	USB_IN = 1,
	USB_OUT = 2
};

/* Takes up the opened device: takes the controller from the firmware and resets it (4.2, 4.22.1);
 * memory. The device was not started. */
bool xhci_open(struct xhci *x, struct device *d);

/* Resets the controller, which then does nothing and knows no device. */
bool xhci_reset(struct xhci *x);

/* Starts the reset controller. The device was started. */
void xhci_start(struct xhci *x);

/* True if something is connected to the port, 1 to x->ports. */
bool xhci_connected(const struct xhci *x, u32 port);

/* Resets the port and gives the device on it a slot and an address (4.3). False: it cannot be. */
bool xhci_address(struct xhci *x, u32 port);

/* Gives the slot up. */
void xhci_release(struct xhci *x);

/* The control endpoint has packets of so many bytes after all (4.3, 4.6.7). */
bool xhci_control_packet(struct xhci *x, u32 packet);

/* Sets up an endpoint of the device, USB_IN or USB_OUT: its number, the bytes of a packet and its
 * burst, less 1; xhci_configure makes both work. */
void xhci_bulk(struct xhci *x, u32 which, u32 number, u32 packet);
bool xhci_configure(struct xhci *x, u32 in_burst, u32 out_burst);

/* Ends what is under way on the endpoint, so that it can take transfers again (4.6.8 to 4.6.10);
 * the device is told by the caller. */
bool xhci_clear(struct xhci *x, u32 which);

/* Appends TRBs of one transfer to the endpoint, which has none under way, and starts them. */
void xhci_put(struct xhci *x, u32 which, u64 parameter, u32 status, u32 control);
void xhci_go(struct xhci *x, u32 which);

/* What has ended. */
struct xhci_end {
	u32 which; /* endpoint */
	enum xhci_code code;
	bool last; /* its last TRB was reached */
};

/* Takes the next end of a transfer; false: there is none. */
bool xhci_take(struct xhci *x, struct xhci_end *out);

/* Waits for the end of the endpoint's transfer for `us` microseconds; XHCI_CODE_NONE: none came. */
enum xhci_code xhci_wait(struct xhci *x, u32 which, u64 us);

/* Drops what has happened while there is no device. */
void xhci_idle(struct xhci *x);

/* Begins to look at events: those that come from now on interrupt. */
void xhci_interrupt(struct xhci *x);

/* False: the controller says that it has failed, or is not there. */
bool xhci_works(const struct xhci *x);

/* Tells the controller what was taken, so that the next event interrupts (5.5.2.3.3). */
void xhci_taken(struct xhci *x);

/* A request on the control endpoint (USB 2.0, 9.3) with `length` bytes of data at `bus`. */
struct usb_request {
	u8 type; /* bit 7: to memory */
	u8 request;
	u16 value;
	u16 index;
	u16 length;
};
static_assert(sizeof(struct usb_request) == 8);
enum xhci_code xhci_control(struct xhci *x, const struct usb_request *r, u64 bus);
