/* What the tests of page tables share: an arena of frames, the kinds of table, counting leaves. */
#pragma once

#include <stdlib.h>
#include "mm/ptable_format.h"
#include "tests/unit/test.h"

#define FRAMES  8192u
#define PA_BASE 0x7000000ull
#define ADDRESS 0x000ffffffffff000ull
#define NX      0x8000000000000000ull
#define SIZE_2M 0x200000ull
#define SIZE_1G 0x40000000ull
#define RW      (PTABLE_READ | PTABLE_WRITE)
#define RX      (PTABLE_READ | PTABLE_EXEC)
#define RWX     (RW | PTABLE_EXEC)

static const struct ptable_features all_features = {
	.host_1g = true,
	.host_nx = true,
	.nested_1g = true,
	.iommu_2m = true,
	.iommu_1g = true,
	.iommu_snoop = true,
	.iommu_coherent = true,
};

static const struct kind_of_table {
	enum ptable_format format;
	unsigned levels;
	u64 end; /* first address beyond its low range; 0: 2^64 */
} kinds[] = {
	{PTABLE_HOST, 4, 1ull << 47},
	{PTABLE_EPT, 4, 1ull << 48},
	{PTABLE_NPT, 4, 1ull << 48},
	{PTABLE_VTD, 3, 1ull << 39},
	{PTABLE_VTD, 4, 1ull << 48},
	{PTABLE_AMDVI, 3, 1ull << 39},
	{PTABLE_AMDVI, 4, 1ull << 48},
	{PTABLE_AMDVI, 5, 1ull << 57},
	{PTABLE_AMDVI, 6, 0},
};

static u8 *arena;

static __attribute__((unused)) void setup(struct pool *p, unsigned frames)
{
	if (!arena)
		arena = aligned_alloc(PAGE_SIZE, FRAMES * PAGE_SIZE);
	window_offset = (u64)arena - PA_BASE;
	ptable_features = all_features;
	memset(p, 0, sizeof(*p));
	if (frames)
		pool_add(p, PA_BASE, frames * PAGE_SIZE);
}

static __attribute__((unused)) struct ptable make(const struct kind_of_table *k, struct pool *p)
{
	struct ptable t;

	CHECK_EQ(ptable_init(&t, k->format, k->levels, p), STATUS_OK);
	return t;
}

static __attribute__((unused)) bool is_leaf(const struct ptable *t, u64 e, unsigned level)
{
	return level == 1 || (t->format == PTABLE_AMDVI ? (e >> 9 & 7) == 0 : (e >> 7 & 1) != 0);
}

static __attribute__((unused)) bool address_exists(const struct ptable *t, u64 va)
{
	unsigned width = 12 + 9 * t->levels;

	if (t->format == PTABLE_HOST)
		return va >> 47 == 0 || va >> 47 == 0x1ffff;
	return width >= 64 || va >> width == 0;
}

/*
 * Looks `va` up as hardware does. False: it is not mapped; else *pa (of this byte), *flags
 * (PTABLE_*) and *leaf (bytes of the leaf), each of which may be NULL.
 */
static __attribute__((unused)) bool lookup(
	const struct ptable *t, u64 va, paddr_t *pa, u64 *flags, u64 *leaf)
{
	const struct ptable_layout *f = &ptable_layouts[t->format];
	unsigned level = t->levels;
	paddr_t table = t->root;
	u64 span;
	u64 e;

	for (;; level--) {
		const u64 *entries = window_va(table);

		e = entries[va >> (12 + 9 * (level - 1)) & 511];
		if (!address_exists(t, va) || !(e & f->present))
			return false;
		if (is_leaf(t, e, level))
			break;
		table = e & ADDRESS;
	}
	span = 1ull << (12 + 9 * (level - 1));
	if (pa)
		*pa = (e & ADDRESS & ~(span - 1)) | (va & (span - 1));
	if (leaf)
		*leaf = span;
	if (flags) {
		bool exec = f->exec ? e & f->exec : f->no_exec && !(e & f->no_exec);

		*flags = PTABLE_READ | (e & f->write ? PTABLE_WRITE : 0) |
			 (exec ? PTABLE_EXEC : 0) | (e & f->user ? PTABLE_USER : 0) |
			 (e & f->global ? PTABLE_GLOBAL : 0);
	}
	return true;
}

/* Counts the entries that are not zero in leaf positions, by following raw entries. */
static __attribute__((unused)) u64 count_leaves(
	const struct ptable *t, paddr_t table, unsigned level)
{
	const u64 *entries = window_va(table);
	u64 count = 0;

	for (unsigned i = 0; i < 512; i++) {
		u64 e = entries[i];

		if (e)
			count += is_leaf(t, e, level) ? 1 : count_leaves(t, e & ADDRESS, level - 1);
	}
	return count;
}

static __attribute__((unused)) u64 leaves(const struct ptable *t)
{
	return count_leaves(t, t->root, t->levels);
}

static __attribute__((unused)) u64 arena_sum(void)
{
	const u64 *word = (const u64 *)arena;
	u64 sum = 0;

	for (size_t i = 0; i < FRAMES * PAGE_SIZE / 8; i++)
		sum = (sum << 1 | sum >> 63) ^ word[i];
	return sum;
}

/* Counts the leaves that an optimal mapping needs, in a way of its own: page by page. */
static __attribute__((unused)) u64 leaves_wanted(u64 va, u64 pa, u64 size, u64 largest)
{
	u64 count = 0;
	u64 done = 0;

	while (done < size) {
		u64 leaf = PAGE_SIZE;

		for (u64 s = SIZE_2M; s <= largest; s *= 512) {
			if ((va + done) % s == 0 && (pa + done) % s == 0 && done + s <= size)
				leaf = s;
		}
		done += leaf;
		count++;
	}
	return count;
}

static __attribute__((unused)) void check_mapping(
	struct ptable *t, u64 va, u64 pa, u64 size, u64 flags, u64 largest)
{
	const u64 offset[] = {0, 1, PAGE_SIZE - 1, PAGE_SIZE, size / 2, size - PAGE_SIZE, size - 1};
	u64 leaf;
	paddr_t got;

	CHECK_EQ(ptable_map(t, va, pa, size, flags, MEM_CACHE_WB), STATUS_OK);
	CHECK_EQ(leaves(t), leaves_wanted(va, pa, size, largest));
	for (size_t i = 0; i < ARRAY_SIZE(offset); i++) {
		if (offset[i] >= size)
			continue;
		CHECK(lookup(t, va + offset[i], &got, NULL, &leaf));
		CHECK_EQ(got, pa + offset[i]);
		CHECK(leaf <= largest);
	}
	CHECK(va == 0 || !lookup(t, va - 1, NULL, NULL, NULL));
	CHECK(va + size == 0 || !lookup(t, va + size, NULL, NULL, NULL));
	ptable_unmap(t, va, size);
	CHECK_EQ(leaves(t), 0);
	CHECK(!lookup(t, va, NULL, NULL, NULL));
}
