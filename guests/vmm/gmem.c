/* Guest-physical addresses to pointers, with bounds checks. */
#include "gmem.h"
#include "drivers/lib/lib.h"

/* Makes one of ranges `at` and `at` + 1 if the second goes on where the first ends. */
static void join(struct gmem *g, u32 at)
{
	struct gmem_range *r = &g->range[at];

	if (at + 1 >= g->ranges || r->base + r->size != r[1].base || r->host + r->size != r[1].host)
		return;
	r->size += r[1].size;
	g->ranges--;
	for (u32 i = at + 1; i < g->ranges; i++)
		g->range[i] = g->range[i + 1];
}

bool gmem_add(struct gmem *g, gpa_t base, u64 size, void *host)
{
	u32 at = 0;

	if (g->ranges == GMEM_MAX_RANGES || !size || !host || base + size < base ||
		!IS_ALIGNED(base | size, PAGE_SIZE))
		return false;
	while (at < g->ranges && g->range[at].base < base)
		at++;
	if (at < g->ranges && base + size > g->range[at].base)
		return false;
	if (at > 0 && g->range[at - 1].base + g->range[at - 1].size > base)
		return false;
	for (u32 i = g->ranges; i > at; i--)
		g->range[i] = g->range[i - 1];
	g->range[at] = (struct gmem_range){base, size, host};
	g->ranges++;
	join(g, at);
	if (at > 0)
		join(g, at - 1);
	return true;
}

gpa_t gmem_gpa(const struct gmem *g, const void *at)
{
	for (u32 i = 0; i < g->ranges; i++) {
		const struct gmem_range *r = &g->range[i];
		u64 offset = (u64)at - (u64)r->host;

		if (offset < r->size)
			return r->base + offset;
	}
	return GMEM_NOWHERE;
}

bool gmem_read(const struct gmem *g, gpa_t gpa, void *to, u64 size)
{
	const void *from = gmem_at(g, gpa, size);

	if (!from)
		return false;
	memcpy(to, from, size);
	return true;
}

bool gmem_write(const struct gmem *g, gpa_t gpa, const void *from, u64 size)
{
	void *to = gmem_at(g, gpa, size);

	if (!to)
		return false;
	memcpy(to, from, size);
	return true;
}

u64 gmem_total(const struct gmem *g)
{
	u64 total = 0;

	for (u32 i = 0; i < g->ranges; i++)
		total += g->range[i].size;
	return total;
}
