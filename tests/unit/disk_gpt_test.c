/* Tests of GUID partition tables: both copies, damage in each of their bytes, and what is found. */
#include <stdlib.h>

#include "drivers/disk/gpt.h"
#include "tests/unit/test.h"

#define BLOCKS 256u

static u8 medium[BLOCKS * 4096];
static u32 block_size = 512;
static struct gpt gpt;
static bool fails; /* reads of the first copy */

static const char guid_text[] = "01234567-89AB-cdef-0123-456789ABCDEF";

static u32 crc(const u8 *at, u64 size)
{
	static u32 table[256];
	u32 sum = ~0u;

	for (u32 i = 0; i < 256 && !table[255]; i++) {
		u32 c = i;

		for (int k = 0; k < 8; k++)
			c = c & 1 ? c >> 1 ^ 0xedb88320u : c >> 1;
		table[i] = c;
	}
	for (u64 i = 0; i < size; i++)
		sum = sum >> 8 ^ table[(sum ^ at[i]) & 0xff];
	return ~sum;
}

static void put(u8 *at, u64 value, u32 size)
{
	memcpy(at, &value, size);
}

static u8 *block(u64 n)
{
	return medium + n * block_size;
}

static void write_header(u64 here, u64 other, u64 table, u32 entries, u32 size)
{
	u8 *h = block(here);

	memset(h, 0, block_size);
	memcpy(h, "EFI PART", 8);
	put(h + 8, 0x10000, 4);
	put(h + 12, 92, 4);
	put(h + 24, here, 8);
	put(h + 32, other, 8);
	put(h + 40, 34, 8);
	put(h + 48, BLOCKS - 34, 8);
	memset(h + 56, 0xdd, 16);
	put(h + 72, table, 8);
	put(h + 80, entries, 4);
	put(h + 84, size, 4);
	put(h + 88, crc(block(table), (u64)entries * size), 4);
	put(h + 16, crc(h, 92), 4);
}

static void write_entry(u8 *table, u32 n, u64 first, u64 last, const char *name, u8 guid)
{
	u8 *e = table + n * 128;

	memset(e, 0x77, 16);
	memset(e + 16, guid, 16);
	put(e + 32, first, 8);
	put(e + 40, last, 8);
	for (u32 i = 0; name[i]; i++)
		put(e + 56 + 2 * i, (u8)name[i], 2);
}

/* Both copies of a table with some partitions. */
static void make(void)
{
	u64 second = BLOCKS - 1 - 128 * 128 / block_size;
	u8 guid[16];

	memset(medium, 0, sizeof(medium));
	write_entry(block(2), 0, 40, 79, "boot", 1);
	write_entry(block(2), 3, 80, 99, "root-a", 2);
	write_entry(block(2), 4, 100, 119, "twin", 3);
	write_entry(block(2), 5, 120, 139, "twin", 4);
	write_entry(block(2), 6, 200, 150, "backwards", 5);
	write_entry(block(2), 7, 200, BLOCKS, "beyond", 6);
	write_entry(block(2), 127, 140, 149, "a-name-that-is-36-characters-long-36", 7);
	CHECK(gpt_guid(guid_text, guid));
	memcpy(block(2) + 3 * 128 + 16, guid, 16);
	memcpy(block(second), block(2), 128 * 128);
	write_header(1, BLOCKS - 1, 2, 128, 128);
	write_header(BLOCKS - 1, 1, second, 128, 128);
	fails = false;
}

static bool read_blocks(const struct gpt_disk *disk, u64 at, u32 count, void *to)
{
	CHECK(at < disk->blocks && count <= disk->blocks - at);
	if (fails && at < BLOCKS / 2)
		return false;
	memcpy(to, block(at), (u64)count * block_size);
	return true;
}

static enum gpt_state look(void)
{
	struct gpt_disk disk = {.blocks = BLOCKS, .block_size = block_size, .read = read_blocks};

	return gpt_read(&gpt, &disk);
}

static u32 find(const char *name, u64 *first, u64 *last)
{
	struct gpt_wanted wanted = {.name = name};

	return gpt_find(&gpt, &wanted, first, last);
}

static void check_found(void)
{
	u64 first = 0;
	u64 last = 0;

	CHECK_EQ(find("root-a", &first, &last), 1);
	CHECK_EQ(first, 80);
	CHECK_EQ(last, 99);
}

