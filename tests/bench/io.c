/*
 * A Linux program without a library for tests/bench: `io OP DEVICE SIZE WARM COUNT [wait]` reads or
 * writes (OP r or w; R or W: at random places) pieces of SIZE bytes of the first 16 MiB of DEVICE
 * past the page cache, one after another: WARM of them, then, with `wait`, when a line was typed,
 * COUNT between marks (mark.h). `io b` and `io e` make a mark only. Status 1: one of them failed.
 */
#include "tests/bench/mark.h"

#define SYS_READ    0
#define SYS_WRITE   1
#define SYS_OPEN    2
#define SYS_PREAD   17
#define SYS_PWRITE  18
#define SYS_EXIT    60
#define O_RDWR      2
#define O_DIRECT    040000
#define SIZE_MAX_IO 0x10000
#define SPAN        0x1000000ul

static char data[SIZE_MAX_IO] __attribute__((aligned(4096)));

static long call(long number, long a, long b, long c, long d)
{
	register long r10 __asm__("r10") = d;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
			 : "rcx", "r11", "memory");
	return result;
}

static unsigned long number(const char *text)
{
	unsigned long n = 0;

	while (*text >= '0' && *text <= '9')
		n = n * 10 + (unsigned long)(*text++ - '0');
	return n;
}

struct work {
	long file;
	char op;
	unsigned long size, seed, next;
};

/* Does `count` operations; returns false if one failed. */
static int work_do(struct work *w, unsigned long count)
{
	int random = w->op == 'R' || w->op == 'W';
	long number = w->op == 'r' || w->op == 'R' ? SYS_PREAD : SYS_PWRITE;

	for (unsigned long i = 0; i < count; i++) {
		unsigned long place = w->next++;

		w->seed = w->seed * 6364136223846793005ul + 1442695040888963407ul;
		if (random)
			place = w->seed >> 33;
		if (call(number, w->file, (long)data, (long)w->size,
			    (long)(place * w->size % SPAN)) != (long)w->size)
			return 0;
		MARK(MARK_OPERATION);
	}
	return 1;
}

static int run_all(long argc, char **argv)
{
	struct work w = {.op = argv[1][0], .seed = 1};
	char line[64];
	int good;

	if (w.op == 'b')
		MARK(MARK_BEGIN);
	if (w.op == 'e')
		MARK(MARK_END);
	if (argc < 6)
		return 1;
	w.file = call(SYS_OPEN, (long)argv[2], O_RDWR | O_DIRECT, 0, 0);
	w.size = number(argv[3]);
	if (w.file < 0 || w.size > SIZE_MAX_IO || !work_do(&w, number(argv[4])))
		return 0;
	if (argc > 6) {
		call(SYS_WRITE, 1, (long)"waits\n", 6, 0);
		call(SYS_READ, 0, (long)line, sizeof(line), 0);
	}
	MARK(MARK_BEGIN);
	good = work_do(&w, number(argv[5]));
	MARK(MARK_END);
	return good;
}

__attribute__((used)) static void run(long *stack)
{
	call(SYS_EXIT, !run_all(stack[0], (char **)(stack + 1)), 0, 0, 0);
}

__asm__(".globl _start\n_start:\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall run");
