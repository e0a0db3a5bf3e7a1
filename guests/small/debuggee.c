/*
 * A guest for a debugger: calls to follow, a trap of its own, and at the end a
 * loop with interrupts off which only a debugger ends, by setting `released`. It prints PASS or
 * FAIL for what it must not notice.
 */
#include "small.h"

#define VECTOR_DB 1u
#define VECTOR_BP 3u
#define RFLAGS_TF 0x100u
#define CALLS     5u
#define STEPS     100u
#define SLOW      3000000000ull /* TSC cycles that the calls take at most, if time stands still */
#define NOINLINE  __attribute__((noinline))

volatile u64 counter;
volatile u64 released;
volatile u64 turns;

u64 inner(u64 x);
u64 outer(u64 x);
u64 flags_seen(void);
void hang(void);

static u64 tsc(void)
{
	u32 low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (u64)high << 32 | low;
}

static void verdict(const char *name, bool good)
{
	put_verdict(good);
	put_text("debuggee_");
	put_text(name);
	put_text("\n");
}

NOINLINE u64 inner(u64 x)
{
	counter += x;
	return counter;
}

NOINLINE u64 outer(u64 x)
{
	return inner(x + 1) + 1;
}

/* RFLAGS as the guest sees them; stepped over one instruction after the other. */
NOINLINE u64 flags_seen(void)
{
	u64 flags;

	__asm__ volatile("pushfq; pop %0; push %0; popfq; cpuid"
			 : "=r"(flags)
			 :
			 : "rax", "rbx", "rcx", "rdx");
	return flags;
}

static bool own_int3(void)
{
	TRY("int3", NO_INPUTS);
	return fault.vector == VECTOR_BP;
}

NOINLINE void hang(void)
{
	while (!released)
		turns++;
}

void small_main(const char *cmdline)
{
	u64 start;
	u64 sum = 0;
	u64 dr6;

	(void)cmdline;
	put_text("debuggee: begins\n");
	start = tsc();
	for (u64 i = 0; i < CALLS; i++)
		sum += outer(i);
	verdict("time_stands_still", tsc() - start < SLOW);
	verdict("result", sum == 1 + 3 + 6 + 10 + 15 + CALLS);
	verdict("flags", !(flags_seen() & RFLAGS_TF));
	__asm__ volatile("mov %%db6, %0" : "=r"(dr6));
	verdict("dr6", dr6 == 0xffff0ff0);
	verdict("own_int3", own_int3());
	put_text("debuggee: hangs\n");
	__asm__ volatile("cli");
	hang();
	put_sum("debuggee");
}
