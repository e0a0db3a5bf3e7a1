/* Checks the ELF files of kernel and root, and loads the kernel's (System V ABI, chapters 4 and 5,
 * AMD64 supplement). */
#include <elf.h>
#include "elf.h"
#include "kernel/abi/syscall.h"
#include "memory.h"

/* Whether `size` bytes at `offset` lie within `limit` bytes. */
static bool within(u64 offset, u64 size, u64 limit)
{
	return offset <= limit && size <= limit - offset;
}

/* Reads the file header; false if this is no ELF64 file for x86-64 with sound table sizes. */
static bool header_read(const u8 *file, u64 size, Elf64_Ehdr *header)
{
	if (size < sizeof(*header))
		return false;
	memcpy(header, file, sizeof(*header));
	return memcmp(header->e_ident, ELFMAG, SELFMAG) == 0 &&
	       header->e_ident[EI_CLASS] == ELFCLASS64 && header->e_ident[EI_DATA] == ELFDATA2LSB &&
	       header->e_machine == EM_X86_64 && header->e_phentsize == sizeof(Elf64_Phdr);
}

/* Segments need not be aligned in a hostile file, so they are copied out. */
static Elf64_Phdr segment_read(const u8 *file, u64 table, u32 index)
{
	Elf64_Phdr segment;

	memcpy(&segment, file + table + index * sizeof(segment), sizeof(segment));
	return segment;
}

static status_t note_find_abi(const u8 *notes, u64 size, u32 *abi)
{
	u64 at = 0;

	while (within(at, sizeof(Elf64_Nhdr), size)) {
		Elf64_Nhdr note;
		u64 name, value;

		memcpy(&note, notes + at, sizeof(note));
		name = at + sizeof(note);
		value = name + ALIGN_UP((u64)note.n_namesz, 4);
		if (!within(name, note.n_namesz, size) || !within(value, note.n_descsz, size))
			return STATUS_DAMAGED;
		if (note.n_type == BOOT_NOTE_TYPE && note.n_namesz == sizeof(BOOT_NOTE_NAME) &&
			note.n_descsz == sizeof(*abi) &&
			memcmp(notes + name, BOOT_NOTE_NAME, sizeof(BOOT_NOTE_NAME)) == 0) {
			memcpy(abi, notes + value, sizeof(*abi));
			return STATUS_OK;
		}
		at = value + ALIGN_UP((u64)note.n_descsz, 4);
	}
	return STATUS_NOT_FOUND;
}

status_t elf_find_abi(const void *file, u64 size, u32 *abi)
{
	Elf64_Ehdr header;

	if (!header_read(file, size, &header))
		return STATUS_NOT_FOUND;
	if (!within(header.e_phoff, (u64)header.e_phnum * sizeof(Elf64_Phdr), size))
		return STATUS_DAMAGED;
	for (u32 i = 0; i < header.e_phnum; i++) {
		Elf64_Phdr segment = segment_read(file, header.e_phoff, i);
		status_t status;

		if (segment.p_type != PT_NOTE)
			continue;
		if (!within(segment.p_offset, segment.p_filesz, size))
			return STATUS_DAMAGED;
		status = note_find_abi((const u8 *)file + segment.p_offset, segment.p_filesz, abi);
		if (status != STATUS_NOT_FOUND)
			return status;
	}
	return STATUS_NOT_FOUND;
}

/* Returns what is wrong with a PT_LOAD segment, or NULL. `end` is where the one before it ended. */
static const char *segment_fault(const Elf64_Phdr *segment, u64 file_size, u64 end)
{
	if (!within(segment->p_offset, segment->p_filesz, file_size))
		return "a segment reaches past the end of the file";
	if (segment->p_filesz > segment->p_memsz)
		return "a segment is longer in the file than in memory";
	if (segment->p_vaddr < KERNEL_BASE ||
		!within(segment->p_vaddr - KERNEL_BASE, segment->p_memsz, KERNEL_IMAGE_MAX))
		return "a segment lies outside the kernel's place";
	if (segment->p_vaddr < ALIGN_UP(end, PAGE_SIZE))
		return "two segments share a page or are out of order";
	if ((segment->p_flags & (PF_W | PF_X)) == (PF_W | PF_X))
		return "a segment is both writable and executable";
	return NULL;
}

static const char *segments_check(const u8 *file, u64 size, struct elf_kernel *kernel)
{
	u64 end = KERNEL_BASE;
	bool entry_found = false;

	for (u32 i = 0; i < kernel->segment_count; i++) {
		Elf64_Phdr segment = segment_read(file, kernel->segments, i);
		const char *fault;

		if (segment.p_type != PT_LOAD || segment.p_memsz == 0)
			continue;
		fault = segment_fault(&segment, size, end);
		if (fault)
			return fault;
		end = segment.p_vaddr + segment.p_memsz;
		if ((segment.p_flags & PF_X) && kernel->entry >= segment.p_vaddr &&
			kernel->entry - segment.p_vaddr < segment.p_filesz)
			entry_found = true;
	}
	if (!entry_found)
		return "the entry lies in no executable segment";
	kernel->image_size = ALIGN_UP(end - KERNEL_BASE, PAGE_SIZE);
	return NULL;
}

/* Finds the symbol table and its strings. A damaged one is as good as none: it is only for panics.
 */
