/* PCI functions: checks, and how they are called. */
#include "drivers/lib/lib.h"
#include "drivers/root/bus.h"

#define BAR_IO_MAX 0x10000ull
#define DEPTH_MAX  32 /* bridges in a row */

/* Names for people and, by the generic names of the Devicetree Specification (2.2.2), for nodes;
 * PCI Code and ID Assignment Specification, 1. */
static const struct class_name {
	u32 class;
	u32 mask;
	const char *name;
	const char *node; /* NULL: not for drivers */
} class_name[] = {
	{0x010100, 0xffff00, "IDE controller", "ide"},
	{0x010600, 0xffff00, "SATA controller", "sata"},
	{0x010800, 0xffff00, "NVMe controller", "nvme"},
	{0x010000, 0xff0000, "storage controller", "storage"},
	{0x020000, 0xffff00, "Ethernet controller", "ethernet"},
	{0x020000, 0xff0000, "network controller", "network"},
	{0x030000, 0xff0000, "display controller", "display"},
	{0x040000, 0xff0000, "multimedia device", "multimedia"},
	{0x060000, 0xffff00, "host bridge", NULL},
	{0x060100, 0xffff00, "ISA bridge", NULL},
	{0x060400, 0xffff00, "PCI bridge", NULL},
	{0x060000, 0xff0000, "bridge", NULL},
	{0x070000, 0xff0000, "communication device", "serial"},
	{0x080600, 0xffff00, "IOMMU", NULL},
	{0x080000, 0xff0000, "system device", NULL},
	{0x0c0330, 0xffffff, "USB xHCI controller", "usb"},
	{0x0c0300, 0xffff00, "USB controller", "usb"},
	{0x0c0500, 0xffff00, "SMBus controller", NULL},
	{0x000000, 0x000000, "device", "device"},
};

static const struct class_name *class_of(const struct bus_function *f)
{
	const struct class_name *c = class_name;

	while ((f->class & c->mask) != c->class)
		c++;
	return c;
}

#define ROM_MIN 0x800ull /* PCI Local Bus Specification 3.0, 6.2.5.2 */
#define ROM_MAX 0x1000000ull

static bool rom_valid(const struct bus_bar *b)
{
	return b->size == 0 ||
	       (b->size >= ROM_MIN && b->size <= ROM_MAX && !(b->size & (b->size - 1)) &&
		       !(b->address & (b->size - 1)) && b->address < BIT(32));
}

static bool bar_valid(const struct bus_bar *b)
{
	if (b->size == 0)
		return true;
	if (b->size & (b->size - 1) || b->address & (b->size - 1))
		return false;
	if (b->flags & BUS_BAR_IO)
		return b->size <= BAR_IO_MAX && b->address <= BAR_IO_MAX - b->size;
	return b->address + (b->size - 1) >= b->address;
}

bool bus_table_valid(const struct bus_table *t)
{
	if (t->functions > BUS_FUNCTIONS)
		return false;
	for (u32 i = 0; i < t->functions; i++) {
		const struct bus_function *f = &t->function[i];

		for (u32 k = 0; k < BUS_BARS; k++) {
			if (!bar_valid(&f->bar[k]))
				return false;
		}
		if (!rom_valid(&f->rom))
			return false;
		for (u32 k = 0; k < i; k++) {
			if (t->function[k].function == f->function)
				return false;
		}
	}
	return true;
}

static void size_text(char *to, size_t size, u64 bytes)
{
	static const char unit[] = {' ', 'K', 'M', 'G', 'T'};
	u32 i = 0;

	while (bytes >= 1024 && i + 1 < sizeof(unit)) {
		bytes /= 1024;
		i++;
	}
	format(to, size, i ? "%lu %ciB" : "%lu bytes", bytes, unit[i]);
}

static void bar_text(const struct bus_bar *b, char line[BUS_LINE])
{
	char size[32];

	size_text(size, sizeof(size), b->size);
	if (b->flags & BUS_BAR_IO)
		format(line, BUS_LINE, "    I/O ports %#lx, %lu", b->address, b->size);
	else
		format(line, BUS_LINE, "    memory %#lx, %s%s%s", b->address, size,
			b->flags & BUS_BAR_64 ? ", 64-bit" : "",
			b->flags & BUS_BAR_PREFETCH ? ", prefetchable" : "");
}

