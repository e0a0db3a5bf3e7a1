/* What the loaders share: memory map, places, command line, page tables. */
#include "boot.h"
#include "drivers/lib/lib.h"

#define ENTRY_PRESENT_WRITE 3u
#define ENTRY_LARGE         BIT(7)
#define ENTRIES             512u
#define LARGE_PAGE          0x200000ull
#define DIRECTORIES         4u

u32 memmap_build(const struct gmem *memory, struct memmap_entry *out)
{
	u32 n = 0;

	for (u32 i = 0; i < memory->ranges; i++) {
		u64 base = memory->range[i].base;
		u64 end = base + memory->range[i].size;

		if (base < BOOT_LOW_RAM_END) {
			u64 low_end = end < BOOT_LOW_RAM_END ? end : BOOT_LOW_RAM_END;

			out[n++] = (struct memmap_entry){base, low_end - base, MEMMAP_RAM};
			if (end > BOOT_ROM_START)
				out[n++] = (struct memmap_entry){BOOT_ROM_START,
					BOOT_HIGH_START - BOOT_ROM_START, MEMMAP_RESERVED};
		}
		if (base < BOOT_HIGH_START)
			base = BOOT_HIGH_START;
		if (base < end)
			out[n++] = (struct memmap_entry){base, end - base, MEMMAP_RAM};
	}
	return n;
}

bool memmap_is_ram(const struct gmem *memory, gpa_t base, u64 size)
{
	u64 end = base + size;

	if (end < base || !gmem_at(memory, base, size))
		return false;
	return end <= BOOT_LOW_RAM_END || base >= BOOT_HIGH_START;
}

gpa_t memmap_place_high(const struct gmem *memory, u64 size, u64 limit, gpa_t avoid, u64 avoid_size)
{
	for (u32 i = memory->ranges; i-- > 0;) {
		u64 base = memory->range[i].base;
		u64 end = base + memory->range[i].size;

		if (base < BOOT_HIGH_START)
			base = BOOT_HIGH_START;
		if (end > limit)
			end = ALIGN_DOWN(limit, PAGE_SIZE);
		for (u32 attempt = 0; attempt < 2; attempt++) {
			gpa_t place;

			if (end <= base || end - base < size)
				break;
			place = ALIGN_DOWN(end - size, PAGE_SIZE);
			if (place < base)
				break;
			if (place >= avoid + avoid_size || place + size <= avoid)
				return place;
			end = ALIGN_DOWN(avoid, PAGE_SIZE); /* try below */
		}
	}
	return 0;
}

bool boot_put_cmdline(const struct boot_request *r, u64 max)
{
	u64 length = strlen(r->bootargs);

	if (length > max || length >= BOOT_CMDLINE_SIZE)
		return false;
	return gmem_write(r->memory, BOOT_CMDLINE, r->bootargs, length + 1);
}

bool boot_put_paging(const struct gmem *memory)
{
	u64 *table = gmem_at(memory, BOOT_PAGING, (2 + DIRECTORIES) * PAGE_SIZE);
	u64 *pdpt, *directory;

	if (!table)
		return false;
	pdpt = table + ENTRIES;
	directory = pdpt + ENTRIES;
	memset(table, 0, 2 * PAGE_SIZE);
	table[0] = (BOOT_PAGING + PAGE_SIZE) | ENTRY_PRESENT_WRITE;
	for (u32 i = 0; i < DIRECTORIES; i++)
		pdpt[i] = (BOOT_PAGING + (2 + i) * PAGE_SIZE) | ENTRY_PRESENT_WRITE;
	for (u32 i = 0; i < DIRECTORIES * ENTRIES; i++)
		directory[i] = i * LARGE_PAGE | ENTRY_LARGE | ENTRY_PRESENT_WRITE;
	return true;
}

const char *boot_load(const struct boot_request *r, struct boot_entry *entry)
{
	if (!memmap_is_ram(r->memory, BOOT_LOW_START, BOOT_LOW_END - BOOT_LOW_START))
		return "the machine has no memory at address 0";
	if (pvh_is(&r->kernel))
		return pvh_load(r, entry);
	if (bzimage_is(&r->kernel))
		return bzimage_load(r, entry);
	return "neither a bzImage nor an ELF program";
}
