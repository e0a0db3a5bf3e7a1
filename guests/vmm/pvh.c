/*
 * ELF programs with a PVH note, entered in flat 32-bit protected mode (Xen, docs/misc/pvh.pandoc
 * and xen/include/public/arch-x86/hvm/start_info.h; System V ABI, chapters 4 and 5).
 */
#include "boot.h"
#include "drivers/lib/lib.h"

#define ELF_MAGIC     0x464c457fu
#define ELF_CLASS_32  1
#define ELF_CLASS_64  2
#define ELF_LITTLE    1
#define ELF_386       3
#define ELF_X86_64    62
#define ELF_LOAD      1
#define ELF_NOTE      4
#define SEGMENTS_MAX  64u
#define NOTE_ENTRY    18 /* XEN_ELFNOTE_PHYS32_ENTRY */
#define NOTE_ALIGN    4u
#define START_MAGIC   0x336ec578u
#define START_VERSION 1
#define MODULE_AT     BOOT_TABLES
#define MEMMAP_AT     (BOOT_TABLES + 0x100u)

struct elf32_header {
	u8 ident[16];
	u16 type, machine;
	u32 version, entry, phoff, shoff, flags;
	u16 ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct elf64_header {
	u8 ident[16];
	u16 type, machine;
	u32 version;
	u64 entry, phoff, shoff;
	u32 flags;
	u16 ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct elf32_segment {
	u32 type, offset, vaddr, paddr, filesz, memsz, flags, align;
};

struct elf64_segment {
	u32 type, flags;
	u64 offset, vaddr, paddr, filesz, memsz, align;
};

struct elf_note {
	u32 namesz, descsz, type;
};

struct start_module {
	u64 address, size, cmdline, reserved;
};

struct start_memmap {
	u64 base, size;
	u32 type, reserved;
};

struct start_info_page {
	u32 magic, version, flags, modules;
	u64 module_list, cmdline, rsdp, memmap;
	u32 memmap_entries, reserved;
};
static_assert(sizeof(struct start_info_page) == 56);

/* The program headers of either class, read one at a time. */
struct elf {
	const struct boot_image *image;
	bool wide;
	u64 phoff;
	u32 phentsize;
	u32 phnum;
};

static bool file_read(const struct boot_image *image, u64 offset, void *to, u64 size)
{
	if (offset > image->size || size > image->size - offset)
		return false;
	memcpy(to, (const u8 *)image->data + offset, size);
	return true;
}

bool pvh_is(const struct boot_image *image)
{
	u32 magic;

	return image->data && file_read(image, 0, &magic, sizeof(magic)) && magic == ELF_MAGIC;
}

static const char *elf_open(const struct boot_image *image, struct elf *elf)
{
	struct elf32_header narrow;
	struct elf64_header wide;

	*elf = (struct elf){.image = image};
	if (!file_read(image, 0, &narrow, sizeof(narrow)))
		return "damaged: the file is shorter than an ELF header";
	if (narrow.ident[5] != ELF_LITTLE)
		return "it is not for this machine";
	if (narrow.ident[4] == ELF_CLASS_32 && narrow.machine == ELF_386) {
		elf->phoff = narrow.phoff;
		elf->phentsize = narrow.phentsize;
		elf->phnum = narrow.phnum;
	} else if (narrow.ident[4] == ELF_CLASS_64 && narrow.machine == ELF_X86_64) {
		if (!file_read(image, 0, &wide, sizeof(wide)))
			return "damaged: the file is shorter than an ELF header";
		elf->wide = true;
		elf->phoff = wide.phoff;
		elf->phentsize = wide.phentsize;
		elf->phnum = wide.phnum;
	} else {
		return "it is not for this machine";
	}
	if (elf->phentsize <
		(elf->wide ? sizeof(struct elf64_segment) : sizeof(struct elf32_segment)))
		return "damaged: its program headers are too small";
	if (!elf->phnum || elf->phnum > SEGMENTS_MAX)
		return "damaged: the number of its program headers is impossible";
	return NULL;
}

static bool elf_segment(const struct elf *elf, u32 index, struct elf64_segment *out)
{
	u64 at = elf->phoff + (u64)index * elf->phentsize;
	struct elf32_segment narrow;

	if (at < elf->phoff)
		return false;
	if (elf->wide)
		return file_read(elf->image, at, out, sizeof(*out));
	if (!file_read(elf->image, at, &narrow, sizeof(narrow)))
		return false;
	*out = (struct elf64_segment){narrow.type, narrow.flags, narrow.offset, narrow.vaddr,
		narrow.paddr, narrow.filesz, narrow.memsz, narrow.align};
	return true;
}

/* Looks through one note segment for the entry point. */
static bool find_entry(const struct elf *elf, const struct elf64_segment *segment, u32 *entry)
{
	u64 at = segment->offset;
	u64 left = segment->filesz;

	if (at > elf->image->size || left > elf->image->size - at)
		return false;
	while (left >= sizeof(struct elf_note)) {
		struct elf_note note;
		u64 name, desc, size;
		char text[4];

		if (!file_read(elf->image, at, &note, sizeof(note)))
			return false;
		name = ALIGN_UP((u64)note.namesz, NOTE_ALIGN);
		desc = ALIGN_UP((u64)note.descsz, NOTE_ALIGN);
		size = sizeof(note) + name + desc;
		if (note.type == NOTE_ENTRY && note.namesz == sizeof(text) && note.descsz >= 4 &&
			sizeof(note) + name + 4 <= left &&
			file_read(elf->image, at + sizeof(note), text, sizeof(text)) &&
			memcmp(text, "Xen", sizeof(text)) == 0)
			return file_read(elf->image, at + sizeof(note) + name, entry, 4);
		if (size > left)
			return false;
		at += size;
		left -= size;
	}
	return false;
}

static const char *load_segment(
	const struct boot_request *r, const struct elf64_segment *s, u64 *end)
{
	u8 *to;

	if (!s->memsz)
		return NULL;
	if (s->filesz > s->memsz || s->offset > r->kernel.size ||
		s->filesz > r->kernel.size - s->offset)
		return "damaged: a segment lies beyond the end of the file";
	if (!memmap_is_ram(r->memory, s->paddr, s->memsz))
		return "a segment lies where the machine has no memory";
	if (s->paddr < BOOT_LOW_END && s->paddr + s->memsz > BOOT_LOW_START)
		return "a segment lies where the boot information goes (0x1000 to 0xbfff)";
	to = gmem_at(r->memory, s->paddr, s->memsz);
	memcpy(to, (const u8 *)r->kernel.data + s->offset, s->filesz);
	memset(to + s->filesz, 0, s->memsz - s->filesz);
	if (s->paddr + s->memsz > *end)
		*end = s->paddr + s->memsz;
	return NULL;
}

static const char *load_segments(const struct boot_request *r, u32 *entry, u64 *end)
{
	bool have_entry = false;
	const char *wrong;
	struct elf elf;

	wrong = elf_open(&r->kernel, &elf);
	if (wrong)
		return wrong;
	for (u32 i = 0; i < elf.phnum; i++) {
		struct elf64_segment segment;

		if (!elf_segment(&elf, i, &segment))
			return "damaged: its program headers lie beyond the end of the file";
		if (segment.type == ELF_NOTE && !have_entry)
			have_entry = find_entry(&elf, &segment, entry);
		if (segment.type != ELF_LOAD)
			continue;
		wrong = load_segment(r, &segment, end);
		if (wrong)
			return wrong;
	}
	if (!have_entry)
		return "it has no PVH entry point";
	if (!memmap_is_ram(r->memory, *entry, 1))
		return "damaged: its entry point lies where the machine has no memory";
	return NULL;
}

static bool put_memmap(const struct boot_request *r, u32 *entries)
{
	struct memmap_entry map[MEMMAP_MAX];
	struct start_memmap out[MEMMAP_MAX];

	*entries = memmap_build(r->memory, map);
	for (u32 i = 0; i < *entries; i++)
		out[i] = (struct start_memmap){map[i].base, map[i].size, map[i].type, 0};
	return gmem_write(r->memory, MEMMAP_AT, out, *entries * sizeof(out[0]));
}

const char *pvh_load(const struct boot_request *r, struct boot_entry *entry)
{
	struct start_info_page info = {.magic = START_MAGIC, .version = START_VERSION};
	struct start_module module = {0};
	const char *wrong;
	u64 end = BOOT_HIGH_START;
	u32 start = 0;

	wrong = load_segments(r, &start, &end);
	if (wrong)
		return wrong;
	if (!boot_put_cmdline(r, BOOT_CMDLINE_SIZE))
		return "the command line is too long";
	if (r->initrd.data && r->initrd.size) {
		module.size = r->initrd.size;
		module.address = memmap_place_high(
			r->memory, module.size, BOOT_4G, BOOT_HIGH_START, end - BOOT_HIGH_START);
		if (!module.address ||
			!gmem_write(r->memory, module.address, r->initrd.data, module.size))
			return "the machine has not enough memory for the initrd";
		info.modules = 1;
		info.module_list = MODULE_AT;
	}
	info.cmdline = BOOT_CMDLINE;
	info.rsdp = r->rsdp;
	info.memmap = MEMMAP_AT;
	if (!put_memmap(r, &info.memmap_entries) ||
		!gmem_write(r->memory, MODULE_AT, &module, sizeof(module)) ||
		!gmem_write(r->memory, BOOT_PARAMS, &info, sizeof(info)))
		return "the machine has not enough memory";
	*entry = (struct boot_entry){.mode = BOOT_MODE_PROTECTED, .rip = start, .rbx = BOOT_PARAMS};
	return NULL;
}
