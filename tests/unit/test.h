/* A minimal unit-test frame: TEST(name) { CHECK(...); } in any number, test_main.c runs them all.
 */
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct test_case {
	const char *name;
	void (*run)(void);
	struct test_case *next;
};

/* Adds a case to the list of this program; called before main by TEST. */
void test_register(struct test_case *t);

/* Records a failure of the running case, with its place and the reason. */
void test_fail(const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#define TEST(name)                                                                                 \
	static void test_##name(void);                                                             \
	static struct test_case case_##name = {#name, test_##name, NULL};                          \
	__attribute__((constructor)) static void register_##name(void)                             \
	{                                                                                          \
		test_register(&case_##name);                                                       \
	}                                                                                          \
	static void test_##name(void)

/* Checks a condition; on failure records it and goes on. */
#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			test_fail(__FILE__, __LINE__, "%s", #condition);                           \
	} while (0)

/* Checks that two integers are equal, and shows both when they are not. */
#define CHECK_EQ(a, b)                                                                             \
	do {                                                                                       \
		unsigned long long a_ = (unsigned long long)(a);                                   \
		unsigned long long b_ = (unsigned long long)(b);                                   \
		if (a_ != b_)                                                                      \
			test_fail(__FILE__, __LINE__, "%s is %#llx, %s is %#llx", #a, a_, #b, b_); \
	} while (0)

/* The same for two strings. */
#define CHECK_STR(a, b)                                                                            \
	do {                                                                                       \
		const char *a_ = (a);                                                              \
		const char *b_ = (b);                                                              \
		if (strcmp(a_, b_) != 0)                                                           \
			test_fail(__FILE__, __LINE__, "%s is \"%s\", not \"%s\"", #a, a_, b_);     \
	} while (0)
