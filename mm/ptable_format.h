/*
 * The five page-table formats as data for the walker in ptable.c.
 *
 * All of them have 512 entries of 64 bits per table, 9 address bits per level, and the address in
 * bits 51:12; level 1 holds 4 KiB leaves. They differ in what this structure says.
 */
#pragma once

#include "mm/ptable.h"

#define PTABLE_ADDRESS  0x000ffffffffff000ull
#define PTABLE_PA_LIMIT BIT(52)
#define PTABLE_CACHES   4 /* values of enum mem_cache */

struct ptable_layout {
	u64 present;    /* an entry with none of these bits is empty */
	u64 table;      /* bits of an entry that points to a table: all rights, the leaf decides */
	u64 level_unit; /* times the level of that table: AMD-Vi's next-level field */
	u64 size_mask;  /* above level 1 an entry is a leaf if these bits ... */
	u64 size_leaf;  /* ... have this value */
	u64 leaf;       /* bits of every leaf; they make it readable */
	u64 write;
	u64 exec;    /* set for PTABLE_EXEC */
	u64 no_exec; /* set without PTABLE_EXEC, if ptable_features.host_nx */
	u64 user;
	u64 global;
	u64 snoop;                      /* reserved without ptable_features.iommu_snoop */
	u64 cache[PTABLE_CACHES];       /* by enum mem_cache, in a 4 KiB leaf */
	u64 cache_large[PTABLE_CACHES]; /* in larger leaves */
	u8 levels_min;
	u8 levels_max;
	bool canonical; /* addresses are sign-extended */
	bool iommu;     /* read by an IOMMU, which may not snoop */
};

extern const struct ptable_layout ptable_layouts[5]; /* by enum ptable_format */
