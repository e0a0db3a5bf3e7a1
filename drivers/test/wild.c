/* Every system call with random arguments, from a program that was given nothing but its own. */
#include "drivers/test/test.h"

#define WILD_CALLS   200000u
#define STOCK_EVERY  256u /* calls, after which what they destroyed is made again */
#define STOCK        48   /* first slot of the stock; random capabilities are below 64 */
#define REPORT_EVERY 1000000u
#define WORDS        12u /* of the message page that a call reads */

static u64 state;

/* xorshift64 (Marsaglia): the same sequence for the same seed. */
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

/* Objects that a program can make of its own pool, for the calls to find. */
static void stock(void)
{
	void *message = thread_message();

	for (cap_t slot = STOCK; slot < STOCK + 4; slot++)
		sys_obj_destroy(slot);
	*(struct msg_create_event *)message =
		(struct msg_create_event){.thread = START_CAP_THREAD, .mask = EVENT_BITS};
	sys_obj_create(KIND_EVENT, START_CAP_DOMAIN, STOCK);
	*(struct msg_create_port *)message = (struct msg_create_port){.thread = START_CAP_THREAD};
	sys_obj_create(KIND_PORT, START_CAP_DOMAIN, STOCK + 1);
	sys_obj_create(KIND_VM, START_CAP_DOMAIN, STOCK + 2);
	*(struct msg_create_vcpu *)message =
		(struct msg_create_vcpu){.vm = STOCK + 2, .thread = START_CAP_THREAD};
	sys_obj_create(KIND_VCPU, START_CAP_DOMAIN, STOCK + 3);
}

/* One call. True: it was accepted. */
static bool call(void)
{
	u64 number = random_next() % (SYS_COUNT + 2);
	u64 argument[6];
	u64 *message = thread_message();

	for (u32 i = 0; i < WORDS; i++)
		message[i] = random_argument();
	for (u32 i = 0; i < ARRAY_SIZE(argument); i++)
		argument[i] = random_argument();
	/* The program itself must come to its end: it may stop its own thread, and nobody would let
	 * it run again. */
	if ((number == SYS_SYS_CTL && argument[1] == SYS_CTL_EXIT) ||
		(number == SYS_THREAD_CTL && argument[1] == THREAD_CTL_STOP &&
			argument[0] == START_CAP_THREAD))
		return false;
	/* Waits are over at once: a sleep takes longer than all else, and QEMU with a thread for
	 * each CPU can lose the interrupt that ends one (tests/README.md). */
	if (number == SYS_VCPU_RUN)
		argument[2] = 0;
	if (number == SYS_EVENT_WAIT)
		argument[1] = 0;
	if (number == SYS_IPC_REPLY_WAIT)
		argument[5] = 0;
	return (u8)sys_any(number, argument[0], argument[1], argument[2], argument[3], argument[4],
		       argument[5], NULL) == STATUS_OK;
}

void wild_run(const char *numbers)
{
	char *next = NULL;
	u64 calls = strtoul(numbers, &next, 0);
	u64 seed = strtoul(next, NULL, 0);
	u64 ok = 0;

	calls = calls ? calls : WILD_CALLS;
	state = 0x9e3779b97f4a7c15ull ^ seed; /* never 0 for a seed of 32 bits */
	for (u64 i = 0; i < calls; i++) {
		if (i % STOCK_EVERY == 0)
			stock();
		if (i && i % REPORT_EVERY == 0)
			log_line("wild: %lu of %lu", i, calls);
		ok += call();
	}
	log_line("wild: %lu calls made, %lu accepted", calls, ok);
}
