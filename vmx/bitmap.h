/* The MSR bitmap (SDM vol. 3C, 25.6.9): a bit that is set exits. Unit-tested on the host. */
#pragma once

#include "kernel/vcpu.h"
#include "kernel/x86.h"
#include "vmx/vmcs.h"

/* The four quarters of the MSR bitmap, offsets in bytes */
#define MSR_READ_LOW   0u
#define MSR_READ_HIGH  1024u
#define MSR_WRITE      2048u   /* from the read quarter to the write quarter */
#define MSR_QUARTER    0x2000u /* MSRs in a quarter */
#define MSR_HIGH_FIRST 0xc0000000u

/* Clears the read and the write bit of `msr`, which is in one of the quarters: it does not exit. */
static inline void msr_bitmap_open(u8 *map, u32 msr)
{
	u8 *read = map + (msr < MSR_HIGH_FIRST ? MSR_READ_LOW : MSR_READ_HIGH);

	read[msr % MSR_QUARTER / 8] &= (u8)~BIT(msr % 8);
	read[MSR_WRITE + msr % MSR_QUARTER / 8] &= (u8)~BIT(msr % 8);
}

#define X2APIC_SELF_IPI BIT(0x3f)

/* Of a map that is all ones: what the hardware does with the APIC page (SDM vol. 3C, 30.5) does not
 * exit. Only for vCPUs with PROC2_APIC: without it they would reach the host's APIC. */
static inline void msr_bitmap_open_x2apic(u8 *map)
{
	*(u64 *)(map + MSR_READ_LOW + MSR_X2APIC / 8) = ~X2APIC_READS;
	*(u64 *)(map + MSR_READ_LOW + MSR_WRITE + MSR_X2APIC / 8) =
		~(X2APIC_TPR_EOI | X2APIC_SELF_IPI);
}
