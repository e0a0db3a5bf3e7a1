/* What is printed on the keys. Pure. */
#pragma once

#include "kernel/abi/types.h"

/* A key's characters (Unicode, basic plane; 0: none): plain, with Shift, with AltGr. */
struct keyboard_caps {
	u8 usage;
	u16 code[3];
};

struct keyboard_layout {
	const char *name;
	bool alt_gr; /* the right Alt key is AltGr */
	u32 keys;
	const struct keyboard_caps *key; /* where it differs from "us" */
};

/* The layout of that name, or NULL. */
const struct keyboard_layout *layout_find(const char *name);

/* The character of a key; `level`: 0 plain, 1 Shift, 2 AltGr. 0: it has none. */
u16 layout_code(const struct keyboard_layout *l, u8 usage, u32 level);
