/* Misbehaviour: what a broken or hostile program may do to itself, and must not do to others. */
#include "drivers/test/test.h"

#define WILD_CALLS 200000u

static volatile u64 fault_address = 8;
static u64 state = 0x9e3779b97f4a7c15ull;

/* xorshift64 (Marsaglia): the same sequence at each run. */
static u64 random_next(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* A value that a checker may have forgotten. */
static u64 random_argument(void)
{
	static const u64 edge[] = {0, 1, PAGE_SIZE, PAGE_SIZE - 1, ~0ull, ~0ull - PAGE_SIZE + 1,
		BIT(63), BIT(47), ABI_USER_END, ABI_STUB, 0xffffffff80000000ull, CAP_MAX,
		0xffffffffull, BIT(32), START_RESOURCES, START_INFO};
	u64 r = random_next();

	switch (r % 4) {
	case 0:
		return r >> 8 & 0x3f; /* a capability or an operation */
	case 1:
		return edge[(r >> 8) % ARRAY_SIZE(edge)];
	case 2:
		return (r >> 8 & 0xfffff) << PAGE_SHIFT;
	default:
		return random_next();
	}
}

/* Calls that would end the test or wait for ever. */
static bool is_harmless_only(u64 number, u64 op)
{
	return (number == SYS_SYS_CTL && op == SYS_CTL_EXIT) || number == SYS_IPC_REPLY_WAIT ||
	       number == SYS_EVENT_WAIT || number == SYS_VCPU_RUN;
}

static void wild(void)
{
	u64 ok = 0;

	for (u32 i = 0; i < WILD_CALLS; i++) {
		u64 number = random_next() % (SYS_COUNT + 2);
		u64 op = random_argument();
		u64 *message = thread_message();

		for (u32 k = 0; k < 12; k++)
			message[k] = random_argument();
		if (is_harmless_only(number, op))
			continue;
		ok += sys_any(number, random_argument(), op, random_argument(), random_argument(),
			      random_argument(), random_argument(), NULL) == STATUS_OK;
	}
	log_line("wild: %u calls made, %lu accepted", WILD_CALLS, ok);
}

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
	else if (strcmp(mode, "wild") == 0)
		wild();
	else if (strcmp(mode, "pool") == 0)
		pool();
	else if (strcmp(mode, "flood") == 0)
		for (u64 i = 0;; i++)
			log_line("flood %lu", i);
	else if (strcmp(mode, "loop") == 0)
		for (;;)
			asm volatile("pause");
	else if (strcmp(mode, "idle") == 0)
		for (;;)
			wait_bits(BIT(32), 1000000000);
	else
		log_line("there is no mode \"%s\"", mode);
}
