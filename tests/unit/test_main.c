/* Runs every TEST of a unit-test program and prints one line for each failure and a total. */
#include <stdarg.h>
#include "test.h"

static struct test_case *first;
static struct test_case **last = &first;
static int failures_in_case;

void test_register(struct test_case *t)
{
	*last = t;
	last = &t->next;
}

void test_fail(const char *file, int line, const char *format, ...)
{
	va_list args;

	failures_in_case++;
	fprintf(stderr, "%s:%d: ", file, line);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

int main(int argc, char **argv)
{
	int passed = 0;
	int failed = 0;

	for (struct test_case *t = first; t; t = t->next) {
		if (argc > 1 && strcmp(argv[1], t->name) != 0)
			continue;
		failures_in_case = 0;
		t->run();
		if (failures_in_case) {
			failed++;
			fprintf(stderr, "FAILED %s\n", t->name);
		} else {
			passed++;
		}
	}
	printf("%d passed, %d failed\n", passed, failed);
	return failed != 0 || passed == 0;
}
