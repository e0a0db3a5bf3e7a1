/* See journal_deaths.h. */
#include "tests/unit/journal_deaths.h"
#include "guests/vmm/journal.h"

jmp_buf death;
static u64 stores;  /* made since life_begin */
static u64 die_at;  /* the store before which it ends; 0: never */
static bool nested; /* the journal's own stores are not noted */
static bool unnoted;

static void announced(u64 address, u64 size)
{
	if (++stores == die_at)
		longjmp(death, 1);
	if (nested || unnoted)
		return;
	nested = true;
	journal_note(address, size);
	nested = false;
}

/* In files that the program has without announcements it only ends there. */
static void unannounced(void)
{
	bool before = unnoted;

	unnoted = true;
	announced(0, 0);
	unnoted = before;
}

#define HOOK(size)                                                                                 \
	void test_store##size(u64 address) __asm__("__asan_store" #size "_noabort");               \
	void test_store##size(u64 address)                                                         \
	{                                                                                          \
		announced(address, size);                                                          \
	}                                                                                          \
	void unnoted_store##size(u64 address);                                                     \
	void unnoted_store##size(u64 address)                                                      \
	{                                                                                          \
		(void)address;                                                                     \
		unannounced();                                                                     \
	}
HOOK(1)
HOOK(2)
HOOK(4)
HOOK(8)
HOOK(16)

void test_store_n(u64 address, u64 size) __asm__("__asan_storeN_noabort");
void test_store_n(u64 address, u64 size)
{
	announced(address, size);
}

void unnoted_storeN(u64 address, u64 size);
void unnoted_storeN(u64 address, u64 size)
{
	(void)address;
	(void)size;
	unannounced();
}

void test_no_return(void) __asm__("__asan_handle_no_return");
void test_no_return(void)
{
}

void *test_memcpy(void *to, const void *from, size_t size) __asm__("__wrap_memcpy");
void *test_memmove(void *to, const void *from, size_t size) __asm__("__wrap_memmove");
void *test_memset(void *to, int byte, size_t size) __asm__("__wrap_memset");

void *test_memcpy(void *to, const void *from, size_t size)
{
	announced((u64)to, size);
	return real_memcpy(to, from, size);
}

void *test_memmove(void *to, const void *from, size_t size)
{
	announced((u64)to, size);
	return real_memmove(to, from, size);
}

void *test_memset(void *to, int byte, size_t size)
{
	announced((u64)to, size);
	return real_memset(to, byte, size);
}

void life_begin(u64 store)
{
	nested = false;
	unnoted = false;
	stores = 0;
	die_at = store;
}

u64 life_stores(void)
{
	return stores;
}

void life_unnoted(bool on)
{
	unnoted = on;
}
