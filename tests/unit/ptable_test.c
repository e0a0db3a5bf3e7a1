/*
 * Tests of the page tables: entry bits computed by hand from the manuals, every size and alignment
 * in every format, errors that must change nothing, and random operations against a list of what is
 * mapped.
 */
#include "tests/unit/ptable_arena.h"

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
		CHECK(lookup(&t, va + c->size - 1, &pa, &flags, &leaf));
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
		ptable_free(&t);
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
	CHECK(lookup(&t, 0, NULL, NULL, &leaf));
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
			CHECK(lookup(&t, 0, NULL, NULL, &leaf));
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
		CHECK(lookup(&t, va[i] + 5, &pa, NULL, NULL));
		CHECK_EQ(pa, 0x5005);
		CHECK(!lookup(&t, va[i] & 0xffffffffffff, NULL, NULL, NULL));
	}
	CHECK_EQ(leaves(&t), 3);
	ptable_unmap(&t, 0xfffffffffffff000, PAGE_SIZE);
	CHECK_EQ(leaves(&t), 2);
}
