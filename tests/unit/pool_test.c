/* Tests of the pools: accounting, alignment, zeroing, reuse, and that no byte has two owners. */
#include <pthread.h>
#include <stdlib.h>
#include "mm/pool.h"
#include "tests/unit/test.h"

#define FRAMES  256u
#define PA_BASE 0x7000000ull
#define DIRT    0xa5
#define UNIT    64u

static u8 *arena;

/* Makes the arena appear at PA_BASE, full of dirt, and an empty pool. */
static void setup(struct pool *p)
{
	if (!arena)
		arena = aligned_alloc(PAGE_SIZE, FRAMES * PAGE_SIZE);
	memset(arena, DIRT, FRAMES * PAGE_SIZE);
	window_offset = (u64)arena - PA_BASE;
	memset(p, 0, sizeof(*p));
}

static u32 random_next(u64 *state)
{
	*state = *state * 6364136223846793005ull + 1442695040888963407ull;
	return (u32)(*state >> 33);
}

static bool all_bytes(const u8 *p, u8 value, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (p[i] != value)
			return false;
	}
	return true;
}

TEST(pool_starts_empty)
{
	struct pool p;

	setup(&p);
	CHECK(!pool_frame_alloc(&p));
	CHECK(!pool_alloc(&p, 64));
	CHECK(!pool_alloc(&p, 4096));
	CHECK_EQ(p.total_frames, 0);
	pool_frame_free(&p, NULL);
	pool_free(&p, NULL, 64);
	pool_free(&p, NULL, 4096);
	CHECK_EQ(p.free_frames, 0);
}

TEST(pool_add_touches_only_the_first_frame)
{
	struct pool p;

	setup(&p);
	pool_add(&p, PA_BASE, FRAMES * PAGE_SIZE);
	CHECK(all_bytes(arena + PAGE_SIZE, DIRT, (FRAMES - 1) * PAGE_SIZE));
	CHECK_EQ(p.free_frames, FRAMES);
	CHECK_EQ(p.total_frames, FRAMES);
}

TEST(pool_gives_every_frame_of_every_range_once)
{
	/* Ranges out of order, of one and more frames, with gaps. */
	static const u16 ranges[][2] = {{100, 50}, {0, 1}, {2, 7}, {10, 1}, {200, 56}};
	bool seen[FRAMES] = {false};
	unsigned count = 0;
	unsigned want = 0;
	struct pool p;
	void *frame;

	setup(&p);
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		pool_add(&p, PA_BASE + ranges[i][0] * PAGE_SIZE, ranges[i][1] * PAGE_SIZE);
		want += ranges[i][1];
	}
	while ((frame = pool_frame_alloc(&p))) {
		unsigned i = (unsigned)(((u8 *)frame - arena) / PAGE_SIZE);
		bool inside = false;

		CHECK(IS_ALIGNED((u64)frame, PAGE_SIZE));
		CHECK(i < FRAMES && !seen[i]);
		CHECK(all_bytes(frame, 0, PAGE_SIZE));
		for (size_t r = 0; r < ARRAY_SIZE(ranges); r++)
			inside |= i >= ranges[r][0] && i < ranges[r][0] + ranges[r][1];
		CHECK(inside);
		seen[i % FRAMES] = true;
		count++;
		CHECK_EQ(p.free_frames, want - count);
	}
	CHECK_EQ(count, want);
	CHECK_EQ(p.total_frames, want);
}

TEST(pool_range_added_while_another_is_in_use)
{
	struct pool p;
	unsigned count = 0;

	setup(&p);
	pool_add(&p, PA_BASE, 4 * PAGE_SIZE);
	CHECK(pool_frame_alloc(&p));
	pool_add(&p, PA_BASE + 8 * PAGE_SIZE, 2 * PAGE_SIZE);
	CHECK_EQ(p.free_frames, 5);
	while (pool_frame_alloc(&p))
		count++;
	CHECK_EQ(count, 5);
	pool_add(&p, PA_BASE + 16 * PAGE_SIZE, PAGE_SIZE);
	CHECK(pool_frame_alloc(&p) == arena + 16 * PAGE_SIZE);
	CHECK(!pool_frame_alloc(&p));
}

TEST(pool_frame_comes_back_zeroed)
{
	struct pool p;
	u8 *frame;

	setup(&p);
	pool_add(&p, PA_BASE, PAGE_SIZE);
	frame = pool_frame_alloc(&p);
	memset(frame, DIRT, PAGE_SIZE);
	pool_frame_free(&p, frame);
	CHECK_EQ(p.free_frames, 1);
	CHECK(pool_frame_alloc(&p) == frame);
	CHECK(all_bytes(frame, 0, PAGE_SIZE));
	CHECK_EQ(p.free_frames, 0);
}

