/* Finds the sessions that the description asks for: who is whose client, by which protocol. */
#include <libfdt.h>

#include "drivers/lib/lib.h"
#include "drivers/root/description.h"

bool description_is_console(const struct description *d, const struct domain_node *n)
{
	const char *program = fdt_getprop(d->tree.fdt, n->offset, "program", NULL);

	return program && strncmp(program, "console", 7) == 0;
}

/* Index of the node of /domains that `offset` lies in, or NODE_NONE. */
static u32 node_around(const struct description *d, int offset)
{
	for (int at = offset; at >= 0; at = fdt_parent_offset(d->tree.fdt, at)) {
		for (u32 i = 0; i < d->nodes; i++) {
			if (d->node[i].offset == at)
				return i;
		}
	}
	return NODE_NONE;
}

static void add(struct description *d, int place, struct link link, const char *name)
{
	if (d->links == LINKS_MAX) {
		tree_complain(
			&d->tree, place, "more than %d sessions: this one is left out", LINKS_MAX);
		return;
	}
	string_copy(link.name, sizeof(link.name), name);
	d->link[d->links++] = link;
}

/* True if `client` has a link of that protocol already. */
static bool has_link(const struct description *d, u32 client, const char *protocol)
{
	for (u32 i = 0; i < d->links; i++) {
		if (d->link[i].client == client && strcmp(d->link[i].protocol, protocol) == 0)
			return true;
	}
	return false;
}

/* True if somebody's session stands for the node with that phandle already. */
static bool is_taken(const struct description *d, u32 phandle, const char *protocol)
{
	for (u32 i = 0; i < d->links; i++) {
		if (d->link[i].phandle == phandle && strcmp(d->link[i].protocol, protocol) == 0)
			return true;
	}
	return false;
}

/* True if two ranges of one disk overlap, of which at least one can be written. */
static bool ranges_clash(const struct tree *t, int a, int b)
{
	u64 start[2];
	u64 size[2];
	const int node[2] = {a, b};

	if (fdt_parent_offset(t->fdt, a) != fdt_parent_offset(t->fdt, b) ||
		(tree_has(t, a, "read-only") && tree_has(t, b, "read-only")))
		return false;
	for (int i = 0; i < 2; i++) {
		int length;
		const fdt32_t *reg = fdt_getprop(t->fdt, node[i], "reg", &length);

		if (!reg || length != 16)
			return false;
		start[i] = tree_pair(t, node[i], "reg", 0);
		size[i] = tree_pair(t, node[i], "reg", 2);
	}
	return start[0] <= start[1] ? start[1] - start[0] < size[0] : start[0] - start[1] < size[1];
}

/* The name of a volume that somebody has and that clashes with `target`, or NULL. */
static const char *clash_with(const struct description *d, int target)
{
	for (u32 i = 0; i < d->links; i++) {
		int other;

		if (strcmp(d->link[i].protocol, "block") != 0)
			continue;
		other = fdt_node_offset_by_phandle(d->tree.fdt, d->link[i].phandle);
		if (other >= 0 && other != target && ranges_clash(&d->tree, target, other))
			return fdt_get_name(d->tree.fdt, other, NULL);
	}
	return NULL;
}

static bool parent_is(const struct tree *t, int node, const char *name)
{
	int parent = fdt_parent_offset(t->fdt, node);
	const char *found = parent < 0 ? NULL : fdt_get_name(t->fdt, parent, NULL);

	return found && strcmp(found, name) == 0;
}

/* The protocol that the device `node` with a `backend` speaks; NULL: none that is known. */
static const char *protocol_of(const struct tree *t, int node)
{
	int parent = fdt_parent_offset(t->fdt, node);

	if (tree_compatible(t, node, "ns16550a") || tree_compatible(t, node, "pci1af4,1043") ||
		(parent >= 0 && tree_compatible(t, parent, "pci1af4,1043")))
		return "console";
	if (tree_compatible(t, node, "pci1af4,1042"))
		return "block";
	if (tree_compatible(t, node, "pci1af4,1041") || parent_is(t, node, "ethernet-ports"))
		return "net";
	return NULL;
}

/* The domain that has `access` to the device that `offset` is or lies in, or NODE_NONE. */
static u32 driver_around(const struct description *d, int offset)
{
	for (int at = offset; at >= 0; at = fdt_parent_offset(d->tree.fdt, at)) {
		u32 found = description_driver(d, fdt_get_phandle(d->tree.fdt, at));

		if (found != NODE_NONE)
			return found;
	}
	return NODE_NONE;
}

