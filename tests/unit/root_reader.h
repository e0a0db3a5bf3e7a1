/* What the tests of root's description share: the compiler, a machine's boot information, and the
 * complaints. */
#pragma once

#include "drivers/root/description.h"
#include "tests/unit/test.h"

#define TREE_MAX 65536

extern struct boot_info boot;
extern struct description d;
extern u8 tree[TREE_MAX];
extern size_t tree_size;
extern char said[65536]; /* complaints, a line each */

/* Adds a line to `said`. */
void complain(const char *line);

/* Compiles a source with dtc into `tree`. */
void compile(const char *source);
