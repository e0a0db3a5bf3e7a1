/* The glyphs of printable ASCII, eight rows of eight pixels, the leftmost in the highest bit. */
#pragma once

#include "kernel/abi/types.h"

extern const u8 font[95][8];
