/* Plans the kernel block, and builds its temporary page tables (SDM vol. 3A, 4.5; 4-level paging).
 */
#include "block.h"
#include "memory.h"

#define POOL_FIXED     0x600000ull /* bytes */
#define POOL_RAM_SHARE 1024        /* one byte for each so many of memory */
#define POOL_PER_CPU   0x30000ull  /* bytes: stacks, per-CPU data, a share of the log */
#define SYMBOL_SIZE    24          /* of an Elf64_Sym */

#define ENTRY_PRESENT BIT(0)
#define ENTRY_WRITE   BIT(1)
#define ENTRY_LARGE   BIT(7)
#define ENTRY_NX      BIT(63)
#define ENTRY_ADDRESS 0x000ffffffffff000ull

#define LARGE_SIZE    0x200000ull
#define IDENTITY_SIZE 0x100000000ull
#define TABLE_ENTRIES 512

struct block_plan block_plan(const struct elf_kernel *kernel, u64 functions, u64 ram, u32 cpus)
{
	u64 share = ram / POOL_RAM_SHARE;
	struct block_plan plan = {.info = kernel->image_size};

	plan.symbols = plan.info + ALIGN_UP(sizeof(struct boot_info), PAGE_SIZE);
	plan.symbols_size = functions * SYMBOL_SIZE;
	plan.strings = plan.symbols + plan.symbols_size;
	plan.strings_size = functions ? kernel->strings_size : 0;
	plan.tables = ALIGN_UP(plan.strings + plan.strings_size, PAGE_SIZE);
	plan.pool = plan.tables + BLOCK_TABLES * PAGE_SIZE;
	plan.least = ALIGN_UP(plan.pool + POOL_FIXED + cpus * POOL_PER_CPU, BOOT_BLOCK_ALIGN);
	plan.size =
		ALIGN_UP(plan.pool + POOL_FIXED + cpus * POOL_PER_CPU + share, BOOT_BLOCK_ALIGN);
	return plan;
}

/* The tables in use so far; the first is the top level. */
struct tables {
	u64 (*page)[TABLE_ENTRIES];
	u32 used;
};

/* Returns the table that `entry` points to, a new one if there was none. */
static u64 *table_below(struct tables *tables, u64 *entry)
{
	if (!(*entry & ENTRY_PRESENT))
		*entry = (u64)tables->page[tables->used++] | ENTRY_PRESENT | ENTRY_WRITE;
	return (u64 *)(*entry & ENTRY_ADDRESS);
}

/* Maps whole large pages, writable; `flags` adds to each leaf. BLOCK_TABLES counts what this takes.
 */
static void tables_map(struct tables *tables, vaddr_t virt, paddr_t phys, u64 size, u64 flags)
{
	for (u64 done = 0; done < size; done += LARGE_SIZE) {
		u64 at = virt + done;
		u64 *pointers = table_below(tables, &tables->page[0][at >> 39 & 511]);
		u64 *directory = table_below(tables, &pointers[at >> 30 & 511]);

		directory[at >> 21 & 511] =
			(phys + done) | ENTRY_PRESENT | ENTRY_WRITE | ENTRY_LARGE | flags;
	}
}

u64 block_map(const struct block_plan *plan, paddr_t base, u64 code)
{
	u64 here = ALIGN_DOWN(code, LARGE_SIZE);
	struct tables tables = {.page = (void *)(base + plan->tables), .used = 1};

	memset(tables.page, 0, BLOCK_TABLES * PAGE_SIZE);
	tables_map(&tables, 0, 0, IDENTITY_SIZE, 0);
	tables_map(&tables, BOOT_WINDOW + base, base, plan->size, ENTRY_NX);
	tables_map(&tables, KERNEL_BASE, base, ALIGN_UP(plan->info, LARGE_SIZE), 0);
	if (here >= IDENTITY_SIZE - LARGE_SIZE)
		tables_map(&tables, here, here, 2 * LARGE_SIZE, 0);
	return base + plan->tables;
}
