/* Reads the volumes that a domain keeps in memory: its files, and how much state it needs. */
#include <libfdt.h>

#include "drivers/lib/lib.h"
#include "drivers/protocols/volumes.h"
#include "drivers/root/description.h"

static_assert(NODE_FILES >= VOLUMES_MAX);

#define SECTOR 512u

/* Complains of a volume; its domain is not started. */
static void wrong(struct description *d, struct domain_node *n, int node, const char *text)
{
	tree_complain(&d->tree, node, "%s", text);
	n->bad = true;
}

/* The flags and files that go together. */
static bool check_kind(struct description *d, struct domain_node *n, int node)
{
	struct tree *t = &d->tree;
	bool file = tree_has(t, node, "file");
	bool copy = tree_has(t, node, "copy-on-write");
	bool read_only = tree_has(t, node, "read-only");

	if (file && copy == read_only)
		wrong(d, n, node, "a file is either \"read-only\" or \"copy-on-write\"");
	else if (!file && (copy || read_only))
		wrong(d, n, node, "\"read-only\" and \"copy-on-write\" need a \"file\"");
	else if (!copy && tree_has(t, node, "overlay-kib"))
		wrong(d, n, node, "\"overlay-kib\" needs \"copy-on-write\"");
	else
		return true;
	return false;
}

/* The size of a volume whose file has `file_size` bytes (0: no file); 0 if it is wrong. */
static u64 read_size(struct description *d, struct domain_node *n, int node, u64 file_size)
{
	struct tree *t = &d->tree;
	u64 bytes = ALIGN_UP(file_size, SECTOR);

	if (tree_has(t, node, "size")) {
		if (tree_cells(t, node, "size") != 2) {
			wrong(d, n, node, "\"size\" must be two numbers");
			return 0;
		}
		bytes = tree_pair(t, node, "size", 0);
	}
	if (bytes == 0 || bytes % SECTOR != 0 || bytes > VOLUME_BYTES_MAX || bytes < file_size) {
		wrong(d, n, node, "\"size\" must be whole sectors of 512, not less than the file");
		return 0;
	}
	return bytes;
}

static void read_volume(
	struct description *d, struct domain_node *n, int node, const struct boot_info *boot)
{
	struct tree *t = &d->tree;
	u64 file_size = 0;
	u32 file = NODE_NONE;
	u64 overlay;
	u64 bytes;

	if (!check_kind(d, n, node))
		return;
	if (tree_has(t, node, "file")) {
		file = description_file(d, n, node, "file", boot);
		if (file == NODE_NONE)
			return;
		file_size = boot->file[file].size;
	}
	bytes = read_size(d, n, node, file_size);
	overlay = tree_u32(t, node, "overlay-kib", ~0u, 1, ~0u, &n->bad);
	/* One that no client refers to gets no memory: the server does the same. */
	if (bytes == 0 || fdt_get_phandle(t->fdt, node) == 0)
		return;
	if (file != NODE_NONE) {
		n->file_phandle[n->files] = fdt_get_phandle(t->fdt, node);
		n->file[n->files++] = file;
	}
	if (!tree_has(t, node, "overlay-kib") || overlay << 10 > bytes)
		overlay = bytes;
	else
		overlay <<= 10;
	if (!tree_has(t, node, "read-only"))
		n->state += volume_state_bytes(bytes, overlay);
}

void description_volumes(struct description *d, struct domain_node *n, const struct boot_info *boot)
{
	const void *fdt = d->tree.fdt;
	int volumes = fdt_subnode_offset(fdt, n->offset, "volumes");
	u32 count = 0;
	int node;

	if (volumes < 0)
		return;
	n->state = VOLUMES_OWN;
	fdt_for_each_subnode(node, fdt, volumes)
	{
		if (count++ == VOLUMES_MAX) {
			tree_complain(&d->tree, volumes, "more than %u volumes", VOLUMES_MAX);
			n->bad = true;
			return;
		}
		read_volume(d, n, node, boot);
	}
}
