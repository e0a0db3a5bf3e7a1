/*
 * The runtime library of ring-3 programs: strings, formatting, log, checks, heap, start resources
 * and threads.
 *
 * A program defines `int main(struct start_info *info)`; when it returns, the program ends with
 * that code, and root restarts it or not as its node says. Only the first thread may use the heap;
 * everything else here may be called from any thread.
 */
#pragma once

#include <stdarg.h>

#include "drivers/lib/start.h"
#include "drivers/lib/syscall.h"

/* The functions of <string.h> and <stdlib.h> that C compilers and libfdt call. */
void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);
int memcmp(const void *a, const void *b, size_t size);
void *memchr(const void *in, int byte, size_t size);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t max);
char *strchr(const char *s, int c);
char *strrchr(const char *s, int c);

/* As the standard's, but errors are not told: an overflow gives ULONG_MAX. Base 0, 2 to 36. */
unsigned long strtoul(const char *s, char **end, int base);

/* Copies a string, cut to fit into `size` bytes with its NUL. `size` is at least 1. */
void string_copy(char *to, size_t size, const char *from);

/*
 * Writes text into `to`, cut to fit into `size` bytes with its NUL; returns the length that the
 * whole text has. Knows %s %c %d %i %u %x %X %p %%, the lengths l ll z, the flags 0 - # and space,
 * a width and a precision (of a string: its greatest length), each a number or `*`. An unknown
 * conversion is copied as it stands.
 */
int format(char *to, size_t size, const char *text, ...) __attribute__((format(printf, 3, 4)));
int format_list(char *to, size_t size, const char *text, va_list args)
	__attribute__((format(printf, 3, 0)));

/* Writes one line, without its newline, to the log of the machine under the program's name. */
void log_line(const char *text, ...) __attribute__((format(printf, 1, 2)));

/* Where log_line's lines go: `size` bytes, at most ROOT_LOG_MAX. Root and unit tests have their
 * own. */
void log_write(const char *line, size_t size);

/*
 * Tells root `what` (enum root_op of protocols/root.h), with `value`. Root may be behind with its
 * work: then it is told again, up to `tries` times, some hundred microseconds apart; 0: until it
 * has heard. What it cannot be told at last is lost. Any thread.
 */
void root_call(u32 what, u64 value, u32 tries);

/* Ends this thread, and so the program, with `code`; root reports the code if it is not 0. */
_Noreturn void program_exit(u64 code);

/* Logs `what` with its place and ends the program. */
_Noreturn void check_failed(const char *file, int line, const char *what);

/* Ends the program with a line that says where, if `condition` does not hold. */
#define check(condition)                                                                           \
	do {                                                                                       \
		if (unlikely(!(condition)))                                                        \
			check_failed(__FILE__, __LINE__, #condition);                              \
	} while (0)

/*
 * The heap: a first-fit free list. heap_init gives it its memory (16-byte aligned; the start-up
 * code does it with START_HEAP). heap_alloc returns zeroed, 16-byte aligned memory, or NULL;
 * heap_free takes it back, NULL too.
 */
void heap_init(void *base, size_t size);
void *heap_alloc(size_t size);
void heap_free(void *block);
size_t heap_left(void); /* free bytes, in however many pieces */

/* Returns the `n`-th (from 0) resource of `kind`, or NULL. */
const struct start_resource *start_find(const struct start_info *info, enum start_kind kind, u32 n);

/* Returns the first resource of `kind` with `name`, or NULL. */
const struct start_resource *start_find_name(
	const struct start_info *info, enum start_kind kind, const char *name);

/* A slot of the program's own that none has been given before. One thread at a time. */
cap_t slot_new(void);

/* The calling thread's own block and message page. */
static inline const struct start_thread *thread_self(void)
{
	const struct start_thread *self;

	asm("mov %%fs:0, %0" : "=r"(self));
	return self;
}

static inline void *thread_message(void)
{
	void *message;

	asm("mov %%fs:8, %0" : "=r"(message));
	return message;
}

/*
 * Starts the stopped thread of the `n`-th (from 0) START_THREAD resource in `run(arg)`, on the
 * stack that root has given it; `block` becomes its thread block and must live as long as it. When
 * `run` returns, the thread ends the program. Returns what thread_ctl returns; NOT_FOUND: there is
 * no such resource.
 */
status_t thread_start(const struct start_info *info, u32 n, struct start_thread *block,
	void (*run)(void *), void *arg);

static inline cycles_t tsc_now(void)
{
	u64 low; /* the upper halves are cleared */
	u64 high;

	asm volatile("rdtsc" : "=a"(low), "=d"(high));
	return high << 32 | low;
}

/* Cycles of `us` microseconds; right up to about 1000 hours. */
static inline cycles_t tsc_from_us(u64 tsc_hz, u64 us)
{
	return us / 1000000 * tsc_hz + us % 1000000 * tsc_hz / 1000000;
}
