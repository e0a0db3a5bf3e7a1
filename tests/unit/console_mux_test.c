/* Tests of the console's line discipline: what stands on the terminal after what the clients wrote.
 */
#include <stdlib.h>

#include "drivers/console/mux.h"
#include "drivers/lib/lib.h"
#include "tests/unit/test.h"

#define QUIET 30

static struct mux m;
static char screen[1 << 20];
static u32 screen_size;
static char keys[MUX_CLIENTS][256];
static u64 now;

void string_copy(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from);
}

static void deliver(u32 client, u8 byte)
{
	size_t n = strlen(keys[client]);

	if (n + 1 < sizeof(keys[0])) {
		keys[client][n] = (char)byte;
		keys[client][n + 1] = 0;
	}
}

static void setup(void)
{
	mux_init(&m, QUIET, deliver);
	CHECK_EQ(mux_add(&m, "root", true), 0);
	CHECK_EQ(m.selected, 0);
	CHECK_EQ(mux_add(&m, "a", false), 1);
	CHECK_EQ(mux_add(&m, "b", false), 2);
	CHECK_EQ(m.selected, 1);
	memset(keys, 0, sizeof(keys));
	screen_size = 0;
	now = 1000;
}

/* Takes all that the terminal is to show. */
static void drain(void)
{
	u32 n;

	do {
		mux_show(&m, now);
		n = mux_peek(&m, screen + screen_size, 1000);
		mux_taken(&m, n);
		screen_size += n;
	} while (n > 0);
	screen[screen_size] = 0;
}

static void put(u32 client, const char *text)
{
	mux_put(&m, client, text, (u32)strlen(text));
	drain();
}

static void pass(u64 time)
{
	now += time;
	mux_time(&m, now);
	drain();
}

static void type(const char *text)
{
	while (*text)
		mux_key(&m, now, (u8)*text++);
	drain();
}

/* Checks what was shown since the last time. */
#define SHOWN(text)                                                                                \
	do {                                                                                       \
		if (strcmp(screen, text) != 0)                                                     \
			test_fail(__FILE__, __LINE__, "screen: \"%s\", not \"%s\"", screen, text); \
		screen_size = 0;                                                                   \
		screen[0] = 0;                                                                     \
	} while (0)

TEST(mux_lines_have_prefixes)
{
	setup();
	put(1, "one\r\ntwo\n");
	put(2, "three\r\n");
	put(0, "[0.1 0 root] plain\n");
	SHOWN("[a] one\r\n[a] two\r\n[b] three\r\n[0.1 0 root] plain\r\n");
	put(1, "\n");
	SHOWN("[a] \r\n");
}

TEST(mux_partial_line_waits)
{
	setup();
	put(1, "login: ");
	SHOWN("");
	CHECK_EQ(mux_time(&m, now), now + QUIET);
	pass(QUIET - 1);
	SHOWN("");
	pass(1);
	SHOWN("[a] login: ");
	CHECK_EQ(mux_time(&m, now), ~0ull);
	/* What follows while the cursor stands there comes at once. */
	put(1, "r");
	SHOWN("r");
	put(1, "oot\r\nhello\r\n");
	SHOWN("oot\r\n[a] hello\r\n");
}

TEST(mux_lines_do_not_mix)
{
	setup();
	put(1, "half");
	put(2, "whole\n");
	SHOWN("[b] whole\r\n");
	pass(QUIET);
	SHOWN("[a] half");
	put(2, "again\n");
	SHOWN("\r\n[b] again\r\n");
	/* The prompt of whoever has the keyboard comes back by itself. */
	pass(QUIET);
	SHOWN("");
	pass(9 * QUIET);
	SHOWN("[a] half");
	put(1, " and half\n");
	SHOWN(" and half\r\n");
	put(2, "b's");
	pass(QUIET);
	SHOWN("[b] b's");
	put(1, "x\n");
	SHOWN("\r\n[a] x\r\n");
	pass(10 * QUIET);
	SHOWN("");
	put(2, " end\n");
	SHOWN("[b] b's end\r\n");
}

TEST(mux_two_prompts_come_to_rest)
{
	u32 rounds = 0;

	setup();
	put(1, "a# ");
	put(2, "b# ");
	while (mux_time(&m, now) != ~0ull && rounds++ < 100)
		pass(QUIET);
	CHECK(rounds < 30);
	CHECK(m.owner == 1);
}

TEST(mux_carriage_returns)
{
	setup();
	put(1, "10%\r20%\r30%\r\n");
	SHOWN("[a] 10%\r[a] 20%\r[a] 30%\r\n");
	put(1, "x\r\r\n");
	SHOWN("[a] x\r\n");
}

TEST(mux_long_line_is_broken)
{
	char text[MUX_LINE + 11];

	setup();
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	put(1, text);
	CHECK_EQ(screen_size, 4 + MUX_LINE + 2);
	screen_size = 0;
	put(1, "\n");
	SHOWN("[a] xxxxxxxxxx\r\n");
}

