/* The string and memory functions of the C library that programs and libfdt call. */
#include "drivers/lib/lib.h"

void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
	void *start = to;
	size_t words = size / 8;

	size %= 8;
	asm volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(words) : : "memory");
	asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
	return start;
}

void *memmove(void *to, const void *from, size_t size)
{
	u8 *t = to;
	const u8 *f = from;

	if (t <= f || t >= f + size) {
		/* Upwards is safe: each byte is read before it is overwritten. */
		asm volatile("rep movsb" : "+D"(t), "+S"(f), "+c"(size) : : "memory");
		return to;
	}
	while (size-- > 0) {
		t[size] = f[size];
		asm volatile("" : : : "memory"); /* keeps this from becoming a call of memmove */
	}
	return to;
}

void *memset(void *to, int byte, size_t size)
{
	void *start = to;
	size_t words = size / 8;
	u64 word = (u8)byte * 0x0101010101010101ull;

	size %= 8;
	asm volatile("rep stosq" : "+D"(to), "+c"(words) : "a"(word) : "memory");
	asm volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(word) : "memory");
	return start;
}

int memcmp(const void *a, const void *b, size_t size)
{
	const u8 *x = a;
	const u8 *y = b;

	for (size_t i = 0; i < size; i++) {
		if (x[i] != y[i])
			return x[i] - y[i];
	}
	return 0;
}

void *memchr(const void *in, int byte, size_t size)
{
	const u8 *s = in;

	for (size_t i = 0; i < size; i++) {
		if (s[i] == (u8)byte)
			return (void *)(s + i);
	}
	return NULL;
}

size_t strnlen(const char *s, size_t max)
{
	size_t n = 0;

	while (n < max && s[n])
		n++;
	return n;
}

size_t strlen(const char *s)
{
	const char *end = s;

	while (*end) {
		end++;
		asm volatile(""); /* keeps this from becoming a call of strlen */
	}
	return (size_t)(end - s);
}

int strncmp(const char *a, const char *b, size_t max)
{
	for (size_t i = 0; i < max; i++) {
		if (a[i] != b[i] || !a[i])
			return (u8)a[i] - (u8)b[i];
	}
	return 0;
}

int strcmp(const char *a, const char *b)
{
	return strncmp(a, b, SIZE_MAX);
}

char *strchr(const char *s, int c)
{
	for (; *s != (char)c; s++) {
		if (!*s)
			return NULL;
	}
	return (char *)s;
}

char *strrchr(const char *s, int c)
{
	const char *found = NULL;

	for (;; s++) {
		if (*s == (char)c)
			found = s;
		if (!*s)
			return (char *)found;
	}
}

static unsigned digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0');
	if (c >= 'a' && c <= 'z')
		return (unsigned)(c - 'a') + 10;
	if (c >= 'A' && c <= 'Z')
		return (unsigned)(c - 'A') + 10;
	return 36;
}

unsigned long strtoul(const char *s, char **end, int base)
{
	const char *start = s;
	unsigned long value = 0;
	bool any = false;
	bool over = false;
	bool minus = false;

	while (*s == ' ' || (*s >= '\t' && *s <= '\r'))
		s++;
	if (*s == '+' || *s == '-')
		minus = *s++ == '-';
	if ((base == 0 || base == 16) && s[0] == '0' && (s[1] | 0x20) == 'x' &&
		digit_value(s[2]) < 16) {
		base = 16;
		s += 2;
	} else if (base == 0) {
		base = *s == '0' ? 8 : 10;
	}
	for (; digit_value(*s) < (unsigned)base; s++) {
		any = true;
		over |= __builtin_umull_overflow(value, (unsigned)base, &value);
		over |= __builtin_uaddl_overflow(value, digit_value(*s), &value);
	}
	if (end)
		*end = (char *)(any ? s : start);
	if (over)
		return ~0ul;
	return minus ? -value : value;
}

void string_copy(char *to, size_t size, const char *from)
{
	size_t n = strnlen(from, size - 1);

	memcpy(to, from, n);
	to[n] = 0;
}
