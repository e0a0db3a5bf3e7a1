/* Tests of the runtime library: formatting against the C library's, the heap, and the string
 * functions. */
#include <limits.h>
#include <stdlib.h>

/* The functions under test carry the names of the C library's; they get others here. */
#define memcpy  own_memcpy
#define memmove own_memmove
#define memset  own_memset
#define memcmp  own_memcmp
#define memchr  own_memchr
#define strlen  own_strlen
#define strnlen own_strnlen
#define strcmp  own_strcmp
#define strncmp own_strncmp
#define strchr  own_strchr
#define strrchr own_strrchr
#define strtoul own_strtoul
#include "drivers/lib/string.c"
#include "drivers/lib/format.c"
#include "drivers/lib/heap.c"
#undef memcpy
#undef memmove
#undef memset
#undef memcmp
#undef memchr
#undef strlen
#undef strnlen
#undef strcmp
#undef strncmp
#undef strchr
#undef strrchr
#undef strtoul
#include "drivers/lib/duty.h"
#include "tests/unit/test.h"

void check_failed(const char *file, int line, const char *what)
{
	test_fail(file, line, "%s", what);
	abort();
}

#define SAME(...)                                                                                  \
	do {                                                                                       \
		char a_[64];                                                                       \
		char b_[64];                                                                       \
		int n_ = format(a_, sizeof(a_), __VA_ARGS__);                                      \
		int m_ = snprintf(b_, sizeof(b_), __VA_ARGS__);                                    \
		CHECK_EQ(n_, m_);                                                                  \
		if (strcmp(a_, b_) != 0)                                                           \
			test_fail(__FILE__, __LINE__, "\"%s\" is not \"%s\"", a_, b_);             \
	} while (0)

TEST(format_as_printf)
{
	SAME("%s", "plain");
	SAME("%d %i %u", -1, INT_MIN, UINT_MAX);
	SAME("%5d|%-5d|%05d|%+d|% d", 42, 42, 42, 42, 42);
	SAME("%5d|%-5d|%05d", -42, -42, -42);
	SAME("%x %X %#x %#X %08x %#010x", 0xbeef, 0xbeef, 0xbeef, 0xbeef, 0xbeef, 0xbeef);
	SAME("%#x %#lx", 0, 0ul);
	SAME("%ld %lu %lx", LONG_MIN, ULONG_MAX, ULONG_MAX);
	SAME("%lld %llu %llx", LLONG_MIN, ULLONG_MAX, ULLONG_MAX);
	SAME("%zu %zx", SIZE_MAX, SIZE_MAX);
	SAME("%c%c%%", 'a', 'b');
	SAME("%10s|%-10s|%.3s|%.*s|%*d", "abc", "abc", "abcdef", 2, "xyz", 6, 7);
	SAME("%.5d %.0d %8.3d", 42, 0, 7);
	SAME("%s and no more", "");
	SAME("%p", (void *)0x1234);
	SAME("%llu%s%c%#lx%05u", 1ull, "mixed", '-', 0xfeul, 7u);
}

TEST(format_cuts)
{
	char to[8] = "#######";

	CHECK_EQ(format(to, 4, "%s", "abcdef"), 6);
	CHECK(strcmp(to, "abc") == 0);
	CHECK_EQ(to[4], '#');
	CHECK_EQ(format(to, 1, "%d", 12345), 5);
	CHECK_EQ(to[0], 0);
	CHECK_EQ(format(NULL, 0, "%d", 12345), 5);
}

TEST(strtoul_as_standard)
{
	static const char *const text[] = {"0", "10", "0x1F", "0x", "017", "  42abc", "-1", "+7",
		"", "zz", "18446744073709551615", "18446744073709551616", "0xffffffffffffffffff"};

	for (size_t i = 0; i < ARRAY_SIZE(text); i++) {
		for (int base = 0; base <= 36; base += base ? 6 : 10) {
			char *a;
			char *b;
			unsigned long x = own_strtoul(text[i], &a, base);
			unsigned long y = strtoul(text[i], &b, base);

			CHECK_EQ(x, y);
			CHECK(a == b);
		}
	}
}

