/*
 * Tests of the page tables: entry bits computed by hand from the manuals, every size and alignment
 * in every format, errors that must change nothing, and random operations against a list of what is
 * mapped.
 */
#include <stdlib.h>
#include "mm/ptable.h"
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

static void setup(struct pool *p, unsigned frames)
{
	if (!arena)
		arena = aligned_alloc(PAGE_SIZE, FRAMES * PAGE_SIZE);
	window_offset = (u64)arena - PA_BASE;
	ptable_features = all_features;
	pool_init(p);
	if (frames)
		pool_add(p, PA_BASE, frames * PAGE_SIZE);
}

static struct ptable make(const struct kind_of_table *k, struct pool *p)
{
	struct ptable t;

	CHECK_EQ(ptable_init(&t, k->format, k->levels, p), STATUS_OK);
	return t;
}

/* Counts the entries that are not zero in leaf positions, by following raw entries. */
static u64 count_leaves(const struct ptable *t, paddr_t table, unsigned level)
{
	const u64 *entries = window_va(table);
	u64 count = 0;

	for (unsigned i = 0; i < 512; i++) {
		u64 e = entries[i];
		bool leaf = level == 1 ||
			    (t->format == PTABLE_AMDVI ? (e >> 9 & 7) == 0 : (e >> 7 & 1) != 0);

		if (e)
			count += leaf ? 1 : count_leaves(t, e & ADDRESS, level - 1);
	}
	return count;
}

static u64 leaves(const struct ptable *t)
{
	return count_leaves(t, t->root, t->levels);
}

static u64 arena_sum(void)
{
	const u64 *word = (const u64 *)arena;
	u64 sum = 0;

	for (size_t i = 0; i < FRAMES * PAGE_SIZE / 8; i++)
		sum = (sum << 1 | sum >> 63) ^ word[i];
	return sum;
}

/* ---- Entry bits, by hand ---- */

struct bits_case {
	enum ptable_format format;
	unsigned levels;
	u64 size; /* of the one leaf */
	u64 pa;
	u64 flags;
	enum mem_cache cache;
	u64 leaf;
	u64 table[5]; /* without address, from the root on */
};

