/* Tests of small parts of root: restart limit, death reports, the line editor. */
#include "drivers/root/prompt.h"
#include "drivers/root/report.h"
#include "drivers/root/restart.h"
#include "tests/unit/test.h"

TEST(restart_limit)
{
	struct restart_history h = {0};

	for (int i = 0; i < 3; i++)
		CHECK(restart_allowed(&h, 3, 60, 100));
	CHECK(!restart_allowed(&h, 3, 60, 100));
	CHECK(!restart_allowed(&h, 3, 60, 159));
	CHECK(restart_allowed(&h, 3, 60, 160));
	CHECK(restart_allowed(&h, 3, 60, 161));
	CHECK(!restart_allowed(&h, 0, 60, 1000));
	for (int i = 0; i < 200; i++)
		CHECK(restart_allowed(&h, 1000, 1, 2000 + (u64)i));
}

TEST(report_lines)
{
	struct msg_thread t = {.rip = 0x401234,
		.fault = FAULT_EXCEPTION,
		.vector = 14,
		.error = 6,
		.address = 0x10};
	char lines[REPORT_LINES][REPORT_LINE];

	t.gpr[0] = 0xabc;
	t.gpr[15] = ~0ull;
	CHECK_EQ(report_make(&t, lines), 5);
	CHECK(strcmp(lines[0],
		      "died: page fault (vector 14, error 0x6, address 0x10) at rip 0x401234, "
		      "rflags 0") == 0);
	CHECK(strncmp(lines[1], "rax 0xabc, ", 11) == 0);
	CHECK(strstr(lines[4], "r15 0xffffffffffffffff") != NULL);
	memset(t.gpr, 0xff, sizeof(t.gpr));
	t.rip = t.rflags = t.error = t.address = ~0ull;
	t.vector = ~0u;
	CHECK_EQ(report_make(&t, lines), 5);
	t.fault = FAULT_EXIT;
	t.error = 3;
	CHECK_EQ(report_make(&t, lines), 1);
	CHECK(strcmp(lines[0], "ended with code 3") == 0);
}

static char shown[4096];
static u32 shown_size;
static char commands[256];

static void print(const char *text, u32 size)
{
	memcpy(shown + shown_size, text, size);
	shown_size += size;
	shown[shown_size] = 0;
}

static void command(char *line)
{
	strcat(commands, line);
	strcat(commands, ";");
}

static void type(struct prompt *p, const char *keys)
{
	shown_size = 0;
	shown[0] = 0;
	while (*keys)
		prompt_byte(p, (u8)*keys++);
}

TEST(prompt_edits)
{
	struct prompt p = {.print = print, .command = command};

	commands[0] = 0;
	type(&p, "\x0c");
	CHECK(strcmp(shown, "bulkhead> ") == 0);
	type(&p, "lisp\bt\r\n");
	CHECK(strcmp(shown, "lisp\b \bt\r\nbulkhead> ") == 0);
	CHECK(strcmp(commands, "list;") == 0);
	type(&p, "junk\x15stop a\n");
	CHECK(strcmp(commands, "list;stop a;") == 0);
	type(&p, "\b\x7f\r");
	CHECK(strcmp(commands, "list;stop a;;") == 0);
	type(&p, "abc\x03\r");
	CHECK(strcmp(commands, "list;stop a;;;") == 0);
	type(&p, "\x1b\x01\xff\r");
	CHECK(strcmp(commands, "list;stop a;;;;") == 0);
}

TEST(prompt_long_line)
{
	struct prompt p = {.print = print, .command = command};
	char keys[400];

	commands[0] = 0;
	memset(keys, 'x', sizeof(keys));
	keys[sizeof(keys) - 1] = 0;
	type(&p, keys);
	type(&p, "\r");
	CHECK_EQ(strlen(commands), PROMPT_LINE_MAX + 1);
}

TEST(prompt_steps_aside)
{
	struct prompt p = {.print = print, .command = command};

	prompt_hide(&p);
	prompt_show(&p);
	type(&p, "\x0cli");
	shown_size = 0;
	prompt_hide(&p);
	prompt_show(&p);
	shown[shown_size] = 0;
	CHECK(strcmp(shown, "\r\033[Kbulkhead> li") == 0);
	type(&p, "\x04");
	shown_size = 0;
	prompt_hide(&p);
	CHECK_EQ(shown_size, 0);
}
