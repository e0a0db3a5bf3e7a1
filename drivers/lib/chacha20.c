/* ChaCha20: see chacha20.h. */
#include "drivers/lib/chacha20.h"
#include "drivers/lib/lib.h"

#define WORDS    16u
#define ROUNDS   20u
#define CONSTANT 0u /* words of the state */
#define KEY      4u
#define COUNTER  12u
#define NONCE    13u

static u32 rotate(u32 x, unsigned bits)
{
	return x << bits | x >> (32 - bits);
}

static u32 little_endian(const u8 *p)
{
	return (u32)p[0] | (u32)p[1] << 8 | (u32)p[2] << 16 | (u32)p[3] << 24;
}

/* RFC 8439, 2.1. */
static void quarter_round(u32 s[WORDS], u32 a, u32 b, u32 c, u32 d)
{
	s[a] += s[b];
	s[d] = rotate(s[d] ^ s[a], 16);
	s[c] += s[d];
	s[b] = rotate(s[b] ^ s[c], 12);
	s[a] += s[b];
	s[d] = rotate(s[d] ^ s[a], 8);
	s[c] += s[d];
	s[b] = rotate(s[b] ^ s[c], 7);
}

void chacha20_block(const u8 key[CHACHA20_KEY], u32 counter, const u8 nonce[CHACHA20_NONCE],
	u8 block[CHACHA20_BLOCK])
{
	static const u8 constant[] = "expand 32-byte k";
	u32 start[WORDS];
	u32 s[WORDS];

	for (u32 i = 0; i < 4; i++)
		start[CONSTANT + i] = little_endian(constant + i * 4);
	for (u32 i = 0; i < CHACHA20_KEY / 4; i++)
		start[KEY + i] = little_endian(key + i * 4);
	start[COUNTER] = counter;
	for (u32 i = 0; i < CHACHA20_NONCE / 4; i++)
		start[NONCE + i] = little_endian(nonce + i * 4);
	memcpy(s, start, sizeof(s));
	for (u32 i = 0; i < ROUNDS; i += 2) {
		for (u32 j = 0; j < 4; j++)
			quarter_round(s, j, j + 4, j + 8, j + 12);
		for (u32 j = 0; j < 4; j++)
			quarter_round(s, j, (j + 1) % 4 + 4, (j + 2) % 4 + 8, (j + 3) % 4 + 12);
	}
	for (u32 i = 0; i < WORDS; i++) {
		u32 word = s[i] + start[i];

		for (u32 j = 0; j < 4; j++)
			block[i * 4 + j] = (u8)(word >> j * 8);
	}
}

void random_init(struct random *r, const u8 seed[RANDOM_SEED])
{
	memcpy(r->key, seed, sizeof(r->key));
}

void random_bytes(struct random *r, void *to, u32 size)
{
	static const u8 nonce[CHACHA20_NONCE];
	u8 block[CHACHA20_BLOCK];
	u8 *out = to;

	while (size) {
		u32 step =
			size < CHACHA20_BLOCK - CHACHA20_KEY ? size : CHACHA20_BLOCK - CHACHA20_KEY;

		chacha20_block(r->key, 0, nonce, block);
		memcpy(r->key, block, sizeof(r->key));
		memcpy(out, block + CHACHA20_KEY, step);
		out += step;
		size -= step;
	}
	memset(block, 0, sizeof(block));
	asm volatile("" : : "r"(block) : "memory"); /* the bytes do not stay on the stack */
}
