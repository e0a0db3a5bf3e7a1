/* Misbehaviour: what a broken or hostile program may do to itself, and must not do to others. */
#include "drivers/lib/channel.h"
#include "drivers/test/test.h"

#define MULTIPLIER  0x9e3779b97f4a7c15ull
#define KEEP_US     50000u
#define STORM_FIRST 0x100000ull

static volatile u64 fault_address = 8;

/* Makes objects until the pool is empty, and goes on asking. */
static void pool(void)
{
	struct msg_create_port m = {.thread = START_CAP_THREAD, .badge = 1};
	struct syscall_out out;
	status_t s = STATUS_OK;
	u32 made = 0;

	for (u32 i = 0; i < 10000; i++) {
		memcpy(thread_message(), &m, sizeof(m));
		s = sys_obj_create(KIND_PORT, START_CAP_DOMAIN, START_CAP_OWN + i);
		if (s == STATUS_OK)
			made++;
	}
	sys_sys_ctl(CAP_NULL, SYS_CTL_POOL, START_CAP_DOMAIN, 0, 0, &out);
	log_line("pool: %u ports made, then: %s; %lu of %lu bytes left", made, status_text(s),
		out.rdi, out.rsi);
}

/* Uses more stack than there is. */
static void overflow(u64 depth)
{
	volatile u64 frame[64] = {0};

	frame[depth % 64] = depth;
	if (depth < START_STACK_SIZE)
		overflow(depth + 1);
	frame[0] += frame[depth % 64];
}

static void overflow_other(void *none)
{
	(void)none;
	overflow(0);
}

/* The same in its second thread; below the stack of that lies nothing that it could damage. */
static void overflow_second(void)
{
	static struct start_thread block;

	check(thread_start(info, 0, &block, overflow_other, NULL) == STATUS_OK);
	for (;;)
		wait_bits(0, KEEP_US);
}

/* Sets the event bits of all its peers for ever. */
static void storm(void)
{
	const struct start_resource *r;

	for (u64 round = 1;; round++) {
		for (u32 i = 0; (r = start_find(info, START_SESSION, i)) != NULL; i++)
			sys_event_signal(r->cap, r->value);
		if (round >= STORM_FIRST && (round & (round - 1)) == 0)
			log_line("storm: %lu times", round);
	}
}

/* Writes to its console as fast as that takes it. */
static void print(void)
{
	static u8 text[CONSOLE_RING_SIZE];
	const struct start_resource *r = start_find(info, START_SESSION, 0);
	struct channel c;

	check(r && strcmp(r->protocol, "console") == 0);
	c = channel_open(r);
	for (u32 i = 0; i < sizeof(text); i++)
		text[i] = (u8) "x\033[9999b"[i % 8];
	for (;;) {
		channel_write(&c, text, sizeof(text));
		wait_bits(channel_room(&c) ? 0 : BIT(r->bit), KEEP_US);
	}
}

/* Not misbehaviour, but who would notice it of others: all of the heap keeps what stands there. */
static void keep(void)
{
	const struct start_resource *r = start_find(info, START_HEAP, 0);
	u64 words = r ? r->size / sizeof(u64) : 0;
	volatile u64 *word = r ? (volatile u64 *)r->address : NULL;

	check(words > 0);
	for (u64 i = 0; i < words; i++)
		word[i] = ~(i * MULTIPLIER);
	for (u64 round = 0;; round++) {
		for (u64 i = 0; i < words; i++)
			check(word[i] == ~(i * MULTIPLIER));
		if ((round & (round - 1)) == 0)
			log_line("keep: looked %lu times at %lu words", round + 1, words);
		wait_bits(0, KEEP_US);
	}
}

void mode_run(const char *mode)
{
	log_line("mode %s", mode);
	if (strcmp(mode, "fault") == 0)
		*(volatile u64 *)fault_address = 1;
	else if (strncmp(mode, "exit ", 5) == 0)
		program_exit(strtoul(mode + 5, NULL, 0));
	else if (strcmp(mode, "check") == 0)
		check(mode == NULL);
	else if (strcmp(mode, "stack") == 0)
		overflow(0);
	else if (strcmp(mode, "stack second") == 0)
		overflow_second();
	else if (strncmp(mode, "wild", 4) == 0)
		wild_run(mode + 4);
	else if (strcmp(mode, "pool") == 0)
		pool();
	else if (strcmp(mode, "flood") == 0)
		for (u64 i = 0;; i++)
			log_line("flood %lu", i);
	else if (strcmp(mode, "loop") == 0)
		for (;;)
			asm volatile("pause");
	else if (strcmp(mode, "storm") == 0)
		storm();
	else if (strcmp(mode, "print") == 0)
		print();
	else if (strcmp(mode, "keep") == 0)
		keep();
	else
		log_line("there is no mode \"%s\"", mode);
}
