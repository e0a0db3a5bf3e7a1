/* Reads the volumes of a disk: see config.h. */
#include <libfdt.h>

#include "drivers/disk/config.h"
#include "drivers/lib/lib.h"

/* A string without its NUL missing, or NULL. */
static const char *string(const void *fdt, int node, const char *name)
{
	int size;
	const char *text = fdt_getprop(fdt, node, name, &size);

	return text && size > 0 && text[size - 1] == 0 ? text : NULL;
}

static u64 pair(const fdt32_t *cell)
{
	return (u64)fdt32_ld(cell) << 32 | fdt32_ld(cell + 1);
}

static bool read_volume(const void *fdt, int node, struct disk_volume_config *v)
{
	const char *label = string(fdt, node, "label");
	const char *name = string(fdt, node, "gpt-name");
	const char *uuid = string(fdt, node, "gpt-uuid");
	int size;
	const fdt32_t *reg = fdt_getprop(fdt, node, "reg", &size);

	*v = (struct disk_volume_config){.phandle = fdt_get_phandle(fdt, node)};
	v->read_only = fdt_getprop(fdt, node, "read-only", NULL) != NULL;
	if (reg) {
		if (size != 16)
			return false;
		v->start = pair(reg);
		v->size = pair(reg + 2);
	} else if (name) {
		if (strlen(name) > GPT_NAME_UNITS || !*name)
			return false;
		v->kind = DISK_GPT_NAME;
		string_copy(v->gpt_name, sizeof(v->gpt_name), name);
	} else if (uuid) {
		v->kind = DISK_GPT_UUID;
		if (!gpt_guid(uuid, v->guid))
			return false;
	} else {
		return false;
	}
	string_copy(v->name, sizeof(v->name), label ? label : fdt_get_name(fdt, node, NULL));
	return true;
}

/* The node in `devices` with that phandle, negative if there is none. Phandles are unique in the
 * description, so the whole tree may be looked at. */
static int find_device(const void *fdt, u32 phandle)
{
	return phandle ? fdt_node_offset_by_phandle(fdt, phandle) : -FDT_ERR_NOTFOUND;
}

u32 disk_config_number(const void *fdt, u64 size, u32 phandle, const char *name, u32 absent)
{
	const fdt32_t *cell;
	int node;
	int bytes;

	if (fdt_check_full(fdt, size) != 0)
		return absent;
	node = find_device(fdt, phandle);
	cell = node < 0 ? NULL : fdt_getprop(fdt, node, name, &bytes);
	return cell && bytes == 4 ? fdt32_ld(cell) : absent;
}

u32 disk_config_read(
	const void *fdt, u64 size, u32 phandle, struct disk_volume_config out[DISK_VOLUMES_MAX])
{
	u32 count = 0;
	int parts;
	int node;

	if (fdt_check_full(fdt, size) != 0)
		return 0;
	node = find_device(fdt, phandle);
	parts = node < 0 ? node : fdt_subnode_offset(fdt, node, "partitions");
	if (parts < 0)
		return 0;
	fdt_for_each_subnode(node, fdt, parts)
	{
		if (count == DISK_VOLUMES_MAX || !read_volume(fdt, node, &out[count]))
			return 0;
		count++;
	}
	return count;
}
