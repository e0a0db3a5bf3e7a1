/* Reading nodes of the partition's device tree: see node.h. */
#include <libfdt.h>

#include "node.h"

#define CELL        4
#define PATH_LENGTH 128
#define REG_DEVFN   8 /* shift in the first cell of `reg` */
#define REG_BUS     16

void config_complain(const struct config *c, int node, const char *what)
{
	char path[PATH_LENGTH];

	if (fdt_get_path(c->fdt, node, path, sizeof(path)))
		string_copy(path, sizeof(path), "?");
	log_line("%s: %s", path, what);
}

const char *config_text(const struct config *c, int node, const char *name)
{
	int length;
	const char *p = fdt_getprop(c->fdt, node, name, &length);

	if (!p || length < 1 || strnlen(p, (size_t)length) != (size_t)length - 1)
		return NULL;
	return p;
}

bool config_cell(const struct config *c, int node, const char *name, int index, u32 *value)
{
	int length;
	const void *p = fdt_getprop(c->fdt, node, name, &length);
	fdt32_t raw;

	if (!p || length < (index + 1) * CELL)
		return false;
	memcpy(&raw, (const u8 *)p + index * CELL, sizeof(raw));
	*value = fdt32_to_cpu(raw);
	return true;
}

bool config_devfn(const struct config *c, int node, u8 *devfn)
{
	u32 reg;

	if (config_cell(c, node, "reg", 0, &reg) && !(reg >> REG_BUS) && !(reg & UINT8_MAX)) {
		*devfn = (u8)(reg >> REG_DEVFN);
		return true;
	}
	config_complain(c, node, "reg is no device and function of bus 0");
	return false;
}

bool config_place_taken(const struct config *c, int node)
{
	config_complain(c, node, "its place on the bus is taken, or the bus is full");
	return false;
}

const struct start_resource *config_session(struct config *c, int node, const char *protocol)
{
	const struct start_resource *r;
	u32 backend;

	if (!config_cell(c, node, "backend", 0, &backend))
		return NULL;
	for (u32 i = 0; i < START_MAX_RESOURCES && (r = start_find(c->info, START_SESSION, i));
		i++) {
		if (r->phandle != backend || r->role != START_CLIENT ||
			strncmp(r->protocol, protocol, sizeof(r->protocol)) != 0 ||
			c->claimed[i / 64] & BIT(i % 64))
			continue;
		c->claimed[i / 64] |= BIT(i % 64);
		return r;
	}
	return NULL;
}
