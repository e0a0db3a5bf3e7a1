/* The MSR bitmap (SDM vol. 3C, 25.6.9): a bit that is set exits. Unit-tested on the host. */
#pragma once

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

/*
 * x2APIC registers, by number, that the hardware reads from the APIC page and writes to it (SDM
 * vol. 3C, 30.5). Current count is the VMM's to tell; registers that are not there are its #GP.
 */
#define X2APIC_BETWEEN(a, b) (BIT((b) + 1) - BIT(a))
#define X2APIC_READS                                                                               \
	(BIT(0x02) | BIT(0x03) | BIT(0x08) | BIT(0x0a) | BIT(0x0d) | X2APIC_BETWEEN(0x0f, 0x28) |  \
		BIT(0x30) | X2APIC_BETWEEN(0x32, 0x38) | BIT(0x3e))
#define X2APIC_WRITES (BIT(0x08) | BIT(0x0b) | BIT(0x3f)) /* TPR, EOI, SELF IPI */

/* Of a map that is all ones: those do not exit. Only for vCPUs with PROC2_APIC: without it they
 * would reach the host's APIC. */
static inline void msr_bitmap_open_x2apic(u8 *map)
{
	*(u64 *)(map + MSR_READ_LOW + MSR_X2APIC / 8) = ~X2APIC_READS;
	*(u64 *)(map + MSR_READ_LOW + MSR_WRITE + MSR_X2APIC / 8) = ~X2APIC_WRITES;
}
