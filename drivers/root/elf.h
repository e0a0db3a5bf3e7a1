/* Checks a program file before anything of it is used. Pure. */
#pragma once

#include "kernel/abi/types.h"

#define ELF_SEGMENTS_MAX 8

struct elf_segment {
	u64 offset;    /* in the file; a page boundary */
	vaddr_t base;  /* a page boundary */
	u64 file_size; /* bytes in the file */
	u64 size;      /* bytes in memory; more than file_size only where `write` */
	bool write;
	bool execute; /* never with `write` */
};

struct elf_program {
	vaddr_t entry;
	u32 segments;
	struct elf_segment segment[ELF_SEGMENTS_MAX];
};

/*
 * Reads a static x86-64 program in `file`, `size` bytes. Returns NULL, or why the file is no
 * program that root can start: a few words without a full stop. Accepts segments from START_IMAGE
 * up to START_RESOURCES that do not overlap, and only the ABI version of this build.
 */
const char *elf_read(struct elf_program *p, const void *file, u64 size);
