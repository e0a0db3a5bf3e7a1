/* SHA-256 (FIPS 180-4) of data that arrives in pieces. */
#pragma once

#include "kernel/abi/types.h"

#define SHA256_SIZE  32 /* bytes of a digest */
#define SHA256_BLOCK 64 /* bytes that one round of the function takes */

struct sha256 {
	u32 state[8];
	u8 block[SHA256_BLOCK];
	u64 length; /* bytes so far */
};

void sha256_init(struct sha256 *hash);

/* Adds `size` bytes at `data`. */
void sha256_add(struct sha256 *hash, const void *data, u64 size);

/* Writes the digest; `hash` must be initialised anew before another use. */
void sha256_finish(struct sha256 *hash, u8 digest[SHA256_SIZE]);
