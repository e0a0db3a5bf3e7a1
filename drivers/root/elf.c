/* The ELF reader: System V ABI, chapters 4 and 5; the ABI note is that of kernel/abi/boot.h. */
#include "drivers/lib/lib.h"
#include "drivers/root/elf.h"
#include "kernel/abi/boot.h"

#define ELF_MAGIC     0x464c457fu
#define ELF_CLASS_64  2
#define ELF_DATA_LSB  1
#define ELF_TYPE_EXEC 2
#define ELF_MACHINE   62 /* EM_X86_64 */
#define ELF_LOAD      1
#define ELF_NOTE      4
#define ELF_INTERP    3
#define ELF_EXECUTE   BIT(0)
#define ELF_WRITE     BIT(1)
#define ELF_HEADERS   32u /* program headers read at most */

struct elf_header {
	u32 magic;
	u8 class;
	u8 data;
	u8 rest[10];
	u16 type;
	u16 machine;
	u32 version;
	u64 entry;
	u64 phoff;
	u64 shoff;
	u32 flags;
	u16 ehsize;
	u16 phentsize;
	u16 phnum;
	u16 shentsize;
	u16 shnum;
	u16 shstrndx;
};
static_assert(sizeof(struct elf_header) == 64);

struct elf_phdr {
	u32 type;
	u32 flags;
	u64 offset;
	u64 vaddr;
	u64 paddr;
	u64 filesz;
	u64 memsz;
	u64 align;
};
static_assert(sizeof(struct elf_phdr) == 56);

struct elf_note {
	u32 name_size;
	u32 size;
	u32 type;
	char name[12]; /* BOOT_NOTE_NAME with NUL, padded to 4 bytes */
	u32 abi;
};
static_assert(sizeof(struct elf_note) == 28);

static const char *read_segment(struct elf_program *p, const struct elf_phdr *h, u64 size)
{
	struct elf_segment s = {
		.offset = h->offset,
		.base = h->vaddr,
		.file_size = h->filesz,
		.size = h->memsz,
		.write = h->flags & ELF_WRITE,
		.execute = h->flags & ELF_EXECUTE,
	};

	if (p->segments == ELF_SEGMENTS_MAX)
		return "it has too many segments";
	if (s.offset > size || s.file_size > size - s.offset)
		return "a segment lies beyond the end of the file";
	if (!IS_ALIGNED(s.offset | s.base, PAGE_SIZE))
		return "a segment does not start on a page";
	if (s.base < START_IMAGE || s.base >= START_RESOURCES || s.size > START_RESOURCES - s.base)
		return "a segment lies at an address that is not a program's";
	if (s.file_size > s.size || (!s.write && s.file_size != s.size))
		return "a segment has a wrong size";
	if (s.write && s.execute)
		return "a segment is both writable and executable";
	for (u32 i = 0; i < p->segments; i++) {
		const struct elf_segment *o = &p->segment[i];

		if (s.base < ALIGN_UP(o->base + o->size, PAGE_SIZE) &&
			o->base < ALIGN_UP(s.base + s.size, PAGE_SIZE))
			return "two segments share a page";
	}
	p->segment[p->segments++] = s;
	return NULL;
}

static const char *read_note(const u8 *file, const struct elf_phdr *h, u64 size, bool *found)
{
	struct elf_note n;

	if (h->offset > size || h->filesz > size - h->offset || h->filesz < sizeof(n))
		return NULL;
	memcpy(&n, file + h->offset, sizeof(n));
	if (n.name_size != sizeof(BOOT_NOTE_NAME) || n.type != BOOT_NOTE_TYPE || n.size < 4 ||
		memcmp(n.name, BOOT_NOTE_NAME, sizeof(BOOT_NOTE_NAME)) != 0)
		return NULL;
	*found = true;
	return n.abi == BULKHEAD_ABI ? NULL : "it was built for another version of the kernel";
}

const char *elf_read(struct elf_program *p, const void *file, u64 size)
{
	struct elf_header e;
	struct elf_phdr h;
	const u8 *bytes = file;
	const char *wrong = NULL;
	bool noted = false;
	bool entry = false;

	*p = (struct elf_program){0};
	if (size < sizeof(e))
		return "it is no ELF file";
	memcpy(&e, file, sizeof(e));
	if (e.magic != ELF_MAGIC || e.class != ELF_CLASS_64 || e.data != ELF_DATA_LSB ||
		e.machine != ELF_MACHINE)
		return "it is no ELF file for x86-64";
	if (e.type != ELF_TYPE_EXEC)
		return "it is not linked as a static program";
	if (e.phentsize != sizeof(h) || e.phnum > ELF_HEADERS || e.phoff > size ||
		e.phnum * sizeof(h) > size - e.phoff)
		return "its program headers are damaged";
	for (u32 i = 0; i < e.phnum && !wrong; i++) {
		memcpy(&h, bytes + e.phoff + i * sizeof(h), sizeof(h));
		if (h.type == ELF_LOAD && h.memsz != 0)
			wrong = read_segment(p, &h, size);
		else if (h.type == ELF_NOTE)
			wrong = read_note(bytes, &h, size, &noted);
		else if (h.type == ELF_INTERP)
			wrong = "it wants a dynamic linker";
	}
	if (wrong)
		return wrong;
	for (u32 i = 0; i < p->segments; i++) {
		const struct elf_segment *s = &p->segment[i];

		entry |= s->execute && e.entry >= s->base && e.entry - s->base < s->size;
	}
	if (!entry)
		return "its entry point is not in its text";
	if (!noted)
		return "it has no ABI note, so it is no program of this system";
	p->entry = e.entry;
	return NULL;
}
