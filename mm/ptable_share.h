/* The kernel's half of the address space: shared by all domains through the top-level entries. */
#pragma once

#include "mm/ptable.h"

/*
 * Makes sure that the top-level entries that cover [va, va + size) exist, so that domains may copy
 * them once and see later mappings below. NO_MEMORY.
 */
status_t ptable_reserve(struct ptable *t, u64 va, u64 size);

/* Copies top-level entries [first, last] of `from` into `to`. */
void ptable_share(struct ptable *to, const struct ptable *from, unsigned first, unsigned last);
