/* Reads the node `ethernet-ports` of the program. */
#include <libfdt.h>

#include "drivers/lib/lib.h"
#include "drivers/switch/switch.h"

/* A property of one cell, or `otherwise` if it is absent or something else. */
static u32 read_cell(const void *fdt, int node, const char *name, u32 otherwise)
{
	int size;
	const fdt32_t *cell = fdt_getprop(fdt, node, name, &size);

	return cell && size == 4 ? fdt32_ld(cell) : otherwise;
}

static bool read_port(const void *fdt, int node, struct port_config *c)
{
	int size;
	const u8 *mac = fdt_getprop(fdt, node, "local-mac-address", &size);

	*c = (struct port_config){
		.phandle = fdt_get_phandle(fdt, node),
		.backend = read_cell(fdt, node, "backend", 0),
		.number = read_cell(fdt, node, "reg", 0),
		.vlan = read_cell(fdt, node, "vlan", SWITCH_VLAN_NONE),
		.max_kbps = read_cell(fdt, node, "max-kbps", 0),
	};
	for (int i = 0; mac && size == (int)ETHERNET_MAC && i < size; i++)
		c->mac = c->mac << 8 | mac[i];
	return c->vlan <= SWITCH_VLAN_MAX;
}

u32 ports_read(const void *fdt, u64 size, struct port_config out[SWITCH_PORTS])
{
	u32 count = 0;
	int ports;
	int node;

	if (fdt_check_full(fdt, size) != 0)
		return 0;
	ports = fdt_subnode_offset(fdt, 0, "ethernet-ports");
	if (ports < 0)
		return 0;
	fdt_for_each_subnode(node, fdt, ports)
	{
		if (count == SWITCH_PORTS || !read_port(fdt, node, &out[count]))
			return 0;
		count++;
	}
	return count;
}
