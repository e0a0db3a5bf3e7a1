/*
 * Deaths at the stores that the compiler announces (guests/vmm/journal_hooks.c, which this takes
 * the place of): all of the VMM's, also those of the journal itself.
 */
#pragma once

#include <setjmp.h>
#include <stddef.h>

#include "kernel/abi/types.h"

/* Where a life ends. */
extern jmp_buf death;

/* From now on `store` counts; before it the life ends with longjmp(death, 1). 0: it does not. */
void life_begin(u64 store);

/* Stores since then. */
u64 life_stores(void);

/* Stores are not noted in the journal, as in files that are built without announcements. */
void life_unnoted(bool on);

/* Without announcement, for the test's own use. */
void *real_memcpy(void *to, const void *from, size_t size) __asm__("__real_memcpy");
void *real_memmove(void *to, const void *from, size_t size) __asm__("__real_memmove");
void *real_memset(void *to, int byte, size_t size) __asm__("__real_memset");