TEST(gpt_found)
{
	struct gpt_wanted wanted = {0};
	u64 first;
	u64 last;

	block_size = 512;
	make();
	CHECK_EQ(look(), GPT_BOTH);
	check_found();
	CHECK_EQ(find("root-", &first, &last), 0);
	CHECK_EQ(find("root-ab", &first, &last), 0);
	CHECK_EQ(find("twin", &first, &last), 2);
	CHECK_EQ(find("backwards", &first, &last), 0);
	CHECK_EQ(find("beyond", &first, &last), 0);
	CHECK_EQ(find("a-name-that-is-36-characters-long-36", &first, &last), 1);
	CHECK(gpt_guid(guid_text, wanted.guid));
	CHECK_EQ(wanted.guid[0], 0x67);
	CHECK_EQ(wanted.guid[4], 0xab);
	CHECK_EQ(wanted.guid[15], 0xef);
	CHECK_EQ(gpt_find(&gpt, &wanted, &first, &last), 1);
	CHECK_EQ(first, 80);
	memset(wanted.guid, 0, sizeof(wanted.guid)); /* entries that are not in use have it */
	CHECK_EQ(gpt_find(&gpt, &wanted, &first, &last), 0);
}

TEST(gpt_guid_text)
{
	u8 guid[16];

	CHECK(!gpt_guid("", guid));
	CHECK(!gpt_guid("01234567-89AB-cdef-0123-456789ABCDE", guid));
	CHECK(!gpt_guid("01234567-89AB-cdef-0123-456789ABCDEF0", guid));
	CHECK(!gpt_guid("0123456789AB--cdef-0123-456789ABCDEF", guid));
	CHECK(!gpt_guid("01234567-89AB-cdeg-0123-456789ABCDEF", guid));
}

TEST(gpt_blocks_of_4096)
{
	block_size = 4096;
	make();
	CHECK_EQ(look(), GPT_BOTH);
	check_found();
	block_size = 512;
}

/* Damage of any byte of one copy leaves the other; of both, none. */
TEST(gpt_damage)
{
	for (u32 at = 0; at < 92 + 128 * 128; at++) {
		u8 *first;
		u8 *second;

		if (at >= 92 && at % 61)
			continue;
		make();
		first = at < 92 ? block(1) + at : block(2) + at - 92;
		second = at < 92 ? block(BLOCKS - 1) + at : block(BLOCKS - 33) + at - 92;
		*first ^= 0x20;
		CHECK_EQ(look(), GPT_SECOND);
		check_found();
		*second ^= 0x40;
		CHECK_EQ(look(), GPT_NONE);
		*first ^= 0x20;
		CHECK_EQ(look(), GPT_FIRST);
		check_found();
	}
}

TEST(gpt_differ)
{
	make();
	write_entry(block(BLOCKS - 33), 3, 81, 99, "root-a", 2);
	write_header(BLOCKS - 1, 1, BLOCKS - 33, 128, 128);
	CHECK_EQ(look(), GPT_DIFFER);
	check_found();
	make();
	fails = true;
	CHECK_EQ(look(), GPT_SECOND);
}

/* Headers whose checksum is right and that cannot be. */
TEST(gpt_hostile_headers)
{
	static const struct {
		u32 at;
		u32 size;
		u64 value;
	} wrong[] = {
		{12, 4, 91},
		{12, 4, 513},
		{12, 4, ~0u},
		{24, 8, 2},
		{40, 8, 0},
		{40, 8, BLOCKS},
		{48, 8, BLOCKS},
		{48, 8, ~0ull},
		{72, 8, 1},
		{72, 8, BLOCKS},
		{72, 8, ~0ull},
		{72, 8, BLOCKS - 3},
		{80, 4, 0},
		{80, 4, ~0u},
		{80, 4, 0x10000},
		{84, 4, 0},
		{84, 4, 64},
		{84, 4, 192},
		{84, 4, ~0u},
		{84, 4, 1u << 31},
		{0, 8, 0},
		{8, 4, 0xffff},
	};

	for (u32 i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		u8 *h = block(1);
		u32 size;

		make();
		put(h + wrong[i].at, wrong[i].value, wrong[i].size);
		memset(h + 16, 0, 4);
		memcpy(&size, h + 12, 4);
		put(h + 16, crc(h, size > 512 ? 92 : size), 4);
		CHECK_EQ(look(), GPT_SECOND);
	}
}