static const struct bits_case bits_cases[] = {
	/* Host: P 0, RW 1, US 2, PWT 3, PCD 4, PS 7 or PAT 7, G 8, PAT of large leaves 12, NX 63.
	 */
	{PTABLE_HOST, 4, PAGE_SIZE, 0x12345000, PTABLE_READ, MEM_CACHE_WB, NX | 0x12345001,
		{7, 7, 7}},
	{PTABLE_HOST, 4, PAGE_SIZE, 0x12345000, RW, MEM_CACHE_WB, NX | 0x12345003, {7, 7, 7}},
	{PTABLE_HOST, 4, PAGE_SIZE, 0x12345000, RX, MEM_CACHE_WB, 0x12345001, {7, 7, 7}},
	{PTABLE_HOST, 4, PAGE_SIZE, 0x12345000, RW | PTABLE_USER, MEM_CACHE_WB, NX | 0x12345007,
		{7, 7, 7}},
	{PTABLE_HOST, 4, PAGE_SIZE, 0x12345000, RX | PTABLE_GLOBAL, MEM_CACHE_WB, 0x12345101,
		{7, 7, 7}},
	{PTABLE_HOST, 4, PAGE_SIZE, 0xfee00000, RW, MEM_CACHE_UC, NX | 0xfee0001b, {7, 7, 7}},
	{PTABLE_HOST, 4, PAGE_SIZE, 0xfee00000, RW, MEM_CACHE_WC, NX | 0xfee0000b, {7, 7, 7}},
	{PTABLE_HOST, 4, PAGE_SIZE, 0xfee00000, RW, MEM_CACHE_WT, NX | 0xfee0009b, {7, 7, 7}},
	{PTABLE_HOST, 4, SIZE_2M, 0x40200000, RW, MEM_CACHE_WB, NX | 0x40200083, {7, 7}},
	{PTABLE_HOST, 4, SIZE_2M, 0x40200000, RW, MEM_CACHE_UC, NX | 0x4020009b, {7, 7}},
	{PTABLE_HOST, 4, SIZE_2M, 0x40200000, RW, MEM_CACHE_WC, NX | 0x4020008b, {7, 7}},
	{PTABLE_HOST, 4, SIZE_2M, 0x40200000, RW, MEM_CACHE_WT, NX | 0x4020109b, {7, 7}},
	{PTABLE_HOST, 4, SIZE_2M, 0x40200000, RX | PTABLE_GLOBAL | PTABLE_USER, MEM_CACHE_WB,
		0x40200185, {7, 7}},
	{PTABLE_HOST, 4, SIZE_1G, 0xfffc0000000, RW, MEM_CACHE_WB, NX | 0xfffc0000083, {7}},
	{PTABLE_HOST, 4, SIZE_1G, 0xfffc0000000, RW, MEM_CACHE_WT, NX | 0xfffc000109b, {7}},

	/* EPT: R 0, W 1, X 2, type 5:3 (UC 0, WC 1, WT 4, WB 6), large 7. */
	{PTABLE_EPT, 4, PAGE_SIZE, 0x12345000, RWX, MEM_CACHE_WB, 0x12345037, {7, 7, 7}},
	{PTABLE_EPT, 4, PAGE_SIZE, 0x12345000, PTABLE_READ, MEM_CACHE_WB, 0x12345031, {7, 7, 7}},
	{PTABLE_EPT, 4, PAGE_SIZE, 0x12345000, RX, MEM_CACHE_WB, 0x12345035, {7, 7, 7}},
	{PTABLE_EPT, 4, PAGE_SIZE, 0xfee00000, RW, MEM_CACHE_UC, 0xfee00003, {7, 7, 7}},
	{PTABLE_EPT, 4, PAGE_SIZE, 0xfee00000, RW, MEM_CACHE_WC, 0xfee0000b, {7, 7, 7}},
	{PTABLE_EPT, 4, PAGE_SIZE, 0xfee00000, RW, MEM_CACHE_WT, 0xfee00023, {7, 7, 7}},
	{PTABLE_EPT, 4, PAGE_SIZE, 0x12345000, RWX | PTABLE_USER | PTABLE_GLOBAL, MEM_CACHE_WB,
		0x12345037, {7, 7, 7}},
	{PTABLE_EPT, 4, SIZE_2M, 0x40200000, RWX, MEM_CACHE_WB, 0x402000b7, {7, 7}},
	{PTABLE_EPT, 4, SIZE_2M, 0x40200000, RW, MEM_CACHE_UC, 0x40200083, {7, 7}},
	{PTABLE_EPT, 4, SIZE_1G, 0x80000000, RWX, MEM_CACHE_WB, 0x800000b7, {7}},

	/* NPT: as host, US always set. */
	{PTABLE_NPT, 4, PAGE_SIZE, 0x12345000, RWX, MEM_CACHE_WB, 0x12345007, {7, 7, 7}},
	{PTABLE_NPT, 4, PAGE_SIZE, 0x12345000, PTABLE_READ, MEM_CACHE_WB, NX | 0x12345005,
		{7, 7, 7}},
	{PTABLE_NPT, 4, PAGE_SIZE, 0x12345000, RX | PTABLE_GLOBAL, MEM_CACHE_WB, 0x12345005,
		{7, 7, 7}},
	{PTABLE_NPT, 4, PAGE_SIZE, 0xfee00000, RW, MEM_CACHE_UC, NX | 0xfee0001f, {7, 7, 7}},
	{PTABLE_NPT, 4, PAGE_SIZE, 0xfee00000, RW, MEM_CACHE_WC, NX | 0xfee0000f, {7, 7, 7}},
	{PTABLE_NPT, 4, PAGE_SIZE, 0xfee00000, RW, MEM_CACHE_WT, NX | 0xfee0009f, {7, 7, 7}},
	{PTABLE_NPT, 4, SIZE_2M, 0x40200000, RWX, MEM_CACHE_WB, 0x40200087, {7, 7}},
	{PTABLE_NPT, 4, SIZE_2M, 0x40200000, RWX, MEM_CACHE_WT, 0x4020109f, {7, 7}},
	{PTABLE_NPT, 4, SIZE_1G, 0x80000000, RWX, MEM_CACHE_WB, 0x80000087, {7}},

	/* VT-d: R 0, W 1, PS 7, SNP 11. */
	{PTABLE_VTD, 4, PAGE_SIZE, 0x12345000, RW, MEM_CACHE_WB, 0x12345803, {3, 3, 3}},
	{PTABLE_VTD, 4, PAGE_SIZE, 0x12345000, PTABLE_READ, MEM_CACHE_WB, 0x12345801, {3, 3, 3}},
	{PTABLE_VTD, 4, PAGE_SIZE, 0x12345000, RWX, MEM_CACHE_WT, 0x12345803, {3, 3, 3}},
	{PTABLE_VTD, 4, PAGE_SIZE, 0xfee00000, RW, MEM_CACHE_UC, 0xfee00003, {3, 3, 3}},
	{PTABLE_VTD, 4, PAGE_SIZE, 0xfee00000, RW, MEM_CACHE_WC, 0xfee00003, {3, 3, 3}},
	{PTABLE_VTD, 4, SIZE_2M, 0x40200000, RW, MEM_CACHE_WB, 0x40200883, {3, 3}},
	{PTABLE_VTD, 4, SIZE_1G, 0x80000000, RW, MEM_CACHE_WB, 0x80000883, {3}},
	{PTABLE_VTD, 3, PAGE_SIZE, 0x12345000, RW, MEM_CACHE_WB, 0x12345803, {3, 3}},
	{PTABLE_VTD, 3, SIZE_2M, 0x40200000, RW, MEM_CACHE_WB, 0x40200883, {3}},
	{PTABLE_VTD, 3, SIZE_1G, 0x80000000, RW, MEM_CACHE_UC, 0x80000083, {0}},

	/* AMD-Vi: PR 0, next level 11:9, FC 60, IR 61, IW 62. */
	{PTABLE_AMDVI, 4, PAGE_SIZE, 0x12345000, RW, MEM_CACHE_WB, 0x7000000012345001,
		{0x6000000000000601, 0x6000000000000401, 0x6000000000000201}},
	{PTABLE_AMDVI, 4, PAGE_SIZE, 0x12345000, PTABLE_READ, MEM_CACHE_WB, 0x3000000012345001,
		{0x6000000000000601, 0x6000000000000401, 0x6000000000000201}},
	{PTABLE_AMDVI, 3, PAGE_SIZE, 0xfee00000, RW, MEM_CACHE_UC, 0x60000000fee00001,
		{0x6000000000000401, 0x6000000000000201}},
	{PTABLE_AMDVI, 3, PAGE_SIZE, 0xfee00000, RW, MEM_CACHE_WC, 0x60000000fee00001,
		{0x6000000000000401, 0x6000000000000201}},
	{PTABLE_AMDVI, 3, PAGE_SIZE, 0x12345000, RWX, MEM_CACHE_WT, 0x7000000012345001,
		{0x6000000000000401, 0x6000000000000201}},
	{PTABLE_AMDVI, 4, SIZE_2M, 0x40200000, RW, MEM_CACHE_WB, 0x7000000040200001,
		{0x6000000000000601, 0x6000000000000401}},
	{PTABLE_AMDVI, 4, SIZE_1G, 0x80000000, RW, MEM_CACHE_WB, 0x7000000080000001,
		{0x6000000000000601}},
	{PTABLE_AMDVI, 6, PAGE_SIZE, 0x12345000, RW, MEM_CACHE_WB, 0x7000000012345001,
		{0x6000000000000a01, 0x6000000000000801, 0x6000000000000601, 0x6000000000000401,
			0x6000000000000201}},
	{PTABLE_AMDVI, 1, PAGE_SIZE, 0x12345000, RW, MEM_CACHE_WB, 0x7000000012345001, {0}},
	{PTABLE_AMDVI, 2, SIZE_2M, 0x40200000, RW, MEM_CACHE_WB, 0x7000000040200001, {0}},
};

