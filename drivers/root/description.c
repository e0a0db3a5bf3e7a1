/* Reads the nodes in /domains of the system description. */
#include <libfdt.h>

#include "drivers/lib/lib.h"
#include "drivers/protocols/bus.h"
#include "drivers/protocols/display.h"
#include "drivers/root/description.h"
#include "drivers/root/restart.h"

#define SCHEMA   "bulkhead,system-v1"
#define PCI_HOST "pci-host-cam-generic"
#define SCREEN   "simple-framebuffer"

#define DEFAULT_CONSOLE_PRIORITY                                                                   \
	40 /* of the console server and the drivers of ports and screen: the operator's way in */
#define DEFAULT_DOMAIN_PRIORITY    20
#define DEFAULT_PARTITION_PRIORITY 10
#define DEFAULT_RESTART_TIMES      5
#define DEFAULT_DMA_KIB            256
#define DEFAULT_RESTART_SECONDS    60
#define DEFAULT_RESTART_DELAY_MS   100
#define DEFAULT_HEARTBEAT_MS       1000
#define HEARTBEAT_MS_MAX           60000
#define GUEST_TOP                  BIT(40)
#define ISA_PORT_SPACE             1u /* first address cell on the ISA bus: I/O ports */

/* Index of the boot file `name`, or NODE_NONE. */
static u32 find_file(const struct boot_info *boot, const char *name)
{
	for (u32 i = 0; i < boot->files && i < BOOT_MAX_FILES; i++) {
		if (strncmp(boot->file[i].name, name, BOOT_NAME_SIZE) == 0)
			return i;
	}
	return NODE_NONE;
}

static void read_cpus(struct description *d, struct domain_node *n, const struct boot_info *boot)
{
	int count = tree_cells(&d->tree, n->offset, "cpus");
	bool wrong = false;

	if (count < 1 || count > NODE_CPUS) {
		tree_complain(
			&d->tree, n->offset, "property \"cpus\" must name 1 to %d CPUs", NODE_CPUS);
		n->bad = true;
		return;
	}
	for (int i = 0; i < count; i++) {
		int cpu = tree_target(&d->tree, n->offset, "cpus", i);
		u32 apic_id = cpu < 0 ? 0 : tree_u32(&d->tree, cpu, "reg", 0, 0, ~0u, &wrong);
		u32 index = 0;

		while (cpu >= 0 && index < boot->cpus && boot->cpu[index].apic_id != apic_id)
			index++;
		if (cpu < 0 || wrong) {
			n->bad = true;
			return;
		}
		if (index >= boot->cpus) {
			tree_complain(&d->tree, n->offset,
				"CPU %u (%s) is missing: this machine has %u CPU%s; change "
				"\"cpus\" or "
				"give the machine more",
				apic_id, fdt_get_name(d->tree.fdt, cpu, NULL), boot->cpus,
				boot->cpus == 1 ? "" : "s");
			n->bad = true;
			return;
		}
		n->cpu[n->cpus++] = (u16)index;
	}
}

static void read_times(struct description *d, struct domain_node *n)
{
	struct tree *t = &d->tree;
	u32 priority = DEFAULT_DOMAIN_PRIORITY;

	if (n->class == NODE_PARTITION)
		priority = DEFAULT_PARTITION_PRIORITY;
	else if ((n->devices > 0 && (n->device[0].kind == DEVICE_PORTS ||
					    n->device[0].kind == DEVICE_FRAMEBUFFER)) ||
		 description_is_console(d, n))
		priority = DEFAULT_CONSOLE_PRIORITY;
	n->priority = tree_u32(t, n->offset, "priority", priority, 1, PRIORITY_MAX, &n->bad);
	n->budget_us = tree_u32(t, n->offset, "budget-us", 0, 10, ~0u, &n->bad);
	n->period_us = tree_u32(t, n->offset, "period-us", 0, 1, ~0u, &n->bad);
	if (n->budget_us > n->period_us) {
		tree_complain(t, n->offset, "\"budget-us\" is more than \"period-us\"");
		n->bad = true;
	}
	n->pool_kib = tree_u32(t, n->offset, "pool-kib", 0, 64, 65536, &n->bad);
	n->dma_kib = tree_u32(t, n->offset, "dma-kib", DEFAULT_DMA_KIB, 4, 65536, &n->bad);
	n->restart_times = DEFAULT_RESTART_TIMES;
	n->restart_seconds = DEFAULT_RESTART_SECONDS;
	n->restart_delay_ms = tree_u32(t, n->offset, "restart-delay-ms", DEFAULT_RESTART_DELAY_MS,
		0, RESTART_DELAY_MS_MAX, &n->bad);
	n->heartbeat_ms = tree_u32(
		t, n->offset, "heartbeat-ms", DEFAULT_HEARTBEAT_MS, 0, HEARTBEAT_MS_MAX, &n->bad);
	n->heartbeat_set = tree_has(t, n->offset, "heartbeat-ms");
	if (!tree_has(t, n->offset, "restart-limit"))
		return;
	if (tree_cells(t, n->offset, "restart-limit") != 2) {
		tree_complain(t, n->offset, "\"restart-limit\" must be <times seconds>");
		n->bad = true;
		return;
	}
	n->restart_times = tree_cell(t, n->offset, "restart-limit", 0);
	n->restart_seconds = tree_cell(t, n->offset, "restart-limit", 1);
}

