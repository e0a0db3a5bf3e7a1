/*
 * What a VMM counts of its vCPUs' exits, for the operator: one struct for each vCPU at the end of
 * the partition's START_STATE memory. The vCPU's thread alone writes, without a lock: who reads
 * meanwhile may see an exit that is counted in one field and not yet in another.
 */
#pragma once

#include "kernel/abi/run.h"

#define WATCH_BUCKETS 64

/* One kind of exit; EXIT_NONE: events and deadlines that ended vcpu_run. */
struct watch_kind {
	u64 sum; /* cycles from vcpu_run's return to its next call */
	u64 max;
	u64 bucket[WATCH_BUCKETS]; /* exits that took 2^i to 2^(i+1) - 1 cycles; 0 is in the first
				    */
};

struct watch_vcpu {
	struct watch_kind kind[EXIT_KIND_COUNT];
	u64 waited; /* cycles of all these sums in which the thread waited for an event */
	u64 reserved[3];
} __attribute__((aligned(64)));
static_assert(sizeof(struct watch_vcpu) <= 3 * 4096);

/* The structs in a partition's state, `size` bytes at `state`, page-aligned; NULL: it is too small
 * for `used` bytes and them. */
static inline struct watch_vcpu *watch_at(void *state, u64 size, u64 used, u32 vcpus)
{
	u64 bytes = vcpus * sizeof(struct watch_vcpu);

	return size < bytes || size - bytes < used
		       ? NULL
		       : (struct watch_vcpu *)((u8 *)state + (size - bytes));
}

/* Of the exits that cost the least to handle, one in so many is measured and stands for all. */
#define WATCH_EACH 16u

/* Counts one thing that took `cycles`, for `each` of them. */
static inline void watch_kind_add(struct watch_kind *k, cycles_t cycles, u32 each)
{
	u32 bucket = 63 - (u32)__builtin_clzl(cycles | 1);

	k->bucket[bucket] += each;
	k->sum += cycles * each;
	if (unlikely(cycles > k->max))
		k->max = cycles;
}

/* The same for an exit. */
static inline void watch_add(struct watch_vcpu *w, u32 kind, cycles_t cycles, u32 each)
{
	watch_kind_add(&w->kind[kind], cycles, each);
}

/* Exits of a kind. */
static inline u64 watch_count(const struct watch_kind *k)
{
	u64 count = 0;

	for (u32 i = 0; i < WATCH_BUCKETS; i++)
		count += k->bucket[i];
	return count;
}

/*
 * The time that `permille` of 1000 exits of a kind do not exceed, in cycles, rounded up to the end
 * of its bucket: at most twice what it was. 0: there are none.
 */
static inline u64 watch_quantile(const struct watch_kind *k, u32 permille)
{
	u64 count = watch_count(k);
	u64 rest = count / 1000 * permille + (count % 1000 * permille + 999) / 1000;
	u64 end;
	u32 i = 0;

	if (!count)
		return 0;
	while (i < WATCH_BUCKETS - 1 && rest > k->bucket[i]) {
		rest -= k->bucket[i];
		i++;
	}
	end = (2ull << i) - 1; /* the last bucket's: all ones */
	return end < k->max ? end : k->max;
}
