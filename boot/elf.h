/* The ELF files of kernel and root: checked as if hostile; the kernel's is copied to its place. No
 * EFI in here. */
#pragma once

#include "kernel/abi/boot.h"
#include "kernel/abi/status.h"

#define KERNEL_IMAGE_MAX                                                                           \
	0x1000000ull /* bytes from KERNEL_BASE: what one may need at the very most */

/* What elf_check_kernel found; every offset and size in it lies within the file. */
struct elf_kernel {
	u64 entry;      /* virtual address */
	u64 image_size; /* bytes from KERNEL_BASE to the end of the last segment, whole pages */
	u64 segments;   /* offset of the program headers */
	u32 segment_count;
	u32 symbol_count; /* of all kinds; 0 if the file is stripped */
	u64 symbols;      /* offset of the symbol table */
	u64 strings;      /* offset of its string table */
	u64 strings_size;
};

/*
 * Looks for the ABI note (BOOT_NOTE_NAME, BOOT_NOTE_TYPE) in the PT_NOTE segments of `file`.
 * Returns OK with *abi set, NOT_FOUND if `file` has no such note or is no ELF64 file of this
 * machine, DAMAGED if a header or a note reaches past the end of what holds it.
 */
status_t elf_find_abi(const void *file, u64 size, u32 *abi);

/*
 * Checks that `file` is a kernel that this loader can start: ELF64 for x86-64, ET_EXEC, its
 * segments within KERNEL_IMAGE_MAX of KERNEL_BASE, in ascending order, none both writable and
 * executable, no page shared by two, the entry in an executable one. Returns OK with *kernel filled
 * in, or DAMAGED with the reason in *why. The ABI note is not looked at.
 */
status_t elf_check_kernel(const void *file, u64 size, struct elf_kernel *kernel, const char **why);

/*
 * Checks that `file` is a root that the kernel can map as it lies there: ELF64 for x86-64, at most
 * BOOT_MAX_SEGMENTS segments, page-aligned, whole in the file, none both writable and executable.
 * Returns OK with root_entry and root_segment of *info filled in, which were zero, or DAMAGED with
 * the reason in *why.
 */
status_t elf_check_root(const void *file, u64 size, struct boot_info *info, const char **why);

/* Writes the image to `block`, kernel->image_size bytes: segments copied, all else zero. */
void elf_load_kernel(const void *file, const struct elf_kernel *kernel, void *block);

/*
 * Writes the function symbols (Elf64_Sym, names still offsets into the string table) to `to`, which
 * has room for kernel->symbol_count of them, or only counts them if `to` is NULL. Returns how many.
 */
u64 elf_copy_functions(const void *file, const struct elf_kernel *kernel, void *to);
