/*
 * Page tables: one walker over a table of levels serves five formats.
 *
 * Host and NPT: SDM vol. 3, 4.5; APM vol. 2, 5.3 and 15.25. EPT: SDM vol. 3, 29.3. VT-d second
 * level: VT-d specification, 9.8. AMD-Vi: IOMMU specification, 2.2.3.
 */
#pragma once

#include "mm/pool.h"
#include "kernel/abi/syscall.h"

enum ptable_format {
	PTABLE_HOST = 0,
	PTABLE_EPT = 1,
	PTABLE_NPT = 2,
	PTABLE_VTD = 3,
	PTABLE_AMDVI = 4,
};

/* What the CPU or the IOMMU can do; set once at boot before the first ptable_map. */
struct ptable_features {
	bool host_1g; /* 1 GiB leaves */
	bool host_nx;
	bool nested_1g; /* EPT or NPT */
	bool iommu_2m;
	bool iommu_1g;
	bool iommu_snoop;    /* VT-d: snoop control (ECAP.SC); else the SNP bit is reserved */
	bool iommu_coherent; /* the unit snoops table writes; else the walker flushes its own */
};
extern struct ptable_features ptable_features;

/*
 * IA32_PAT as the host and NPT formats need it: 0 WB, 1 WC, 2 UC-, 3 UC, 4 WB, 5 WP, 6 UC-, 7 WT.
 * Entry 0 is the power-up value, which tables made by others (the loader) rely on; WT is 7 so that,
 * were the PAT bit ignored, it would become UC.
 */
#define PTABLE_PAT 0x0407050600070106ull

#define PTABLE_READ   BIT(0) /* required */
#define PTABLE_WRITE  BIT(1)
#define PTABLE_EXEC   BIT(2)
#define PTABLE_USER   BIT(3) /* host format only */
#define PTABLE_GLOBAL BIT(4) /* host format only */

struct ptable {
	paddr_t root; /* top-level table */
	struct pool *pool;
	u8 format; /* enum ptable_format */
	u8 levels; /* 4 (EPT, NPT, host), 3 or 4 (VT-d), up to 6 (AMD-Vi) */
};

/* Makes an empty table whose tables come from `pool`. NO_MEMORY; BAD_ARG: not such `levels`. */
status_t ptable_init(
	struct ptable *t, enum ptable_format format, unsigned levels, struct pool *pool);

/*
 * Maps [va, va + size) to [pa, pa + size), page-aligned, with the largest leaves that alignment,
 * size and features allow. A table that an earlier mapping left behind stays in use, so there the
 * leaves are smaller. `flags` PTABLE_*, those that the format lacks are ignored; `cache` of
 * mem_cache. EXISTS: part of the range is mapped, nothing was changed; NO_MEMORY; BAD_ARG: beyond
 * the format's width, not of whole pages, empty, without PTABLE_READ, or no such cache attribute.
 * On an error no leaf was written, not even for a moment (tables made on the way may stay, for
 * later use).
 */
status_t ptable_map(
	struct ptable *t, u64 va, paddr_t pa, u64 size, u64 flags, enum mem_cache cache);

/*
 * Unmaps what ptable_map mapped at [va, va + size). A leaf that reaches beyond the range is not
 * split: the function ends there, and does nothing for a range that ptable_map refuses; both are a
 * caller's mistake. Entries are cleared; empty tables are not freed here (see ptable_free), so a
 * concurrent hardware walk never meets a reused table. The caller invalidates TLBs afterwards.
 */
void ptable_unmap(struct ptable *t, u64 va, u64 size);

/* Makes what was written to a table of an IOMMU's seen by units that do not snoop. */
void ptable_write_back(void *start, size_t bytes);

/* Frees all tables; leaves are not followed. No CPU uses the tables any more. */
void ptable_free(struct ptable *t);
