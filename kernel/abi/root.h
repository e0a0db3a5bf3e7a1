/*
 * What root, the first program, finds when it starts.
 *
 * The kernel maps root.elf's segments from the boot file itself (page-aligned, .bss present in the
 * file), one thread on the boot processor at the ELF entry with RDI = ROOT_BOOT_INFO, and these
 * capabilities. Mems of boot files and of free ranges are root's whole; everything else root makes
 * itself.
 */
#pragma once

#include "boot.h"
#include "syscall.h"

#define ROOT_CAP_DOMAIN 1 /* its own domain */
#define ROOT_CAP_THREAD 2 /* its first thread */
#define ROOT_CAP_SYS    3
#define ROOT_CAP_DEVICE 4  /* mem over the whole physical space: parts of it are device memory */
#define ROOT_CAP_RANGE  64 /* + i: boot_info.range[i] of type FREE */
#define ROOT_CAP_FILE   (ROOT_CAP_RANGE + BOOT_MAX_RANGES) /* + i: boot_info.file[i] */
#define ROOT_CAP_FIRST  (ROOT_CAP_FILE + BOOT_MAX_FILES)   /* first slot that is free */

#define ROOT_BOOT_INFO  0x20000ull  /* struct boot_info, read-only */
#define ROOT_MESSAGE    0x1f000ull  /* message page of the first thread */
#define ROOT_STACK_TOP  0x3f0000ull /* top of its first stack, in root's pool */
#define ROOT_STACK_SIZE 0x10000ull
#define ROOT_PRIORITY   60
