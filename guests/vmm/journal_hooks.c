/*
 * What the compiler calls before each store of a file built with JOURNAL_CFLAGS: the outlined
 * checks of -fsanitize=kernel-address, of writes alone. Here they check nothing and note.
 */
#include "drivers/lib/lib.h"
#include "journal.h"

/* Most announcements are of the handlers' own variables. */
static inline bool own_stack(u64 address)
{
	u64 stack;

	asm("mov %%rsp, %0" : "=r"(stack));
	return address - stack < JOURNAL_STACK;
}

static inline void note(u64 address, u64 size)
{
	if (!own_stack(address))
		journal_note(address, size);
}

#define HOOK(size)                                                                                 \
	void journal_store##size(u64 address) __asm__("__asan_store" #size "_noabort");            \
	void journal_store##size(u64 address)                                                      \
	{                                                                                          \
		note(address, size);                                                               \
	}

HOOK(1)
HOOK(2)
HOOK(4)
HOOK(8)
HOOK(16)

void journal_store_n(u64 address, u64 size) __asm__("__asan_storeN_noabort");
void journal_store_n(u64 address, u64 size)
{
	note(address, size);
}

/* For a stack that is left for good: no concern of the journal's. */
void journal_no_return(void) __asm__("__asan_handle_no_return");
void journal_no_return(void)
{
}

/* The linker's --wrap leads the program's calls of these here. */
void *journal_memcpy(void *to, const void *from, size_t size) __asm__("__wrap_memcpy");
void *journal_memmove(void *to, const void *from, size_t size) __asm__("__wrap_memmove");
void *journal_memset(void *to, int byte, size_t size) __asm__("__wrap_memset");
void *real_memcpy(void *to, const void *from, size_t size) __asm__("__real_memcpy");
void *real_memmove(void *to, const void *from, size_t size) __asm__("__real_memmove");
void *real_memset(void *to, int byte, size_t size) __asm__("__real_memset");

void *journal_memcpy(void *to, const void *from, size_t size)
{
	note((u64)to, size);
	return real_memcpy(to, from, size);
}

void *journal_memmove(void *to, const void *from, size_t size)
{
	note((u64)to, size);
	return real_memmove(to, from, size);
}

void *journal_memset(void *to, int byte, size_t size)
{
	note((u64)to, size);
	return real_memset(to, byte, size);
}
