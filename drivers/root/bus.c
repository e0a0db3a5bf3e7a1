/* Root's end of the bus domain's session, and what the operator asks about the machine. */
#include "drivers/root/bus.h"
#include "drivers/root/member.h"
#include "drivers/root/operator.h"
#include "drivers/root/resources.h"
#include "drivers/root/rom.h"

#define say      operator_printf
#define RESET_US 100000ull /* PCI Express Base Specification, 6.6.2 */

static const struct session *session;
static struct bus_session *shared;
static struct bus_table table;
static bool settled; /* functions can be given */

status_t bus_attach(struct session *s)
{
	status_t status = sys_mem_map(
		ROOT_CAP_DOMAIN, s->memory.cap, ROOT_BUS, 0, s->memory.size, MAP_READ | MAP_WRITE);

	if (status == STATUS_OK)
		shared = (struct bus_session *)ROOT_BUS;
	session = s;
	return status;
}

void bus_signal(void)
{
	cap_t event = member[session->link->server].process.event;

	if (event != CAP_NULL) /* else it looks when it starts */
		sys_event_signal(event, BIT(session->server.bit));
}

static const struct bus_function *function_find(u32 function)
{
	for (u32 i = 0; i < table.functions; i++) {
		if (table.function[i].function == function)
			return &table.function[i];
	}
	return NULL;
}

bool bus_has_functions(const struct member *m)
{
	for (u32 i = 0; i < m->node->devices; i++) {
		if (m->node->device[i].kind == DEVICE_FUNCTION)
			return true;
	}
	return false;
}

bool bus_awaited(const struct member *m)
{
	return bus_has_functions(m) && shared && !settled;
}

/* Copies the table, once it is there. */
static bool take_table(void)
{
	if (table.state == BUS_READY)
		return true;
	if (__atomic_load_n(&shared->table.state, __ATOMIC_ACQUIRE) != BUS_READY)
		return false;
	memcpy(&table, &shared->table, sizeof(table));
	table.state = BUS_READY;
	if (!bus_table_valid(&table)) {
		log_line("the bus domain's list of PCI functions makes no sense: it is not used");
		table.functions = 0;
	}
	return true;
}

void bus_run(void)
{
	if (!shared || settled || !take_table() || !rom_run(&table, &shared->rom))
		return;
	settled = true;
	for (u32 i = 0; i < members; i++) {
		if (member[i].state == MEMBER_IDLE && member[i].node->autostart &&
			bus_has_functions(&member[i]))
			member_start(&member[i]);
	}
}

const char *bus_number(const struct device_node *d)
{
	static char text[2][16];
	static u32 last;

	last = !last;
	format(text[last], sizeof(text[last]), "%02x:%02x.%x", d->function >> 8,
		d->function >> 3 & 31, d->function & 7);
	return text[last];
}

/* FENCE_* of a function. */
static u32 fence_of(const struct bus_function *f)
{
	struct syscall_out out = {0};

	return sys_dev_ctl(ROOT_CAP_SYS, DEV_CTL_FENCE, bus_requester(&table, boot, f), 0, 0, 0,
		       &out) == STATUS_OK
		       ? (u32)out.rdi
		       : 0;
}

/* May its driver start its DMA? */
static bool may_start(const struct device_node *d, const struct bus_function *f)
{
	return d->unprotected || fence_of(f) == (FENCE_DMA | FENCE_INTERRUPTS);
}

static void tell_fence(const struct member *m, const struct device_node *d, u32 fence)
{
	const char *name = m->node->name;

	if (fence == (FENCE_DMA | FENCE_INTERRUPTS))
		log_line("%s: PCI function %s reaches only the memory that it is given, and sends "
			 "only its own interrupts",
			name, bus_number(d));
	else if (!d->unprotected)
		log_line("%s: PCI function %s may not do DMA: no IOMMU %s, and its node does not "
			 "say \"dma-unprotected\"",
			name, bus_number(d),
			fence ? "keeps it from forging interrupts" : "holds it back");
	else if (fence)
		log_line("%s: PCI function %s can forge interrupts, for no IOMMU holds them back "
			 "and its node says \"dma-unprotected\"",
			name, bus_number(d));
	else
		log_line("%s: PCI function %s can read and write all memory, for no IOMMU holds it "
			 "back and its node says \"dma-unprotected\"",
			name, bus_number(d));
}

/*
 * A guest knows no bus addresses but its own, so its function must see the guest's memory where the
 * guest does, and must not be able to interrupt anybody else.
 */
static bool may_pass(const struct member *m, const struct device_node *d, u32 fence)
{
	if (fence & FENCE_DMA && (fence & FENCE_INTERRUPTS || d->unprotected))
		return true;
	log_line("%s: PCI function %s cannot be given to a guest: no IOMMU %s", m->node->name,
		bus_number(d),
		fence & FENCE_DMA ? "keeps it from forging interrupts" : "holds it back");
	return false;
}