/*
 * The domain that serves `target` by `protocol` to a device at `node`: a console itself, a volume
 * or port in the server's own node, or what is part of a device that a driver has access to.
 * NODE_NONE: it is nothing that has this protocol.
 */
static u32 server_of(const struct description *d, int node, int target, const char *protocol)
{
	const struct tree *t = &d->tree;
	u32 around = node_around(d, target);

	if (strcmp(protocol, "console") == 0) {
		bool console = around != NODE_NONE && d->node[around].offset == target &&
			       description_is_console(d, &d->node[around]);

		return console ? around : NODE_NONE;
	}
	if (strcmp(protocol, "block") == 0) {
		if (around != NODE_NONE && d->node[around].class == NODE_DOMAIN)
			return parent_is(t, target, "volumes") ? around : NODE_NONE;
		return parent_is(t, target, "partitions") ? driver_around(d, target) : NODE_NONE;
	}
	if (parent_is(t, node, "ethernet-ports"))
		return around == NODE_NONE ? driver_around(d, target) : NODE_NONE;
	if (around == NODE_NONE || d->node[around].class != NODE_DOMAIN ||
		!parent_is(t, target, "ethernet-ports") || tree_has(t, target, "backend"))
		return NODE_NONE;
	return around;
}

/* True if the device of who serves `target` to the disk `node` may reach the guest's RAM. */
static bool grants_memory(struct description *d, int node, int target)
{
	struct tree *t = &d->tree;

	if (!tree_has(t, node, "zero-copy"))
		return false;
	if (parent_is(t, target, "partitions"))
		return true;
	tree_complain(t, node, "\"zero-copy\": %s is not on a disk; its data are copied",
		fdt_get_name(t->fdt, target, NULL));
	return false;
}

/* Links `client`, whose descendant `node` has a `backend`. */
static void link_backend(struct description *d, u32 client, int node)
{
	struct tree *t = &d->tree;
	const char *name = d->node[client].name;
	const char *protocol;
	char longer[START_NAME_SIZE];
	struct link link = {.client = client};
	int target;

	if (tree_compatible(t, node, "bulkhead,function"))
		return; /* the function itself, which is no session's */
	protocol = protocol_of(t, node);
	link.protocol = protocol;
	if (tree_cells(t, node, "backend") != 1) {
		tree_complain(t, node, "\"backend\" must name one node");
		return;
	}
	target = tree_target(t, node, "backend", 0);
	if (target < 0)
		return;
	link.phandle = tree_cell(t, node, "backend", 0);
	link.server = protocol ? server_of(d, node, target, protocol) : NODE_NONE;
	if (link.server == NODE_NONE || link.server == client) {
		tree_complain(t, node,
			"\"backend\" %s: no domain serves that to this kind of device; the device "
			"has no backend",
			fdt_get_name(t->fdt, target, NULL));
		return;
	}
	if (strcmp(protocol, "console") != 0 && !tree_has(t, target, "read-only") &&
		is_taken(d, link.phandle, protocol)) {
		tree_complain(t, node,
			"\"backend\" %s is given to another device already; this one has none",
			fdt_get_name(t->fdt, target, NULL));
		return;
	}
	if (strcmp(protocol, "block") == 0 && clash_with(d, target)) {
		tree_complain(t, node,
			"\"backend\" %s overlaps %s, which is given to another device; this one "
			"has "
			"none",
			fdt_get_name(t->fdt, target, NULL), clash_with(d, target));
		return;
	}
	if (has_link(d, client, protocol)) {
		format(longer, sizeof(longer), "%s:%s", name, fdt_get_name(t->fdt, node, NULL));
		name = longer;
	}
	link.zero_copy = grants_memory(d, node, target);
	add(d, node, link, name);
}

/* A partition's own serial line, for a debugger: `debug` names the port. */
static void link_debug(struct description *d, u32 client)
{
	struct tree *t = &d->tree;
	int node = d->node[client].offset;
	struct link link = {.client = client, .protocol = "serial"};
	int target;

	if (tree_cells(t, node, "debug") != 1) {
		tree_complain(t, node, "\"debug\" must name one serial port");
		return;
	}
	target = tree_target(t, node, "debug", 0);
	if (target < 0)
		return;
	link.phandle = tree_cell(t, node, "debug", 0);
	link.server = description_driver(d, link.phandle);
	if (link.server == NODE_NONE || link.server == client ||
		!tree_compatible(t, target, "ns16550a")) {
		tree_complain(t, node, "\"debug\" %s: no domain drives that as a serial port",
			fdt_get_name(t->fdt, target, NULL));
		return;
	}
	if (is_taken(d, link.phandle, link.protocol)) {
		tree_complain(t, node,
			"\"debug\" %s is used already, by the console or another partition",
			fdt_get_name(t->fdt, target, NULL));
		return;
	}
	add(d, node, link, d->node[client].name);
}

