/* Where the colours of a pixel are, by the masks of a graphics mode (UEFI 2.10, 12.9,
 * EFI_PIXEL_BITMASK). Pure. */
#pragma once

#include "kernel/abi/boot.h"

/* The format of pixels with these masks: red, green, blue, reserved. BOOT_PIXEL_NONE: a pixel has
 * not 32 bits, or a colour no bits, scattered ones, or those of another. */
u32 pixel_format(const u32 mask[4]);
