/* The page-table walker; the formats that it walks are in ptable_format.c. */
#include "mm/ptable.h"
#include "mm/ptable_format.h"

#define LEVEL_BITS 9
#define ENTRIES    (1u << LEVEL_BITS)
#define LEVEL_2M   2
#define LEVEL_1G   3
#define TABLE_4K   level_span(LEVEL_2M) /* bytes that a table of 4 KiB leaves covers */
#define CACHE_LINE 64

struct ptable_features ptable_features;

static const struct ptable_layout *layout(const struct ptable *t)
{
	return &ptable_layouts[t->format];
}

static unsigned level_shift(unsigned level)
{
	return PAGE_SHIFT + LEVEL_BITS * (level - 1);
}

/* Returns the bytes that an entry of `level` covers. */
static u64 level_span(unsigned level)
{
	return BIT(level_shift(level));
}

/* Returns the bytes from `va` to the end of the aligned block of `span` bytes that it lies in. */
static u64 span_rest(u64 va, u64 span)
{
	return span - (va & (span - 1));
}

static u64 *table_entry(paddr_t table, u64 va, unsigned level)
{
	u64 *entries = window_va(table);

	return &entries[(va >> level_shift(level)) & (ENTRIES - 1)];
}

static u64 entry_read(const u64 *entry)
{
	return __atomic_load_n(entry, __ATOMIC_ACQUIRE);
}

static bool entry_is_table(const struct ptable_layout *f, u64 entry, unsigned level)
{
	return level > 1 && (entry & f->present) && (entry & f->size_mask) != f->size_leaf;
}

/* CLFLUSH keeps its order with stores. */
void ptable_write_back(void *start, size_t bytes)
{
	char *line = start;

	for (size_t i = 0; i < bytes && !ptable_features.iommu_coherent; i += CACHE_LINE)
		__asm__ volatile("clflush %0" : "+m"(line[i]) : : "memory");
}

/* Hardware may walk the table meanwhile: it sees the old entry or the new, and a filled table. */
static void entry_write(const struct ptable *t, u64 *entry, u64 value)
{
	__atomic_store_n(entry, value, __ATOMIC_RELEASE);
	if (layout(t)->iommu)
		ptable_write_back(entry, sizeof(*entry));
}

/* Returns the entry that decides about `va`, a leaf or the first empty one, and its level. */
static u64 *ptable_walk(const struct ptable *t, u64 va, unsigned *level)
{
	paddr_t table = t->root;

	for (unsigned l = t->levels;; l--) {
		u64 *entry = table_entry(table, va, l);
		u64 value = entry_read(entry);

		if (!entry_is_table(layout(t), value, l)) {
			*level = l;
			return entry;
		}
		table = value & PTABLE_ADDRESS;
	}
}

static void *table_alloc(const struct ptable *t)
{
	void *table = pool_frame_alloc(t->pool);

	if (table && layout(t)->iommu)
		ptable_write_back(table, PAGE_SIZE);
	return table;
}

/*
 * Makes the tables that a leaf of level `want` at `va` needs. Returns the level of its entry, which
 * is lower than `want` where a table is in place already; 0 if the pool is empty.
 */
static unsigned ptable_prepare(const struct ptable *t, u64 va, unsigned want)
{
	for (;;) {
		unsigned level;
		u64 *entry = ptable_walk(t, va, &level);
		void *table;

		if (level <= want)
			return level;
		table = table_alloc(t);
		if (!table)
			return 0;
		entry_write(t, entry,
			window_pa(table) | layout(t)->table | (level - 1) * layout(t)->level_unit);
	}
}

/* Returns the level of the largest leaves that `t` may have; the table itself may have fewer. */
static unsigned level_max(const struct ptable *t)
{
	bool allow_2m = true;
	bool allow_1g = ptable_features.nested_1g;

	if (t->format == PTABLE_HOST)
		allow_1g = ptable_features.host_1g;
	if (layout(t)->iommu) {
		allow_2m = ptable_features.iommu_2m;
		allow_1g = allow_2m && ptable_features.iommu_1g;
	}
	return allow_1g ? LEVEL_1G : allow_2m ? LEVEL_2M : 1;
}