TEST(strings)
{
	char buffer[16] = "abcdefgh";
	char other[16];

	own_memmove(buffer + 2, buffer, 6);
	CHECK(strcmp(buffer, "ababcdef") == 0);
	own_memmove(buffer, buffer + 2, 7);
	CHECK(strcmp(buffer, "abcdef") == 0);
	for (size_t n = 0; n <= sizeof(buffer); n++) {
		own_memset(other, '#', sizeof(other));
		own_memcpy(other, "0123456789abcdef", n);
		CHECK(memcmp(other, "0123456789abcdef", n) == 0);
		/* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): own_memset */
		CHECK(n == sizeof(other) || other[n] == '#');
	}
	CHECK(own_memcmp("abc", "abd", 3) < 0 && own_memcmp("abc", "abd", 2) == 0);
	CHECK(own_memcmp("\xff", "\x01", 1) > 0);
	CHECK(own_strcmp("a", "ab") < 0 && own_strncmp("abc", "abd", 2) == 0);
	CHECK(own_strchr("a.b.c", '.') - "a.b.c" != 0 && *own_strrchr("a.b.c", '.') == '.');
	CHECK(own_strchr("abc", 'x') == NULL && *own_strchr("abc", 0) == 0);
	CHECK(own_strrchr("abc", 'x') == NULL);
	CHECK_EQ(own_strlen("four"), 4);
	CHECK_EQ(own_strnlen("four", 2), 2);
	CHECK(own_memchr("abc", 'c', 2) == NULL && own_memchr("abc", 'c', 3) != NULL);
	string_copy(other, 4, "abcdef");
	CHECK(strcmp(other, "abc") == 0);
}

#define BLOCKS 64

TEST(heap_blocks_apart)
{
	static u8 space[65536] __attribute__((aligned(16)));
	u8 *block[BLOCKS] = {0};
	size_t size[BLOCKS];
	size_t all;

	heap_init(space, sizeof(space));
	all = heap_left();
	for (int round = 0; round < 20000; round++) {
		int i = (int)(random() % BLOCKS);

		if (block[i]) {
			for (size_t k = 0; k < size[i]; k++)
				CHECK_EQ(block[i][k], (u8)i);
			heap_free(block[i]);
			block[i] = NULL;
			continue;
		}
		size[i] = (size_t)(random() % 3000);
		block[i] = heap_alloc(size[i]);
		if (!block[i])
			continue;
		CHECK(((u64)block[i] & 15) == 0);
		for (size_t k = 0; k < size[i]; k++)
			CHECK_EQ(block[i][k], 0);
		memset(block[i], i, size[i]);
	}
	for (int i = 0; i < BLOCKS; i++)
		heap_free(block[i]);
	CHECK_EQ(heap_left(), all);
	CHECK(heap_alloc(all) != NULL);
	CHECK(heap_alloc(1) == NULL);
	CHECK(heap_alloc(SIZE_MAX) == NULL);
}

/* A program that always has work gets its share in the long run, whatever its turns are. */
TEST(duty_of_the_busy)
{
	for (u64 turn = 1; turn <= 100000; turn *= 10) {
		struct duty d = {0};
		u64 now = 1000;
		u64 worked = 0;

		while (now < 101000000) {
			u64 from = now;
			u64 until;

			now += turn;
			worked += turn;
			until = duty_spend(&d, from, now, 40000);
			now = until > now ? until : now;
		}
		CHECK(worked >= 24000000 && worked <= 26000000);
	}
}

/* One with little to do never rests, nor after a long sleep for a burst, which it has once. */
TEST(duty_of_the_idle)
{
	struct duty d = {0};
	u64 now = 1000;

	for (u32 i = 0; i < 10000; i++, now += 1000)
		CHECK_EQ(duty_spend(&d, now, now + 100, 40000), 0);
	now += 1000000000;
	CHECK_EQ(duty_spend(&d, now, now + 13000, 40000), 0);
	CHECK(duty_spend(&d, now + 13000, now + 14000, 40000) > now + 14000);
}
