/* SHA-256 as FIPS 180-4 section 6.2 states it. */
#include "memory.h"
#include "sha256.h"

/* The first 32 bits of the fractional parts of the cube roots of the first 64 primes (4.2.2). */
static const u32 round_constant[64] = {
	0x428a2f98,
	0x71374491,
	0xb5c0fbcf,
	0xe9b5dba5,
	0x3956c25b,
	0x59f111f1,
	0x923f82a4,
	0xab1c5ed5,
	0xd807aa98,
	0x12835b01,
	0x243185be,
	0x550c7dc3,
	0x72be5d74,
	0x80deb1fe,
	0x9bdc06a7,
	0xc19bf174,
	0xe49b69c1,
	0xefbe4786,
	0x0fc19dc6,
	0x240ca1cc,
	0x2de92c6f,
	0x4a7484aa,
	0x5cb0a9dc,
	0x76f988da,
	0x983e5152,
	0xa831c66d,
	0xb00327c8,
	0xbf597fc7,
	0xc6e00bf3,
	0xd5a79147,
	0x06ca6351,
	0x14292967,
	0x27b70a85,
	0x2e1b2138,
	0x4d2c6dfc,
	0x53380d13,
	0x650a7354,
	0x766a0abb,
	0x81c2c92e,
	0x92722c85,
	0xa2bfe8a1,
	0xa81a664b,
	0xc24b8b70,
	0xc76c51a3,
	0xd192e819,
	0xd6990624,
	0xf40e3585,
	0x106aa070,
	0x19a4c116,
	0x1e376c08,
	0x2748774c,
	0x34b0bcb5,
	0x391c0cb3,
	0x4ed8aa4a,
	0x5b9cca4f,
	0x682e6ff3,
	0x748f82ee,
	0x78a5636f,
	0x84c87814,
	0x8cc70208,
	0x90befffa,
	0xa4506ceb,
	0xbef9a3f7,
	0xc67178f2,
};

static u32 rotate_right(u32 x, unsigned int bits)
{
	return x >> bits | x << (32 - bits);
}

static u32 load_be32(const u8 *at)
{
	return (u32)at[0] << 24 | (u32)at[1] << 16 | (u32)at[2] << 8 | at[3];
}

static void store_be32(u8 *at, u32 x)
{
	for (int i = 0; i < 4; i++)
		at[i] = (u8)(x >> (24 - 8 * i));
}

/* The message schedule (6.2.2 step 1), kept as its last 16 words. */
static u32 schedule_next(u32 w[16], int t)
{
	u32 w2 = w[(t - 2) & 15];
	u32 w15 = w[(t - 15) & 15];
	u32 sigma0 = rotate_right(w15, 7) ^ rotate_right(w15, 18) ^ w15 >> 3;
	u32 sigma1 = rotate_right(w2, 17) ^ rotate_right(w2, 19) ^ w2 >> 10;

	return w[t & 15] += sigma0 + w[(t - 7) & 15] + sigma1;
}

static void sha256_compress(u32 state[8], const u8 *block)
{
	u32 w[16];
	u32 a = state[0], b = state[1], c = state[2], d = state[3];
	u32 e = state[4], f = state[5], g = state[6], h = state[7];

	for (int t = 0; t < 64; t++) {
		u32 word = t < 16 ? (w[t] = load_be32(block + 4 * t)) : schedule_next(w, t);
		u32 sum1 = rotate_right(e, 6) ^ rotate_right(e, 11) ^ rotate_right(e, 25);
		u32 sum0 = rotate_right(a, 2) ^ rotate_right(a, 13) ^ rotate_right(a, 22);
		u32 t1 = h + sum1 + ((e & f) ^ (~e & g)) + round_constant[t] + word;
		u32 t2 = sum0 + ((a & b) ^ (a & c) ^ (b & c));

		h = g;
		g = f;
		f = e;
		e = d + t1;
		d = c;
		c = b;
		b = a;
		a = t1 + t2;
	}
	state[0] += a;
	state[1] += b;
	state[2] += c;
	state[3] += d;
	state[4] += e;
	state[5] += f;
	state[6] += g;
	state[7] += h;
}

void sha256_init(struct sha256 *hash)
{
	static const u32 start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f,
		0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

	memcpy(hash->state, start, sizeof(start));
	hash->length = 0;
}

void sha256_add(struct sha256 *hash, const void *data, u64 size)
{
	const u8 *at = data;
	u64 filled = hash->length % SHA256_BLOCK;

	hash->length += size;
	if (filled) {
		u64 part = size < SHA256_BLOCK - filled ? size : SHA256_BLOCK - filled;

		memcpy(hash->block + filled, at, part);
		if (filled + part < SHA256_BLOCK)
			return;
		sha256_compress(hash->state, hash->block);
		at += part;
		size -= part;
	}
	for (; size >= SHA256_BLOCK; at += SHA256_BLOCK, size -= SHA256_BLOCK)
		sha256_compress(hash->state, at);
	memcpy(hash->block, at, size);
}

void sha256_finish(struct sha256 *hash, u8 digest[SHA256_SIZE])
{
	static const u8 padding[SHA256_BLOCK] = {0x80};
	u64 bits = hash->length * 8;
	u64 filled = hash->length % SHA256_BLOCK;
	u8 length[8];

	store_be32(length, (u32)(bits >> 32));
	store_be32(length + 4, (u32)bits);
	sha256_add(hash, padding, (filled < 56 ? 56 : 56 + SHA256_BLOCK) - filled);
	sha256_add(hash, length, sizeof(length));
	for (int i = 0; i < 8; i++)
		store_be32(digest + 4 * i, hash->state[i]);
}
