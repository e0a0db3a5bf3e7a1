/*
 * What is plugged into the controller of fake_xhci.h: a tree of hubs, keyboards, and the stick of
 * fake_stick.h. Their requests on the control endpoint, and what their interrupt endpoints give.
 */
#pragma once

#include "tests/unit/fake_xhci.h"

#define FAKE_USB_DEVICES 32u
#define FAKE_USB_STICK   1u /* indices of those that are always there; 0 is the root hub */
#define FAKE_USB_OTHER   2u
#define FAKE_USB_REPORTS 64u

enum fake_usb_kind {
	FAKE_NONE,
	FAKE_STICK,
	FAKE_OTHER, /* nothing that a driver wants */
	FAKE_KEYBOARD,
	FAKE_HUB,
};

/* USB 2.0, 11.24.2.7 */
struct fake_usb_port {
	u16 status;
	u16 change;
};

struct fake_usb {
	enum fake_usb_kind kind;
	u32 parent; /* 0: the root hub */
	u32 port;
	u32 speed;  /* enum xhci_speed */
	bool mute;  /* it answers nothing */
	u32 stalls; /* next requests that it refuses */
	u32 configuration;
	bool halted;
	u8 config[64];
	u32 config_size;
	/* of a hub */
	u32 ports;
	struct fake_usb_port hub_port[16];
	bool told; /* the slot's context says that it is a hub */
	bool deep; /* it was told its depth */
	/* of a keyboard */
	u8 report[FAKE_USB_REPORTS][8];
	u32 first;
	u32 count;
	u8 leds;
	u32 protocol; /* 1: of reports, until it is told */
	u32 idle;
};

extern struct fake_usb fake_usb[FAKE_USB_DEVICES];

/* Plugs a device in at a port of `parent`, and returns its index. A hub has 4 ports. */
u32 fake_usb_plug(enum fake_usb_kind kind, u32 parent, u32 port, u32 speed);

/* Pulls it out, with what is behind it. */
void fake_usb_pull(u32 device);

/* The device at a port; 0: none. */
u32 fake_usb_at(u32 parent, u32 port);

/* A keyboard has a report to send. */
void fake_usb_report(u32 device, u8 modifiers, u8 key, u8 second);

/* A request with `length` bytes at `data`: as fake_stick_request; 4: there is no answer. */
u32 fake_usb_request(u32 device, const u8 *setup, u8 *data, u32 length, u32 *moved);

/* What an interrupt endpoint gives, at most `size` bytes; 0: nothing. */
u32 fake_usb_interrupt(u32 device, u8 *data, u32 size);