/* Finds the console server and the driver of the port at /chosen stdout-path. */
static void find_console(struct description *d)
{
	struct tree *t = &d->tree;
	int chosen = fdt_path_offset(t->fdt, "/chosen");
	const char *path = chosen < 0 ? NULL : tree_string(t, chosen, "stdout-path");
	const char *end = path ? strchr(path, ':') : NULL;
	int port = -1;

	for (u32 i = 0; i < d->nodes && d->console == NODE_NONE; i++) {
		if (d->node[i].class == NODE_DOMAIN && description_is_console(d, &d->node[i]))
			d->console = i;
	}
	if (path)
		port = fdt_path_offset_namelen(
			t->fdt, path, end ? (int)(end - path) : (int)strlen(path));
	if (path && port < 0)
		tree_complain(t, chosen, "\"stdout-path\" names no node: \"%.60s\"", path);
	if (port >= 0) {
		d->serial = description_driver(d, fdt_get_phandle(t->fdt, port));
		if (d->serial == NODE_NONE)
			tree_complain(t, port,
				"no domain has \"access\" to this port, so the console "
				"has no output");
	}
}

/* The driver of the framebuffer is a terminal of the console, too. */
static void find_display(struct description *d)
{
	for (u32 i = 0; i < d->nodes && d->display == NODE_NONE; i++) {
		if (d->node[i].devices > 0 && d->node[i].device[0].kind == DEVICE_FRAMEBUFFER)
			d->display = i;
	}
}

/* Makes the driver `server` a terminal of the console, if there are both. */
static void link_terminal(struct description *d, u32 server)
{
	struct link link = {.client = d->console, .server = server, .protocol = "serial"};

	if (d->console == NODE_NONE || server == NODE_NONE)
		return;
	link.phandle = d->node[server].device[0].phandle;
	add(d, -1, link, d->node[d->console].name);
}

/* The keyboards of the screen: each entry of `keyboard` names a device whose driver gives keys. */
static void link_keyboards(struct description *d, u32 client)
{
	struct tree *t = &d->tree;
	int node = d->node[client].offset;
	int count = tree_cells(t, node, "keyboard");

	for (int i = 0; i < count; i++) {
		struct link link = {.client = client, .protocol = "serial"};
		int target = tree_target(t, node, "keyboard", i);

		if (target < 0)
			continue;
		link.phandle = tree_cell(t, node, "keyboard", i);
		link.server = description_driver(d, link.phandle);
		if (link.server == NODE_NONE || link.server == client ||
			is_taken(d, link.phandle, link.protocol)) {
			tree_complain(t, node, "\"keyboard\" %s: %s",
				fdt_get_name(t->fdt, target, NULL),
				link.server == NODE_NONE || link.server == client
					? "no other domain drives that"
					: "it is given already");
			continue;
		}
		add(d, node, link, d->node[client].name);
	}
}

void description_link(struct description *d)
{
	struct tree *t = &d->tree;

	find_console(d);
	find_display(d);
	if (d->console != NODE_NONE)
		add(d, -1, (struct link){NODE_ROOT, d->console, 0, false, "", "console"}, "root");
	link_terminal(d, d->serial);
	link_terminal(d, d->display);
	for (u32 i = 0; i < d->nodes && d->bus == NODE_NONE; i++) {
		const struct device_node *v = d->node[i].device;

		if (d->node[i].devices == 0 || v->kind != DEVICE_PCI_HOST)
			continue;
		d->bus = i;
		add(d, -1, (struct link){NODE_ROOT, i, v->phandle, false, "", "bus"}, "root");
	}
	for (u32 i = 0; i < d->nodes; i++) {
		int depth = 0;
		int node = d->node[i].offset;

		if (d->node[i].class == NODE_PARTITION && tree_has(t, node, "debug"))
			link_debug(d, i);
		if (d->node[i].class == NODE_DOMAIN && tree_has(t, node, "keyboard"))
			link_keyboards(d, i);
		for (;;) {
			node = fdt_next_node(t->fdt, node, &depth);
			if (node < 0 || depth <= 0)
				break;
			if (tree_has(t, node, "backend"))
				link_backend(d, i, node);
		}
	}
}
