/* The glyphs of printable ASCII, as boot.h describes them. */
#pragma once

#include "kernel/abi/boot.h"

extern const u8 font[BOOT_FONT_GLYPHS][BOOT_FONT_ROWS];
