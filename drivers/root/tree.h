/*
 * Reading a flattened device tree that may be damaged or wrong: typed access to properties, and
 * complaints that name the node. Nothing here makes a system call, so that unit tests run it on the
 * host.
 */
#pragma once

#include "kernel/abi/types.h"

#define TREE_PATH_MAX  96
#define TREE_DEPTH_MAX 16

/* A checked tree, and where complaints go: one line each, without "root: " and newline. */
struct tree {
	const void *fdt;
	void (*complain)(const char *line);
	u32 complaints;
};

/*
 * Checks that `fdt`, `size` bytes, is a whole and well-formed device tree, so that every libfdt
 * function is safe on it. False, with a complaint, if not.
 */
bool tree_open(struct tree *t, const void *fdt, size_t size, void (*complain)(const char *line));

/* Complains about `node` (its offset; negative: the tree as a whole): "system.dtb: PATH: TEXT". */
void tree_complain(struct tree *t, int node, const char *text, ...)
	__attribute__((format(printf, 3, 4)));

/* The name of a node without its unit address, copied into `to`; cut if it is longer. */
void tree_name(const struct tree *t, int node, char *to, size_t size);

/* A property that is one NUL-terminated string; NULL if it is absent. Complains, with NULL, if it
 * is not one. */
const char *tree_string(struct tree *t, int node, const char *name);

/* Number of 32-bit cells of a property: -1 if it is absent or, with a complaint, no whole number of
 * cells. */
int tree_cells(struct tree *t, int node, const char *name);

/* Cell `i` of a property that has more than `i` cells. */
u32 tree_cell(const struct tree *t, int node, const char *name, int i);

/* Cells `i` and `i` + 1 of a property as a 64-bit number. */
u64 tree_pair(const struct tree *t, int node, const char *name, int i);

/*
 * The value of a one-cell property, or `otherwise` if it is absent; complains and sets *bad if it
 * is no one cell or not in `low` to `high`.
 */
u32 tree_u32(
	struct tree *t, int node, const char *name, u32 otherwise, u32 low, u32 high, bool *bad);

/* True if the property is there. */
bool tree_has(const struct tree *t, int node, const char *name);

/* True if a string of the node's `compatible` is `name`. */
bool tree_compatible(const struct tree *t, int node, const char *name);

/* The node that cell `i` of a property refers to; negative, with a complaint, if there is none. */
int tree_target(struct tree *t, int node, const char *name, int i);
