/* The plan of the kernel block, and its temporary page tables as the processor would walk them. */
#include <stdlib.h>
#include "test.h"
#include "boot/block.h"

#define MIB     0x100000ull
#define PRESENT BIT(0)
#define WRITE   BIT(1)
#define LARGE   BIT(7)
#define NX      BIT(63)
#define ADDRESS 0x000ffffffffff000ull

static const struct elf_kernel kernel = {.image_size = 0x45000, .strings_size = 1001};

TEST(block_plan_layout)
{
	struct block_plan plan = block_plan(&kernel, 10, 512 * MIB, 2);

	CHECK_EQ(plan.info, kernel.image_size);
	CHECK(plan.symbols >= plan.info + sizeof(struct boot_info));
	CHECK_EQ(plan.symbols_size, 240);
	CHECK_EQ(plan.strings, plan.symbols + plan.symbols_size);
	CHECK_EQ(plan.strings_size, 1001);
	CHECK(plan.tables >= plan.strings + plan.strings_size);
	CHECK(IS_ALIGNED(plan.tables, PAGE_SIZE));
	CHECK_EQ(plan.pool, plan.tables + BLOCK_TABLES * PAGE_SIZE);
	CHECK(IS_ALIGNED(plan.size, BOOT_BLOCK_ALIGN));
	CHECK(plan.size - plan.pool >= 6 * MIB + MIB / 2 + 2 * 0x30000);
	CHECK(plan.least <= plan.size);
}

TEST(block_plan_large_machine)
{
	struct block_plan plan = block_plan(&kernel, 0, 1024 * 1024 * MIB, 256);

	CHECK_EQ(plan.strings_size, 0);
	CHECK(plan.size - plan.pool >= 6 * MIB + 1024 * MIB + 256 * 0x30000);
	CHECK(plan.least < 64 * MIB);
}

/* Translates as the processor does; the physical address, and the leaf's bits in *leaf. */
static u64 walk(u64 cr3, u64 virt, u64 *leaf)
{
	u64 *table = (u64 *)cr3;

	for (int shift = 39; shift > 12; shift -= 9) {
		u64 entry = table[virt >> shift & 511];

		if (!(entry & PRESENT)) {
			*leaf = 0;
			return 0;
		}
		if (entry & LARGE) {
			*leaf = entry;
			return (entry & ADDRESS & ~(BIT(shift) - 1)) | (virt & (BIT(shift) - 1));
		}
		table = (u64 *)(entry & ADDRESS);
	}
	*leaf = 0;
	return 0;
}

static void check_maps(u64 virt, u64 phys, u64 cr3, u64 bits)
{
	u64 leaf;

	CHECK_EQ(walk(cr3, virt, &leaf), phys);
	CHECK_EQ(leaf & (PRESENT | WRITE | LARGE | NX), PRESENT | WRITE | LARGE | bits);
}

static void check_code(u64 code)
{
	struct block_plan plan = {.info = 0x45000, .tables = 0x60000, .size = 6 * MIB};
	u8 *block = aligned_alloc(BOOT_BLOCK_ALIGN, plan.size);
	u64 base = (u64)block;
	u64 cr3, leaf;

	memset(block, 0xa5, plan.size);
	cr3 = block_map(&plan, base, code);
	CHECK_EQ(cr3, base + plan.tables);
	check_maps(0, 0, cr3, 0);
	check_maps(0xfee00123, 0xfee00123, cr3, 0);
	check_maps(BOOT_WINDOW + base, base, cr3, NX);
	check_maps(BOOT_WINDOW + base + plan.size - 1, base + plan.size - 1, cr3, NX);
	check_maps(KERNEL_BASE + 0x44fff, base + 0x44fff, cr3, 0);
	check_maps(code, code, cr3, 0);
	check_maps(code + 0x100, code + 0x100, cr3, 0);
	walk(cr3, BOOT_WINDOW + base + plan.size, &leaf);
	CHECK_EQ(leaf, 0);
	walk(cr3, KERNEL_BASE - 1, &leaf);
	CHECK_EQ(leaf, 0);
	CHECK_EQ(block[plan.tables - 1], 0xa5);
	CHECK_EQ(block[plan.tables + BLOCK_TABLES * PAGE_SIZE], 0xa5);
	free(block);
}

TEST(block_map_walk)
{
	check_code(0x1000000);
	check_code(0xffffffc0);
	check_code(0x17fffff80);
	check_code(0x7ffffff000);
	check_code(0x123456789000);
}
