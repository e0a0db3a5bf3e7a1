/*
 * Walks the guest's own page tables: 32-bit, PAE, 4-level and 5-level paging (SDM vol. 3, 4.3
 * to 4.7). The tables are the guest's, may lie anywhere and may change during the walk: each entry
 * is read once.
 */
#pragma once

#include "guests/vmm/gmem.h"

#define GWALK_WRITE BIT(0)
#define GWALK_FETCH BIT(1)
#define GWALK_USER  BIT(2) /* an access of ring 3, not an implicit one to system tables */
#define GWALK_PEEK  BIT(3) /* leaves accessed and dirty bits alone */

/* The registers that steer a walk. */
struct gwalk_mode {
	u64 cr0;
	u64 cr3;
	u64 cr4;
	u64 efer;
	u64 rflags;   /* AC counts, with CR4.SMAP */
	u32 gpa_bits; /* width of guest-physical addresses, 32 to 52 */
};

/*
 * Translates one linear address, and sets accessed and dirty bits as the processor would.
 *
 * linear: canonical in 64-bit mode; below 4 GiB otherwise (the caller has checked or cut it)
 * access: GWALK_*
 * gpa:    out: the address, of use until the end of the page; not necessarily RAM
 * error:  out: error code of the #PF that the guest is to get
 *
 * True: *gpa is valid; false: *error is. An entry in memory that is not RAM reads as all ones.
 */
bool gwalk(const struct gmem *g, const struct gwalk_mode *mode, u64 linear, u32 access, gpa_t *gpa,
	u32 *error);