u32 bus_text(
	const struct bus_function *f, const char *owner, u32 fence, char lines[BUS_LINES][BUS_LINE])
{
	char *line;
	u32 n = 0;
	int at;

	format(lines[n++], BUS_LINE, "%04x:%02x:%02x.%x %s, pci%04x,%04x, class %06x: %s",
		f->function >> 16, f->function >> 8 & 0xff, f->function >> 3 & 31, f->function & 7,
		class_of(f)->name, f->vendor, f->device, f->class,
		f->flags & BUS_BRIDGE ? "the kernel's"
		: owner               ? owner
				      : "nobody's");
	line = lines[n++];
	at = format(line, BUS_LINE, "   ");
	if (f->flags & BUS_BRIDGE)
		at += format(line + at, BUS_LINE - (size_t)at, " to bus %02x", f->secondary);
	if (f->msix)
		at += format(line + at, BUS_LINE - (size_t)at, " MSI-X %u", f->msix);
	if (f->msi)
		at += format(line + at, BUS_LINE - (size_t)at, " MSI %u", f->msi);
	if (f->pin)
		at += format(line + at, BUS_LINE - (size_t)at, " INT%c", 'A' + f->pin - 1);
	if (f->pin && f->line != BUS_NO_LINE)
		at += format(line + at, BUS_LINE - (size_t)at, " to line %u", f->line);
	if (f->flags & BUS_RESET)
		at += format(line + at, BUS_LINE - (size_t)at, " can be reset");
	if (f->flags & BUS_ACS)
		at += format(line + at, BUS_LINE - (size_t)at, " ACS");
	if (!(f->flags & BUS_BRIDGE))
		at += format(line + at, BUS_LINE - (size_t)at, "%s",
			fence & FENCE_INTERRUPTS ? " fenced"
			: fence                  ? " fenced, but can forge interrupts"
						 : " not fenced");
	if (fence & FENCE_DMA && f->group)
		format(line + at, BUS_LINE - (size_t)at, ", not from group %u", f->group);
	if (at == 3)
		n--;
	for (u32 i = 0; i < BUS_BARS; i++) {
		if (f->bar[i].size)
			bar_text(&f->bar[i], lines[n++]);
	}
	if (f->rom.size) {
		char size[32];

		size_text(size, sizeof(size), f->rom.size);
		format(lines[n++], BUS_LINE, "    expansion ROM, %s", size);
	}
	return n;
}

u32 bus_requester(
	const struct bus_table *t, const struct boot_info *machine, const struct bus_function *f)
{
	u32 segment = f->function >> 16;
	u32 requester = f->function;
	u32 bus = f->function >> 8;

	for (u32 i = 0; i < machine->iommus; i++) {
		const struct boot_iommu *unit = &machine->iommu[i];

		for (u32 k = 0; k < unit->scopes && unit->segment == segment; k++) {
			const struct boot_iommu_scope *s = &unit->scope[k];

			if (s->type_id >> 16 == BOOT_SCOPE_ALIAS &&
				(u16)f->function >= s->first_bdf && (u16)f->function <= s->last_bdf)
				return segment << 16 | (u16)s->type_id;
		}
	}
	for (u32 depth = 0; depth < DEPTH_MAX; depth++) {
		const struct bus_function *bridge = bus_bridge_to(t, bus);

		if (!bridge)
			break;
		if (bridge->flags & BUS_TO_PCI)
			requester = bus << 8;
		else if (!(bridge->flags & BUS_EXPRESS))
			requester = bridge->function;
		bus = bridge->function >> 8;
	}
	return requester;
}

bool bus_same_group(const struct bus_function *f, const struct bus_function *g)
{
	return g && f->group && f->group == g->group;
}

struct interrupt bus_isa_interrupt(const struct boot_info *machine, u8 line, bool level)
{
	struct interrupt found = {line, level ? BOOT_IRQ_LEVEL : 0};

	for (u32 i = 0; i < machine->overrides && i < BOOT_MAX_OVERRIDES; i++) {
		if (machine->override[i].isa_irq == line)
			found = (struct interrupt){
				machine->override[i].gsi, machine->override[i].flags};
	}
	return found;
}

