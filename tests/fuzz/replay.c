/*
 * Does a fuzzer's seeds again, as a unit test: those inputs that reach the most of the code, and
 * each that has ever shown a fault. SEEDS is the file: an input in hexadecimal on each line.
 */
#include <stdio.h>
#include <string.h>
#include "fuzz.h"

#define LINE_MAX_BYTES 16384

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Bytes of the line, or -1 if it is malformed. */
static long bytes_of(const char *line, u8 *bytes)
{
	size_t length = strcspn(line, "\n");

	if (length % 2 || !length)
		return -1;
	for (size_t i = 0; i < length; i += 2) {
		int high = digit(line[i]);
		int low = digit(line[i + 1]);

		if (high < 0 || low < 0)
			return -1;
		bytes[i / 2] = (u8)(high << 4 | low);
	}
	return (long)(length / 2);
}

int main(void)
{
	static char line[2 * LINE_MAX_BYTES + 2];
	static u8 bytes[LINE_MAX_BYTES];
	FILE *file = fopen(SEEDS, "r");
	u32 done = 0, malformed = 0;

	while (file && fgets(line, sizeof(line), file)) {
		long size = bytes_of(line, bytes);
		u8 *input = size < 0 ? NULL : malloc((size_t)size);

		if (!input) {
			printf("%s: line %u is malformed\n", SEEDS, done + malformed + 1);
			malformed++;
			continue;
		}
		memcpy(input, bytes, (size_t)size);
		LLVMFuzzerTestOneInput(input, (size_t)size); /* a fault ends the program */
		free(input);
		done++;
	}
	if (file)
		fclose(file);
	printf("%u inputs\n", done);
	printf("%u passed, %u failed\n", done && !malformed, !done || malformed);
	return done && !malformed ? 0 : 1;
}
