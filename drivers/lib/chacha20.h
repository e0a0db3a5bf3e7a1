/*
 * ChaCha20 (RFC 8439, 2.3), and a generator of random bytes from a seed by it.
 *
 * The generator erases its key as it goes: from each block the first half becomes the next key, so
 * that what it holds tells nothing of the bytes that it gave before.
 */
#pragma once

#include "kernel/abi/types.h"

#define CHACHA20_KEY   32u /* bytes */
#define CHACHA20_NONCE 12u
#define CHACHA20_BLOCK 64u
#define RANDOM_SEED    CHACHA20_KEY

/* One block of the key stream. */
void chacha20_block(const u8 key[CHACHA20_KEY], u32 counter, const u8 nonce[CHACHA20_NONCE],
	u8 block[CHACHA20_BLOCK]);

/* Plain data; part of a device's state. */
struct random {
	u8 key[CHACHA20_KEY];
};
static_assert(sizeof(struct random) % 8 == 0, "part of device states");

void random_init(struct random *r, const u8 seed[RANDOM_SEED]);

/* The next `size` bytes. */
void random_bytes(struct random *r, void *to, u32 size);