static bool look_up(const struct interrupt_map *map, u32 function, u32 pin, struct interrupt *out)
{
	for (u32 i = 0; i < map->entries; i++) {
		const struct interrupt_entry *e = &map->entry[i];

		if (((e->address ^ function << 8) & map->address_mask) == 0 && e->pin == pin) {
			*out = e->to;
			return true;
		}
	}
	return false;
}

bool bus_route(const struct bus_table *t, const struct interrupt_map *map,
	const struct boot_info *machine, const struct bus_function *f, struct interrupt *out)
{
	const struct bus_function *at = f;
	u32 pin = f->pin;

	/* The description's addresses are those of segment 0. */
	for (u32 depth = 0; pin && at && at->function >> 16 == 0 && depth < DEPTH_MAX; depth++) {
		if (look_up(map, at->function, pin, out))
			return true;
		pin = (pin - 1 + (at->function >> 3 & 31)) % 4 + 1;
		at = bus_bridge_to(t, at->function >> 8);
	}
	if (f->pin && f->line != BUS_NO_LINE) {
		*out = bus_isa_interrupt(machine, f->line, true);
		return true;
	}
	return false;
}

/* The interrupt of a device, if that is a line. */
static bool line_of(const struct bus_table *t, const struct description *d,
	const struct boot_info *machine, const struct device_node *device, struct interrupt *line)
{
	if (device->kind == DEVICE_PORTS && device->has_irq) {
		*line = bus_isa_interrupt(machine, device->isa_irq, false);
		return true;
	}
	for (u32 i = 0; i < t->functions && device->kind == DEVICE_FUNCTION; i++) {
		const struct bus_function *f = &t->function[i];

		if (f->function == device->function)
			return !f->msi && !f->msix && bus_route(t, &d->map, machine, f, line);
	}
	return false;
}

const struct domain_node *bus_line_shared(const struct bus_table *t, const struct description *d,
	const struct boot_info *machine, const struct domain_node *self, u32 gsi)
{
	for (u32 i = 0; i < d->nodes; i++) {
		const struct domain_node *n = &d->node[i];

		for (u32 k = 0; k < n->devices && n != self; k++) {
			struct interrupt line;

			if (line_of(t, d, machine, &n->device[k], &line) && line.gsi == gsi)
				return n;
		}
	}
	return NULL;
}

void bus_map_text(const struct bus_function *f, char line[BUS_LINE])
{
	format(line, BUS_LINE,
		"#interrupt-cells = <1>; interrupt-map = <%#x 0 0 %u &ioapic INPUT SENSE>;",
		(f->function & 0xffff) << 8, f->pin);
}

bool bus_node_text(const struct bus_function *f, char line[BUS_LINE])
{
	const struct class_name *c = class_of(f);
	u32 function = f->function & 0xffff;

	if (f->flags & BUS_BRIDGE || !c->node || f->function >> 16)
		return false;
	format(line, BUS_LINE, "%s@%x,%x { reg = <0x%x 0 0 0 0>; compatible = \"pci%04x,%04x\"; };",
		c->node, function >> 3, function & 7, function << 8, f->vendor, f->device);
	return true;
}

static u32 digits(const char **at, u32 most)
{
	u32 value = 0;

	for (u32 i = 0; i < most; i++, (*at)++) {
		char c = **at;

		if (c >= '0' && c <= '9')
			value = value << 4 | (u32)(c - '0');
		else if (c >= 'a' && c <= 'f')
			value = value << 4 | (u32)(c - 'a' + 10);
		else
			break;
	}
	return value;
}

bool bus_compatible(const struct bus_function *f, const char *compatible)
{
	const char *at = compatible + 3;
	u32 first;

	if (strncmp(compatible, "pciclass,", 9) == 0) {
		at = compatible + 9;
		first = digits(&at, 6);
		if (*at)
			return false;
		if (at == compatible + 13)
			return first == f->class >> 8;
		return at == compatible + 15 && first == f->class;
	}
	if (strncmp(compatible, "pci", 3) != 0)
		return false;
	first = digits(&at, 4);
	if (*at++ != ',' || first != f->vendor)
		return false;
	return digits(&at, 4) == f->device && !*at;
}