/* Follows raw entries from the root to the leaf, and compares each with what the case says. */
static void check_entries(const struct bits_case *c, const struct ptable *t, u64 va)
{
	unsigned leaf_level = c->size == SIZE_1G ? 3 : c->size == SIZE_2M ? 2 : 1;
	const u64 *table = window_va(t->root);

	for (unsigned level = c->levels; level >= leaf_level; level--) {
		u64 e = table[va >> (12 + 9 * (level - 1)) & 511];

		if (level == leaf_level) {
			CHECK_EQ(e, c->leaf);
		} else {
			CHECK_EQ(e & ~ADDRESS, c->table[c->levels - level]);
			if (!(e & ADDRESS))
				return;
			table = window_va(e & ADDRESS);
		}
	}
}

TEST(ptable_entry_bits)
{
	for (size_t i = 0; i < ARRAY_SIZE(bits_cases); i++) {
		const struct bits_case *c = &bits_cases[i];
		bool exec = c->flags & PTABLE_EXEC && c->format <= PTABLE_NPT;
		u64 width = c->levels >= 6 ? 64 : 12 + 9 * c->levels;
		u64 va = ALIGN_DOWN(0x6b5a39182746b5a3ull >> (64 - width), c->size);
		struct ptable t;
		struct pool p;
		paddr_t pa;
		u64 flags;
		u64 leaf;

		setup(&p, 16);
		CHECK_EQ(ptable_init(&t, c->format, c->levels, &p), STATUS_OK);
		CHECK_EQ(ptable_map(&t, va, c->pa, c->size, c->flags, c->cache), STATUS_OK);
		check_entries(c, &t, va);
		CHECK_EQ(leaves(&t), 1);
		CHECK(ptable_lookup(&t, va + c->size - 1, &pa, &flags, &leaf));
		CHECK_EQ(pa, c->pa + c->size - 1);
		CHECK_EQ(leaf, c->size);
		CHECK_EQ(flags,
			(c->flags & RW) | (exec ? PTABLE_EXEC : 0) |
				(c->format == PTABLE_HOST ? c->flags & (PTABLE_USER | PTABLE_GLOBAL)
							  : 0));
	}
}

TEST(ptable_features_mask_bits)
{
	static const struct kind_of_table host = {PTABLE_HOST, 4, 0};
	static const struct kind_of_table npt = {PTABLE_NPT, 4, 0};
	static const struct kind_of_table vtd = {PTABLE_VTD, 3, 0};
	static const u64 want[] = {0x40200083, 0x40200087, 0x40200083};
	static const struct kind_of_table *const kind[] = {&host, &npt, &vtd};

	for (size_t i = 0; i < ARRAY_SIZE(kind); i++) {
		struct bits_case c = {kind[i]->format, kind[i]->levels, SIZE_2M, 0x40200000, RW,
			MEM_CACHE_WB, want[i], {7, 7}};
		struct ptable t;
		struct pool p;

		if (c.format == PTABLE_VTD)
			c.table[0] = 3;
		setup(&p, 16);
		ptable_features.host_nx = false;
		ptable_features.iommu_snoop = false;
		t = make(kind[i], &p);
		CHECK_EQ(ptable_map(&t, SIZE_2M, 0x40200000, SIZE_2M, RW, MEM_CACHE_WB), STATUS_OK);
		check_entries(&c, &t, SIZE_2M);
	}
}

TEST(ptable_pat_value)
{
	static const u8 types[8] = {6, 1, 7, 0, 6, 5, 7, 4}; /* WB WC UC- UC WB WP UC- WT */

	for (unsigned i = 0; i < 8; i++)
		CHECK_EQ(PTABLE_PAT >> 8 * i & 0xff, types[i]);
}

/* ---- Sizes and alignments ---- */

/* Counts the leaves that an optimal mapping needs, in a way of its own: page by page. */
static u64 leaves_wanted(u64 va, u64 pa, u64 size, u64 largest)
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

static void check_mapping(struct ptable *t, u64 va, u64 pa, u64 size, u64 flags, u64 largest)
{
	const u64 offset[] = {0, 1, PAGE_SIZE - 1, PAGE_SIZE, size / 2, size - PAGE_SIZE, size - 1};
	u64 leaf;
	paddr_t got;

	CHECK_EQ(ptable_map(t, va, pa, size, flags, MEM_CACHE_WB), STATUS_OK);
	CHECK_EQ(leaves(t), leaves_wanted(va, pa, size, largest));
	for (size_t i = 0; i < ARRAY_SIZE(offset); i++) {
		if (offset[i] >= size)
			continue;
		CHECK(ptable_lookup(t, va + offset[i], &got, NULL, &leaf));
		CHECK_EQ(got, pa + offset[i]);
		CHECK(leaf <= largest);
	}
	CHECK(va == 0 || !ptable_lookup(t, va - 1, NULL, NULL, NULL));
	CHECK(va + size == 0 || !ptable_lookup(t, va + size, NULL, NULL, NULL));
	CHECK_EQ(ptable_unmap(t, va, size, 0), size);
	CHECK_EQ(leaves(t), 0);
	CHECK(!ptable_lookup(t, va, NULL, NULL, NULL));
}