static u64 leaf_bits(const struct ptable_layout *f, unsigned level, u64 flags, enum mem_cache cache)
{
	u64 bits = f->leaf;

	bits |= level > 1 ? f->size_leaf | f->cache_large[cache] : f->cache[cache];
	bits |= (flags & PTABLE_WRITE) ? f->write : 0;
	bits |= (flags & PTABLE_USER) ? f->user : 0;
	bits |= (flags & PTABLE_GLOBAL) ? f->global : 0;
	if (flags & PTABLE_EXEC)
		bits |= f->exec;
	else if (ptable_features.host_nx)
		bits |= f->no_exec;
	return ptable_features.iommu_snoop ? bits : bits & ~f->snoop;
}

/* Tells whether [va, va + size) is made of pages, and addresses of the table's width. */
static bool range_valid(const struct ptable *t, u64 va, u64 size)
{
	unsigned width = PAGE_SHIFT + LEVEL_BITS * t->levels;
	u64 last = va + size - 1;

	if (size == 0 || size > PTABLE_PA_LIMIT || !IS_ALIGNED(va | size, PAGE_SIZE) || last < va)
		return false;
	if (layout(t)->canonical)
		return (s64)va >> (width - 1) == (s64)last >> (width - 1) &&
		       (u64)((s64)va >> (width - 1)) + 1 <= 1;
	return width >= 64 || last >> width == 0;
}

status_t ptable_init(
	struct ptable *t, enum ptable_format format, unsigned levels, struct pool *pool)
{
	const struct ptable_layout *f = &ptable_layouts[format];
	void *root;

	if (levels < f->levels_min || levels > f->levels_max)
		return STATUS_BAD_ARG;
	*t = (struct ptable){.pool = pool, .format = (u8)format, .levels = (u8)levels};
	root = table_alloc(t);
	if (!root)
		return STATUS_NO_MEMORY;
	t->root = window_pa(root);
	return STATUS_OK;
}

status_t ptable_map(struct ptable *t, u64 va, paddr_t pa, u64 size, u64 flags, enum mem_cache cache)
{
	unsigned top = level_max(t);
	unsigned level;

	if (!range_valid(t, va, size) || !IS_ALIGNED(pa, PAGE_SIZE) || pa >= PTABLE_PA_LIMIT ||
		size > PTABLE_PA_LIMIT - pa || !(flags & PTABLE_READ) || cache >= PTABLE_CACHES)
		return STATUS_BAD_ARG;

	for (u64 done = 0; done < size; done += span_rest(va + done, level_span(level))) {
		if (entry_read(ptable_walk(t, va + done, &level)) & layout(t)->present)
			return STATUS_EXISTS;
	}

	/*
	 * All tables before the first leaf: a leaf that a lack of memory took back could by then be
	 * in another CPU's TLB.
	 */
	for (u64 done = 0; done < size;) {
		u64 block = (va + done) | (pa + done);

		level = top;
		while (level > 1 &&
			(!IS_ALIGNED(block, level_span(level)) || size - done < level_span(level)))
			level--;
		level = ptable_prepare(t, va + done, level);
		if (level == 0)
			return STATUS_NO_MEMORY;
		done += level > 1 ? level_span(level) : span_rest(va + done, TABLE_4K);
	}

	for (u64 done = 0; done < size; done += level_span(level)) {
		u64 *entry = ptable_walk(t, va + done, &level);

		entry_write(t, entry, (pa + done) | leaf_bits(layout(t), level, flags, cache));
	}
	return STATUS_OK;
}

void ptable_unmap(struct ptable *t, u64 va, u64 size)
{
	u64 span;

	for (u64 done = 0; range_valid(t, va, size) && done < size; done += span) {
		unsigned level;
		u64 *entry = ptable_walk(t, va + done, &level);

		span = span_rest(va + done, level_span(level));
		if (entry_read(entry) & layout(t)->present) {
			if (span != level_span(level) || span > size - done)
				return;
			entry_write(t, entry, 0);
		}
	}
}

/* Frees a table whose entries are of `level`, and those below it; no deeper than the levels. */
static void table_free(struct ptable *t, paddr_t table, unsigned level)
{
	u64 *entries = window_va(table);

	for (unsigned i = 0; level > 1 && i < ENTRIES; i++) {
		if (entry_is_table(layout(t), entries[i], level))
			table_free(t, entries[i] & PTABLE_ADDRESS, level - 1);
	}
	pool_frame_free(t->pool, entries);
}

void ptable_free(struct ptable *t)
{
	table_free(t, t->root, t->levels);
	t->root = 0;
}