/*
 * Is function `f` of `d`, which an IOMMU holds back, apart from those that other members have? If
 * not, it may still be given if the nodes of both accept that they do DMA past the fence.
 */
static bool may_join(
	const struct member *m, const struct device_node *d, const struct bus_function *f)
{
	for (u32 i = 0; i < members; i++) {
		const struct member *other = &member[i];

		for (u32 k = 0; k < other->node->devices && other != m; k++) {
			const struct device_node *e = &other->node->device[k];

			if (other->dev[k] == CAP_NULL ||
				!bus_same_group(f, function_find(e->function)))
				continue;
			if (!d->unprotected || !e->unprotected) {
				log_line("%s: PCI function %s is not given: it and %s of %s can "
					 "reach each other without passing the IOMMU",
					m->node->name, bus_number(d), bus_number(e),
					other->node->name);
				log_line("%s: give both to one domain, or write "
					 "\"dma-unprotected\" into the nodes of both",
					m->node->name);
				return false;
			}
			log_line("%s: PCI function %s and %s of %s can reach each other without "
				 "passing the IOMMU: the nodes of both say \"dma-unprotected\"",
				m->node->name, bus_number(d), bus_number(e), other->node->name);
		}
	}
	return true;
}

/* Makes the dev of the function; false, with a line in the log, if that cannot be. */
static bool device_make(struct member *m, u32 i, const struct bus_function *f)
{
	const struct device_node *d = &m->node->device[i];
	struct msg_create_dev *c = message;
	u32 fence;
	status_t s;

	*c = (struct msg_create_dev){.sys = ROOT_CAP_SYS,
		.function = d->function,
		.requester = bus_requester(&table, boot, f)};
	s = object_new(KIND_DEV, m->holder, &m->dev[i]);
	if (s == STATUS_BUSY)
		log_line("%s: no IOMMU can tell PCI function %s from another that is given already",
			m->node->name, bus_number(d));
	if (s == STATUS_DENIED)
		log_line("%s: the firmware wants PCI function %s to reach memory that is in use",
			m->node->name, bus_number(d));
	if (!member_ok(m, s, "PCI function"))
		return false;
	fence = fence_of(f);
	if (m->node->class == NODE_PARTITION && !may_pass(m, d, fence))
		return false;
	if (fence & FENCE_DMA && !may_join(m, d, f))
		return false;
	tell_fence(m, d, fence);
	if (fence & FENCE_DMA && f->flags & BUS_CHIPSET)
		log_line("%s: whether PCI function %s can reach the registers of others is up to "
			 "the chipset, which does not tell (no Access Control Services)",
			m->node->name, bus_number(d));
	return true;
}

/* The function that the description names, or NULL with a line in the log. */
static const struct bus_function *function_of(const struct member *m, const struct device_node *d)
{
	const struct bus_function *f = function_find(d->function);

	if (f && bus_compatible(f, d->compatible))
		return f;
	if (!f)
		log_line("%s: there is no PCI function %s: \"lspci\" shows what is there",
			m->node->name, bus_number(d));
	else
		log_line("%s: PCI function %s is pci%04x,%04x of class %06x, not \"%s\"",
			m->node->name, bus_number(d), f->vendor, f->device, f->class,
			d->compatible);
	return NULL;
}

bool bus_devices_make(struct member *m)
{
	for (u32 i = 0; i < m->node->devices; i++) {
		const struct device_node *d = &m->node->device[i];
		const struct bus_function *f;

		if (d->kind != DEVICE_FUNCTION)
			continue;
		f = function_of(m, d);
		if (!f || !device_make(m, i, f))
			return false;
	}
	bus_devices_reset(m);
	return true;
}

void bus_devices_end(struct member *m)
{
	for (u32 i = 0; i < NODE_DEVICES; i++)
		object_end(&m->dev[i]);
}

void bus_devices_reset(struct member *m)
{
	for (u32 i = 0; i < m->node->devices; i++) {
		m->reset_done[i] = 0;
		if (m->dev[i] != CAP_NULL &&
			sys_dev_ctl(m->dev[i], DEV_CTL_RESET, 0, 0, 0, 0, NULL) == STATUS_OK)
			m->reset_done[i] = tsc_now() + tsc_from_us(boot->tsc_hz, RESET_US);
	}
}

bool bus_guest_attach(struct member *m)
{
	const struct guest *g = &m->guest;

	for (u32 i = 0; i < g->parts * m->node->devices; i++) {
		const struct memory *ram = &g->ram[i % g->parts];
		cap_t dev = m->dev[i / g->parts];

		if (dev != CAP_NULL &&
			!member_ok(m,
				sys_any(SYS_MEM_MAP, dev, ram->cap, g->gpa[i % g->parts], 0,
					ram->size, MAP_READ | MAP_WRITE | MAP_AT, NULL),
				"the guest's RAM for its PCI function"))
			return false;
	}
	return true;
}

