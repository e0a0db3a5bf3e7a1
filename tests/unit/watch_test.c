/* Counters of exits: buckets, quantiles, and where they lie. */
#include "drivers/protocols/watch.h"
#include "tests/unit/test.h"

static struct watch_vcpu watch;
#define KIND (&watch.kind[EXIT_IO])

TEST(watch_buckets_are_powers_of_two)
{
	const u64 edge[] = {0, 1, 2, 3, 4, 1023, 1024, (1ull << 39) - 1, 1ull << 39, ~0ull};
	const u32 bucket[] = {0, 0, 1, 1, 2, 9, 10, 38, 39, 63};

	for (u32 i = 0; i < ARRAY_SIZE(edge); i++) {
		memset(&watch, 0, sizeof(watch));
		watch_add(&watch, EXIT_IO, edge[i], 1);
		CHECK_EQ(KIND->bucket[bucket[i]], 1);
		CHECK_EQ(watch_count(KIND), 1);
		CHECK_EQ(KIND->sum, edge[i]);
		CHECK_EQ(KIND->max, edge[i]);
		CHECK_EQ(watch_count(&watch.kind[EXIT_CPUID]), 0);
	}
}

/* A quantile is never below the true one, nor above twice it. */
TEST(watch_quantiles)
{
	memset(&watch, 0, sizeof(watch));
	CHECK_EQ(watch_quantile(KIND, 500), 0);
	for (u64 i = 1; i <= 1000; i++)
		watch_add(&watch, EXIT_IO, i * 10, 1);
	for (u32 p = 1; p <= 1000; p++) {
		CHECK(watch_quantile(KIND, p) >= p * 10ull);
		CHECK(watch_quantile(KIND, p) < p * 20ull);
	}
	CHECK_EQ(watch_quantile(KIND, 500), 8191);
	CHECK_EQ(watch_quantile(KIND, 1000), 10000);
	/* One in a hundred thousand is seen by the maximum alone. */
	memset(&watch, 0, sizeof(watch));
	for (u32 i = 0; i < 100000; i++)
		watch_add(&watch, EXIT_IO, 700, 1);
	watch_add(&watch, EXIT_IO, 1ull << 50, 1);
	CHECK_EQ(watch_quantile(KIND, 990), 1023);
	CHECK_EQ(watch_quantile(KIND, 1000), 1ull << 50);
}

/* Counters from a hostile VMM: whatever they say, the sums end. */
TEST(watch_quantile_of_nonsense)
{
	memset(&watch, 0xff, sizeof(watch));
	CHECK(watch_quantile(KIND, 500) <= KIND->max);
	memset(&watch, 0, sizeof(watch));
	KIND->bucket[3] = ~0ull;
	KIND->bucket[5] = 7;
	CHECK_EQ(watch_quantile(KIND, 990), 0); /* no maximum */
}

TEST(watch_lies_at_the_end)
{
	static u8 state[16 * PAGE_SIZE] __attribute__((aligned(4096)));
	u64 room = 3 * sizeof(struct watch_vcpu);

	CHECK((u8 *)watch_at(state, sizeof(state), 100, 3) == state + sizeof(state) - room);
	CHECK(watch_at(state, sizeof(state), sizeof(state) - room, 3) != NULL);
	CHECK(watch_at(state, sizeof(state), sizeof(state) - room + 1, 3) == NULL);
	CHECK(watch_at(state, sizeof(state), 0, 64) == NULL);
}