/* Maps with all alignments of start, offset and end, in tables that are fresh each time. */
static void check_alignments(const struct kind_of_table *k, u64 flags, u64 largest)
{
	static const u64 starts[] = {0, PAGE_SIZE, SIZE_2M - PAGE_SIZE, SIZE_2M, SIZE_1G - SIZE_2M,
		SIZE_1G - PAGE_SIZE, SIZE_1G};
	static const u64 sizes[] = {PAGE_SIZE, 2 * PAGE_SIZE, SIZE_2M - PAGE_SIZE, SIZE_2M,
		SIZE_2M + PAGE_SIZE, 2 * SIZE_2M, 3 * SIZE_2M + PAGE_SIZE, SIZE_1G,
		SIZE_1G + SIZE_2M + PAGE_SIZE};
	static const u64 shifts[] = {0, PAGE_SIZE, SIZE_2M, SIZE_1G};
	const u64 bases[] = {0, k->end - 2 * SIZE_1G - 4 * SIZE_2M};

	for (size_t n = 0;
		n < ARRAY_SIZE(bases) * ARRAY_SIZE(starts) * ARRAY_SIZE(sizes) * ARRAY_SIZE(shifts);
		n++) {
		u64 base = ALIGN_DOWN(bases[n % 2], SIZE_1G) - (n % 2 ? SIZE_1G : 0);
		u64 va = base + starts[n / 2 % ARRAY_SIZE(starts)];
		u64 size = sizes[n / 2 / ARRAY_SIZE(starts) % ARRAY_SIZE(sizes)];
		u64 shift = shifts[n / 2 / ARRAY_SIZE(starts) / ARRAY_SIZE(sizes)];
		u64 pa = va % (4 * SIZE_1G) + shift + 4 * SIZE_1G;
		struct ptable t;
		struct pool p;

		/* A GiB in small pages once is enough. */
		if (size >= SIZE_1G && (largest < SIZE_2M || shift == PAGE_SIZE) && va != PAGE_SIZE)
			continue;
		setup(&p, 2048);
		ptable_features.host_1g = ptable_features.nested_1g = largest >= SIZE_1G;
		ptable_features.iommu_1g = largest >= SIZE_1G;
		ptable_features.iommu_2m = largest >= SIZE_2M;
		t = make(k, &p);
		check_mapping(&t, va, pa, size, flags, largest);
		ptable_free(&t, 0, 511, true);
		CHECK_EQ(p.free_frames, p.total_frames);
		CHECK_EQ(t.root, 0);
	}
}

TEST(ptable_alignments_1g)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		check_alignments(&kinds[i], RW, SIZE_1G);
}

TEST(ptable_alignments_2m)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		check_alignments(&kinds[i], RWX, SIZE_2M);
}

TEST(ptable_alignments_4k)
{
	check_alignments(&kinds[3], RW, PAGE_SIZE); /* no large leaves in the IOMMU */
	check_alignments(&kinds[5], RW, PAGE_SIZE);
	check_alignments(&kinds[1], RW | PTABLE_4K, PAGE_SIZE);
	check_alignments(&kinds[0], RW | PTABLE_4K, PAGE_SIZE);
}

TEST(ptable_1g_needs_2m_in_an_iommu)
{
	struct ptable t;
	struct pool p;
	u64 leaf;

	setup(&p, 2048);
	ptable_features.iommu_2m = false;
	t = make(&kinds[4], &p);
	CHECK_EQ(ptable_map(&t, 0, 0, SIZE_1G, RW, MEM_CACHE_WB), STATUS_OK);
	CHECK(ptable_lookup(&t, 0, NULL, NULL, &leaf));
	CHECK_EQ(leaf, PAGE_SIZE);
}

TEST(ptable_1g_features_are_apart)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		enum ptable_format format = kinds[i].format;

		for (unsigned feature = 0; feature < 3; feature++) {
			bool large = feature == (format == PTABLE_HOST         ? 0
							: format <= PTABLE_NPT ? 1
									       : 2);
			struct ptable t;
			struct pool p;
			u64 leaf;

			setup(&p, 16);
			ptable_features.host_1g = feature == 0;
			ptable_features.nested_1g = feature == 1;
			ptable_features.iommu_1g = feature == 2;
			t = make(&kinds[i], &p);
			CHECK_EQ(ptable_map(&t, 0, 0, SIZE_1G, RW, MEM_CACHE_WB), STATUS_OK);
			CHECK(ptable_lookup(&t, 0, NULL, NULL, &leaf));
			CHECK_EQ(leaf, large ? SIZE_1G : SIZE_2M);
		}
	}
}

