/* Tests of VT-x's MSR bitmap. */
#include "tests/unit/test.h"
#include "vmx/bitmap.h"

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
