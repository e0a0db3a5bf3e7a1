/* Formats of pixels: see pixel.h. */
#include "pixel.h"

#define MOST 16u /* bits of a colour */

/* True if the set bits are one behind the other, and there are 1 to MOST. */
static bool is_field(u32 mask)
{
	u32 low = mask & -mask;

	return mask && !(mask & (mask + low)) && mask / low < 1u << MOST;
}

u32 pixel_format(const u32 mask[4])
{
	u32 format = 0;
	u32 seen = mask[3];

	for (u32 i = 0; i < 3; i++) {
		u32 low;
		u32 end;

		if (!is_field(mask[i]) || seen & mask[i])
			return BOOT_PIXEL_NONE;
		low = (u32)__builtin_ctz(mask[i]);
		end = 32 - (u32)__builtin_clz(mask[i]);
		seen |= mask[i];
		format |= BOOT_PIXEL_FIELD(low, end - low) << 10 * i;
	}
	/* the highest bit of all says how long a pixel is */
	return seen >> 24 ? format : BOOT_PIXEL_NONE;
}