static void symbols_find(
	const u8 *file, u64 size, const Elf64_Ehdr *header, struct elf_kernel *kernel)
{
	if (header->e_shentsize != sizeof(Elf64_Shdr) ||
		!within(header->e_shoff, (u64)header->e_shnum * sizeof(Elf64_Shdr), size))
		return;
	for (u32 i = 0; i < header->e_shnum; i++) {
		Elf64_Shdr symbols, strings;

		memcpy(&symbols, file + header->e_shoff + i * sizeof(symbols), sizeof(symbols));
		if (symbols.sh_type != SHT_SYMTAB)
			continue;
		if (symbols.sh_entsize != sizeof(Elf64_Sym) || symbols.sh_link >= header->e_shnum ||
			!within(symbols.sh_offset, symbols.sh_size, size))
			return;
		memcpy(&strings, file + header->e_shoff + symbols.sh_link * sizeof(strings),
			sizeof(strings));
		if (strings.sh_type != SHT_STRTAB || strings.sh_size == 0 ||
			!within(strings.sh_offset, strings.sh_size, size) ||
			file[strings.sh_offset + strings.sh_size - 1] != '\0')
			return;
		kernel->symbols = symbols.sh_offset;
		kernel->symbol_count = (u32)(symbols.sh_size / sizeof(Elf64_Sym));
		kernel->strings = strings.sh_offset;
		kernel->strings_size = strings.sh_size;
		return;
	}
}

status_t elf_check_kernel(const void *file, u64 size, struct elf_kernel *kernel, const char **why)
{
	Elf64_Ehdr header;

	memset(kernel, 0, sizeof(*kernel));
	*why = "it is no ELF64 file for x86-64";
	if (!header_read(file, size, &header))
		return STATUS_DAMAGED;
	*why = "it is not linked to a fixed address";
	if (header.e_type != ET_EXEC)
		return STATUS_DAMAGED;
	*why = "its program headers reach past the end of the file";
	if (!within(header.e_phoff, (u64)header.e_phnum * sizeof(Elf64_Phdr), size))
		return STATUS_DAMAGED;
	kernel->entry = header.e_entry;
	kernel->segments = header.e_phoff;
	kernel->segment_count = header.e_phnum;
	*why = segments_check(file, size, kernel);
	if (*why)
		return STATUS_DAMAGED;
	symbols_find(file, size, &header, kernel);
	return STATUS_OK;
}

/* Returns what is wrong with a PT_LOAD segment of root, or NULL. */
static const char *root_segment_fault(const Elf64_Phdr *segment, u64 file_size)
{
	if (!IS_ALIGNED(segment->p_vaddr | segment->p_offset, PAGE_SIZE))
		return "a segment is not page-aligned";
	if (segment->p_filesz != segment->p_memsz ||
		!within(segment->p_offset, segment->p_filesz, file_size))
		return "a segment is not whole in the file";
	if (segment->p_vaddr < ABI_USER_MIN || !within(segment->p_vaddr, segment->p_memsz, BIT(40)))
		return "a segment lies outside root's place";
	if ((segment->p_flags & (PF_W | PF_X)) == (PF_W | PF_X))
		return "a segment is both writable and executable";
	return NULL;
}

status_t elf_check_root(const void *file, u64 size, struct boot_info *info, const char **why)
{
	Elf64_Ehdr header;
	u32 count = 0;

	static_assert(BOOT_SEGMENT_EXEC == PF_X && BOOT_SEGMENT_WRITE == PF_W);
	*why = "it is no ELF64 file for x86-64";
	if (!header_read(file, size, &header))
		return STATUS_DAMAGED;
	*why = "its program headers reach past the end of the file";
	if (!within(header.e_phoff, (u64)header.e_phnum * sizeof(Elf64_Phdr), size))
		return STATUS_DAMAGED;
	for (u32 i = 0; i < header.e_phnum; i++) {
		Elf64_Phdr segment = segment_read(file, header.e_phoff, i);

		if (segment.p_type != PT_LOAD || segment.p_memsz == 0)
			continue;
		*why = count < BOOT_MAX_SEGMENTS ? root_segment_fault(&segment, size)
						 : "it has too many segments";
		if (*why)
			return STATUS_DAMAGED;
		info->root_segment[count++] = (struct boot_segment){segment.p_vaddr,
			segment.p_offset, ALIGN_UP(segment.p_memsz, PAGE_SIZE),
			segment.p_flags & (PF_W | PF_X)};
	}
	info->root_entry = header.e_entry;
	return STATUS_OK;
}

void elf_load_kernel(const void *file, const struct elf_kernel *kernel, void *block)
{
	memset(block, 0, kernel->image_size);
	for (u32 i = 0; i < kernel->segment_count; i++) {
		Elf64_Phdr segment = segment_read(file, kernel->segments, i);

		if (segment.p_type == PT_LOAD && segment.p_filesz)
			memcpy((u8 *)block + (segment.p_vaddr - KERNEL_BASE),
				(const u8 *)file + segment.p_offset, segment.p_filesz);
	}
}

u64 elf_copy_functions(const void *file, const struct elf_kernel *kernel, void *to)
{
	u8 *out = to;
	u64 count = 0;

	for (u32 i = 0; i < kernel->symbol_count; i++) {
		Elf64_Sym symbol;

		memcpy(&symbol, (const u8 *)file + kernel->symbols + i * sizeof(symbol),
			sizeof(symbol));
		if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC || symbol.st_shndx == SHN_UNDEF ||
			symbol.st_name >= kernel->strings_size)
			continue;
		if (out)
			memcpy(out + count * sizeof(symbol), &symbol, sizeof(symbol));
		count++;
	}
	return count;
}
