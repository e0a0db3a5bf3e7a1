/*
 * A USB keyboard that speaks the boot protocol (HID 1.11): its reports, its LEDs. Errors are logged
 * here. What it sends is checked by report.h.
 */
#pragma once

#include "drivers/xhci/report.h"
#include "drivers/xhci/usb.h"

struct keys {
	struct usb_device *device;
	u8 interface;
	struct report_keys report;
	bool listening; /* a transfer of the interrupt endpoint is under way */
	u64 again;      /* when the next begins after an error */
	u32 errors;     /* one after another */
	u8 leds;        /* that it was told last */
	bool dark;      /* it does not take them */
	u64 leds_until; /* by then it must have; 0: nothing is under way */
};

/* Sets up the configured device: boot protocol, reports only of changes. False: it refuses. */
bool keys_start(struct keys *k, struct usb_device *d, u8 interface);

/* Takes what it has sent, and goes on listening. Waits for nothing: may be called while others are
 * waited for. */
void keys_listen(struct keys *k, u64 now, report_key *tell);

/* Mends a pipe that has failed, repeats keys, and has it light `leds` (KEYBOARD_* of
 * drivers/keyboard). False: it fails for good. */
bool keys_turn(struct keys *k, u64 now, u8 leds, report_key *tell);

/* When keys_turn is to be called next, in microseconds; ~0: when something comes. */
u64 keys_due(const struct keys *k);
