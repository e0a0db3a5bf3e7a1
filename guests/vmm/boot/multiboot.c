/*
 * Multiboot 1 kernels (Multiboot specification 0.6.96): the header, loading by its address fields
 * or as ELF, the information structure, and modules. ELF64 files are loaded as ELF32 ones are, and
 * also entered in 32-bit protected mode. What the specification does not name is to be as the BIOS
 * initialized it (3.2): low memory (bios.c), interrupt controllers and timer.
 */
#include "drivers/lib/lib.h"
#include "elf.h"

#define SEARCH_SIZE  8192u /* the header lies wholly in the first so many bytes ... */
#define HEADER_ALIGN 4u    /* ... at a multiple of this */
#define HEADER_MAGIC 0x1badb002u
#define ENTRY_MAGIC  0x2badb002u /* in EAX */

/* Header flags: those of the lower half must be met or the kernel refused (3.1.2). */
#define HEADER_PAGE_ALIGN BIT(0)
#define HEADER_MEMORY     BIT(1)
#define HEADER_VIDEO      BIT(2)
#define HEADER_REQUIRED   0xffffu
#define HEADER_ADDRESSES  BIT(16) /* the address fields count */

#define INFO_MEMORY  BIT(0)
#define INFO_CMDLINE BIT(2)
#define INFO_MODULES BIT(3)
#define INFO_MEMMAP  BIT(6)
#define INFO_LOADER  BIT(9)

#define KIB         1024u
#define LOADER_NAME "Bulkhead"
#define MEMMAP_AT   BOOT_TABLES
#define MODULES_AT  (BOOT_TABLES + 0x200u)
#define LOADER_AT   (BOOT_TABLES + 0x300u)

struct multiboot_header {
	u32 magic, flags, checksum;
	u32 header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr;
};
static_assert(sizeof(struct multiboot_header) == 32);
#define HEADER_SHORT offsetof(struct multiboot_header, header_addr)

/* What the kernel finds at EBX (3.3). */
struct multiboot_info {
	u32 flags;
	u32 mem_lower, mem_upper; /* KiB from 0 and from 1 MiB */
	u32 boot_device;
	u32 cmdline;
	u32 mods_count, mods_addr;
	u32 syms[4];
	u32 mmap_length, mmap_addr;
	u32 drives_length, drives_addr;
	u32 config_table;
	u32 boot_loader_name;
	u32 apm_table;
};
static_assert(offsetof(struct multiboot_info, mmap_length) == 44);
static_assert(offsetof(struct multiboot_info, boot_loader_name) == 64);

struct multiboot_module {
	u32 mod_start, mod_end, string, reserved;
};
static_assert(MODULES_AT + sizeof(struct multiboot_module) * BOOT_PLACED_MAX <= LOADER_AT);

struct multiboot_mmap {
	u32 size; /* of what follows */
	u64 base;
	u64 length;
	u32 type;
} __attribute__((packed));
static_assert(sizeof(struct multiboot_mmap) == 24);
static_assert(MEMMAP_AT + sizeof(struct multiboot_mmap) * MEMMAP_MAX <= MODULES_AT);

/* Finds the header; false: there is none. The address fields are 0 where they do not count. */
static bool find_header(const struct boot_image *image, struct multiboot_header *h, u32 *offset)
{
	u64 search = image->size < SEARCH_SIZE ? image->size : SEARCH_SIZE;

	for (u32 at = 0; at + HEADER_SHORT <= search; at += HEADER_ALIGN) {
		*h = (struct multiboot_header){0};
		if (!image_read(image, at, h, HEADER_SHORT))
			return false;
		if (h->magic != HEADER_MAGIC || h->magic + h->flags + h->checksum != 0)
			continue;
		*offset = at;
		if (!(h->flags & HEADER_ADDRESSES))
			return true;
		return at + sizeof(*h) <= search && image_read(image, at, h, sizeof(*h));
	}
	return false;
}

bool multiboot_is(const struct boot_image *image)
{
	struct multiboot_header h;
	u32 offset;

	return find_header(image, &h, &offset);
}

/* Loads by the address fields of the header, which lies at `offset` in the file (3.1.3). */
static const char *load_addresses(
	const struct boot_request *r, const struct multiboot_header *h, u32 offset, u64 *end)
{
	u64 before = (u64)h->header_addr - h->load_addr; /* bytes loaded before the header */
	u64 from, size, total;
	u8 *to;

	if (h->load_addr > h->header_addr || before > offset)
		return "damaged: its Multiboot header lies outside of what is to be loaded";
	from = offset - before;
	size = h->load_end_addr ? (u64)h->load_end_addr - h->load_addr : r->kernel.size - from;
	if (h->load_end_addr && h->load_end_addr <= h->load_addr)
		return "damaged: its Multiboot header has it end before it begins";
	if (size > r->kernel.size - from)
		return "damaged: the file is shorter than its Multiboot header says";
	total = size;
	if (h->bss_end_addr) {
		if (h->bss_end_addr < h->load_addr + size)
			return "damaged: its Multiboot header has the BSS end before it begins";
		total = (u64)h->bss_end_addr - h->load_addr;
	}
	if (!memmap_is_ram(r->memory, h->load_addr, total))
		return "it is to be loaded where the machine has no memory";
	if (boot_low_overlaps(r->shift, h->load_addr, total))
		return boot_low_taken;
	to = gmem_at(r->memory, h->load_addr, total);
	memcpy(to, (const u8 *)r->kernel.data + from, size);
	memset(to + size, 0, total - size);
	*end = h->load_addr + total;
	return NULL;
}

