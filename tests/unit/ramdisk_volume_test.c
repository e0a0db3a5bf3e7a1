/* Tests of volumes in memory: against a plain array, over a file, when full, and taken up again. */
#include <stdlib.h>

#include "drivers/ramdisk/volume.h"
#include "tests/unit/test.h"

#define BYTES   (37u * 4096u + 1024u) /* the last page is short */
#define FILE_AT (20u * 4096u + 700u)

static u8 plain[BYTES];
static u8 file[FILE_AT];
static u8 got[BYTES];

void check_failed(const char *at, int line, const char *what)
{
	test_fail(at, line, "%s", what);
	abort();
}

static void fill(u8 *to, size_t size)
{
	for (size_t i = 0; i < size; i++)
		to[i] = (u8)random();
}

static bool same(struct volume *v)
{
	memset(got, 0xa5, sizeof(got));
	volume_read(v, 0, got, v->bytes);
	return memcmp(got, plain, v->bytes) == 0;
}

/* Random writes, zeroes and discards in sectors, and a restart now and then. */
static void exercise(struct volume *v, void *memory)
{
	static u8 data[8 * 4096];

	for (int i = 0; i < 3000; i++) {
		u64 at = (u64)random() % (BYTES / 512) * 512;
		u64 size = (u64)(1 + random() % 40) * 512;

		if (size > BYTES - at)
			size = BYTES - at;
		switch (random() % 4) {
		case 0:
			CHECK(volume_zero(v, at, size));
			memset(plain + at, 0, size);
			break;
		case 1:
			volume_discard(v, at, size);
			for (u64 k = at; k < at + size; k++) {
				u64 page = k & ~4095ull;
				u64 end = page + 4096 < BYTES ? page + 4096 : BYTES;

				if (page >= at && end <= at + size)
					plain[k] = 0;
			}
			break;
		default:
			fill(data, size);
			CHECK(volume_write(v, at, data, size));
			memcpy(plain + at, data, size);
		}
		if (i % 100 == 0) {
			u32 taken = v->taken;

			CHECK_EQ(volume_attach(v, memory, BYTES), 0);
			CHECK_EQ(v->taken, taken);
			CHECK(same(v));
		}
	}
	CHECK(same(v));
}

TEST(volume_of_zeroes)
{
	struct volume v = {.bytes = BYTES};
	void *memory = calloc(1, volume_state_bytes(BYTES, BYTES));

	memset(plain, 0, sizeof(plain));
	CHECK_EQ(volume_attach(&v, memory, BYTES), 0);
	CHECK_EQ(v.pages, 38);
	CHECK(same(&v));
	exercise(&v, memory);
	CHECK(volume_zero(&v, 0, BYTES));
	CHECK_EQ(v.taken, 0);
	free(memory);
}

TEST(volume_over_a_file)
{
	struct volume v = {.bytes = BYTES, .file = file, .file_size = sizeof(file)};
	void *memory = calloc(1, volume_state_bytes(BYTES, BYTES));
	static u8 before[sizeof(file)];

	fill(file, sizeof(file));
	memcpy(before, file, sizeof(file));
	memset(plain, 0, sizeof(plain));
	memcpy(plain, file, sizeof(file));
	CHECK_EQ(volume_attach(&v, memory, BYTES), 0);
	CHECK(same(&v));
	exercise(&v, memory);
	CHECK(memcmp(before, file, sizeof(file)) == 0);
	free(memory);
}

TEST(volume_read_only)
{
	struct volume v = {
		.bytes = BYTES, .file = file, .file_size = sizeof(file), .read_only = true};

	fill(file, sizeof(file));
	memset(plain, 0, sizeof(plain));
	memcpy(plain, file, sizeof(file));
	CHECK(same(&v));
}

/* A full overlay refuses new pages, but not writes to those it has; what was given up is room. */
TEST(volume_full)
{
	struct volume v = {.bytes = BYTES, .file = file, .file_size = sizeof(file)};
	void *memory = calloc(1, volume_state_bytes(BYTES, 3 * 4096));
	static u8 data[4096];

	CHECK_EQ(volume_attach(&v, memory, 3 * 4096), 0);
	CHECK_EQ(v.pages, 3);
	for (u64 i = 0; i < 3; i++)
		CHECK(volume_write(&v, i * 8192, data, 512));
	CHECK(!volume_write(&v, 3 * 8192, data, 512));
	CHECK(!volume_zero(&v, 4096 + 512, 1024)); /* page 1 is not among them */
	CHECK(volume_write(&v, 8192 + 512, data, 512));
	volume_discard(&v, 8192, 4096);
	CHECK_EQ(v.taken, 2);
	CHECK(volume_write(&v, 3 * 8192, data, 4096));
	CHECK(!volume_write(&v, 4 * 8192, data, 4096));
	free(memory);
}

/* Entries that name no page, or one twice, are dropped, and the rest stays. */
TEST(volume_damaged_table)
{
	struct volume v = {.bytes = BYTES};
	void *memory = calloc(1, volume_state_bytes(BYTES, BYTES));
	static u8 data[4096];

	fill(data, sizeof(data));
	CHECK_EQ(volume_attach(&v, memory, BYTES), 0);
	CHECK(volume_write(&v, 0, data, 4096));
	v.map[1] = v.map[0];
	v.map[2] = v.pages + 1;
	v.map[3] = VOLUME_ZERO;
	CHECK_EQ(volume_attach(&v, memory, BYTES), 2);
	CHECK_EQ(v.taken, 1);
	volume_read(&v, 0, got, 4096);
	CHECK(memcmp(got, data, 4096) == 0);
	CHECK_EQ(v.map[1], VOLUME_BELOW);
	CHECK_EQ(v.map[3], VOLUME_ZERO);
	free(memory);
}