TEST(mux_keys)
{
	setup();
	type("ls\r");
	CHECK(strcmp(keys[1], "ls\r") == 0);
	type("\x1d"
	     "2x");
	CHECK(strcmp(keys[2], "x") == 0);
	SHOWN("[console] typing goes to b\r\n");
	type("\x1d\x1d");
	CHECK(strcmp(keys[2], "x\x1d") == 0);
	type("\x1dny\x1dpz");
	CHECK(strcmp(keys[1], "ls\ry") == 0);
	CHECK(strcmp(keys[2], "x\x1dz") == 0);
	type("\x1dolist\r");
	CHECK(strcmp(keys[0], "\x0clist\r") == 0);
	type("\x1d"
	     "1");
	CHECK(strcmp(keys[0], "\x0clist\r\x04") == 0);
	screen_size = 0;
	type("\x1d"
	     "9");
	SHOWN("[console] there is no such console\r\n");
	CHECK_EQ(m.selected, 1);
	type("\x1d?");
	CHECK(strstr(screen, "[console] 2: b\r\n") != NULL);
	CHECK_EQ(m.escape, false);
}

TEST(mux_alone)
{
	setup();
	put(1, "top");
	pass(QUIET);
	SHOWN("[a] top");
	type("\x1ds");
	SHOWN("\r\n[console] only a is shown\r\n");
	put(1, "\033[2J\r\nraw\r");
	SHOWN("\033[2J\r\nraw\r");
	put(2, "hidden\nlines\n");
	SHOWN("");
	type("\x1ds");
	drain();
	CHECK(strstr(screen, "[console] all consoles are shown\r\n") != NULL);
	CHECK(strstr(screen, "[b] hidden\r\n[b] lines\r\n") != NULL);
}

/* What a client has set while it was alone ends with that. */
TEST(mux_alone_leaves_a_plain_terminal)
{
	setup();
	type("\x1ds");
	put(1, "\033[?1049h\033[2;3r\033[31mred");
	screen_size = 0;
	type("\x1d"
	     "2");
	CHECK(strncmp(screen, "\033[?47l\033[!p", strlen("\033[?47l\033[!p")) == 0);
	CHECK(strstr(screen, "typing goes to b, and it alone is shown") != NULL);
	screen_size = 0;
	type("\x1ds");
	CHECK(strncmp(screen, "\033[?47l\033[!p", strlen("\033[?47l\033[!p")) == 0);
	screen_size = 0;
	type("\x1d"
	     "1");
	CHECK(strchr(screen, '\033') == NULL);
}

TEST(mux_status_says_who_has_the_keyboard)
{
	char text[200];

	setup();
	mux_status(&m, text, sizeof(text));
	CHECK(strstr(text, "\001 a \001 and all others") != NULL);
	CHECK(strstr(text, "Alt-F1 a  F2 b  F11") != NULL);
	type("\x1do\x1ds");
	mux_status(&m, text, sizeof(text));
	CHECK(strstr(text, "\001 operator's prompt \001 alone") != NULL);
	for (u32 size = 1; size < sizeof(text); size++) {
		char *cut = malloc(size);

		mux_status(&m, cut, size);
		CHECK(strlen(cut) < size);
		CHECK(strncmp(cut, text, strlen(cut)) == 0);
		free(cut);
	}
}

TEST(mux_hidden_store_is_bounded)
{
	setup();
	type("\x1ds");
	for (int i = 0; i < 1000; i++) {
		CHECK_EQ(mux_room(&m, 2), MUX_STORE);
		put(2, "0123456789\n");
	}
	screen_size = 0;
	type("\x1d"
	     "2");
	CHECK(strstr(screen, "[console] 6904 bytes of b were not shown\r\n") != NULL);
	CHECK(screen_size < MUX_STORE + 256);
}

/* A client that floods gets its turn like the others, and the store of a shown client never
 * overflows. */
TEST(mux_flood)
{
	char text[600];
	u32 lines = 0;

	setup();
	for (u32 i = 0; i < sizeof(text); i++)
		text[i] = i % 10 == 9 ? '\n' : 'f';
	for (int round = 0; round < 200; round++) {
		u32 room = mux_room(&m, 1);
		u32 n;

		mux_put(&m, 1, text, room < sizeof(text) ? room / 10 * 10 : sizeof(text));
		if (mux_room(&m, 2) >= 3)
			mux_put(&m, 2, "b!\n", 3);
		mux_show(&m, now);
		n = mux_peek(&m, screen + screen_size, 500); /* a slow terminal */
		mux_taken(&m, n);
		screen_size += n;
	}
	screen[screen_size] = 0;
	for (const char *at = screen; (at = strstr(at, "[b] b!\r\n")) != NULL; at++)
		lines++;
	CHECK(lines > 50);
	CHECK_EQ(m.client[1].dropped, 0);
	CHECK_EQ(m.client[2].dropped, 0);
}

/* Whatever bytes come, nothing but whole lines of one client stands between two line ends. */
TEST(mux_random)
{
	setup();
	for (int round = 0; round < 20000; round++) {
		u32 client = 1 + (u32)random() % 2;
		char text[40];
		u32 n = (u32)random() % sizeof(text);

		for (u32 i = 0; i < n; i++)
			text[i] = random() % 6 == 0 ? "\r\n"[random() % 2]
				  : client == 1     ? 'A'
						    : 'B';
		if (mux_room(&m, client) >= n)
			mux_put(&m, client, text, n);
		if (random() % 4 == 0)
			mux_show(&m, now);
		now += (u64)random() % 20;
		mux_time(&m, now);
		if (screen_size < sizeof(screen) - 20000)
			drain();
	}
	for (char *line = strtok(screen, "\n"); line; line = strtok(NULL, "\n"))
		CHECK(!strchr(line, 'A') || !strchr(line, 'B'));
}
