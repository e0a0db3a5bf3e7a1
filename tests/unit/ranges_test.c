/* The map of memory as ranges: against a page-by-page model, and when it runs full. */
#include "test.h"
#include "boot/ranges.h"

#define PAGES    64
#define CAPACITY 128

static struct boot_range range[CAPACITY];

static struct ranges empty(u32 capacity)
{
	return (struct ranges){.range = range, .count = 0, .capacity = capacity};
}

static void check_order(const struct ranges *ranges)
{
	for (u32 i = 0; i < ranges->count; i++) {
		CHECK(range[i].size != 0);
		CHECK(IS_ALIGNED(range[i].base | range[i].size, PAGE_SIZE));
		if (i == 0)
			continue;
		CHECK(range[i - 1].base + range[i - 1].size <= range[i].base);
		CHECK(range[i - 1].base + range[i - 1].size < range[i].base ||
			range[i - 1].type != range[i].type || range[i - 1].index != range[i].index);
	}
}

TEST(ranges_against_model)
{
	u32 seed = 1;

	for (u32 round = 0; round < 200; round++) {
		struct ranges ranges = empty(CAPACITY);
		u8 model[PAGES] = {0};

		for (u32 step = 0; step < 30; step++) {
			u32 first, pages, type;

			seed = seed * 1103515245 + 12345;
			first = seed >> 8 & (PAGES - 1);
			pages = 1 + (seed >> 16) % (PAGES - first);
			type = 1 + (seed >> 24) % 5;
			ranges_put(&ranges, first * PAGE_SIZE, pages * PAGE_SIZE, type, 0);
			memset(model + first, (int)type, pages);
		}
		check_order(&ranges);
		for (u32 page = 0; page < PAGES; page++) {
			u32 type = 0;

			for (u32 i = 0; i < ranges.count; i++) {
				if (page * PAGE_SIZE >= range[i].base &&
					page * PAGE_SIZE < range[i].base + range[i].size)
					type = range[i].type;
			}
			CHECK_EQ(type, model[page]);
		}
	}
}

TEST(ranges_alignment)
{
	struct ranges ranges = empty(CAPACITY);

	ranges_put(&ranges, 0x1800, 0x3000, BOOT_RANGE_FREE, 0);
	CHECK_EQ(range[0].base, 0x2000);
	CHECK_EQ(range[0].size, 0x2000);
	ranges_put(&ranges, 0x2ff0, 0x20, BOOT_RANGE_RESERVED, 0);
	CHECK_EQ(ranges.count, 1);
	CHECK_EQ(range[0].type, BOOT_RANGE_RESERVED);
	ranges_put(&ranges, 0x5001, 0xffe, BOOT_RANGE_FREE, 0);
	ranges_put(&ranges, 0x6000, 0, BOOT_RANGE_RESERVED, 0);
	CHECK_EQ(ranges.count, 1);
}

TEST(ranges_files_stay_apart)
{
	struct ranges ranges = empty(CAPACITY);

	ranges_put(&ranges, 0x1000, 0x1000, BOOT_RANGE_FILE, 0);
	ranges_put(&ranges, 0x2000, 0x1000, BOOT_RANGE_FILE, 1);
	CHECK_EQ(ranges.count, 2);
	ranges_put(&ranges, 0x3000, 0x1000, BOOT_RANGE_FILE, 1);
	CHECK_EQ(ranges.count, 2);
}

TEST(ranges_limit_drops_smallest_free)
{
	struct ranges ranges = empty(CAPACITY);

	ranges_put(&ranges, 0x10000, 0x3000, BOOT_RANGE_FREE, 0);
	ranges_put(&ranges, 0x20000, 0x1000, BOOT_RANGE_FREE, 0);
	ranges_put(&ranges, 0x30000, 0x2000, BOOT_RANGE_FREE, 0);
	ranges_put(&ranges, 0x40000, 0x1000, BOOT_RANGE_RESERVED, 0);
	ranges_limit(&ranges, 3);
	CHECK_EQ(ranges.count, 3);
	CHECK_EQ(range[1].base, 0x30000);
	ranges_limit(&ranges, 1);
	CHECK_EQ(range[0].type, BOOT_RANGE_RESERVED);
}

/* With the array full, free memory is forgotten before what is not free. */
TEST(ranges_full)
{
	struct ranges ranges = empty(8);

	for (u64 i = 1; i < 20; i++)
		ranges_put(&ranges, i * 0x10000, i * PAGE_SIZE, BOOT_RANGE_FREE, 0);
	for (u64 i = 30; i < 34; i++)
		ranges_put(&ranges, i * 0x10000, PAGE_SIZE, BOOT_RANGE_RESERVED, 0);
	CHECK(ranges.count <= 8);
	check_order(&ranges);
	for (u32 i = 0; i < 4; i++)
		CHECK_EQ(range[ranges.count - 1 - i].type, BOOT_RANGE_RESERVED);
}

TEST(ranges_wrap)
{
	struct ranges ranges = empty(CAPACITY);

	ranges_put(&ranges, ~0ull - 0x2fff, 0x100000, BOOT_RANGE_RESERVED, 0);
	CHECK_EQ(ranges.count, 1);
	CHECK(range[0].base + range[0].size > range[0].base);
}
