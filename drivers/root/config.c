/* Copies a subtree with libfdt's sequential writer. */
#include <libfdt.h>

#include "drivers/lib/lib.h"
#include "drivers/root/config.h"

#define CARD    "pci1af4,1041"
#define ADDRESS "local-mac-address"
#define PCI     "pci-host-cam-generic"
#define DEVICES "devices"

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

/* The node of the guest's network card whose `backend` is the node with that phandle; negative if
 * there is none. */
static int find_card(const void *fdt, u32 phandle)
{
	int node = fdt_node_offset_by_compatible(fdt, -1, CARD);

	for (; node >= 0; node = fdt_node_offset_by_compatible(fdt, node, CARD)) {
		int size;
		const fdt32_t *backend = fdt_getprop(fdt, node, "backend", &size);

		if (backend && size == 4 && fdt32_ld(backend) == phandle)
			return node;
	}
	return node;
}

/* A switch learns the address that the description gives to the card at a port, so that it can
 * keep other ports from using it. */
static int add_address(const void *fdt, int node, void *to)
{
	int parent = fdt_parent_offset(fdt, node);
	const char *name = parent < 0 ? NULL : fdt_get_name(fdt, parent, NULL);
	u32 phandle = fdt_get_phandle(fdt, node);
	const void *address;
	int card;
	int size;

	if (!name || strcmp(name, "ethernet-ports") != 0 || phandle == 0 ||
		fdt_getprop(fdt, node, ADDRESS, NULL))
		return 0;
	card = find_card(fdt, phandle);
	address = card < 0 ? NULL : fdt_getprop(fdt, card, ADDRESS, &size);
	return address ? fdt_property(to, ADDRESS, address, size) : 0;
}

/* Copies `top` and all below it as a node `name`, which stays open. The tree's depth is bounded by
 * tree_open, so nodes are opened and closed as the walk goes up and down. */
static int copy_nodes(const void *fdt, int top, const char *name, void *to)
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
		error = fdt_begin_node(to, node == top ? name : fdt_get_name(fdt, node, NULL));
		if (!error)
			error = copy_properties(fdt, node, to);
		if (!error)
			error = add_address(fdt, node, to);
		if (error)
			return error;
		open++;
	}
	for (; open > 1; open--) {
		error = fdt_end_node(to);
		if (error)
			return error;
	}
	return 0;
}

/* The PCI functions that the node has access to: a driver finds there what its device is cut in. */
static int copy_devices(const void *fdt, int node, void *to)
{
	int size;
	const fdt32_t *access = fdt_getprop(fdt, node, "access", &size);
	bool any = false;
	int error = 0;

	for (int i = 0; access && i < size / 4 && !error; i++) {
		int device = fdt_node_offset_by_phandle(fdt, fdt32_ld(access + i));
		int parent = device < 0 ? device : fdt_parent_offset(fdt, device);

		if (parent < 0 || fdt_node_check_compatible(fdt, parent, PCI) != 0)
			continue;
		if (!any)
			error = fdt_begin_node(to, DEVICES);
		any = true;
		if (!error)
			error = copy_nodes(fdt, device, fdt_get_name(fdt, device, NULL), to);
		if (!error)
			error = fdt_end_node(to);
	}
	return any && !error ? fdt_end_node(to) : error;
}

u64 config_make(const void *fdt, int node, void *to, u64 size)
{
	int error = fdt_create(to, size > INT32_MAX ? INT32_MAX : (int)size);

	if (!error)
		error = fdt_finish_reservemap(to);
	if (!error)
		error = copy_nodes(fdt, node, "", to);
	if (!error)
		error = copy_devices(fdt, node, to);
	if (!error)
		error = fdt_end_node(to);
	if (!error)
		error = fdt_finish(to);
	return error ? 0 : fdt_totalsize(to);
}