TEST(ptable_levels)
{
	static const u8 range[][2] = {{4, 4}, {4, 4}, {4, 4}, {3, 4}, {1, 6}};
	struct ptable t;
	struct pool p;

	for (unsigned format = 0; format < ARRAY_SIZE(range); format++) {
		for (unsigned levels = 0; levels < 9; levels++) {
			bool good = levels >= range[format][0] && levels <= range[format][1];

			setup(&p, 1);
			CHECK_EQ(ptable_init(&t, (enum ptable_format)format, levels, &p),
				good ? STATUS_OK : STATUS_BAD_ARG);
			CHECK_EQ(p.free_frames, good ? 0 : 1);
		}
	}
	setup(&p, 0);
	CHECK_EQ(ptable_init(&t, PTABLE_EPT, 4, &p), STATUS_NO_MEMORY);
}

TEST(ptable_host_upper_half)
{
	static const u64 va[] = {0xffff800000000000, 0xffffffff80000000, 0xfffffffffffff000};
	struct ptable t;
	struct pool p;
	paddr_t pa;

	setup(&p, 64);
	t = make(&kinds[0], &p);
	for (size_t i = 0; i < ARRAY_SIZE(va); i++) {
		CHECK_EQ(ptable_map(&t, va[i], 0x5000, PAGE_SIZE, RX, MEM_CACHE_WB), STATUS_OK);
		CHECK(ptable_lookup(&t, va[i] + 5, &pa, NULL, NULL));
		CHECK_EQ(pa, 0x5005);
		CHECK(!ptable_lookup(&t, va[i] & 0xffffffffffff, NULL, NULL, NULL));
	}
	CHECK_EQ(leaves(&t), 3);
	CHECK_EQ(ptable_unmap(&t, 0xfffffffffffff000, PAGE_SIZE, 0), PAGE_SIZE);
	CHECK_EQ(leaves(&t), 2);
}

/* ---- Errors ---- */

TEST(ptable_bad_arguments)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		u64 end = kinds[i].end;
		u64 sum;
		struct ptable t;
		struct pool p;
		const u64 bad[][4] = {
			{1, 0, PAGE_SIZE, RW},
			{0, 1, PAGE_SIZE, RW},
			{0, 0, 1, RW},
			{0, 0, 0, RW},
			{0, 0, PAGE_SIZE + 8, RW},
			{0, 0, PAGE_SIZE, PTABLE_WRITE},
			{0, 0, PAGE_SIZE, PTABLE_EXEC},
			{0, 0, PAGE_SIZE, 0},
			{0, BIT(52), PAGE_SIZE, RW},
			{0, BIT(52) - PAGE_SIZE, 2 * PAGE_SIZE, RW},
			{0, -PAGE_SIZE, PAGE_SIZE, RW},
			{0, -PAGE_SIZE, 2 * PAGE_SIZE, RW},
			{end - PAGE_SIZE, 0, 2 * PAGE_SIZE, RW},
			{-PAGE_SIZE, 0, 2 * PAGE_SIZE, RW},
			{PAGE_SIZE, 0, -PAGE_SIZE, RW},
			{0, 0, -PAGE_SIZE, RW},
			/* only where the width is less than 64 bits: */
			{end, 0, PAGE_SIZE, RW},
			{end * 2, 0, PAGE_SIZE, RW},
			{BIT(63), 0, PAGE_SIZE, RW},
			{end - PAGE_SIZE, 0, PAGE_SIZE * 16, RW},
		};

		setup(&p, 64);
		t = make(&kinds[i], &p);
		sum = arena_sum();
		for (size_t b = 0; b < (end ? ARRAY_SIZE(bad) : 16); b++) {
			CHECK_EQ(ptable_map(&t, bad[b][0], bad[b][1], bad[b][2], bad[b][3],
					 MEM_CACHE_WB),
				STATUS_BAD_ARG);
		}
		CHECK_EQ(ptable_map(&t, 0, 0, PAGE_SIZE, RW, (enum mem_cache)4), STATUS_BAD_ARG);
		CHECK_EQ(ptable_map(&t, 0, 0, PAGE_SIZE, RW, (enum mem_cache) - 1), STATUS_BAD_ARG);
		CHECK_EQ(ptable_unmap(&t, 0, PAGE_SIZE + 1, 0), 0);
		CHECK_EQ(ptable_unmap(&t, 0, 0, 0), 0);
		CHECK_EQ(ptable_unmap(&t, end - PAGE_SIZE, 2 * PAGE_SIZE, 0), 0);
		CHECK(!end || !ptable_lookup(&t, end, NULL, NULL, NULL));
		CHECK_EQ(p.free_frames, 63);
		CHECK_EQ(arena_sum(), sum);
		/* the last page is good */
		CHECK_EQ(ptable_map(&t, end - PAGE_SIZE, BIT(52) - PAGE_SIZE, PAGE_SIZE, RW,
				 MEM_CACHE_WB),
			STATUS_OK);
		CHECK(ptable_lookup(&t, end - 1, NULL, NULL, NULL));
	}
}

