/* Reads the partition's node with libfdt, and makes devices by their `compatible` strings. */
#include <libfdt.h>

#include "node.h"
#include "guests/vmm/console.h"
#include "guests/vmm/debug/gdb.h"
#include "guests/vmm/host.h"

#define ISA_SPACE_IO 1 /* first cell of `reg` below an ISA bus */

/* A device model that a node can ask for. */
struct model {
	const char *compatible;
	bool (*create)(struct config *c, struct machine *m, int node);
};

/* Each node below `boot` is a module. */
static bool read_modules(struct config *c, int boot)
{
	int node;

	fdt_for_each_subnode(node, c->fdt, boot)
	{
		const char *file = config_text(c, node, "file");
		const char *args = config_text(c, node, "args");

		if (!file || c->modules == BOOT_MODULES_MAX) {
			config_complain(c, node,
				file ? "too many modules" : "property \"file\" is missing");
			return false;
		}
		c->module[c->modules].file = file;
		c->module[c->modules].args = args ? args : "";
		c->modules++;
	}
	return true;
}

bool config_open(struct config *c, const struct start_info *info)
{
	const struct start_resource *r = start_find(info, START_CONFIG, 0);
	int boot;

	*c = (struct config){.info = info, .bootargs = ""};
	if (!r || fdt_check_full((const void *)r->address, r->size)) {
		log_line("the partition's description is missing or damaged");
		return false;
	}
	c->fdt = (const void *)r->address;
	c->machine = fdt_subnode_offset(c->fdt, 0, "machine");
	if (c->machine < 0) {
		log_line("the partition's node has no machine node");
		return false;
	}
	boot = fdt_subnode_offset(c->fdt, c->machine, "boot");
	if (boot >= 0) {
		const char *bootargs = config_text(c, boot, "bootargs");

		c->kernel = config_text(c, boot, "kernel");
		c->initrd = config_text(c, boot, "initrd");
		c->bootargs = bootargs ? bootargs : "";
		return read_modules(c, boot);
	}
	return true;
}

bool config_file(const struct config *c, const char *name, struct boot_image *image)
{
	char cut[START_NAME_SIZE]; /* as root hands names over */
	const struct start_resource *r;

	string_copy(cut, sizeof(cut), name);
	r = start_find_name(c->info, START_FILE, cut);
	if (!r) {
		log_line("%s: there is no such file", name);
		return false;
	}
	*image = (struct boot_image){(const void *)r->address, r->size};
	return true;
}

/* First port and number of ports of an ISA device's `reg`. */
static bool isa_ports(const struct config *c, int node, u32 *first, u32 *count)
{
	u32 space;

	if (config_cell(c, node, "reg", 0, &space) && config_cell(c, node, "reg", 1, first) &&
		config_cell(c, node, "reg", 2, count) && space == ISA_SPACE_IO && *count &&
		*first <= 0xffff && *count <= 0x10000 - *first)
		return true;
	config_complain(c, node, "reg is not a range of I/O ports");
	return false;
}

/* Opens the console session whose backend the node names; without one, output is dropped. */
static void open_console(struct config *c, struct machine *m, int node)
{
	const struct start_resource *r;

	if (!fdt_getprop(c->fdt, node, "backend", NULL))
		return;
	r = config_session(c, node, "console");
	if (!r || r->size < sizeof(struct console_session)) {
		config_complain(c, node, "no console serves it: its output is dropped");
		return;
	}
	console_open(m, r);
}

static bool create_serial(struct config *c, struct machine *m, int node)
{
	static const struct {
		u16 port;
		u8 line;
	} usual[] = {{0x3f8, 4}, {0x2f8, 3}, {0x3e8, 4}, {0x2e8, 3}};
	u32 first, count;
	u32 line = 4;

	if (!isa_ports(c, node, &first, &count))
		return false;
	for (u32 i = 0; i < ARRAY_SIZE(usual); i++) {
		if (usual[i].port == first)
			line = usual[i].line;
	}
	config_cell(c, node, "interrupts", 0, &line);
	if (line > 15 || line == 0 || line == 2) {
		config_complain(c, node, "interrupts is not an ISA interrupt line");
		return false;
	}
	if (c->serials++) {
		config_complain(c, node, "this machine has one serial port only: left out");
		return true;
	}
	if (!m->resumed && !machine_add_serial(m, (u16)first, (u8)line)) {
		config_complain(c, node, "its ports are taken by another device");
		return false;
	}
	open_console(c, m, node);
	return true;
}

