/* Reads the node `volumes` of the program. */
#include <libfdt.h>

#include "drivers/ramdisk/config.h"

/* A number of one or two cells; false if the property is something else. Absent: *value stays. */
static bool read_number(const void *fdt, int node, const char *name, u64 *value)
{
	int size;
	const fdt32_t *cell = fdt_getprop(fdt, node, name, &size);

	if (!cell)
		return size == -FDT_ERR_NOTFOUND;
	if (size != 4 && size != 8)
		return false;
	*value = fdt32_ld(cell);
	if (size == 8)
		*value = *value << 32 | fdt32_ld(cell + 1);
	return true;
}

static bool read_volume(const void *fdt, int node, struct volume_config *c)
{
	u64 kib = ~0ull;
	bool copy = fdt_getprop(fdt, node, "copy-on-write", NULL) != NULL;
	const char *label = fdt_getprop(fdt, node, "label", NULL);

	*c = (struct volume_config){.phandle = fdt_get_phandle(fdt, node)};
	c->has_file = fdt_getprop(fdt, node, "file", NULL) != NULL;
	c->read_only = fdt_getprop(fdt, node, "read-only", NULL) != NULL;
	if (!read_number(fdt, node, "size", &c->bytes) ||
		!read_number(fdt, node, "overlay-kib", &kib))
		return false;
	if (c->bytes % 512 != 0 || c->bytes > VOLUME_BYTES_MAX)
		return false;
	if (!c->has_file && c->bytes == 0)
		return false;
	if (!c->read_only)
		c->overlay = copy && kib < VOLUME_BYTES_MAX >> 10 ? kib << 10 : ~0ull;
	string_copy(c->name, sizeof(c->name), label ? label : fdt_get_name(fdt, node, NULL));
	return true;
}

u32 volumes_read(const void *fdt, u64 size, struct volume_config out[VOLUMES_MAX])
{
	u32 count = 0;
	int volumes;
	int node;

	if (fdt_check_full(fdt, size) != 0)
		return 0;
	volumes = fdt_subnode_offset(fdt, 0, "volumes");
	if (volumes < 0)
		return 0;
	fdt_for_each_subnode(node, fdt, volumes)
	{
		if (count == VOLUMES_MAX || !read_volume(fdt, node, &out[count]))
			return 0;
		count++;
	}
	return count;
}