TEST(ptable_exists_changes_nothing)
{
	/* One mapping of each size at 4 GiB, and ranges that touch it. */
	static const u64 sizes[] = {PAGE_SIZE, SIZE_2M, SIZE_1G};
	const u64 at = 4 * SIZE_1G;

	for (size_t i = 0; i < ARRAY_SIZE(kinds) * ARRAY_SIZE(sizes); i++) {
		u64 size = sizes[i % 3];
		const u64 touch[][2] = {
			{at, PAGE_SIZE},
			{at + size - PAGE_SIZE, PAGE_SIZE},
			{at + size / 2 / PAGE_SIZE * PAGE_SIZE, PAGE_SIZE},
			{at - PAGE_SIZE, 2 * PAGE_SIZE},
			{at + size - PAGE_SIZE, 2 * PAGE_SIZE},
			{at - PAGE_SIZE, size + 2 * PAGE_SIZE},
			{at, SIZE_2M},
			{at, SIZE_1G},
			{at, 8 * SIZE_1G},
			{at - SIZE_2M, 2 * SIZE_2M},
			{at - SIZE_1G, 2 * SIZE_1G},
			{0, 16 * SIZE_1G},
		};
		struct ptable t;
		struct pool p;
		u64 frames;
		u64 sum;

		setup(&p, 4096);
		t = make(&kinds[i / 3], &p);
		CHECK_EQ(ptable_map(&t, at, 0, size, RW, MEM_CACHE_WB), STATUS_OK);
		frames = p.free_frames;
		sum = arena_sum();
		for (size_t n = 0; n < ARRAY_SIZE(touch); n++) {
			CHECK_EQ(ptable_map(&t, touch[n][0], touch[n][0], touch[n][1], RW,
					 MEM_CACHE_WB),
				STATUS_EXISTS);
		}
		CHECK_EQ(p.free_frames, frames);
		CHECK_EQ(arena_sum(), sum);
		CHECK_EQ(ptable_map(&t, at - PAGE_SIZE, 0, PAGE_SIZE, RW, MEM_CACHE_WB), STATUS_OK);
		CHECK_EQ(ptable_map(&t, at + size, 0, PAGE_SIZE, RW, MEM_CACHE_WB), STATUS_OK);
	}
}

TEST(ptable_no_memory_at_every_point)
{
	/* From the last page before 512 GiB (or 2 GiB) over many tables, with leaves of all sizes.
	 */
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		u64 va = (kinds[i].levels > 3 ? 512 * SIZE_1G : 4 * SIZE_1G) - SIZE_2M - PAGE_SIZE;
		u64 size = SIZE_1G + 3 * SIZE_2M + 3 * PAGE_SIZE;
		unsigned refused = 0;

		for (unsigned frames = 1;; frames++) {
			struct ptable t;
			struct pool p;
			status_t status;

			setup(&p, frames);
			t = make(&kinds[i], &p);
			status = ptable_map(&t, va, va % SIZE_1G, size, RW, MEM_CACHE_WB);
			if (status == STATUS_OK) {
				CHECK_EQ(leaves(&t), 1 + 1 + 1 + 2 + 2);
				CHECK_EQ(p.free_frames, 0); /* it took no more than it needs */
				break;
			}
			refused++;
			CHECK_EQ(status, STATUS_NO_MEMORY);
			CHECK_EQ(leaves(&t), 0);
			/* with more memory the same call succeeds, in the tables that stayed */
			pool_add(&p, PA_BASE + frames * PAGE_SIZE, 64 * PAGE_SIZE);
			CHECK_EQ(ptable_map(&t, va, va % SIZE_1G, size, RW, MEM_CACHE_WB),
				STATUS_OK);
			CHECK_EQ(leaves(&t), 1 + 1 + 1 + 2 + 2);
			ptable_free(&t, 0, 511, true);
			CHECK_EQ(p.free_frames, p.total_frames);
		}
		CHECK(refused >= 4);
	}
}

TEST(ptable_no_memory_spares_other_mappings)
{
	struct ptable t;
	struct pool p;
	paddr_t pa;

	setup(&p, 5);
	t = make(&kinds[1], &p);
	CHECK_EQ(ptable_map(&t, 0x1000, 0x9000, PAGE_SIZE, RW, MEM_CACHE_WB), STATUS_OK);
	CHECK_EQ(ptable_map(&t, 0x2000, 0x0, 2 * SIZE_2M, RW, MEM_CACHE_WB), STATUS_NO_MEMORY);
	CHECK_EQ(leaves(&t), 1);
	CHECK(ptable_lookup(&t, 0x1000, &pa, NULL, NULL));
	CHECK_EQ(pa, 0x9000);
	CHECK(!ptable_lookup(&t, 0x2000, NULL, NULL, NULL));
}

/* ---- Unmapping and freeing ---- */

TEST(ptable_unmap_does_not_split)
{
	struct ptable t;
	struct pool p;

	setup(&p, 64);
	t = make(&kinds[1], &p);
	CHECK_EQ(ptable_map(&t, SIZE_2M - PAGE_SIZE, SIZE_2M - PAGE_SIZE, SIZE_2M + PAGE_SIZE, RW,
			 MEM_CACHE_WB),
		STATUS_OK);
	CHECK_EQ(leaves(&t), 2);
	CHECK_EQ(ptable_unmap(&t, SIZE_2M, PAGE_SIZE, 0), 0);
	CHECK_EQ(ptable_unmap(&t, 2 * SIZE_2M - PAGE_SIZE, PAGE_SIZE, 0), 0);
	CHECK_EQ(ptable_unmap(&t, SIZE_2M + PAGE_SIZE, SIZE_2M, 0), 0);
	CHECK_EQ(leaves(&t), 2);
	CHECK_EQ(ptable_unmap(&t, SIZE_2M - PAGE_SIZE, 2 * PAGE_SIZE, 0), PAGE_SIZE);
	CHECK_EQ(leaves(&t), 1);
	CHECK(ptable_lookup(&t, SIZE_2M, NULL, NULL, NULL));
}