/* Ports whose writes ring an event: for measuring, and for devices behind them. */
static bool create_doorbell(struct config *c, struct machine *m, int node)
{
	u32 first, count;

	if (!isa_ports(c, node, &first, &count))
		return false;
	for (u32 i = 0; i < count; i++) {
		u32 bit = START_BIT_OWN + c->doorbells++ % (VCPU_BIT_FIRST - START_BIT_OWN);

		if (!host_doorbell(m, (u16)(first + i), bit)) {
			config_complain(c, node, "the kernel refuses this doorbell");
			return false;
		}
	}
	return true;
}

/* Ports whose writes make the VMM die, to test that: 1 once, 2 also the one that takes over. */
static void port_fault_write(struct machine *m, u16 port, unsigned size, u32 value)
{
	(void)port;
	(void)size;
	if (value == 2 || (value == 1 && !m->resumed))
		__builtin_trap();
}

static u32 port_fault_read(struct machine *m, u16 port, unsigned size)
{
	(void)m;
	(void)port;
	return device_mask(size);
}

static bool create_fault(struct config *c, struct machine *m, int node)
{
	u32 first, count;

	if (!isa_ports(c, node, &first, &count))
		return false;
	if (!port_add(&m->ports, &(struct port_range){(u16)first, (u16)count, port_fault_read,
					 port_fault_write})) {
		config_complain(c, node, "its ports are taken by another device");
		return false;
	}
	return true;
}

static bool create_children(struct config *c, struct machine *m, int node);

/* The PCI host bridge is there anyway. */
static const struct model models[] = {
	{"isa", create_children},
	{"pci-host-cam-generic", create_children},
	{"ns16550a", create_serial},
	{"bulkhead,doorbell", create_doorbell},
	{"bulkhead,fault", create_fault},
	{"pci1af4,1041", config_net},
	{"pci1af4,1042", config_disk},
	{"pci1af4,1043", config_console},
	{"pci1af4,1044", config_entropy},
	{"bulkhead,function", config_function},
};

static bool create(struct config *c, struct machine *m, int node)
{
	for (u32 i = 0; i < ARRAY_SIZE(models); i++) {
		if (fdt_node_check_compatible(c->fdt, node, models[i].compatible) == 0)
			return models[i].create(c, m, node);
	}
	config_complain(c, node, "there is no model of this device: left out");
	return true;
}

static bool create_children(struct config *c, struct machine *m, int node)
{
	int child;

	fdt_for_each_subnode(child, c->fdt, node)
	{
		/* memory and boot are no devices */
		if (fdt_getprop(c->fdt, child, "compatible", NULL) && !create(c, m, child))
			return false;
	}
	return true;
}

bool config_flag(const struct config *c, const char *name)
{
	return fdt_getprop(c->fdt, 0, name, NULL) != NULL;
}

/* The serial line of a debugger is the partition's own, not the guest's. */
static bool open_debugger(struct config *c, struct machine *m)
{
	bool wait = config_flag(c, "debug-wait");
	const struct start_resource *r;

	if (!fdt_getprop(c->fdt, 0, "debug", NULL))
		return true;
	for (u32 i = 0; (r = start_find(c->info, START_SESSION, i)); i++) {
		if (r->role == START_CLIENT && strcmp(r->protocol, "serial") == 0)
			break;
	}
	if (r && gdb_open(m, r, wait))
		return true;
	config_complain(c, 0, "nobody drives the serial port of \"debug\": there is no debugger");
	return true;
}

bool config_devices(struct config *c, struct machine *m)
{
	m->pass.used = start_find(c->info, START_FUNCTION, 0) != NULL;
	return create_children(c, m, c->machine) && open_debugger(c, m);
}
