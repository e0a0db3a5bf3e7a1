/* The MSR bitmap (SDM vol. 3C, 25.6.9): a bit that is set exits. Unit-tested on the host. */
#pragma once

#include "vmx/vmcs.h"

/* The four quarters of the MSR bitmap, offsets in bytes */
#define MSR_READ_LOW   0u
#define MSR_READ_HIGH  1024u
#define MSR_WRITE      2048u   /* from the read quarter to the write quarter */
#define MSR_QUARTER    0x2000u /* MSRs in a quarter */
#define MSR_HIGH_FIRST 0xc0000000u

static inline void bitmap_set(u8 *map, u32 at, bool set)
{
	if (set)
		map[at / 8] |= (u8)BIT(at % 8);
	else
		map[at / 8] &= (u8)~BIT(at % 8);
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
	bitmap_set(quarter, msr, set);
	bitmap_set(quarter + MSR_WRITE, msr, set);
	return true;
}
