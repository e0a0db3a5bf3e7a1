/* Typed access to the properties of a flattened device tree, with complaints that name the node. */
#include <libfdt.h>

#include "drivers/lib/lib.h"
#include "drivers/root/tree.h"

bool tree_open(struct tree *t, const void *fdt, size_t size, void (*complain)(const char *line))
{
	int error;
	int depth = 0;

	*t = (struct tree){.fdt = fdt, .complain = complain};
	error = size < sizeof(struct fdt_header) ? -FDT_ERR_TRUNCATED : fdt_check_full(fdt, size);
	if (error != 0) {
		tree_complain(t, -1, "damaged device tree (%s): build the image anew",
			fdt_strerror(error));
		return false;
	}
	for (int node = 0; node >= 0; node = fdt_next_node(fdt, node, &depth)) {
		if (depth > TREE_DEPTH_MAX) {
			tree_complain(t, node, "nested more than %d deep", TREE_DEPTH_MAX);
			return false;
		}
	}
	return true;
}

void tree_complain(struct tree *t, int node, const char *text, ...)
{
	char path[TREE_PATH_MAX] = "";
	char line[240];
	va_list args;
	int n;

	if (node >= 0 && fdt_get_path(t->fdt, node, path, sizeof(path)) != 0)
		string_copy(path, sizeof(path), fdt_get_name(t->fdt, node, NULL));
	n = format(line, sizeof(line), "system.dtb: %s%s", path, node >= 0 ? ": " : "");
	va_start(args, text);
	format_list(line + n, sizeof(line) - (size_t)n, text, args);
	va_end(args);
	t->complaints++;
	t->complain(line);
}

void tree_name(const struct tree *t, int node, char *to, size_t size)
{
	char *at;

	string_copy(to, size, fdt_get_name(t->fdt, node, NULL));
	at = strchr(to, '@');
	if (at)
		*at = 0;
}

const char *tree_string(struct tree *t, int node, const char *name)
{
	int size;
	const char *value = fdt_getprop(t->fdt, node, name, &size);

	if (!value)
		return NULL;
	if (size < 1 || strnlen(value, (size_t)size) != (size_t)size - 1) {
		tree_complain(t, node, "property \"%s\" must be one string", name);
		return NULL;
	}
	return value;
}

int tree_cells(struct tree *t, int node, const char *name)
{
	int size;

	if (!fdt_getprop(t->fdt, node, name, &size))
		return -1;
	if (size % 4 != 0) {
		tree_complain(t, node, "property \"%s\" must be numbers of 32 bits", name);
		return -1;
	}
	return size / 4;
}

u32 tree_cell(const struct tree *t, int node, const char *name, int i)
{
	int size;
	const u8 *value = fdt_getprop(t->fdt, node, name, &size);

	check(value && i >= 0 && i < size / 4);
	value += i * 4;
	return (u32)value[0] << 24 | (u32)value[1] << 16 | (u32)value[2] << 8 | value[3];
}

u64 tree_pair(const struct tree *t, int node, const char *name, int i)
{
	return (u64)tree_cell(t, node, name, i) << 32 | tree_cell(t, node, name, i + 1);
}

u32 tree_u32(
	struct tree *t, int node, const char *name, u32 otherwise, u32 low, u32 high, bool *bad)
{
	u32 value;

	if (!tree_has(t, node, name))
		return otherwise;
	if (tree_cells(t, node, name) != 1) {
		tree_complain(t, node, "property \"%s\" must be one number", name);
		*bad = true;
		return otherwise;
	}
	value = tree_cell(t, node, name, 0);
	if (value < low || value > high) {
		tree_complain(t, node, "property \"%s\" is %u, but must be %u to %u", name, value,
			low, high);
		*bad = true;
		return otherwise;
	}
	return value;
}

bool tree_has(const struct tree *t, int node, const char *name)
{
	return fdt_getprop(t->fdt, node, name, NULL) != NULL;
}

bool tree_compatible(const struct tree *t, int node, const char *name)
{
	return fdt_node_check_compatible(t->fdt, node, name) == 0;
}

int tree_target(struct tree *t, int node, const char *name, int i)
{
	u32 phandle = tree_cell(t, node, name, i);
	int target = fdt_node_offset_by_phandle(t->fdt, phandle);

	if (target < 0)
		tree_complain(
			t, node, "property \"%s\" refers to no node (phandle %u)", name, phandle);
	return target;
}