/* Maps memory register `k`, or gives its ports. */
static bool add_register(
	struct member *m, struct start_info *info, const struct bus_function *f, u32 k, u32 phandle)
{
	const struct bus_bar *b = &f->bar[k];
	bool io = b->flags & BUS_BAR_IO;
	u64 offset = b->address % PAGE_SIZE;
	struct process *p = &m->process;
	struct msg_create_mem *c = message;
	struct start_resource *r = resource_add(m, info, io ? START_PORTS : START_REGISTERS);

	if (!r)
		return false;
	r->phandle = phandle;
	r->size = b->size;
	r->value = b->address;
	r->bit = k;
	r->role = io ? 1 : (b->flags & BUS_BAR_64 ? 4 : 0) | (b->flags & BUS_BAR_PREFETCH ? 8 : 0);
	if (io)
		return member_ok(m,
			sys_sys_ctl(
				ROOT_CAP_SYS, SYS_CTL_PORTS, p->domain, b->address, b->size, NULL),
			"I/O registers");
	if (bus_shares_page(&table, f, k)) {
		log_line("%s: the registers at %#lx share a page with another function's",
			m->node->name, b->address);
		return false;
	}
	*c = (struct msg_create_mem){
		.parent = ROOT_CAP_DEVICE,
		.cache = MEM_CACHE_UC,
		.offset = b->address - offset,
		.size = ALIGN_UP(b->size + offset, PAGE_SIZE),
	};
	if (!member_ok(m, object_new(KIND_MEM, p->domain, &p->window[p->windows]), "registers") ||
		!resource_map(m, r, p->window[p->windows++], b->address - offset, b->size + offset,
			MAP_READ | MAP_WRITE))
		return false;
	r->address += offset;
	r->size = b->size;
	r->value = k;
	return m->node->class != NODE_PARTITION ||
	       resource_grant(m, r, p->window[p->windows - 1], RIGHT_READ | RIGHT_WRITE, 0);
}

static bool may_have_line(const struct member *m, const struct device_node *d, u32 gsi)
{
	const struct domain_node *other =
		m->node->class == NODE_PARTITION
			? bus_line_shared(&table, &description, boot, m->node, gsi)
			: NULL;

	if (other)
		log_line("%s: PCI function %s cannot be given to a guest: it shares its interrupt "
			 "line with a device of %s, which the guest could keep from interrupting",
			m->node->name, bus_number(d), other->name);
	return !other;
}

bool bus_devices_add(struct member *m, struct start_info *info, u32 i)
{
	const struct device_node *d = &m->node->device[i];
	const struct bus_function *f = function_of(m, d);
	struct start_resource *r = f ? resource_add(m, info, START_FUNCTION) : NULL;
	char line[BUS_LINE];
	struct interrupt to;

	if (!r ||
		!resource_grant(m, r, m->dev[i], RIGHT_CTL | (may_start(d, f) ? RIGHT_RUN : 0), 0))
		return false;
	r->value = d->function;
	r->size = m->reset_done[i];
	r->phandle = d->phandle;
	for (u32 k = 0; k < BUS_BARS; k++) {
		if (f->bar[k].size && f->bar[k].address && !add_register(m, info, f, k, d->phandle))
			return false;
	}
	if (m->node->class == NODE_PARTITION && f->rom.size && !rom_add(m, info, i, f->rom.size))
		return false;
	if (f->msi || f->msix || !f->pin)
		return true;
	if (bus_route(&table, &description.map, boot, f, &to))
		return may_have_line(m, d, to.gsi) && resource_irq(m, info, to, d->phandle);
	bus_map_text(f, line);
	log_line("%s: PCI function %s has no messages, and where its interrupt leads is not known",
		m->node->name, bus_number(d));
	log_line("%s: write into the node \"pci\": %s", m->node->name, line);
	return false;
}

/* The member whose node has access to the function, or NULL. */
static struct member *owner_of(u32 function)
{
	for (u32 i = 0; i < members; i++) {
		const struct domain_node *n = member[i].node;

		for (u32 k = 0; k < n->devices; k++) {
			if (n->device[k].kind == DEVICE_FUNCTION &&
				n->device[k].function == function)
				return &member[i];
		}
	}
	return NULL;
}

struct member *bus_requester_owner(u32 requester)
{
	for (u32 i = 0; i < table.functions; i++) {
		struct member *owner = owner_of(table.function[i].function);

		if (owner && bus_requester(&table, boot, &table.function[i]) == requester)
			return owner;
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
		const struct member *owner = owner_of(f->function);
		u32 n = bus_text(f, owner ? owner->node->name : NULL, fence_of(f), lines);

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
