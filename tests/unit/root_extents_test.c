/* Tests of root's map of RAM: against a byte for each page, with everything given back in the end.
 */
#include <stdlib.h>

#include "drivers/root/extents.h"
#include "tests/unit/test.h"

#define PAGES  65536u /* 256 MiB */
#define BLOCKS 200

static struct extents ram;
static u8 taken[PAGES];

static void setup(void)
{
	memset(&ram, 0, sizeof(ram));
	memset(taken, 0, sizeof(taken));
	extents_add(&ram, 0, 0x1000, 0x9f000 - 0x1000);
	extents_add(&ram, 3, 0x100000, 0x3f00000);
	extents_add(&ram, 4, 0x4000000, 0x4000000);
	extents_add(&ram, 7, 0x9000000, 0x1234000);
}

/* Marks the pages of a block, which must not be marked the other way already. */
static void mark(const struct extent *e, u8 value)
{
	for (u64 p = e->base / PAGE_SIZE; p < (e->base + e->size) / PAGE_SIZE; p++) {
		CHECK(taken[p] != value);
		taken[p] = value;
	}
}

TEST(extents_random)
{
	struct extent block[BLOCKS] = {0};
	u64 all;
	u32 count;

	setup();
	all = extents_free(&ram);
	count = ram.count;
	CHECK_EQ(all, extents_total(&ram));
	for (int round = 0; round < 20000; round++) {
		struct extent *b = &block[random() % BLOCKS];

		if (b->size) {
			mark(b, 0);
			CHECK(extents_give(&ram, b->base));
			CHECK(!extents_give(&ram, b->base));
			b->size = 0;
			continue;
		}
		if (!extents_take(&ram,
			    PAGE_SIZE * (u64)(1 + random() % (random() % 4 ? 40 : 2000)), b)) {
			b->size = 0;
			continue;
		}
		mark(b, 1);
		CHECK(b->size < LARGE_PAGE || IS_ALIGNED(b->base, LARGE_PAGE));
		CHECK_EQ(extents_total(&ram), all);
	}
	for (int i = 0; i < BLOCKS; i++) {
		if (block[i].size)
			CHECK(extents_give(&ram, block[i].base));
	}
	CHECK_EQ(extents_free(&ram), all);
	CHECK_EQ(ram.count, count);
}

TEST(extents_small_ones_spare_large_places)
{
	struct extent e;

	setup();
	for (int i = 0; i < 100; i++) {
		CHECK(extents_take(&ram, PAGE_SIZE, &e));
		CHECK_EQ(e.range, 0);
	}
	CHECK_EQ(extents_largest(&ram), 0x4000000);
	CHECK(extents_take(&ram, extents_largest(&ram), &e));
	CHECK_EQ(e.base, 0x4000000);
	CHECK_EQ(e.range, 4);
}

TEST(extents_huge)
{
	struct extent e;

	memset(&ram, 0, sizeof(ram));
	CHECK(extents_add(&ram, 0, 0x7fe00000, 0x100000000ull));
	CHECK(extents_take(&ram, HUGE_PAGE, &e));
	CHECK_EQ(e.base, 0x80000000);
	CHECK(extents_take(&ram, 0xbfe00000, &e));
	CHECK_EQ(e.base, 0xc0000000);
	CHECK(!extents_take(&ram, HUGE_PAGE, &e));
	CHECK(!extents_give(&ram, 0x12345000));
}

TEST(extents_table_full)
{
	struct extent e;
	u32 n = 0;

	memset(&ram, 0, sizeof(ram));
	CHECK(extents_add(&ram, 0, 0x100000, 0x8000000));
	while (extents_take(&ram, PAGE_SIZE, &e))
		n++;
	CHECK(n >= EXTENTS_MAX - 4);
	CHECK(ram.count <= EXTENTS_MAX);
}
