/*
 * Reads ELF programs of either class for x86 processors (System V ABI, chapters 4 and 5). The file
 * is untrusted: nothing of it is used unchecked.
 */
#pragma once

#include "guests/vmm/boot/boot.h"

#define ELF_LOAD 1u /* segment types */
#define ELF_NOTE 4u

struct elf_segment {
	u32 type;
	u64 offset;
	u64 vaddr;
	u64 paddr;
	u64 filesz;
	u64 memsz;
};

/* An open file; its program headers are read one at a time. */
struct elf {
	const struct boot_image *image;
	bool wide; /* ELF64 */
	u64 entry; /* as the header has it: a linear address */
	u64 phoff;
	u32 phentsize;
	u32 phnum;
};

struct elf_note {
	u32 namesz, descsz, type;
};

/* Copies [offset, offset + size) of the file; false: it does not reach so far. */
bool image_read(const struct boot_image *image, u64 offset, void *to, u64 size);

/* Does the file begin as an ELF file does? */
bool elf_is(const struct boot_image *image);

/* Checks the header. Returns NULL, or what is wrong. */
const char *elf_open(const struct boot_image *image, struct elf *elf);

/* Program header `index`, below elf->phnum; false: it lies beyond the end of the file. */
bool elf_segment(const struct elf *elf, u32 index, struct elf_segment *out);

/*
 * Copies all ELF_LOAD segments to their physical addresses, which must be RAM where the loader puts
 * nothing (BOOT_LOW_START to BOOT_LOW_END, with r->shift), and clears what the file does not hold
 * of them.
 *
 * entry: out: where the header's entry point was loaded; as it stands if no segment holds it
 * end:   out: end of the highest segment, 0 without any
 *
 * Returns NULL, boot_low_taken, or what else is wrong; memory may then hold parts.
 */
const char *elf_load(const struct boot_request *r, const struct elf *elf, u64 *entry, u64 *end);

/*
 * Finds the note `type` of `owner`, which has its closing zero, and copies `size` bytes of its
 * descriptor. False: there is none of at least that size.
 */
bool elf_find_note(const struct elf *elf, const char *owner, u32 type, void *desc, u32 size);
