/* The list of boot files, and the look of a device tree. No EFI in here. */
#pragma once

#include "kernel/abi/boot.h"
#include "kernel/abi/status.h"

#define LIST_SIZE_MAX 0x10000 /* bytes of files.txt */
#define LIST_ROOT     "root.elf"
#define LIST_SYSTEM   "system.dtb"

/*
 * Reads `size` bytes of `text`, one file name a line (blank lines, and CR before LF, are passed
 * over), into file[].name: first LIST_ROOT, which the list must begin with, then LIST_SYSTEM, which
 * it need not name, then the others in their order. Returns OK and the number of files in *files;
 * else DAMAGED, or NO_SPACE for more than BOOT_MAX_FILES, with the line (from 1) and the reason.
 */
status_t list_read(const char *text, u64 size, struct boot_file *file, u32 *files, u32 *line,
	const char **why);

/* Returns NULL if `size` bytes at `tree` look like a flattened device tree, else what is wrong. */
const char *list_tree_fault(const void *tree, u64 size);
