/* SHA-256 against the examples of FIPS 180-4 and NIST's CAVP, whole and in pieces. */
#include "test.h"
#include "boot/sha256.h"

static int hash_is(const char *data, u64 size, u64 piece, const char *hex)
{
	struct sha256 hash;
	u8 digest[SHA256_SIZE];
	char text[2 * SHA256_SIZE + 1];

	sha256_init(&hash);
	for (u64 at = 0; at < size; at += piece)
		sha256_add(&hash, data + at, size - at < piece ? size - at : piece);
	sha256_finish(&hash, digest);
	for (int i = 0; i < SHA256_SIZE; i++)
		snprintf(text + 2 * i, 3, "%02x", digest[i]);
	return strcmp(text, hex) == 0;
}

static const char two_blocks[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
static const char two_blocks_hash[] =
	"248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1";

TEST(sha256_known_answers)
{
	CHECK(hash_is(
		"", 0, 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
	CHECK(hash_is(
		"abc", 3, 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
	CHECK(hash_is(two_blocks, 56, 56, two_blocks_hash));
	CHECK(hash_is(
		"\xbd", 1, 1, "68325720aabd7c82f30f554b313d0570c95accbb7dc4b5aae11204c08ffe732b"));
	CHECK(hash_is("\xc9\x8c\x8e\x55", 4, 4,
		"7abc22c0ae5af26ce93dbb94433a0e0b2e119d014f8e7f65bd56c61ccccd9504"));
}

TEST(sha256_million)
{
	static char data[1000000];
	const char *hex = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";

	memset(data, 'a', sizeof(data));
	CHECK(hash_is(data, sizeof(data), sizeof(data), hex));
	CHECK(hash_is(data, sizeof(data), 4097, hex));
}

TEST(sha256_in_pieces)
{
	for (u64 piece = 1; piece <= 57; piece++)
		CHECK(hash_is(two_blocks, 56, piece, two_blocks_hash));
}

/* FIPS 180-4 leaves no length special; 55 to 65 zero bytes cross every padding case (CAVP). */
TEST(sha256_padding)
{
	static const char zeros[65];

	CHECK(hash_is(
		zeros, 55, 55, "02779466cdec163811d078815c633f21901413081449002f24aa3e80f0b88ef7"));
	CHECK(hash_is(
		zeros, 56, 56, "d4817aa5497628e7c77e6b606107042bbba3130888c5f47a375e6179be789fbb"));
	CHECK(hash_is(
		zeros, 57, 57, "65a16cb7861335d5ace3c60718b5052e44660726da4cd13bb745381b235a1785"));
	CHECK(hash_is(
		zeros, 64, 64, "f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb4b"));
}