/* Reads a range of I/O ports from cell `i` of `reg` on. */
static bool read_range(const struct tree *t, int node, int i, u16 *port, u16 *ports)
{
	u32 first = tree_cell(t, node, "reg", i + 1);
	u32 count = tree_cell(t, node, "reg", i + 2);

	*port = (u16)first;
	*ports = (u16)count;
	return tree_cell(t, node, "reg", i) == ISA_PORT_SPACE && first <= 0xffff && count > 0 &&
	       count <= 0x10000 - first;
}

/* Reads the device with ports at `node`, on the ISA bus. */
static bool read_ports(struct tree *t, struct device_node *v, int node)
{
	u32 irq;

	int cells = tree_cells(t, node, "reg");

	if ((cells != 3 && cells != 6) || !read_range(t, node, 0, &v->port, &v->ports) ||
		(cells == 6 && !read_range(t, node, 3, &v->more_port, &v->more_ports))) {
		tree_complain(t, node, "\"reg\" must be <1 PORT COUNT>, or two of these");
		return false;
	}
	if (tree_cells(t, node, "interrupts") >= 1) {
		irq = tree_cell(t, node, "interrupts", 0);
		if (irq > 15) {
			tree_complain(
				t, node, "\"interrupts\" names line %u: ISA has 0 to 15", irq);
			return false;
		}
		v->has_irq = true;
		v->isa_irq = (u8)irq;
	}
	return true;
}

/* Reads the PCI function at `node`. IEEE 1275 PCI bus binding 2.1, 4.1.1: the first address cell
 * has bus, device and function in bits 23:8. */
static bool read_function(struct tree *t, struct device_node *v, int node)
{
	const char *compatible = tree_string(t, node, "compatible");

	if (tree_cells(t, node, "reg") != 5 || tree_cell(t, node, "reg", 0) & 0xff0000ff) {
		tree_complain(t, node, "\"reg\" must be <BUS-DEVICE-FUNCTION 0 0 0 0>");
		return false;
	}
	if (!compatible || strncmp(compatible, "pci", 3) != 0) {
		tree_complain(t, node,
			"\"compatible\" must be \"pciVENDOR,DEVICE\" or \"pciclass,CLASS\"");
		return false;
	}
	v->kind = DEVICE_FUNCTION;
	v->function = tree_cell(t, node, "reg", 0) >> 8;
	v->unprotected = tree_has(t, node, "dma-unprotected");
	v->compatible = compatible;
	return true;
}

/* A node that has the same PCI function by another name, or NODE_NONE. */
static u32 function_owner(const struct description *d, const struct device_node *v)
{
	for (u32 i = 0; i < d->nodes; i++) {
		for (u32 k = 0; k < d->node[i].devices; k++) {
			if (v->kind == DEVICE_FUNCTION &&
				d->node[i].device[k].kind == DEVICE_FUNCTION &&
				d->node[i].device[k].function == v->function)
				return i;
		}
	}
	return NODE_NONE;
}

/* Reads the device at `node`, which `n` has access to. */
static bool read_device(struct description *d, struct domain_node *n, int node)
{
	struct tree *t = &d->tree;
	int parent = fdt_parent_offset(t->fdt, node);
	struct device_node *v = &n->device[n->devices];

	*v = (struct device_node){.phandle = fdt_get_phandle(t->fdt, node)};
	if (tree_compatible(t, node, PCI_HOST)) {
		v->kind = DEVICE_PCI_HOST;
		n->state = sizeof(struct bus_table);
	} else if (tree_compatible(t, node, SCREEN)) {
		v->kind = DEVICE_FRAMEBUFFER;
		n->state = DISPLAY_STATE_SIZE;
	} else if (parent >= 0 && tree_compatible(t, parent, PCI_HOST)) {
		if (!read_function(t, v, node))
			return false;
	} else if (parent < 0 || !tree_compatible(t, parent, "isa")) {
		tree_complain(t, n->offset,
			"\"access\" to %s: it is no PCI host bridge or framebuffer, and not on an "
			"ISA or PCI "
			"bus",
			fdt_get_name(t->fdt, node, NULL));
		return false;
	} else if (!read_ports(t, v, node)) {
		return false;
	}
	n->devices++;
	return true;
}

