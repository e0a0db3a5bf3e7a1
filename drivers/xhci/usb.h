/*
 * A device at an xHCI controller: its slot, its endpoints, transfers, requests on the control
 * endpoint (Universal Serial Bus 2.0, 9). Errors are logged here.
 */
#pragma once

#include "drivers/lib/device.h"
#include "drivers/xhci/descriptor.h"
#include "drivers/xhci/ring.h"

struct xhci;

enum usb_pipe {
	USB_CONTROL = 0,
	USB_IN = 1, /* bulk or interrupt */
	USB_OUT = 2,
	USB_PIPES = 3,
};

struct xhci_endpoint {
	u32 id; /* DCI (4.5.1); 0: it is not there */
	u32 packet;
	struct xhci_ring ring;
	u64 td; /* what is under way: the bus address of its first TRB, and their number */
	u32 trbs;
	u64 last;            /* of its last one */
	bool ended;          /* it has; cleared by who sees to it */
	enum xhci_code code; /* how, */
	u32 left;            /* and bytes of the TRB that were not moved */
};

#define USB_SMALL 64u /* bytes for reports, each way */

struct usb_device {
	struct xhci *xhci;
	u32 slot; /* 0: there is no device */
	/* Where it is; set before usb_address. */
	u32 port;  /* of the root hub */
	u32 route; /* a nibble for each hub (8.9 of USB 3.2) */
	u32 depth; /* hubs before it */
	enum xhci_speed speed;
	u32 tt_slot; /* of the hub that translates, and its port; 0: none */
	u32 tt_port;
	bool gone; /* pulled out */
	u32 *output;
	u64 output_bus;
	u8 *small; /* what comes; what goes is USB_SMALL behind it */
	u64 small_bus;
	struct xhci_endpoint endpoint[USB_PIPES];
};

/* Memory for a device, once. */
bool usb_open(struct usb_device *d, struct xhci *x);

/* Where it is: the root port, and the port of each hub, with dots between. */
#define USB_PLACE 20u
void usb_place(const struct usb_device *d, char text[USB_PLACE]);

/* device_log with that before it. */
void usb_log(const struct usb_device *d, const char *text, ...)
	__attribute__((format(printf, 2, 3)));

/* Gives the reset device a slot and an address (xHCI 1.2, 4.3). */
bool usb_address(struct usb_device *d);

/* Gives the slot up; nothing of the device is under way afterwards. */
void usb_release(struct usb_device *d);

/* The control endpoint has packets of so many bytes after all (xHCI 1.2, 4.6.7). */
bool usb_control_packet(struct usb_device *d, u32 packet);

/* Sets up the bulk endpoints, or the one for interrupts, of an interface (xHCI 1.2, 4.6.6), and
 * has the device take its configuration. */
bool usb_configure(struct usb_device *d, const struct usb_interface *i);

/* Tells the controller that the device is a hub with so many ports, and its transaction
 * translator's think time (xHCI 1.2, 6.2.2). */
bool usb_is_hub(struct usb_device *d, u32 ports, u32 think);

/* Ends what is under way on the endpoint, so that it can take transfers again (xHCI 1.2, 4.6.8 to
 * 4.6.10); the device is told by the caller. */
bool usb_clear(struct usb_device *d, enum usb_pipe which);

/* The same, and the device is told (CLEAR_FEATURE of ENDPOINT_HALT). */
bool usb_clear_halt(struct usb_device *d, enum usb_pipe which);

/* Appends TRBs of one transfer to the endpoint, which has none under way, and starts them. */
void usb_put(struct usb_device *d, enum usb_pipe which, u64 parameter, u32 status, u32 control);
void usb_go(struct usb_device *d, enum usb_pipe which);

/* Starts one of `bytes` bytes at `bus`, that lie within 64 KiB. */
void usb_transfer(struct usb_device *d, enum usb_pipe which, u64 bus, u32 bytes);

/* True, once, if what was under way on the endpoint has ended. */
bool usb_ended(struct usb_device *d, enum usb_pipe which);

/* Waits for that for `us` microseconds; XHCI_CODE_NONE: it has not. */
enum xhci_code usb_wait(struct usb_device *d, enum usb_pipe which, u64 us);

/* Requests (USB 2.0, 9.4; classes have their own). */
#define USB_TO_DEVICE         0x00u
#define USB_TO_ENDPOINT       0x02u
#define USB_FROM_DEVICE       0x80u
#define USB_CLASS_DEVICE      0x20u
#define USB_CLASS_INTERFACE   0x21u
#define USB_CLASS_PORT        0x23u
#define USB_FROM_CLASS        0xa0u
#define USB_FROM_PORT         0xa3u
#define USB_GET_STATUS        0u
#define USB_CLEAR_FEATURE     1u
#define USB_SET_FEATURE       3u
#define USB_GET_DESCRIPTOR    6u
#define USB_SET_CONFIGURATION 9u
#define USB_DESCRIPTOR_DEVICE 0x100u
#define USB_DESCRIPTOR_CONFIG 0x200u

struct usb_request {
	u8 type; /* bit 7: to memory */
	u8 request;
	u16 value;
	u16 index;
	u16 length;
};
static_assert(sizeof(struct usb_request) == 8);

/* Begins a request with `length` bytes of data at `bus`; none is under way. */
void usb_request(struct usb_device *d, const struct usb_request *r, u64 bus);

/* Carries one out. After anything but success, the endpoint takes requests again. */
enum xhci_code usb_control(struct usb_device *d, const struct usb_request *r, u64 bus);

/* Without data; true: done. */
bool usb_do(struct usb_device *d, u8 type, u8 request, u16 value, u16 index);

/* Reads `length` bytes, at most a page, to `bus`, where `at` is: zeroes are behind what came. */
bool usb_read(struct usb_device *d, u8 type, u8 request, u16 value, u16 index, void *at, u64 bus,
	u16 length);
