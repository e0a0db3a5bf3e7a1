/* Tests of small parts of root: restart limit, death reports, the line editor. */
#include "drivers/root/blame.h"
#include "drivers/root/health.h"
#include "drivers/root/pace.h"
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

/* The only restart within the time waits for nothing, those behind it longer and longer. */
TEST(restart_pauses)
{
	struct restart_history h = {0};
	static const u32 wanted[] = {0, 100, 200, 400, 800};

	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		CHECK(restart_allowed(&h, 32, 60, 100 + i));
		CHECK_EQ(restart_delay(&h, 100, 60, 100 + i), wanted[i]);
		CHECK_EQ(restart_delay(&h, 0, 60, 100 + i), 0);
	}
	CHECK(restart_allowed(&h, 32, 60, 1000));
	CHECK_EQ(restart_delay(&h, 100, 60, 1000), 0);
	for (int i = 0; i < 30; i++)
		CHECK(restart_allowed(&h, 32, 60, 1000));
	CHECK_EQ(restart_delay(&h, 1, 60, 1000), RESTART_DELAY_MS_MAX);
	CHECK_EQ(restart_delay(&h, ~0u, 60, 1000), RESTART_DELAY_MS_MAX);
	CHECK(restart_possible(&h, 32, 60, 1000) && !restart_possible(&h, 31, 60, 1000));
	CHECK(restart_possible(&h, 32, 60, 1000)); /* asking notes nothing */
}

#define HZ 1000000u

/* A program that logs without end: a burst, and then so many lines in each second. */
TEST(pace_limits)
{
	struct pace p = {0};
	u32 taken = 0;

	while (pace_take(&p, HZ, 5000))
		taken++;
	CHECK_EQ(taken, PACE_BURST);
	CHECK(!pace_take(&p, HZ, 5000 + HZ / PACE_SECOND - 1));
	for (u64 now = 5000; now < 5000 + 10 * HZ; now += 7)
		taken += pace_take(&p, HZ, now);
	CHECK(taken >= PACE_BURST + 10 * PACE_SECOND - 1 &&
		taken <= PACE_BURST + 10 * PACE_SECOND + 1);
}

/* One that logs a line now and then never waits. */
TEST(pace_slow_is_free)
{
	struct pace p = {0};

	for (u64 now = 0; now < 100 * HZ; now += HZ / PACE_SECOND)
		CHECK(pace_take(&p, HZ, now));
	for (u32 i = 0; i < PACE_BURST - 1; i++)
		CHECK(pace_take(&p, HZ, 100 * HZ));
}

#define PERIOD 1000u /* cycles */

/* Judges a period in which there was no answer. */
static enum health_verdict late(struct health *h, u64 run_time)
{
	CHECK_EQ(health_look(h, h->asked - 1), HEALTH_LATE);
	return health_judge(h, run_time, PERIOD);
}

/* A program that has answered some questions. */
static struct health answering(void)
{
	struct health h = {0};

	for (u32 i = 0; i < 5; i++) {
		CHECK_EQ(health_look(&h, i), HEALTH_WELL);
		CHECK_EQ(h.asked, i + 1);
	}
	return h;
}

TEST(health_hung)
{
	struct health h = answering();

	CHECK_EQ(late(&h, 7000), HEALTH_LATE); /* what it used up to here is not counted */
	CHECK_EQ(late(&h, 7000 + PERIOD / 2 - 1), HEALTH_LATE);
	CHECK_EQ(late(&h, 7000 + PERIOD / 2), HEALTH_HUNG);
	h = answering();
	CHECK_EQ(late(&h, 7000), HEALTH_LATE);
	CHECK_EQ(health_look(&h, h.asked), HEALTH_WELL); /* late, but it answers */
	CHECK_EQ(late(&h, 9000), HEALTH_LATE);
	CHECK_EQ(late(&h, 9000 + PERIOD), HEALTH_HUNG);
}

/* One that has never answered may still set itself up. */
TEST(health_slow_start)
{
	struct health h = {0};

	CHECK_EQ(health_look(&h, 0), HEALTH_WELL);
	CHECK_EQ(late(&h, 0), HEALTH_LATE);
	CHECK_EQ(late(&h, PERIOD), HEALTH_LATE);
	CHECK_EQ(late(&h, PERIOD / 2 * HEALTH_START), HEALTH_HUNG);
}

/* A program that does not run: up to the look behind the one at which its priority was raised. */
static struct health silent(void)
{
	struct health h = answering();

	for (u32 i = 1; i < HEALTH_PATIENCE; i++)
		CHECK_EQ(late(&h, 7000), HEALTH_LATE);
	CHECK_EQ(late(&h, 7000), HEALTH_DOUBT);
	CHECK(h.raised);
	return h;
}

/* One that runs once it has a high priority was starved, whether it has got to its answer or not.
 */
TEST(health_starved)
{
	struct health h = silent();

	CHECK_EQ(health_look(&h, h.asked), HEALTH_STARVED);
	CHECK(!h.raised);
	CHECK_EQ(health_look(&h, h.asked), HEALTH_WELL);
	h = silent();
	CHECK_EQ(late(&h, 7010), HEALTH_STARVED);
	CHECK(!h.raised);
	for (u32 i = 1; i < HEALTH_PATIENCE; i++)
		CHECK_EQ(late(&h, 7010), HEALTH_LATE);
	CHECK_EQ(late(&h, 7010), HEALTH_DOUBT); /* and once more */
}

/* One that hangs with a small budget runs, and is not taken for a starved one. */
TEST(health_hung_slowly)
{
	struct health h = answering();
	u32 looks = 1;

	while (late(&h, 7000 + 10 * looks) == HEALTH_LATE && looks < 100)
		looks++;
	CHECK_EQ(looks, 51);
	CHECK_EQ(health_judge(&h, 7000 + 10 * looks, PERIOD), HEALTH_HUNG);
}

TEST(health_stuck)
{
	struct health h = silent();

	CHECK_EQ(late(&h, 7000), HEALTH_STUCK);
}

/* A liar that answers what was not asked is late. */
TEST(health_wrong_answer)
{
	struct health h = answering();

	CHECK_EQ(health_look(&h, h.asked + 1), HEALTH_LATE);
	CHECK_EQ(health_look(&h, ~0u), HEALTH_LATE);
	CHECK_EQ(h.late, 2);
}

/* One liar among several ends nobody; a program that all its peers accuse is restarted. */
TEST(blame)
{
	struct blame_peer peer[] = {
		{.runs = true}, {.runs = true}, {.runs = false}, {.root = true, .runs = true}};

	CHECK(!blame_agreed(peer, 0, 1000, 100));
	CHECK(!blame_agreed(peer, 4, 1000, 100));
	peer[0].accused = 990;
	CHECK(!blame_agreed(peer, 4, 1000, 100));
	CHECK(blame_agreed(peer, 1, 1000, 100)); /* its only client */
	peer[1].accused = 950;
	CHECK(!blame_agreed(peer, 4, 1000, 100)); /* root sees nothing wrong */
	CHECK(blame_agreed(peer, 3, 1000, 100));  /* one that does not run has no say */
	CHECK(!blame_agreed(peer, 3, 1000, 50));  /* and what was said long ago counts no more */
	peer[2].accused = 999;
	CHECK(!blame_agreed(&peer[2], 1, 1000, 100));
	peer[0].accused = peer[1].accused = 0;
	peer[3].accused = 999;
	CHECK(blame_agreed(peer, 4, 1000, 100));
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
