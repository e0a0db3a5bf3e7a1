/* Page tables: errors, unmapping, freeing, and random operations against a model. */
#include "tests/unit/ptable_arena.h"

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
		ptable_unmap(&t, 0, PAGE_SIZE + 1);
		ptable_unmap(&t, 0, 0);
		ptable_unmap(&t, end - PAGE_SIZE, 2 * PAGE_SIZE);
		CHECK(!end || !lookup(&t, end, NULL, NULL, NULL));
		CHECK_EQ(p.free_frames, 63);
		CHECK_EQ(arena_sum(), sum);
		/* the last page is good */
		CHECK_EQ(ptable_map(&t, end - PAGE_SIZE, BIT(52) - PAGE_SIZE, PAGE_SIZE, RW,
				 MEM_CACHE_WB),
			STATUS_OK);
		CHECK(lookup(&t, end - 1, NULL, NULL, NULL));
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
			ptable_free(&t);
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
	CHECK(lookup(&t, 0x1000, &pa, NULL, NULL));
	CHECK_EQ(pa, 0x9000);
	CHECK(!lookup(&t, 0x2000, NULL, NULL, NULL));
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
	ptable_unmap(&t, SIZE_2M, PAGE_SIZE);
	ptable_unmap(&t, 2 * SIZE_2M - PAGE_SIZE, PAGE_SIZE);
	ptable_unmap(&t, SIZE_2M + PAGE_SIZE, SIZE_2M);
	CHECK_EQ(leaves(&t), 2);
	ptable_unmap(&t, SIZE_2M - PAGE_SIZE, 2 * PAGE_SIZE);
	CHECK_EQ(leaves(&t), 1);
	CHECK(lookup(&t, SIZE_2M, NULL, NULL, NULL));
}

TEST(ptable_unmap_of_nothing)
{
	struct ptable t;
	struct pool p;

	setup(&p, 64);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		t = make(&kinds[i], &p);
		ptable_unmap(&t, 0x1000, 256 * SIZE_1G);
		ptable_unmap(&t, 0x1000, PAGE_SIZE);
		ptable_free(&t);
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
	ptable_unmap(&t, SIZE_2M, PAGE_SIZE);
	frames = p.free_frames;
	CHECK_EQ(ptable_map(&t, 0, SIZE_1G, SIZE_1G, RW, MEM_CACHE_WB), STATUS_OK);
	CHECK_EQ(leaves(&t), 511 + 512);
	CHECK_EQ(p.free_frames, frames);
	CHECK(lookup(&t, SIZE_2M + 0x1234, &pa, NULL, &leaf));
	CHECK_EQ(pa, SIZE_1G + SIZE_2M + 0x1234);
	CHECK_EQ(leaf, PAGE_SIZE);
	CHECK(lookup(&t, SIZE_1G - 1, &pa, NULL, &leaf));
	CHECK_EQ(pa, 2 * SIZE_1G - 1);
	CHECK_EQ(leaf, SIZE_2M);
	ptable_unmap(&t, 0, SIZE_1G);
	CHECK_EQ(leaves(&t), 0);
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
		ptable_free(&t);
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

	CHECK_EQ(lookup(&m->t, va, &pa, &flags, &leaf), x != NULL);
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

/* In one piece, or up to a place where a leaf may end first. */
static void model_unmap(struct model *m, struct mapping *x)
{
	u64 va = m->base + x->va;
	u64 part = x->size;
	u64 leaf;

	if (random_below(m, 2) && lookup(&m->t, va, NULL, NULL, &leaf) && leaf < x->size) {
		part = leaf - (x->va & (leaf - 1));
		ptable_unmap(&m->t, va, part);
		CHECK(!lookup(&m->t, va + part - 1, NULL, NULL, NULL));
		CHECK(lookup(&m->t, va + part, NULL, NULL, NULL));
		va += part;
		part = x->size - part;
	}
	ptable_unmap(&m->t, va, part);
	CHECK(!lookup(&m->t, va, NULL, NULL, NULL));
	CHECK(!lookup(&m->t, va + part - 1, NULL, NULL, NULL));
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
	ptable_free(&m.t);
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
	run_model(&kinds[0], ~0ull - 4 * SIZE_1G + 1, 302);
}
