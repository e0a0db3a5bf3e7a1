/* Block functions by string instructions: the loader has no C library. */
#include "memory.h"
#include "kernel/abi/types.h"

void *memcpy(void *to, const void *from, size_t size)
{
	void *start = to;
	size_t words = size / 8;

	asm volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(words) : : "memory");
	size %= 8;
	asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
	return start;
}

void *memmove(void *to, const void *from, size_t size)
{
	u8 *target = to;
	const u8 *source = from;

	if (target <= source || target >= source + size)
		return memcpy(to, from, size);
	target += size - 1;
	source += size - 1;
	asm volatile("std; rep movsb; cld" : "+D"(target), "+S"(source), "+c"(size) : : "memory");
	return to;
}

void *memset(void *to, int byte, size_t size)
{
	void *start = to;
	size_t words = size / 8;
	u64 pattern = (u8)byte * 0x0101010101010101ull;

	asm volatile("rep stosq" : "+D"(to), "+c"(words) : "a"(pattern) : "memory");
	size %= 8;
	asm volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(pattern) : "memory");
	return start;
}

int memcmp(const void *a, const void *b, size_t size)
{
	const u8 *left = a;
	const u8 *right = b;

	for (size_t i = 0; i < size; i++) {
		if (left[i] != right[i])
			return left[i] - right[i];
	}
	return 0;
}

/* Volatile, or GCC finds out that this is strlen and makes it call itself. */
size_t strlen(const char *text)
{
	const volatile char *at = text;
	size_t length = 0;

	while (at[length])
		length++;
	return length;
}