static const char *load_kernel(const struct boot_request *r, u64 *entry, u64 *end)
{
	struct multiboot_header h;
	const char *wrong;
	struct elf elf;
	u32 offset;

	if (!find_header(&r->kernel, &h, &offset))
		return "it has no Multiboot header";
	if (h.flags & HEADER_VIDEO)
		return "it asks for a video mode, which this machine cannot set";
	if (h.flags & HEADER_REQUIRED & ~(HEADER_PAGE_ALIGN | HEADER_MEMORY))
		return "its Multiboot header asks for what is not known here";
	if (h.flags & HEADER_ADDRESSES) {
		*entry = h.entry_addr;
		return load_addresses(r, &h, offset, end);
	}
	if (!elf_is(&r->kernel))
		return "its Multiboot header has no addresses, and it is no ELF program";
	wrong = elf_open(&r->kernel, &elf);
	return wrong ? wrong : elf_load(r, &elf, entry, end);
}

/* KiB of RAM from `base` on without a hole, at most to `limit`. */
static u32 memory_kib(const struct gmem *memory, u64 base, u64 limit)
{
	for (u32 i = 0; i < memory->ranges; i++) {
		u64 end = memory->range[i].base + memory->range[i].size;

		if (memory->range[i].base <= base && base < end)
			return (u32)(((end < limit ? end : limit) - base) / KIB);
	}
	return 0;
}

static bool put_memmap(const struct boot_request *r, struct multiboot_info *info)
{
	struct memmap_entry map[MEMMAP_MAX];
	struct multiboot_mmap out[MEMMAP_MAX];
	u32 entries = memmap_build(r->memory, map);

	for (u32 i = 0; i < entries; i++)
		out[i] = (struct multiboot_mmap){sizeof(out[i]) - sizeof(out[i].size), map[i].base,
			map[i].size, map[i].type};
	info->mem_lower = memory_kib(r->memory, 0, BOOT_LOW_RAM_END);
	info->mem_upper = memory_kib(r->memory, BOOT_HIGH_START, BOOT_4G);
	info->mmap_addr = MEMMAP_AT + r->shift;
	info->mmap_length = entries * (u32)sizeof(out[0]);
	info->flags |= INFO_MEMORY | INFO_MEMMAP;
	return gmem_write(r->memory, info->mmap_addr, out, info->mmap_length);
}

static const char *put_modules(
	const struct boot_request *r, u64 kernel_end, struct multiboot_info *info)
{
	struct boot_placed placed[BOOT_PLACED_MAX];
	struct multiboot_module out[BOOT_PLACED_MAX];
	u32 count;
	const char *wrong = boot_put_modules(r, kernel_end, BOOT_MODULES_NAMED, placed, &count);

	if (wrong)
		return wrong;
	for (u32 i = 0; i < count; i++)
		out[i] = (struct multiboot_module){
			placed[i].address, placed[i].address + placed[i].size, placed[i].args, 0};
	info->flags |= INFO_MODULES;
	info->mods_count = count;
	info->mods_addr = MODULES_AT + r->shift;
	if (count && !gmem_write(r->memory, info->mods_addr, out, count * sizeof(out[0])))
		return "the machine has not enough memory";
	return NULL;
}

static const char *load(const struct boot_request *r, struct boot_entry *entry)
{
	struct multiboot_info info = {.flags = INFO_CMDLINE | INFO_LOADER};
	u64 start, end;
	const char *wrong;

	if (!boot_put_bios(r->memory))
		return "the machine has no memory from 0 to 1 MiB";
	wrong = load_kernel(r, &start, &end);
	if (wrong)
		return wrong;
	if (start >= BOOT_4G || !memmap_is_ram(r->memory, start, 1))
		return "damaged: its entry point lies where the machine has no memory";
	if (!boot_put_named_cmdline(r))
		return "the command line is too long";
	wrong = put_modules(r, end, &info);
	if (wrong)
		return wrong;
	info.cmdline = BOOT_CMDLINE + r->shift;
	info.boot_loader_name = LOADER_AT + r->shift;
	if (!put_memmap(r, &info) ||
		!gmem_write(r->memory, info.boot_loader_name, LOADER_NAME, sizeof(LOADER_NAME)) ||
		!gmem_write(r->memory, BOOT_PARAMS + r->shift, &info, sizeof(info)))
		return "the machine has not enough memory";
	*entry = (struct boot_entry){
		.mode = BOOT_MODE_PROTECTED,
		.rip = start,
		.rax = ENTRY_MAGIC,
		.rbx = BOOT_PARAMS + r->shift,
		.rsp = BOOT_LOW_END + r->shift, /* undefined by the specification */
		.shift = r->shift,
		.bios = true,
	};
	return NULL;
}

const char *multiboot_load(const struct boot_request *r, struct boot_entry *entry)
{
	return boot_load_beside(load, r, entry);
}
