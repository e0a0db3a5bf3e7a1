/* Copies a subtree with libfdt's sequential writer. */
#include <libfdt.h>

#include "drivers/root/config.h"

static int copy_properties(const void *fdt, int node, void *to)
{
	int property;
	int error = 0;

	fdt_for_each_property_offset(property, fdt, node)
	{
		const char *name;
		int size;
		const void *value = fdt_getprop_by_offset(fdt, property, &name, &size);

		if (!value)
			return size;
		error = fdt_property(to, name, value, size);
		if (error)
			return error;
	}
	return property == -FDT_ERR_NOTFOUND ? 0 : property;
}

/* The tree's depth is bounded by tree_open, so nodes are opened and closed as the walk goes up and
 * down. */
static int copy_nodes(const void *fdt, int top, void *to)
{
	int depth = 0;
	int open = 0;
	int error;

	for (int node = top; node >= 0; node = fdt_next_node(fdt, node, &depth)) {
		if (node != top && depth <= 0)
			break;
		for (; open > depth; open--) {
			error = fdt_end_node(to);
			if (error)
				return error;
		}
		error = fdt_begin_node(to, node == top ? "" : fdt_get_name(fdt, node, NULL));
		if (!error)
			error = copy_properties(fdt, node, to);
		if (error)
			return error;
		open++;
	}
	for (; open > 0; open--) {
		error = fdt_end_node(to);
		if (error)
			return error;
	}
	return 0;
}

u64 config_make(const void *fdt, int node, void *to, u64 size)
{
	int error = fdt_create(to, size > INT32_MAX ? INT32_MAX : (int)size);

	if (!error)
		error = fdt_finish_reservemap(to);
	if (!error)
		error = copy_nodes(fdt, node, to);
	if (!error)
		error = fdt_finish(to);
	return error ? 0 : fdt_totalsize(to);
}