static void read_access(struct description *d, struct domain_node *n)
{
	struct tree *t = &d->tree;
	int count;

	if (!tree_has(t, n->offset, "access"))
		return;
	count = tree_cells(t, n->offset, "access");
	if (count < 0 || count > NODE_DEVICES) {
		tree_complain(t, n->offset, "property \"access\" must name at most %d devices",
			NODE_DEVICES);
		n->bad = true;
		return;
	}
	for (int i = 0; i < count; i++) {
		int node = tree_target(t, n->offset, "access", i);
		u32 other =
			node < 0 ? NODE_NONE : description_driver(d, fdt_get_phandle(t->fdt, node));

		if (node < 0 || (other == NODE_NONE && !read_device(d, n, node))) {
			n->bad = true;
			continue;
		}
		if (other == NODE_NONE)
			other = function_owner(d, &n->device[n->devices - 1]);
		if (other == NODE_NONE)
			continue;
		tree_complain(t, n->offset, "device %s is already given to %s",
			fdt_get_name(t->fdt, node, NULL), d->node[other].name);
		n->bad = true;
	}
}

static void read_ram(struct description *d, struct domain_node *n, int node)
{
	struct tree *t = &d->tree;
	int cells = tree_cells(t, node, "reg");

	if (cells < 4 || cells % 4 != 0) {
		tree_complain(t, node, "\"reg\" must be <START START SIZE SIZE>");
		n->bad = true;
		return;
	}
	for (int i = 0; i < cells; i += 4) {
		struct ram_node r = {
			tree_pair(t, node, "reg", i), tree_pair(t, node, "reg", i + 2)};

		if (n->rams == NODE_RAMS) {
			tree_complain(t, node, "more than %d regions of memory", NODE_RAMS);
			n->bad = true;
			return;
		}
		if (r.size == 0 || !IS_ALIGNED(r.gpa | r.size, PAGE_SIZE) || r.gpa >= GUEST_TOP ||
			r.size > GUEST_TOP - r.gpa) {
			tree_complain(t, node,
				"memory at %#lx, size %#lx: must be whole pages below 1 TiB", r.gpa,
				r.size);
			n->bad = true;
			return;
		}
		for (u32 k = 0; k < n->rams; k++) {
			if (r.gpa < n->ram[k].gpa + n->ram[k].size &&
				n->ram[k].gpa < r.gpa + r.size) {
				tree_complain(t, node, "memory at %#lx overlaps that at %#lx",
					r.gpa, n->ram[k].gpa);
				n->bad = true;
				return;
			}
		}
		n->ram[n->rams++] = r;
	}
}

/* Adds the file that a property of the boot node, or of a node below it, names. */
static bool add_file(struct description *d, struct domain_node *n, int node, const char *property,
	const struct boot_info *boot)
{
	if (n->files == NODE_FILES) {
		tree_complain(&d->tree, node, "more than %d files", NODE_FILES);
		n->bad = true;
		return false;
	}
	n->file[n->files++] = description_file(d, n, node, property, boot);
	return true;
}

/* Every property of the boot node but one is a file; so is each node below it, a module. */
static void read_boot_files(
	struct description *d, struct domain_node *n, int boot_node, const struct boot_info *boot)
{
	const void *fdt = d->tree.fdt;
	int property, module;

	fdt_for_each_property_offset(property, fdt, boot_node)
	{
		const char *name;

		if (!fdt_getprop_by_offset(fdt, property, &name, NULL))
			continue;
		if (strcmp(name, "bootargs") == 0 || strcmp(name, "phandle") == 0)
			continue;
		if (!add_file(d, n, boot_node, name, boot))
			return;
	}
	fdt_for_each_subnode(module, fdt, boot_node)
	{
		if (!add_file(d, n, module, "file", boot))
			return;
	}
}

static void read_machine(struct description *d, struct domain_node *n, const struct boot_info *boot)
{
	const void *fdt = d->tree.fdt;
	int machine = fdt_subnode_offset(fdt, n->offset, "machine");
	int boot_node = machine < 0 ? machine : fdt_subnode_offset(fdt, machine, "boot");
	int child;

	if (machine < 0 || boot_node < 0) {
		tree_complain(&d->tree, n->offset, "node \"%s\" is missing",
			machine < 0 ? "machine" : "machine/boot");
		n->bad = true;
		return;
	}
	fdt_for_each_subnode(child, fdt, machine)
	{
		const char *name = fdt_get_name(fdt, child, NULL);

		if (strcmp(name, "memory") == 0 || strncmp(name, "memory@", 7) == 0)
			read_ram(d, n, child);
	}
	if (n->rams == 0 && !n->bad) {
		tree_complain(&d->tree, machine, "node \"memory@0\" is missing");
		n->bad = true;
	}
	read_boot_files(d, n, boot_node, boot);
}

