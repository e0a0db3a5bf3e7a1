/* See root_reader.h. */
#include <stdlib.h>
#include <unistd.h>
#include "tests/unit/root_reader.h"

struct boot_info boot;
struct description d;
u8 tree[TREE_MAX];
size_t tree_size;
char said[65536];

void check_failed(const char *file, int line, const char *what)
{
	test_fail(file, line, "%s", what);
	abort();
}

void string_copy(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from);
}

void complain(const char *line)
{
	if (strlen(said) + strlen(line) + 2 < sizeof(said)) {
		strcat(said, line);
		strcat(said, "\n");
	}
}

void compile(const char *source)
{
	char path[] = "/tmp/description-XXXXXX";
	char command[128];
	int fd = mkstemp(path);
	FILE *out;

	CHECK(write(fd, source, strlen(source)) == (ssize_t)strlen(source));
	close(fd);
	snprintf(command, sizeof(command), "dtc -q -f -I dts -O dtb %s", path);
	out = popen(command, "r");
	tree_size = fread(tree, 1, sizeof(tree), out);
	CHECK_EQ(pclose(out), 0);
	unlink(path);
}
