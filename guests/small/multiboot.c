/*
 * A Multiboot 1 kernel that tells what its loader gave it: command line, memory, and each module
 * with its string, size and FNV-1a sum. Then it switches the machine off.
 */
#include "small.h"

#define LOADER_MAGIC 0x2badb002u
#define INFO_MEMORY  BIT(0)
#define INFO_CMDLINE BIT(2)
#define INFO_MODULES BIT(3)
#define INFO_MEMMAP  BIT(6)
#define INFO_LOADER  BIT(9)
#define MEMMAP_RAM   1u
#define FNV_BASIS    0xcbf29ce484222325ull
#define FNV_PRIME    0x100000001b3ull
#define PAGE         0x1000u

struct information { /* 3.3 */
	u32 flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr, syms[4],
		mmap_length, mmap_addr, drives_length, drives_addr, config_table, boot_loader_name;
};

struct module {
	u32 mod_start, mod_end, string, reserved;
};

struct __attribute__((packed)) range {
	u32 size; /* of what follows */
	u64 base, length;
	u32 type;
};

extern u32 multiboot_magic, multiboot_information;

static const char *text_at(u32 address)
{
	return (const char *)(u64)address;
}

static void put_value(const char *text, u64 value, const char *unit)
{
	put_text(text);
	put_number(value);
	put_text(unit);
}

static u64 sum_of(u32 from, u32 to)
{
	u64 sum = FNV_BASIS;

	for (u64 at = from; at < to; at++)
		sum = (sum ^ *(const u8 *)at) * FNV_PRIME;
	return sum;
}

static void put_modules(const struct information *info)
{
	const struct module *m = (const struct module *)(u64)info->mods_addr;

	for (u32 i = 0; i < info->mods_count; i++) {
		put_value("multiboot: module ", i, ": \"");
		put_text(text_at(m[i].string));
		put_value("\", ", m[i].mod_end - m[i].mod_start, " bytes, sum ");
		put_hex(sum_of(m[i].mod_start, m[i].mod_end));
		put_text(m[i].mod_start % PAGE ? ", not on a page\n" : "\n");
	}
}

static void put_memory(const struct information *info)
{
	u64 ram = 0;

	for (u32 at = 0; at < info->mmap_length;) {
		const struct range *r = (const struct range *)(u64)(info->mmap_addr + at);

		if (r->type == MEMMAP_RAM)
			ram += r->length;
		at += r->size + (u32)sizeof(r->size);
	}
	put_value("multiboot: memory: ", info->mem_lower, " KiB and ");
	put_value("", info->mem_upper, " KiB; ");
	put_value("", ram >> 10, " KiB by the map\n");
}

void small_main(const char *cmdline)
{
	const u64 wanted = INFO_MEMORY | INFO_CMDLINE | INFO_MODULES | INFO_MEMMAP | INFO_LOADER;
	const struct information *info = (const struct information *)(u64)multiboot_information;

	(void)cmdline; /* PVH's */
	if (multiboot_magic != LOADER_MAGIC || (info->flags & wanted) != wanted) {
		put_text("multiboot: no Multiboot loader, or not all that was asked of it\n");
		return;
	}
	put_text("multiboot: loaded by ");
	put_text(text_at(info->boot_loader_name));
	put_text(" as: ");
	put_text(text_at(info->cmdline));
	put_text("\n");
	put_memory(info);
	put_modules(info);
}
