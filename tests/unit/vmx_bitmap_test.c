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

	memset(map, 0xff, sizeof(map));
	msr_bitmap_open(map, 0x174);
	CHECK_EQ(map[0x174 / 8], 0xff & ~BIT(0x174 % 8));
	CHECK_EQ(map[2048 + 0x174 / 8], 0xff & ~BIT(0x174 % 8));
	msr_bitmap_open(map, 0xc0000102);
	CHECK_EQ(map[1024 + 0x102 / 8], 0xff & ~BIT(2));
	CHECK_EQ(map[3072 + 0x102 / 8], 0xff & ~BIT(2));
	CHECK_EQ(bits_set(map), 8 * PAGE_SIZE - 4);
	msr_bitmap_open(map, 0x1fff);
	msr_bitmap_open(map, 0xc0001fff);
	CHECK_EQ(map[PAGE_SIZE - 1], 0x7f);
	CHECK_EQ(bits_set(map), 8 * PAGE_SIZE - 8);
}

static bool exits(const u8 *map, u32 msr, bool write)
{
	return map[(write ? 2048 : 0) + msr / 8] >> msr % 8 & 1;
}

/* What the APIC page holds is open, and nothing else: not ICR, the timer's count, or what is not
 * there. */
TEST(x2apic_registers_that_do_not_exit)
{
	static const u16 reads[] = {0x802, 0x803, 0x808, 0x80a, 0x80d, 0x80f, 0x828, 0x830, 0x832,
		0x833, 0x834, 0x835, 0x836, 0x837, 0x838, 0x83e};
	static const u16 closed[] = {0x7ff, 0x800, 0x801, 0x804, 0x809, 0x80b, 0x80c, 0x80e, 0x829,
		0x82f, 0x831, 0x839, 0x83a, 0x83d, 0x83f, 0x840, 0x8ff};
	static u8 map[PAGE_SIZE];
	u32 writes = 0;

	memset(map, 0xff, sizeof(map));
	msr_bitmap_open_x2apic(map);
	for (u32 i = 0; i < ARRAY_SIZE(reads); i++)
		CHECK(!exits(map, reads[i], false));
	for (u32 msr = 0x810; msr < 0x828; msr++) /* ISR, TMR, IRR */
		CHECK(!exits(map, msr, false));
	for (u32 i = 0; i < ARRAY_SIZE(closed); i++)
		CHECK(exits(map, closed[i], false));
	for (u32 msr = 0; msr < 0x2000; msr++)
		writes += !exits(map, msr, true);
	CHECK_EQ(writes, 3);
	CHECK(!exits(map, 0x808, true) && !exits(map, 0x80b, true) && !exits(map, 0x83f, true));
	CHECK_EQ(bits_set(map), 8 * PAGE_SIZE - ARRAY_SIZE(reads) - 24 - 3);
}