TEST(pool_sizes_and_alignment)
{
	struct pool p;

	for (size_t size = 1; size <= PAGE_SIZE; size++) {
		size_t power = UNIT;
		u8 *a;
		u8 *b;

		while (power < size)
			power *= 2;
		setup(&p);
		pool_add(&p, PA_BASE, 2 * PAGE_SIZE);
		a = pool_alloc(&p, size);
		b = pool_alloc(&p, size);
		CHECK(IS_ALIGNED((u64)a, power) && IS_ALIGNED((u64)b, power));
		CHECK(a + power <= b || b + power <= a);
		CHECK(all_bytes(a, 0, power) && all_bytes(b, 0, power));
		CHECK_EQ(p.free_frames, power > PAGE_SIZE / 2 ? 0 : 1);
	}
	setup(&p);
	pool_add(&p, PA_BASE, PAGE_SIZE);
	CHECK(!pool_alloc(&p, 0));
	CHECK(!pool_alloc(&p, PAGE_SIZE + 1));
	CHECK(!pool_alloc(&p, (size_t)-1));
}

TEST(pool_objects_fill_their_frame_and_are_reused)
{
	for (size_t size = UNIT; size < PAGE_SIZE; size *= 2) {
		unsigned count = 0;
		struct pool p;
		u8 *object[PAGE_SIZE / UNIT + 1];

		setup(&p);
		pool_add(&p, PA_BASE, PAGE_SIZE);
		while ((object[count] = pool_alloc(&p, size)))
			memset(object[count++], DIRT, size);
		CHECK_EQ(count, PAGE_SIZE / size);
		CHECK(!pool_frame_alloc(&p));
		for (unsigned i = 0; i < count; i++)
			pool_free(&p, object[i], size);
		for (unsigned i = 0; i < count; i++) {
			u8 *again = pool_alloc(&p, size);

			CHECK(again && all_bytes(again, 0, size));
		}
		CHECK(!pool_alloc(&p, size));
	}
}

TEST(pool_classes_do_not_mix)
{
	struct pool p;
	void *small;

	setup(&p);
	pool_add(&p, PA_BASE, PAGE_SIZE);
	small = pool_alloc(&p, 64);
	CHECK(small);
	CHECK(!pool_alloc(&p, 65));
	pool_free(&p, small, 64);
	CHECK(!pool_alloc(&p, 128));
	CHECK(pool_alloc(&p, 1) == small);
}

/* A model: who owns each 64 bytes of the arena. Owner 0 is the pool. */
#define OBJECTS 512u
static u16 owner[FRAMES * PAGE_SIZE / UNIT];

static void own(u8 *object, size_t size, u16 from, u16 to)
{
	size_t first = (size_t)(object - arena) / UNIT;
	size_t units = (size + UNIT - 1) / UNIT;

	for (size_t i = first; i < first + units; i++) {
		CHECK_EQ(owner[i], from);
		owner[i] = to;
	}
}

TEST(pool_random_operations_against_a_model)
{
	static struct {
		u8 *object;
		size_t size;
	} held[OBJECTS];
	u64 seed = 1;
	unsigned refused = 0;
	struct pool p;

	setup(&p);
	memset(owner, 0, sizeof(owner));
	pool_add(&p, PA_BASE, FRAMES / 16 * PAGE_SIZE);
	for (unsigned step = 0; step < 100000; step++) {
		unsigned i = random_next(&seed) % OBJECTS;
		u16 id = (u16)(i + 1);

		if (step == 50000)
			pool_add(&p, PA_BASE + FRAMES / 16 * PAGE_SIZE,
				FRAMES * 15 / 16 * PAGE_SIZE);
		if (!held[i].object) {
			held[i].size =
				1 + random_next(&seed) % (PAGE_SIZE >> random_next(&seed) % 7);
			held[i].object = pool_alloc(&p, held[i].size);
			if (!held[i].object) {
				refused++;
				continue;
			}
			CHECK(all_bytes(held[i].object, 0, held[i].size));
			own(held[i].object, held[i].size, 0, id);
			memset(held[i].object, id & 0xff, held[i].size);
		} else if (random_next(&seed) % 16 < 7) {
			CHECK(all_bytes(held[i].object, id & 0xff, held[i].size));
			own(held[i].object, held[i].size, id, 0);
			pool_free(&p, held[i].object, held[i].size);
			held[i].object = NULL;
		}
	}
	CHECK(refused > 0);
	CHECK_EQ(p.total_frames, FRAMES);
}

static void *alloc_and_free(void *arg)
{
	struct pool *p = arg;

	for (unsigned i = 0; i < 20000; i++) {
		u64 *a = pool_alloc(p, 64u << i % 7);
		u64 *b = pool_frame_alloc(p);

		CHECK(a && b && a != b && *a == 0 && *b == 0);
		if (!a || !b)
			return NULL;
		*a = (u64)a;
		*b = (u64)b;
		pool_free(p, a, 64u << i % 7);
		pool_frame_free(p, b);
	}
	return NULL;
}

TEST(pool_two_threads)
{
	pthread_t other;
	struct pool p;

	setup(&p);
	pool_add(&p, PA_BASE, 16 * PAGE_SIZE);
	CHECK_EQ(pthread_create(&other, NULL, alloc_and_free, &p), 0);
	alloc_and_free(&p);
	pthread_join(other, NULL);
	/* Each class keeps what it cut: at most a frame, or two objects of 2 KiB in one. */
	CHECK(p.free_frames >= 16 - POOL_CLASSES && p.free_frames < 16);
}
