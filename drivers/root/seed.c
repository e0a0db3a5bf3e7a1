/* Seeds for programs: ChaCha20 (RFC 8439, 2.3) keyed with the entropy that the loader found. */
#include "drivers/root/member.h"

#define ROUNDS 10 /* double rounds */

static u32 rotate(u32 x, u32 n)
{
	return x << n | x >> (32 - n);
}

static void quarter(u32 *s, int a, int b, int c, int d)
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

void seed_make(u64 seed[4])
{
	static u64 counter;
	u32 input[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
	u64 now = tsc_now();
	u32 s[16];

	memcpy(&input[4], boot->entropy, 32);
	counter++;
	memcpy(&input[12], &counter, 8);
	memcpy(&input[14], &now, 8);
	memcpy(s, input, sizeof(s));
	for (int i = 0; i < ROUNDS; i++) {
		quarter(s, 0, 4, 8, 12);
		quarter(s, 1, 5, 9, 13);
		quarter(s, 2, 6, 10, 14);
		quarter(s, 3, 7, 11, 15);
		quarter(s, 0, 5, 10, 15);
		quarter(s, 1, 6, 11, 12);
		quarter(s, 2, 7, 8, 13);
		quarter(s, 3, 4, 9, 14);
	}
	for (int i = 0; i < 16; i++)
		s[i] += input[i];
	memcpy(seed, s, 32);
}
