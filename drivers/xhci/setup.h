/* Sets up what is plugged in at a port: from its reset, by its descriptors, to a device that is
 * used. */
#pragma once

#include "drivers/xhci/bus.h"

enum setup {
	SETUP_FAILED,
	SETUP_UNWANTED, /* it is nothing that is driven here */
	SETUP_USED,     /* b->device[i] says what it is */
};

/* Sets up the device at a port of `parent`, index of a hub or BUS_ROOT, as b->device[i], which is
 * free. Unless it is used then, the caller gives its slot up. */
enum setup setup_device(struct bus *b, u32 i, u32 parent, u32 port);
