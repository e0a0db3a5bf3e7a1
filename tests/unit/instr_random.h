/* Pseudo-random numbers of the instruction tests, the same in each run: xorshift64*. */
#pragma once

#include "kernel/abi/types.h"

static u64 random_state = 0x123456789abcdefull;

static inline u64 random_next(void)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * 0x2545f4914f6cdd1dull;
}

static inline bool one_in(unsigned n)
{
	return random_next() % n == 0;
}
