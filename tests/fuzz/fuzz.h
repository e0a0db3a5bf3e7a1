/*
 * What the fuzzers share. Each counts the operations that it has done: accesses of a device's
 * registers, steps of a driver, acts of a client, instructions; the sum is printed at the end.
 */
#pragma once

#include <stddef.h>
#include <stdlib.h>
#include "kernel/abi/types.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

extern u64 fuzz_operations; /* done so far: count.c */

static inline void require(bool condition)
{
	if (!condition)
		abort();
}
