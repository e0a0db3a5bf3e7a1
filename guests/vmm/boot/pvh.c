/*
 * ELF programs with a PVH note, entered in flat 32-bit protected mode (Xen, docs/misc/pvh.pandoc
 * and xen/include/public/arch-x86/hvm/start_info.h).
 */
#include "drivers/lib/lib.h"
#include "elf.h"

#define NOTE_OWNER    "Xen"
#define NOTE_ENTRY    18u /* XEN_ELFNOTE_PHYS32_ENTRY */
#define START_MAGIC   0x336ec578u
#define START_VERSION 1
#define MEMMAP_AT     BOOT_TABLES
#define MODULES_AT    (BOOT_TABLES + 0x200u)

struct start_module {
	u64 address, size, cmdline, reserved;
};

struct start_memmap {
	u64 base, size;
	u32 type, reserved;
};
static_assert(sizeof(struct start_memmap) * MEMMAP_MAX <= MODULES_AT - MEMMAP_AT);
static_assert(MODULES_AT + sizeof(struct start_module) * BOOT_PLACED_MAX <= BOOT_CMDLINE);

struct start_info_page {
	u32 magic, version, flags, modules;
	u64 module_list, cmdline, rsdp, memmap;
	u32 memmap_entries, reserved;
};
static_assert(sizeof(struct start_info_page) == 56);

static bool find_entry(const struct boot_image *image, u32 *entry)
{
	struct elf elf;

	return !elf_open(image, &elf) &&
	       elf_find_note(&elf, NOTE_OWNER, NOTE_ENTRY, entry, sizeof(*entry));
}

bool pvh_is(const struct boot_image *image)
{
	u32 entry;

	return elf_is(image) && find_entry(image, &entry);
}

static bool put_memmap(const struct boot_request *r, u32 *entries)
{
	struct memmap_entry map[MEMMAP_MAX];
	struct start_memmap out[MEMMAP_MAX];

	*entries = memmap_build(r->memory, map);
	for (u32 i = 0; i < *entries; i++)
		out[i] = (struct start_memmap){map[i].base, map[i].size, map[i].type, 0};
	return gmem_write(r->memory, MEMMAP_AT + r->shift, out, *entries * sizeof(out[0]));
}

static const char *put_modules(
	const struct boot_request *r, u64 kernel_end, struct start_info_page *info)
{
	struct boot_placed placed[BOOT_PLACED_MAX];
	struct start_module out[BOOT_PLACED_MAX];
	u32 count;
	const char *wrong = boot_put_modules(r, kernel_end, BOOT_MODULES_HIGH, placed, &count);

	if (wrong || !count)
		return wrong;
	for (u32 i = 0; i < count; i++)
		out[i] =
			(struct start_module){placed[i].address, placed[i].size, placed[i].args, 0};
	if (!gmem_write(r->memory, MODULES_AT + r->shift, out, count * sizeof(out[0])))
		return "the machine has not enough memory";
	info->modules = count;
	info->module_list = MODULES_AT + r->shift;
	return NULL;
}

static const char *load(const struct boot_request *r, struct boot_entry *entry)
{
	struct start_info_page info = {.magic = START_MAGIC, .version = START_VERSION};
	const char *wrong;
	struct elf elf;
	u64 ignored, end;
	u32 start;

	wrong = elf_open(&r->kernel, &elf);
	if (!wrong)
		wrong = elf_load(r, &elf, &ignored, &end);
	if (wrong)
		return wrong;
	if (!find_entry(&r->kernel, &start))
		return "it has no PVH entry point";
	if (!memmap_is_ram(r->memory, start, 1))
		return "damaged: its entry point lies where the machine has no memory";
	if (!boot_put_cmdline(r, BOOT_CMDLINE_SIZE))
		return "the command line is too long";
	wrong = put_modules(r, end, &info);
	if (wrong)
		return wrong;
	info.cmdline = BOOT_CMDLINE + r->shift;
	info.rsdp = r->rsdp;
	info.memmap = MEMMAP_AT + r->shift;
	if (!put_memmap(r, &info.memmap_entries) ||
		!gmem_write(r->memory, BOOT_PARAMS + r->shift, &info, sizeof(info)))
		return "the machine has not enough memory";
	*entry = (struct boot_entry){.mode = BOOT_MODE_PROTECTED,
		.rip = start,
		.rbx = BOOT_PARAMS + r->shift,
		.shift = r->shift};
	return NULL;
}

const char *pvh_load(const struct boot_request *r, struct boot_entry *entry)
{
	return boot_load_beside(load, r, entry);
}
