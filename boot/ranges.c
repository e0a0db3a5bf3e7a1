/* A sorted array of ranges, in which later statements overrule earlier ones. */
#include "memory.h"
#include "ranges.h"

static void range_remove(struct ranges *ranges, u32 at)
{
	ranges->count--;
	memmove(&ranges->range[at], &ranges->range[at + 1],
		(ranges->count - at) * sizeof(ranges->range[0]));
}

static void range_insert(struct ranges *ranges, u32 at, struct boot_range range)
{
	memmove(&ranges->range[at + 1], &ranges->range[at],
		(ranges->count - at) * sizeof(ranges->range[0]));
	ranges->range[at] = range;
	ranges->count++;
}

/* Removes the smallest range of this type; false if there is none. */
static bool smallest_remove(struct ranges *ranges, u32 type)
{
	u32 smallest = ranges->count;

	for (u32 i = 0; i < ranges->count; i++) {
		if (ranges->range[i].type == type &&
			(smallest == ranges->count ||
				ranges->range[i].size < ranges->range[smallest].size))
			smallest = i;
	}
	if (smallest == ranges->count)
		return false;
	range_remove(ranges, smallest);
	return true;
}

void ranges_limit(struct ranges *ranges, u32 limit)
{
	while (ranges->count > limit) {
		if (!smallest_remove(ranges, BOOT_RANGE_FREE) &&
			!smallest_remove(ranges, BOOT_RANGE_DEVICE) &&
			!smallest_remove(ranges, BOOT_RANGE_RESERVED))
			return;
	}
}

/* Makes [base, end) a hole; returns the place in the array where it is. */
static u32 hole_make(struct ranges *ranges, u64 base, u64 end)
{
	u32 at = 0;

	while (at < ranges->count && ranges->range[at].base + ranges->range[at].size <= base)
		at++;
	if (at < ranges->count && ranges->range[at].base < base) {
		struct boot_range rest = ranges->range[at];
		u64 rest_end = rest.base + rest.size;

		ranges->range[at].size = base - rest.base;
		at++;
		rest.base = end;
		rest.size = rest_end - end;
		if (rest_end > end)
			range_insert(ranges, at, rest);
	}
	while (at < ranges->count && ranges->range[at].base < end) {
		struct boot_range *next = &ranges->range[at];
		u64 next_end = next->base + next->size;

		if (next_end <= end) {
			range_remove(ranges, at);
			continue;
		}
		next->base = end;
		next->size = next_end - end;
	}
	return at;
}

/* Joins the range at `at` with the next one if they are alike and touch. */
static void join_next(struct ranges *ranges, u32 at)
{
	struct boot_range *left = &ranges->range[at];
	const struct boot_range *right = left + 1;

	if (at + 1 >= ranges->count || left->type != right->type || left->index != right->index ||
		left->base + left->size != right->base)
		return;
	left->size += right->size;
	range_remove(ranges, at + 1);
}

void ranges_put(struct ranges *ranges, u64 base, u64 size, u32 type, u32 index)
{
	u64 end = base + size;
	u32 at;

	if (end < base)
		end = ALIGN_DOWN(~0ull, PAGE_SIZE); /* a firmware that lies: up to the last page */
	if (type == BOOT_RANGE_FREE) {
		base = ALIGN_UP(base, PAGE_SIZE);
		end = ALIGN_DOWN(end, PAGE_SIZE);
	} else {
		base = ALIGN_DOWN(base, PAGE_SIZE);
		end = ALIGN_UP(end, PAGE_SIZE);
	}
	if (base >= end)
		return;
	ranges_limit(ranges, ranges->capacity - 2); /* the hole and the new range may add two */
	at = hole_make(ranges, base, end);
	range_insert(ranges, at,
		(struct boot_range){
			.base = base, .size = end - base, .type = type, .index = index});
	join_next(ranges, at);
	if (at > 0)
		join_next(ranges, at - 1);
}
