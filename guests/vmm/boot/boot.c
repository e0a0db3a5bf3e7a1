/* What the loaders share: memory map, places, command line, page tables. */
#include "boot.h"
#include "drivers/lib/lib.h"
#include "elf.h"

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

const char boot_low_taken[] = "it is to be loaded where the boot information goes (0x1000 to "
			      "0xbfff, and 0x91000 to 0x9bfff)";

bool boot_low_overlaps(u32 shift, gpa_t base, u64 size)
{
	return base < BOOT_LOW_END + shift && base + size > BOOT_LOW_START + shift;
}

const char *boot_load_beside(
	boot_loader *load, const struct boot_request *r, struct boot_entry *entry)
{
	struct boot_request shifted = *r;
	const char *wrong = load(&shifted, entry);

	if (wrong == boot_low_taken) {
		shifted.shift = BOOT_SHIFT;
		wrong = load(&shifted, entry);
	}
	/* cppcheck-suppress returnDanglingLifetime; what is wrong is a constant text */
	return wrong;
}

bool boot_put_cmdline(const struct boot_request *r, u64 max)
{
	u64 length = strlen(r->bootargs);

	if (length > max || length >= BOOT_CMDLINE_SIZE)
		return false;
	return gmem_write(r->memory, BOOT_CMDLINE + r->shift, r->bootargs, length + 1);
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

/* Appends `text` to the strings in guest memory without its closing zero; false: no room. */
static bool put_text(const struct boot_request *r, u32 *at, const char *text)
{
	u64 length = strlen(text);

	if (length >= BOOT_LOW_END + r->shift - *at || !gmem_write(r->memory, *at, text, length))
		return false;
	*at += (u32)length;
	return true;
}

/* Puts "name args", "name" or "args" at *at, and moves that behind. */
static bool put_string(const struct boot_request *r, u32 *at, const char *name, const char *args)
{
	const char zero = 0;

	if (!put_text(r, at, name) || (*name && *args && !put_text(r, at, " ")) ||
		!put_text(r, at, args) || !gmem_write(r->memory, *at, &zero, 1))
		return false;
	*at += 1;
	return true;
}

bool boot_put_named_cmdline(const struct boot_request *r)
{
	u32 at = BOOT_CMDLINE + r->shift;

	return put_string(r, &at, r->kernel_name ? r->kernel_name : "", r->bootargs) &&
	       at <= BOOT_CMDLINE + BOOT_CMDLINE_SIZE + r->shift;
}

/* The lowest page from `from` on with `size` bytes of RAM below 4 GiB behind it; 0: none. */
static gpa_t place_low(const struct gmem *memory, u64 from, u64 size)
{
	for (u32 i = 0; i < memory->ranges; i++) {
		u64 base = memory->range[i].base;
		u64 end = base + memory->range[i].size;

		if (base < from)
			base = from;
		if (end > BOOT_4G)
			end = BOOT_4G;
		base = ALIGN_UP(base, PAGE_SIZE);
		if (base < end && size <= end - base)
			return base;
	}
	return 0;
}

const char *boot_put_modules(const struct boot_request *r, u64 kernel_end, u32 how,
	struct boot_placed *placed, u32 *count)
{
	u64 low = kernel_end < BOOT_HIGH_START ? BOOT_HIGH_START : kernel_end;
	u64 limit = BOOT_4G;
	u32 string = BOOT_STRINGS + r->shift;

	*count = 0;
	for (u32 i = 0; i <= r->modules; i++) {
		const struct boot_module initrd = {r->initrd, r->initrd_name, ""};
		const struct boot_module *m = i ? &r->module[i - 1] : &initrd;
		const char *name = (how & BOOT_MODULES_NAMED) && m->name ? m->name : "";
		struct boot_placed *p = &placed[*count];
		gpa_t at;

		if (!i && (!m->image.data || !m->image.size))
			continue;
		if (*count == BOOT_PLACED_MAX)
			return "there are too many modules";
		at = how & BOOT_MODULES_HIGH ? memmap_place_high(r->memory, m->image.size, limit,
						       BOOT_HIGH_START, low - BOOT_HIGH_START)
					     : place_low(r->memory, low, m->image.size);
		if (!at || !gmem_write(r->memory, at, m->image.data, m->image.size))
			return i ? "the machine has not enough memory for the modules"
				 : "the machine has not enough memory for the initrd";
		*p = (struct boot_placed){(u32)at, (u32)m->image.size, string};
		if (!put_string(r, &string, name, m->args))
			return "the strings of the modules are too long";
		if (how & BOOT_MODULES_HIGH)
			limit = at;
		else
			low = at + m->image.size;
		*count += 1;
	}
	return NULL;
}

const char *boot_load(const struct boot_request *r, struct boot_entry *entry)
{
	static const struct {
		bool (*is)(const struct boot_image *image);
		boot_loader *load;
	} loaders[] = {
		{pvh_is, pvh_load},
		{bzimage_is, bzimage_load},
		{multiboot_is, multiboot_load},
		{flat_is, flat_load},
	};

	if (!memmap_is_ram(r->memory, BOOT_LOW_START, BOOT_LOW_END - BOOT_LOW_START))
		return "the machine has no memory at address 0";
	for (u32 i = 0; i < ARRAY_SIZE(loaders); i++) {
		if (loaders[i].is(&r->kernel))
			return loaders[i].load(r, entry);
	}
	if (elf_is(&r->kernel)) {
		struct elf elf;
		const char *wrong = elf_open(&r->kernel, &elf);

		return wrong ? wrong : "it has neither a PVH note nor a Multiboot header";
	}
	return "neither a bzImage, an ELF program, a Multiboot kernel nor a boot image";
}