TEST(ptable_unmap_budget)
{
	const u64 size = 10 * PAGE_SIZE;

	for (unsigned budget = 1; budget <= 12; budget++) {
		u64 done = 0;
		unsigned calls = 0;
		struct ptable t;
		struct pool p;

		setup(&p, 64);
		t = make(&kinds[0], &p);
		CHECK_EQ(ptable_map(&t, 0x5000, 0, size, RW, MEM_CACHE_WB), STATUS_OK);
		while (done < size && calls++ < 20) {
			u64 step = ptable_unmap(&t, 0x5000 + done, size - done, budget);

			CHECK_EQ(step / PAGE_SIZE, budget < (size - done) / PAGE_SIZE
							   ? budget
							   : (size - done) / PAGE_SIZE);
			done += step;
			CHECK_EQ(leaves(&t), (size - done) / PAGE_SIZE);
		}
		CHECK_EQ(done, size);
		CHECK_EQ(calls, (10 + budget - 1) / budget);
	}
}

TEST(ptable_unmap_of_nothing)
{
	struct ptable t;
	struct pool p;

	setup(&p, 64);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		t = make(&kinds[i], &p);
		CHECK_EQ(ptable_unmap(&t, 0x1000, 256 * SIZE_1G, 0), 256 * SIZE_1G);
		CHECK_EQ(ptable_unmap(&t, 0x1000, PAGE_SIZE, 1), PAGE_SIZE);
		ptable_free(&t, 0, 511, true);
	}
}

TEST(ptable_tables_left_behind_are_used_again)
{
	struct ptable t;
	struct pool p;
	paddr_t pa;
	u64 frames;
	u64 leaf;

	setup(&p, 64);
	t = make(&kinds[1], &p);
	CHECK_EQ(ptable_map(&t, SIZE_2M, 0, PAGE_SIZE, RW, MEM_CACHE_WB), STATUS_OK);
	CHECK_EQ(ptable_unmap(&t, SIZE_2M, PAGE_SIZE, 0), PAGE_SIZE);
	frames = p.free_frames;
	CHECK_EQ(ptable_map(&t, 0, SIZE_1G, SIZE_1G, RW, MEM_CACHE_WB), STATUS_OK);
	CHECK_EQ(leaves(&t), 511 + 512);
	CHECK_EQ(p.free_frames, frames);
	CHECK(ptable_lookup(&t, SIZE_2M + 0x1234, &pa, NULL, &leaf));
	CHECK_EQ(pa, SIZE_1G + SIZE_2M + 0x1234);
	CHECK_EQ(leaf, PAGE_SIZE);
	CHECK(ptable_lookup(&t, SIZE_1G - 1, &pa, NULL, &leaf));
	CHECK_EQ(pa, 2 * SIZE_1G - 1);
	CHECK_EQ(leaf, SIZE_2M);
	CHECK_EQ(ptable_unmap(&t, 0, SIZE_1G, 0), SIZE_1G);
	CHECK_EQ(leaves(&t), 0);
}

TEST(ptable_free_of_a_part)
{
	struct ptable t;
	struct pool p;
	u64 frames;

	setup(&p, 64);
	t = make(&kinds[0], &p);
	CHECK_EQ(ptable_map(&t, 0xffff800000000000, 0, PAGE_SIZE, RW, MEM_CACHE_WB), STATUS_OK);
	frames = p.free_frames;
	CHECK_EQ(ptable_map(&t, 0x1000, 0, PAGE_SIZE, RW, MEM_CACHE_WB), STATUS_OK);
	CHECK_EQ(ptable_map(&t, 0x7fffffffe000, 0, PAGE_SIZE, RW, MEM_CACHE_WB), STATUS_OK);
	CHECK_EQ(p.free_frames, frames - 6);
	ptable_free(&t, 1, 0, false);
	CHECK_EQ(p.free_frames, frames - 6);
	ptable_free(&t, 0, 254, false);
	CHECK_EQ(p.free_frames, frames - 3);
	ptable_free(&t, 0, 255, false);
	CHECK_EQ(p.free_frames, frames);
	CHECK(!ptable_lookup(&t, 0x1000, NULL, NULL, NULL));
	CHECK(ptable_lookup(&t, 0xffff800000000000, NULL, NULL, NULL));
	CHECK_EQ(ptable_map(&t, 0x1000, 0, PAGE_SIZE, RW, MEM_CACHE_WB), STATUS_OK);
	ptable_free(&t, 0, 255, true); /* the upper half may be another table's */
	CHECK_EQ(p.free_frames, frames + 1);
}

TEST(ptable_incoherent_iommu)
{
	struct ptable t;
	struct pool p;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		setup(&p, 64);
		ptable_features.iommu_coherent = false;
		t = make(&kinds[i], &p);
		check_mapping(
			&t, SIZE_2M - PAGE_SIZE, SIZE_2M - PAGE_SIZE, 2 * SIZE_2M, RW, SIZE_1G);
		ptable_free(&t, 0, 511, true);
		CHECK_EQ(p.free_frames, p.total_frames);
	}
}

/* ---- Random operations against a list of mappings ---- */

#define MAPPINGS 24u

struct mapping {
	u64 va; /* offset from the base of the random region */
	u64 pa;
	u64 size; /* 0: free */
	u64 flags;
};

struct model {
	struct mapping m[MAPPINGS];
	struct ptable t;
	u64 base;
	u64 seed;
	unsigned mapped;
	unsigned refused;
};

static u32 random_below(struct model *m, u32 limit)
{
	m->seed = m->seed * 6364136223846793005ull + 1442695040888963407ull;
	return (u32)(m->seed >> 33) % limit;
}

/* An address or a size below 4 GiB that is a multiple of a page, of 2 MiB or of 1 GiB. */
static u64 random_bytes(struct model *m)
{
	switch (random_below(m, 4)) {
	case 0:
		return random_below(m, 4) * SIZE_1G;
	case 1:
		return random_below(m, 2048) * SIZE_2M;
	case 2:
		return random_below(m, 4) * SIZE_1G + random_below(m, 1024) * PAGE_SIZE;
	default:
		return random_below(m, 2048) * SIZE_2M + random_below(m, 4) * PAGE_SIZE;
	}
}

