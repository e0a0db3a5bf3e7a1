/* Counts a fuzzer's operations; tests/fuzz/run adds the counts up. */
#include "fuzz.h"
#include <stdio.h>

u64 fuzz_operations;

static void tell(void)
{
	fprintf(stderr, "operations: %llu\n", (unsigned long long)fuzz_operations);
}

__attribute__((constructor)) static void begin(void)
{
	atexit(tell);
}
