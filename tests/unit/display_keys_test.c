/* Tests of the screen's own keys. */
#include <stdlib.h>

#include "drivers/display/keys.h"
#include "drivers/lib/lib.h"
#include "tests/unit/test.h"

static struct keys k;

static bool gives(const char *in, const char *out)
{
	u32 count = (u32)strlen(in);
	u8 *bytes = malloc(count ? count : 1);
	bool same;

	memcpy(bytes, in, count);
	count = keys_translate(&k, bytes, count);
	same = count == strlen(out) && memcmp(bytes, out, count) == 0;
	free(bytes);
	return same;
}

TEST(hot_keys)
{
	CHECK(gives("a\033[1;3Pb", "a\0351b"));
	CHECK(gives("\033[1;3S\033[15;3~\033[20;3~", "\0354\0355\0359"));
	CHECK(gives("\033[21;3~\033[23;3~\033[24;3~", "\035?\035s\035o"));
	CHECK(gives("\033[1;3C\033[1;3D", "\035n\035p"));
	CHECK(gives("\033[1;2P\033[24~\033OP\033[1;5C", "\033[1;2P\033[24~\033OP\033[1;5C"));
}

TEST(looking_back)
{
	k = (struct keys){0};
	CHECK(gives("\033[5;2~x\033[5;2~\033[6;2~", "x"));
	CHECK_EQ(k.pages, 1);
	CHECK(gives("\033[5~\033[5;5~", "\033[5~\033[5;5~"));
}

TEST(cursor_keys)
{
	k = (struct keys){.cursor_keys = true};
	CHECK(gives("\033[A\033[H\033[1;2A\033[5~", "\033OA\033OH\033[1;2A\033[5~"));
	k.cursor_keys = false;
	CHECK(gives("\033[A", "\033[A"));
}

TEST(anything_else_passes)
{
	CHECK(gives("\033", "\033"));
	CHECK(gives("\033[", "\033["));
	CHECK(gives("\033[1;3", "\033[1;3"));
	CHECK(gives("\033[1;3;4P\033[999;3P\033[\001", "\033[1;3;4P\033[999;3P\033[\001"));
	CHECK(gives("", ""));
}
