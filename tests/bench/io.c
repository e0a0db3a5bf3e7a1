/*
 * A Linux program without a library for tests/bench: `io OP DEVICE SIZE COUNT` reads or writes (OP
 * r or w; R or W: at random places) COUNT pieces of SIZE bytes of the first 16 MiB of DEVICE past
 * the page cache, one after another. Status 1: one of them failed.
 */
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

__attribute__((used)) static void run(char **argv)
{
	char op = argv[1][0];
	long file = call(SYS_OPEN, (long)argv[2], O_RDWR | O_DIRECT, 0, 0);
	unsigned long size = number(argv[3]);
	unsigned long count = number(argv[4]);
	unsigned long seed = 1;
	unsigned long at = 0;
	long failed = file < 0;

	for (unsigned long i = 0; i < count && !failed; i++) {
		seed = seed * 6364136223846793005ul + 1442695040888963407ul;
		at = (op == 'R' || op == 'W' ? (seed >> 33) * size : i * size) % SPAN;
		failed = call(op == 'r' || op == 'R' ? SYS_PREAD : SYS_PWRITE, file, (long)data,
				 (long)size, (long)at) != (long)size;
	}
	call(SYS_EXIT, failed, 0, 0, 0);
}

__asm__(".globl _start\n_start:\n\tlea 0(%rsp), %rdi\n\tadd $8, %rdi\n\tand $-16, %rsp\n\tcall "
	"run");
