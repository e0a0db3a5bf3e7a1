/*
 * What is behind an xHCI controller: a USB mass storage device, for drivers/disk, and keyboards,
 * for the screen; one of them, or both.
 */
#pragma once

#include "drivers/disk/run.h"

/* The disk; keyboards too, if the program has a session for them. */
extern const struct disk_driver xhci_driver;

/* Keyboards without a disk: opens the function; false: it cannot, or nobody wants keys. */
bool xhci_keyboards_open(struct device *d);

/* Sees to what has happened, and waits for the next. False: the controller fails for good. */
bool xhci_keyboards_turn(void);
