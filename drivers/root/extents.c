/* The map of RAM: a sorted array, searched from end to end. */
#include "drivers/lib/lib.h"
#include "drivers/root/extents.h"

bool extents_add(struct extents *x, u32 range, paddr_t base, u64 size)
{
	if (x->count == EXTENTS_MAX)
		return false;
	x->extent[x->count++] = (struct extent){base, size, range, false};
	return true;
}

/* Makes room for one more extent at index `i`. */
static void insert(struct extents *x, u32 i, struct extent e)
{
	memmove(&x->extent[i + 1], &x->extent[i], (x->count - i) * sizeof(e));
	x->extent[i] = e;
	x->count++;
}

static void drop(struct extents *x, u32 i)
{
	x->count--;
	memmove(&x->extent[i], &x->extent[i + 1], (x->count - i) * sizeof(x->extent[0]));
}

/* Where in `e` a block of `size` with `align` would start, or ~0 if it does not fit. */
static paddr_t place(const struct extent *e, u64 size, u64 align)
{
	paddr_t base = ALIGN_UP(e->base, align);

	if (e->taken || e->size < size || base - e->base > e->size - size)
		return ~0ull;
	return align > PAGE_SIZE ? base : e->base + e->size - size;
}

/* Index of the smallest extent that holds `size` with `align`, or count. */
static u32 best(const struct extents *x, u64 size, u64 align)
{
	u32 found = x->count;

	for (u32 i = 0; i < x->count; i++) {
		if (place(&x->extent[i], size, align) == ~0ull)
			continue;
		if (found == x->count || x->extent[i].size < x->extent[found].size)
			found = i;
	}
	return found;
}

bool extents_take(struct extents *x, u64 size, struct extent *out)
{
	u64 align = size >= HUGE_PAGE ? HUGE_PAGE : size >= LARGE_PAGE ? LARGE_PAGE : PAGE_SIZE;
	u32 i = best(x, size, align);
	struct extent whole;
	paddr_t base;
	paddr_t end;

	if (i == x->count && align == HUGE_PAGE) {
		align = LARGE_PAGE;
		i = best(x, size, align);
	}
	if (i == x->count || x->count + 2 > EXTENTS_MAX)
		return false;
	whole = x->extent[i];
	base = place(&whole, size, align);
	end = whole.base + whole.size;
	*out = (struct extent){base, size, whole.range, true};
	x->extent[i] = *out;
	if (base + size < end)
		insert(x, i + 1,
			(struct extent){base + size, end - base - size, whole.range, false});
	if (whole.base < base)
		insert(x, i, (struct extent){whole.base, base - whole.base, whole.range, false});
	return true;
}

/* True if extents `i` and `i` + 1 are free parts of one range. */
static bool joins(const struct extents *x, u32 i)
{
	return i + 1 < x->count && !x->extent[i].taken && !x->extent[i + 1].taken &&
	       x->extent[i].range == x->extent[i + 1].range;
}

bool extents_give(struct extents *x, paddr_t base)
{
	u32 i = 0;

	while (i < x->count && x->extent[i].base != base)
		i++;
	if (i == x->count || !x->extent[i].taken)
		return false;
	x->extent[i].taken = false;
	if (joins(x, i)) {
		x->extent[i].size += x->extent[i + 1].size;
		drop(x, i + 1);
	}
	if (i > 0 && joins(x, i - 1)) {
		x->extent[i - 1].size += x->extent[i].size;
		drop(x, i);
	}
	return true;
}

u64 extents_free(const struct extents *x)
{
	u64 sum = 0;

	for (u32 i = 0; i < x->count; i++)
		sum += x->extent[i].taken ? 0 : x->extent[i].size;
	return sum;
}

u64 extents_total(const struct extents *x)
{
	u64 sum = 0;

	for (u32 i = 0; i < x->count; i++)
		sum += x->extent[i].size;
	return sum;
}

u64 extents_largest(const struct extents *x)
{
	u64 largest = 0;
	u64 small = 0;

	for (u32 i = 0; i < x->count; i++) {
		const struct extent *e = &x->extent[i];
		u64 lost = ALIGN_UP(e->base, LARGE_PAGE) - e->base;
		u64 size = e->size > lost ? ALIGN_DOWN(e->size - lost, LARGE_PAGE) : 0;

		if (e->taken)
			continue;
		if (size > largest)
			largest = size;
		if (e->size > small)
			small = e->size;
	}
	if (largest > 0)
		return largest;
	return small < LARGE_PAGE ? small : LARGE_PAGE - PAGE_SIZE;
}
