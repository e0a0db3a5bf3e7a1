/* The kernel block: where in it everything lies, and the temporary page tables. No EFI in here. */
#pragma once

#include "elf.h"
#include "kernel/abi/boot.h"

/* Top level 1, identity map 1 + 4, window 1 + 4, kernel 2, two pages of the loader at most 4. */
#define BLOCK_TABLES 17

/* Offsets from the block's start, bytes; each but `strings` is page-aligned. */
struct block_plan {
	u64 info;    /* also the end of the image */
	u64 symbols; /* right after boot_info's pages */
	u64 symbols_size;
	u64 strings;
	u64 strings_size;
	u64 tables;
	u64 pool;
	u64 size;  /* of the block: a multiple of BOOT_BLOCK_ALIGN */
	u64 least; /* the smallest size that can work, likewise a multiple */
};

/*
 * Plans the block for this kernel with `functions` function symbols, on a machine with `ram` bytes
 * of memory and `cpus` processors.
 */
struct block_plan block_plan(const struct elf_kernel *kernel, u64 functions, u64 ram, u32 cpus);

/*
 * Builds the temporary tables that boot.h promises, in the plan's place in the block at `base`,
 * plus an identity map of the 2 MiB page with `code` in it, and of the next. Memory must be mapped
 * one to one. Returns the value for CR3.
 */
u64 block_map(const struct block_plan *plan, paddr_t base, u64 code);
