/* Scan codes to keys: set 1, or set 2 where the controller does not translate. Pure. */
#pragma once

#include "kernel/abi/types.h"

struct scan {
	bool set2;
	bool release;  /* set 2: 0xf0 was read */
	bool extended; /* 0xe0 was read */
	u8 skip;       /* bytes of Pause that are still to come */
};

/* A key that was pressed, repeats or was released. */
struct scan_key {
	u8 usage; /* of HID page 7 */
	bool pressed;
};

/* Reads one byte; true if that ends a key. */
bool scan_byte(struct scan *s, u8 byte, struct scan_key *key);
