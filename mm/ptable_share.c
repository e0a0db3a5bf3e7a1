/* Top-level entries that several host tables share. */
#include "mm/ptable_share.h"

#define TOP_SHIFT   39
#define TOP_ENTRIES 512
#define TABLE_ENTRY 3ull /* host format, not a leaf: present, writable (SDM vol. 3, table 4-15) */

status_t ptable_reserve(struct ptable *t, u64 va, u64 size)
{
	u64 *root = window_va(t->root);
	u64 first = va >> TOP_SHIFT;
	u64 last = (va + size - 1) >> TOP_SHIFT;

	for (u64 i = first; i <= last; i++) {
		void *table;

		if (root[i % TOP_ENTRIES])
			continue;
		table = pool_frame_alloc(t->pool);
		if (!table)
			return STATUS_NO_MEMORY;
		root[i % TOP_ENTRIES] = window_pa(table) | TABLE_ENTRY;
	}
	return STATUS_OK;
}

void ptable_share(struct ptable *to, const struct ptable *from, unsigned first, unsigned last)
{
	u64 *target = window_va(to->root);
	const u64 *source = window_va(from->root);

	for (unsigned i = first; i <= last; i++)
		target[i] = source[i];
}