static const struct mapping *model_find(const struct model *m, u64 first, u64 size)
{
	for (unsigned i = 0; i < MAPPINGS; i++) {
		const struct mapping *x = &m->m[i];

		if (x->size && first < x->va + x->size && x->va < first + size)
			return x;
	}
	return NULL;
}

static void model_lookup(struct model *m, u64 offset)
{
	const struct mapping *x = model_find(m, offset, 1);
	u64 va = m->base + offset;
	paddr_t pa = 0;
	u64 flags = 0;
	u64 leaf = 1;

	CHECK_EQ(ptable_lookup(&m->t, va, &pa, &flags, &leaf), x != NULL);
	if (!x)
		return;
	CHECK_EQ(pa, x->pa + (offset - x->va));
	CHECK_EQ(flags, x->flags);
	CHECK(leaf == PAGE_SIZE || leaf == SIZE_2M || leaf == SIZE_1G);
	/* the whole leaf lies in the mapping, and is aligned on both sides */
	CHECK(ALIGN_DOWN(offset, leaf) >= x->va);
	CHECK(ALIGN_DOWN(offset, leaf) + leaf <= x->va + x->size);
	CHECK(IS_ALIGNED(x->pa - x->va, leaf));
}

static void model_map(struct model *m, struct mapping *slot)
{
	struct mapping x = {.va = random_bytes(m), .pa = random_bytes(m)};
	status_t want;

	x.size = random_bytes(m) / (random_below(m, 2) ? 1 : 64) & ~(PAGE_SIZE - 1);
	if (random_below(m, 2)) /* the same alignment, so that leaves can be large */
		x.pa = x.va + random_below(m, 8) * SIZE_1G;
	else if (x.size > 16 * SIZE_2M)
		x.size = 16 * SIZE_2M;
	if (x.va + x.size > 4 * SIZE_1G || x.size == 0)
		x.size = PAGE_SIZE;
	x.flags = PTABLE_READ | (random_below(m, 2) ? PTABLE_WRITE : 0);
	if (m->t.format <= PTABLE_NPT && random_below(m, 2))
		x.flags |= PTABLE_EXEC;
	if (m->t.format == PTABLE_HOST)
		x.flags |= random_below(m, 4) * PTABLE_USER; /* and PTABLE_GLOBAL */
	want = model_find(m, x.va, x.size) ? STATUS_EXISTS : STATUS_OK;
	CHECK_EQ(ptable_map(&m->t, m->base + x.va, x.pa, x.size, x.flags,
			 (enum mem_cache)random_below(m, 4)),
		want);
	if (want == STATUS_OK) {
		*slot = x;
		m->mapped++;
	} else {
		m->refused++;
	}
}

static void model_unmap(struct model *m, struct mapping *x)
{
	unsigned budget = random_below(m, 2) ? 0 : 1 + random_below(m, 2000);
	u64 done = 0;

	while (done < x->size) {
		u64 step = ptable_unmap(&m->t, m->base + x->va + done, x->size - done, budget);

		if (step == 0 || step > x->size - done) {
			CHECK(!"unmap goes on");
			break;
		}
		done += step;
		CHECK(!ptable_lookup(&m->t, m->base + x->va + done - 1, NULL, NULL, NULL));
		CHECK_EQ(ptable_lookup(&m->t, m->base + x->va + done, NULL, NULL, NULL),
			done < x->size || model_find(m, x->va + done, 1));
	}
	x->size = 0;
}

static void run_model(const struct kind_of_table *k, u64 base, u64 seed)
{
	static struct model m;
	struct pool p;

	memset(&m, 0, sizeof(m));
	setup(&p, FRAMES);
	m.seed = seed;
	m.base = base;
	m.t = make(k, &p);
	for (unsigned step = 0; step < 300; step++) {
		struct mapping *x = &m.m[random_below(&m, MAPPINGS)];

		if (!x->size)
			model_map(&m, x);
		else if (random_below(&m, 2))
			model_unmap(&m, x);
		for (unsigned i = 0; i < MAPPINGS; i++) {
			u64 start = m.m[i].va;
			u64 end = start + m.m[i].size;

			if (!m.m[i].size)
				continue;
			model_lookup(&m, start);
			model_lookup(&m, start + random_below(&m, 0x7fffffff) % m.m[i].size);
			model_lookup(&m, end - 1);
			if (start)
				model_lookup(&m, start - 1);
			if (end < 4 * SIZE_1G)
				model_lookup(&m, end);
		}
		model_lookup(&m, random_bytes(&m));
	}
	CHECK(m.mapped > 20 && m.refused > 20);
	for (unsigned i = 0; i < MAPPINGS; i++) {
		if (m.m[i].size)
			model_unmap(&m, &m.m[i]);
	}
	CHECK_EQ(leaves(&m.t), 0);
	ptable_free(&m.t, 0, 511, true);
	CHECK_EQ(p.free_frames, p.total_frames);
}

TEST(ptable_random_operations_against_a_model)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		u64 end = kinds[i].end;

		run_model(&kinds[i], 0, i + 1);
		run_model(&kinds[i], end - 4 * SIZE_1G, i + 101);
		/* across an entry of the root */
		run_model(&kinds[i], kinds[i].levels > 3 ? 510 * SIZE_1G : 6 * SIZE_1G, i + 201);
	}
	run_model(&kinds[0], 0xffff800000000000, 301);
	run_model(&kinds[0], -4 * SIZE_1G, 302);
}
