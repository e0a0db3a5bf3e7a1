/* The I/O and MSR bitmaps (SDM vol. 3C, 25.6.4, 25.6.9): a bit that is set exits. Unit-tested on
 * the host. */
#pragma once

#include "vmx/vmcs.h"

#define PORTS_PER_BITMAP 0x8000u /* A: 0-0x7fff, B: 0x8000-0xffff */
#define PORTS            0x10000u

/* The four quarters of the MSR bitmap, offsets in bytes */
#define MSR_READ_LOW   0u
#define MSR_READ_HIGH  1024u
#define MSR_WRITE      2048u   /* from the read quarter to the write quarter */
#define MSR_QUARTER    0x2000u /* MSRs in a quarter */
#define MSR_HIGH_FIRST 0xc0000000u

/* Sets or clears bits [first, first + count). */
static inline void bitmap_fill(u8 *map, u32 first, u32 count, bool set)
{
	for (u32 i = first; i < first + count; i++) {
		if (i % 8 == 0 && first + count - i >= 8) {
			map[i / 8] = set ? 0xff : 0;
			i += 7;
		} else if (set) {
			map[i / 8] |= (u8)BIT(i % 8);
		} else {
			map[i / 8] &= (u8)~BIT(i % 8);
		}
	}
}

/* Sets or clears the bits of ports [first, first + count) in the two I/O bitmaps; false if the
 * range ends beyond them. */
static inline bool port_bitmaps_fill(u8 *a, u8 *b, u32 first, u32 count, bool set)
{
	u32 low = 0;

	if (first >= PORTS || count > PORTS - first)
		return false;
	if (first < PORTS_PER_BITMAP) {
		low = count < PORTS_PER_BITMAP - first ? count : PORTS_PER_BITMAP - first;
		bitmap_fill(a, first, low, set);
		first = PORTS_PER_BITMAP;
	}
	bitmap_fill(b, first - PORTS_PER_BITMAP, count - low, set);
	return true;
}

/* Sets or clears the read and the write bit of `msr`; false if the bitmap has none: such an MSR
 * always exits. */
static inline bool msr_bitmap_set(u8 *map, u32 msr, bool set)
{
	u8 *quarter = map + MSR_READ_LOW;

	if (msr >= MSR_HIGH_FIRST) {
		quarter = map + MSR_READ_HIGH;
		msr -= MSR_HIGH_FIRST;
	}
	if (msr >= MSR_QUARTER)
		return false;
	bitmap_fill(quarter, msr, 1, set);
	bitmap_fill(quarter + MSR_WRITE, msr, 1, set);
	return true;
}