bool bus_shares_page(const struct bus_table *t, const struct bus_function *f, u32 bar)
{
	u64 first = f->bar[bar].address / PAGE_SIZE;
	u64 last = (f->bar[bar].address + f->bar[bar].size - 1) / PAGE_SIZE;

	for (u32 i = 0; i < t->functions; i++) {
		for (u32 k = 0; k < BUS_BARS; k++) {
			const struct bus_bar *b = &t->function[i].bar[k];

			if (t->function[i].function == f->function || !b->size ||
				b->flags & BUS_BAR_IO)
				continue;
			if (b->address / PAGE_SIZE <= last &&
				(b->address + b->size - 1) / PAGE_SIZE >= first)
				return true;
		}
	}
	return false;
}

/* The end, at most 4 GiB, of the range at `at` if it overlaps `size` bytes at `start`, else 0. */
static u64 overlap(u64 start, u64 size, u64 at, u64 bytes)
{
	u64 last = at + bytes - 1;

	if (!bytes || at >= start + size || last < start)
		return 0;
	return last < BIT(32) ? last + 1 : BIT(32);
}

/* Is `g` on the bus that `f` is on? Its windows are its neighbour's then, not around `f`. */
static bool same_bus(const struct bus_function *f, const struct bus_function *g)
{
	return f->function >> 8 == g->function >> 8;
}

/* The end of something that answers between `start` and `size` bytes on; 0: nothing does. */
static u64 taken(const struct bus_table *t, const struct boot_info *machine,
	const struct bus_function *f, u64 start, u64 size)
{
	u64 end = 0;

	for (u32 i = 0; i < machine->ranges && !end; i++)
		end = overlap(start, size, machine->range[i].base, machine->range[i].size);
	for (u32 i = 0; i < t->functions && !end; i++) {
		const struct bus_function *g = &t->function[i];

		for (u32 k = 0; k < BUS_BARS && !end; k++) {
			if (g->bar[k].address && !(g->bar[k].flags & BUS_BAR_IO))
				end = overlap(start, size, g->bar[k].address, g->bar[k].size);
		}
		for (u32 k = 0; k < ARRAY_SIZE(g->window) && !end && same_bus(f, g); k++)
			end = overlap(start, size, g->window[k].address, g->window[k].size);
	}
	return end;
}

/* Makes *first to *end hold the range too, if it lies below 4 GiB, as a ROM must. */
static void widen(u64 *first, u64 *end, u64 at, u64 size)
{
	if (!at || !size || at >= BIT(32) || size > BIT(32) - at)
		return;
	*first = at < *first ? at : *first;
	*end = at + size > *end ? at + size : *end;
}

/* What is forwarded to the bus of `f`, below 4 GiB; to bus 0 what lies between its registers is. */
static void forwarded(const struct bus_table *t, const struct bus_function *f, u64 *first, u64 *end)
{
	const struct bus_function *bridge = bus_bridge_to(t, f->function >> 8);

	*first = BIT(32);
	*end = 0;
	if (bridge)
		widen(first, end, bridge->window[0].address, bridge->window[0].size);
	for (u32 i = 0; i < t->functions && !bridge; i++) {
		const struct bus_function *g = &t->function[i];

		for (u32 k = 0; k < BUS_BARS && same_bus(f, g); k++) {
			if (!(g->bar[k].flags & BUS_BAR_IO))
				widen(first, end, g->bar[k].address, g->bar[k].size);
		}
		for (u32 k = 0; k < ARRAY_SIZE(g->window) && same_bus(f, g); k++)
			widen(first, end, g->window[k].address, g->window[k].size);
	}
}

u64 bus_rom_place(
	const struct bus_table *t, const struct boot_info *machine, const struct bus_function *f)
{
	u64 size = f->rom.size;
	u64 first, end, next;

	if (t->left_out)
		return 0;
	for (u32 k = 0; k < BUS_BARS; k++) { /* they will decode too */
		if (f->bar[k].size && !f->bar[k].address && !(f->bar[k].flags & BUS_BAR_IO))
			return 0;
	}
	if (f->rom.address && !taken(t, machine, f, f->rom.address, size))
		return f->rom.address;
	forwarded(t, f, &first, &end);
	for (u64 at = ALIGN_UP(first, size); at + size <= end; at = ALIGN_UP(next, size)) {
		next = taken(t, machine, f, at, size);
		if (!next)
			return at;
	}
	return 0;
}
