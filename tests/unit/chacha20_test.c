/* ChaCha20 by the vectors of RFC 8439, and the generator. */
#include "drivers/lib/chacha20.h"
#include "tests/unit/test.h"

TEST(block_of_rfc_8439_2_3_2)
{
	static const u8 nonce[12] = {0, 0, 0, 9, 0, 0, 0, 0x4a, 0, 0, 0, 0};
	static const u8 expected[64] = {0x10, 0xf1, 0xe7, 0xe4, 0xd1, 0x3b, 0x59, 0x15, 0x50, 0x0f,
		0xdd, 0x1f, 0xa3, 0x20, 0x71, 0xc4, 0xc7, 0xd1, 0xf4, 0xc7, 0x33, 0xc0, 0x68, 0x03,
		0x04, 0x22, 0xaa, 0x9a, 0xc3, 0xd4, 0x6c, 0x4e, 0xd2, 0x82, 0x64, 0x46, 0x07, 0x9f,
		0xaa, 0x09, 0x14, 0xc2, 0xd7, 0x05, 0xd9, 0x8b, 0x02, 0xa2, 0xb5, 0x12, 0x9c, 0xd1,
		0xde, 0x16, 0x4e, 0xb9, 0xcb, 0xd0, 0x83, 0xe8, 0xa2, 0x50, 0x3c, 0x4e};
	u8 key[32];
	u8 block[64];

	for (u32 i = 0; i < sizeof(key); i++)
		key[i] = (u8)i;
	chacha20_block(key, 1, nonce, block);
	CHECK(!memcmp(block, expected, sizeof(block)));
}

TEST(block_of_rfc_8439_a_1)
{
	static const u8 first[16] = {0x76, 0xb8, 0xe0, 0xad, 0xa0, 0xf1, 0x3d, 0x90, 0x40, 0x5d,
		0x6a, 0xe5, 0x53, 0x86, 0xbd, 0x28};
	static const u8 key[32];
	static const u8 nonce[12];
	u8 block[64];

	chacha20_block(key, 0, nonce, block);
	CHECK(!memcmp(block, first, sizeof(first)));
}

TEST(generator_goes_on)
{
	static const u8 seed[32] = {1, 2, 3};
	static const u8 nonce[12];
	struct random r;
	u8 block[64];
	u8 bytes[100];
	u8 more[100];

	random_init(&r, seed);
	random_bytes(&r, bytes, sizeof(bytes));
	chacha20_block(seed, 0, nonce, block);
	CHECK(!memcmp(bytes, block + 32, 32));
	CHECK(memcmp(r.key, seed, sizeof(seed)) != 0);
	chacha20_block(block, 0, nonce, block); /* the next key is the first half */
	CHECK(!memcmp(bytes + 32, block + 32, 32));
	random_bytes(&r, more, sizeof(more));
	CHECK(memcmp(bytes, more, sizeof(more)) != 0);
}
