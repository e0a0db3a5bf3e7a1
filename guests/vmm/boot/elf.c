/* ELF files: headers, segments, notes. */
#include "elf.h"
#include "drivers/lib/lib.h"

#define ELF_MAGIC    0x464c457fu
#define ELF_CLASS_32 1
#define ELF_CLASS_64 2
#define ELF_LITTLE   1
#define ELF_386      3
#define ELF_X86_64   62
#define SEGMENTS_MAX 64u
#define NOTES_MAX    64u /* looked at in one segment */
#define NOTE_ALIGN   4u
#define OWNER_MAX    16u

enum {
	IDENT_CLASS = 4,
	IDENT_DATA = 5
};

struct elf32_header {
	u8 ident[16];
	u16 type, machine;
	u32 version, entry, phoff, shoff, flags;
	u16 ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};
static_assert(sizeof(struct elf32_header) == 52);

struct elf64_header {
	u8 ident[16];
	u16 type, machine;
	u32 version;
	u64 entry, phoff, shoff;
	u32 flags;
	u16 ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};
static_assert(sizeof(struct elf64_header) == 64);

struct elf32_segment {
	u32 type, offset, vaddr, paddr, filesz, memsz, flags, align;
};
static_assert(sizeof(struct elf32_segment) == 32);

struct elf64_segment {
	u32 type, flags;
	u64 offset, vaddr, paddr, filesz, memsz, align;
};
static_assert(sizeof(struct elf64_segment) == 56);

bool image_read(const struct boot_image *image, u64 offset, void *to, u64 size)
{
	if (!image->data || offset > image->size || size > image->size - offset)
		return false;
	memcpy(to, (const u8 *)image->data + offset, size);
	return true;
}

bool elf_is(const struct boot_image *image)
{
	u32 magic;

	return image_read(image, 0, &magic, sizeof(magic)) && magic == ELF_MAGIC;
}

const char *elf_open(const struct boot_image *image, struct elf *elf)
{
	struct elf32_header narrow;
	struct elf64_header wide;

	*elf = (struct elf){.image = image};
	if (!image_read(image, 0, &narrow, sizeof(narrow)))
		return "damaged: the file is shorter than an ELF header";
	if (narrow.ident[IDENT_DATA] != ELF_LITTLE)
		return "it is not for this machine";
	if (narrow.ident[IDENT_CLASS] == ELF_CLASS_32 && narrow.machine == ELF_386) {
		elf->entry = narrow.entry;
		elf->phoff = narrow.phoff;
		elf->phentsize = narrow.phentsize;
		elf->phnum = narrow.phnum;
	} else if (narrow.ident[IDENT_CLASS] == ELF_CLASS_64 && narrow.machine == ELF_X86_64) {
		if (!image_read(image, 0, &wide, sizeof(wide)))
			return "damaged: the file is shorter than an ELF header";
		elf->wide = true;
		elf->entry = wide.entry;
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

bool elf_segment(const struct elf *elf, u32 index, struct elf_segment *out)
{
	u64 at = elf->phoff + (u64)index * elf->phentsize;
	struct elf32_segment narrow;
	struct elf64_segment wide;

	if (at < elf->phoff)
		return false;
	if (elf->wide) {
		if (!image_read(elf->image, at, &wide, sizeof(wide)))
			return false;
		*out = (struct elf_segment){
			wide.type, wide.offset, wide.vaddr, wide.paddr, wide.filesz, wide.memsz};
		return true;
	}
	if (!image_read(elf->image, at, &narrow, sizeof(narrow)))
		return false;
	*out = (struct elf_segment){narrow.type, narrow.offset, narrow.vaddr, narrow.paddr,
		narrow.filesz, narrow.memsz};
	return true;
}

static const char *load_segment(
	const struct boot_request *r, const struct elf *elf, const struct elf_segment *s, u64 *end)
{
	u8 *to;

	if (!s->memsz)
		return NULL;
	if (s->filesz > s->memsz || s->offset > elf->image->size ||
		s->filesz > elf->image->size - s->offset)
		return "damaged: a segment lies beyond the end of the file";
	if (!memmap_is_ram(r->memory, s->paddr, s->memsz))
		return "a segment lies where the machine has no memory";
	if (boot_low_overlaps(r->shift, s->paddr, s->memsz))
		return boot_low_taken;
	to = gmem_at(r->memory, s->paddr, s->memsz);
	memcpy(to, (const u8 *)elf->image->data + s->offset, s->filesz);
	memset(to + s->filesz, 0, s->memsz - s->filesz);
	if (s->paddr + s->memsz > *end)
		*end = s->paddr + s->memsz;
	return NULL;
}

const char *elf_load(const struct boot_request *r, const struct elf *elf, u64 *entry, u64 *end)
{
	*entry = elf->entry;
	*end = 0;
	for (u32 i = 0; i < elf->phnum; i++) {
		struct elf_segment segment;
		const char *wrong;

		if (!elf_segment(elf, i, &segment))
			return "damaged: its program headers lie beyond the end of the file";
		if (segment.type != ELF_LOAD)
			continue;
		wrong = load_segment(r, elf, &segment, end);
		if (wrong)
			return wrong;
		if (elf->entry - segment.vaddr < segment.memsz)
			*entry = elf->entry - segment.vaddr + segment.paddr;
	}
	return NULL;
}

/* Looks through one note segment. */
static bool find_note(const struct elf *elf, const struct elf_segment *segment, const char *owner,
	u32 type, void *desc, u32 desc_size)
{
	u64 owner_size = strlen(owner) + 1;
	u64 at = segment->offset;
	u64 left = segment->filesz;

	if (at > elf->image->size || left > elf->image->size - at || owner_size > OWNER_MAX)
		return false;
	for (u32 i = 0; i < NOTES_MAX && left >= sizeof(struct elf_note); i++) {
		char text[OWNER_MAX];
		struct elf_note note;
		u64 name, size;

		if (!image_read(elf->image, at, &note, sizeof(note)))
			return false;
		name = ALIGN_UP((u64)note.namesz, NOTE_ALIGN);
		size = sizeof(note) + name + ALIGN_UP((u64)note.descsz, NOTE_ALIGN);
		if (note.type == type && note.namesz == owner_size && note.descsz >= desc_size &&
			sizeof(note) + name + desc_size <= left &&
			image_read(elf->image, at + sizeof(note), text, owner_size) &&
			memcmp(text, owner, owner_size) == 0)
			return image_read(elf->image, at + sizeof(note) + name, desc, desc_size);
		if (size > left)
			return false;
		at += size;
		left -= size;
	}
	return false;
}

bool elf_find_note(const struct elf *elf, const char *owner, u32 type, void *desc, u32 size)
{
	for (u32 i = 0; i < elf->phnum; i++) {
		struct elf_segment segment;

		if (!elf_segment(elf, i, &segment))
			return false;
		if (segment.type == ELF_NOTE && find_note(elf, &segment, owner, type, desc, size))
			return true;
	}
	return false;
}
