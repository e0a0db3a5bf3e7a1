/* Root's end of the bus domain's session, and what the operator asks about the machine. */
#include "drivers/root/bus.h"
#include "drivers/root/member.h"
#include "drivers/root/operator.h"

#define say operator_printf

static const struct bus_table *shared;
static struct bus_table table;

status_t bus_attach(struct session *s)
{
	status_t status = sys_mem_map(
		ROOT_CAP_DOMAIN, s->memory.cap, ROOT_BUS, 0, s->memory.size, MAP_READ | MAP_WRITE);

	if (status == STATUS_OK)
		shared = (const struct bus_table *)ROOT_BUS;
	return status;
}

void bus_run(void)
{
	if (!shared || table.state == BUS_READY ||
		__atomic_load_n(&shared->state, __ATOMIC_ACQUIRE) != BUS_READY)
		return;
	memcpy(&table, shared, sizeof(table));
	table.state = BUS_READY;
	if (bus_table_valid(&table))
		return;
	log_line("the bus domain's list of PCI functions makes no sense: it is not used");
	table.functions = 0;
}

/* The member whose node has access to the function, or NULL. */
static const char *owner_of(u32 function)
{
	for (u32 i = 0; i < members; i++) {
		const struct domain_node *n = member[i].node;

		for (u32 k = 0; k < n->devices; k++) {
			if (n->device[k].kind == DEVICE_FUNCTION &&
				n->device[k].function == function)
				return n->name;
		}
	}
	return NULL;
}

static bool is_ready(void)
{
	if (table.state != BUS_READY)
		say("%s\n", shared ? "the bus domain has not told yet what is there"
				   : "no domain has \"access\" to a PCI host bridge");
	return table.state == BUS_READY;
}

void bus_list(void)
{
	char lines[BUS_LINES][BUS_LINE];

	if (!is_ready())
		return;
	for (u32 i = 0; i < table.functions; i++) {
		const struct bus_function *f = &table.function[i];
		u32 n = bus_text(f, owner_of(f->function), lines);

		for (u32 k = 0; k < n; k++)
			say("%s\n", lines[k]);
	}
}

void bus_describe(void)
{
	char line[BUS_LINE];

	say("cpus {\n\t#address-cells = <1>;\n\t#size-cells = <0>;\n");
	for (u32 i = 0; i < boot->cpus; i++)
		say("\tcpu%u: cpu@%x { device_type = \"cpu\"; reg = <0x%x>; };\n", i,
			boot->cpu[i].apic_id, boot->cpu[i].apic_id);
	say("};\n");
	if (!is_ready())
		return;
	say("pci: pci {\n\tcompatible = \"pci-host-cam-generic\";\n\t#address-cells = <3>;\n"
	    "\t#size-cells = <2>;\n");
	for (u32 i = 0; i < table.functions; i++) {
		if (bus_node_text(&table.function[i], line))
			say("\t%s\n", line);
	}
	say("};\n");
}