static void read_node(struct description *d, int offset, const struct boot_info *boot)
{
	struct domain_node *n = &d->node[d->nodes];
	struct tree *t = &d->tree;
	const char *on_exit;

	*n = (struct domain_node){.offset = offset};
	tree_name(t, offset, n->name, sizeof(n->name));
	if (tree_compatible(t, offset, "bulkhead,partition"))
		n->class = NODE_PARTITION;
	else if (!tree_compatible(t, offset, "bulkhead,domain")) {
		tree_complain(t, offset,
			"\"compatible\" must be \"bulkhead,domain\" or \"bulkhead,partition\"");
		n->bad = true;
	}
	if (description_find(d, n->name) != NODE_NONE || strcmp(n->name, "root") == 0) {
		tree_complain(t, offset, "the name \"%s\" is taken already", n->name);
		n->bad = true;
	}
	n->program = description_file(d, n, offset, "program", boot);
	read_cpus(d, n, boot);
	read_access(d, n);
	read_times(d, n);
	n->autostart = tree_u32(t, offset, "autostart", 1, 0, 1, &n->bad) != 0;
	on_exit = tree_string(t, offset, "on-exit");
	n->on_exit_restart = on_exit && strcmp(on_exit, "restart") == 0;
	n->fpu = tree_has(t, offset, "fpu");
	n->test_authority = tree_has(t, offset, "test-authority");
	n->dma_faults_allowed = tree_has(t, offset, "dma-faults-allowed");
	if (tree_has(t, offset, "memory-region"))
		tree_complain(t, offset,
			"\"memory-region\" is not in this version: the program runs without it");
	if (tree_has(t, offset, "replay-off") && !d->fault_injection) {
		tree_complain(t, offset, "\"replay-off\" needs \"fault-injection\" in /domains");
		n->bad = true;
	}
	if (n->class == NODE_PARTITION)
		read_machine(d, n, boot);
	else
		description_volumes(d, n, boot);
	d->nodes++;
}

u32 description_file(struct description *d, struct domain_node *n, int node, const char *name,
	const struct boot_info *boot)
{
	const char *file = tree_string(&d->tree, node, name);
	u32 found;

	if (!file) {
		tree_complain(&d->tree, node, "property \"%s\" is missing", name);
		n->bad = true;
		return NODE_NONE;
	}
	found = find_file(boot, file);
	if (found == NODE_NONE) {
		tree_complain(&d->tree, node,
			"file \"%s\" is not in the image: build the image anew", file);
		n->bad = true;
	}
	return found;
}

u32 description_find(const struct description *d, const char *name)
{
	for (u32 i = 0; i < d->nodes; i++) {
		if (strcmp(d->node[i].name, name) == 0)
			return i;
	}
	return NODE_NONE;
}

u32 description_driver(const struct description *d, u32 phandle)
{
	for (u32 i = 0; i < d->nodes; i++) {
		for (u32 k = 0; k < d->node[i].devices; k++) {
			if (phandle != 0 && d->node[i].device[k].phandle == phandle)
				return i;
		}
	}
	return NODE_NONE;
}

bool description_read(struct description *d, const void *fdt, size_t size,
	const struct boot_info *boot, void (*complain)(const char *line))
{
	const char *schema;
	int domains;
	int node;

	d->nodes = 0;
	d->links = 0;
	d->console = NODE_NONE;
	d->serial = NODE_NONE;
	d->display = NODE_NONE;
	d->bus = NODE_NONE;
	if (!tree_open(&d->tree, fdt, size, complain))
		return false;
	schema = tree_string(&d->tree, 0, "compatible");
	if (!schema || strcmp(schema, SCHEMA) != 0) {
		tree_complain(&d->tree, -1,
			"schema \"%.40s\" is not known: this version reads \"%s\" only",
			schema ? schema : "", SCHEMA);
		return false;
	}
	domains = fdt_path_offset(fdt, "/domains");
	if (domains < 0) {
		tree_complain(&d->tree, -1, "node \"/domains\" is missing: nothing to start");
		return false;
	}
	d->fault_injection = tree_has(&d->tree, domains, "fault-injection");
	description_interrupts(d, boot);
	fdt_for_each_subnode(node, fdt, domains)
	{
		if (d->nodes == NODES_MAX) {
			tree_complain(&d->tree, node,
				"more than %d domains: this and those after "
				"it are left out",
				NODES_MAX);
			break;
		}
		read_node(d, node, boot);
	}
	description_link(d);
	return true;
}
