/* Tests of VT-x's I/O and MSR bitmaps against one bool for each port or MSR. */
#include <stdlib.h>
#include "tests/unit/test.h"
#include "vmx/bitmap.h"

static u8 a[PAGE_SIZE];
static u8 b[PAGE_SIZE];
static bool model[PORTS];

static bool port_bit(u32 port)
{
	const u8 *map = port < PORTS_PER_BITMAP ? a : b;
	u32 i = port % PORTS_PER_BITMAP;

	return map[i / 8] >> i % 8 & 1;
}

static void check_ports(void)
{
	u32 wrong = 0;

	for (u32 p = 0; p < PORTS; p++)
		wrong += port_bit(p) != model[p];
	CHECK_EQ(wrong, 0);
}

static void fill(u32 first, u32 count, bool set)
{
	CHECK(port_bitmaps_fill(a, b, first, count, set));
	for (u32 p = first; p < first + count; p++)
		model[p] = set;
}

TEST(ports_ranges)
{
	fill(0, PORTS, true);
	check_ports();
	fill(0x3f8, 8, false);
	fill(0x61, 1, false);
	fill(0xffff, 1, false);
	fill(0, 1, false);
	check_ports();
	fill(PORTS_PER_BITMAP - 3, 7, false); /* across both bitmaps */
	check_ports();
	fill(PORTS_PER_BITMAP, 9, true);
	fill(PORTS_PER_BITMAP - 1, 1, true);
	check_ports();
	fill(0x70, 0, true);
	check_ports();
}

TEST(ports_random_ranges)
{
	srand(1);
	for (unsigned i = 0; i < 300; i++) {
		u32 first = (u32)rand() % PORTS;
		u32 count = (u32)rand() % 60;

		if (i % 10 == 0)
			count *= 1000;
		if (count > PORTS - first)
			count = PORTS - first;
		fill(first, count, rand() & 1);
		check_ports();
	}
}

TEST(ports_beyond_the_end_change_nothing)
{
	CHECK(!port_bitmaps_fill(a, b, PORTS, 1, true));
	CHECK(!port_bitmaps_fill(a, b, PORTS, 0, true));
	CHECK(!port_bitmaps_fill(a, b, PORTS - 1, 2, true));
	CHECK(!port_bitmaps_fill(a, b, 1, 0xffffffff, true));
	CHECK(!port_bitmaps_fill(a, b, 0xffffffff, 2, true));
	check_ports();
}

static u32 bits_set(const u8 *map)
{
	u32 n = 0;

	for (u32 i = 0; i < 8 * PAGE_SIZE; i++)
		n += map[i / 8] >> i % 8 & 1;
	return n;
}

TEST(msrs_have_a_read_and_a_write_bit)
{
	static u8 map[PAGE_SIZE];

	CHECK(msr_bitmap_set(map, 0x174, true));
	CHECK_EQ(map[0x174 / 8], BIT(0x174 % 8));
	CHECK_EQ(map[2048 + 0x174 / 8], BIT(0x174 % 8));
	CHECK(msr_bitmap_set(map, 0xc0000102, true));
	CHECK_EQ(map[1024 + 0x102 / 8], BIT(2));
	CHECK_EQ(map[3072 + 0x102 / 8], BIT(2));
	CHECK_EQ(bits_set(map), 4);
	CHECK(msr_bitmap_set(map, 0x1fff, true));
	CHECK(msr_bitmap_set(map, 0xc0001fff, true));
	CHECK_EQ(map[PAGE_SIZE - 1], BIT(7));
	CHECK_EQ(bits_set(map), 8);
	CHECK(msr_bitmap_set(map, 0xc0000102, false));
	CHECK_EQ(bits_set(map), 6);
}

TEST(msrs_without_bits_are_refused)
{
	static u8 map[PAGE_SIZE];

	CHECK(!msr_bitmap_set(map, 0x2000, true));
	CHECK(!msr_bitmap_set(map, 0xbfffffff, true));
	CHECK(!msr_bitmap_set(map, 0xc0002000, true));
	CHECK(!msr_bitmap_set(map, 0xffffffff, true));
	CHECK_EQ(bits_set(map), 0);
}
