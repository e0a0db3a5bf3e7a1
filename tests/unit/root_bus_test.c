/* Tests of what root makes of the bus domain's table. */
#include <string.h>
#include "drivers/root/bus.h"
#include "tests/unit/test.h"

static struct bus_table table;

static struct bus_function *add(u32 function, u32 class)
{
	struct bus_function *f = &table.function[table.functions++];

	*f = (struct bus_function){.function = function,
		.vendor = 0x8086,
		.device = 0x100e,
		.class = class,
		.line = BUS_NO_LINE};
	return f;
}

TEST(valid)
{
	struct bus_function *f;

	memset(&table, 0, sizeof(table));
	CHECK(bus_table_valid(&table));
	f = add(3 << 3, 0x020000);
	f->bar[0] = (struct bus_bar){0xfebc0000, 0x20000, 0, 0};
	f->bar[1] = (struct bus_bar){0xffc0, 0x40, BUS_BAR_IO, 0};
	CHECK(bus_table_valid(&table));
	f->bar[1].address = 0xffc4;
	CHECK(!bus_table_valid(&table));
	f->bar[1] = (struct bus_bar){0x10000, 0x40, BUS_BAR_IO, 0};
	CHECK(!bus_table_valid(&table));
	f->bar[1] = (struct bus_bar){0, 0x20000, BUS_BAR_IO, 0};
	CHECK(!bus_table_valid(&table));
	f->bar[1] = (struct bus_bar){0, 0x30, 0, 0};
	CHECK(!bus_table_valid(&table));
	f->bar[1] = (struct bus_bar){BIT(63), BIT(63), BUS_BAR_64, 0};
	CHECK(bus_table_valid(&table));
	f->rom = (struct bus_bar){0xfeb40000, 0x40000, 0, 0};
	CHECK(bus_table_valid(&table));
	f->rom.address = BIT(32);
	CHECK(!bus_table_valid(&table));
	f->rom = (struct bus_bar){0, 0x400, 0, 0};
	CHECK(!bus_table_valid(&table));
	f->rom = (struct bus_bar){0, 0x2000000, 0, 0};
	CHECK(!bus_table_valid(&table));
	f->rom.size = 0;
	add(3 << 3, 0);
	CHECK(!bus_table_valid(&table));
	table.functions = BUS_FUNCTIONS + 1;
	CHECK(!bus_table_valid(&table));
}

TEST(text)
{
	char lines[BUS_LINES][BUS_LINE];
	struct bus_function *f;

	memset(&table, 0, sizeof(table));
	f = add(0x10000 | 3 << 3 | 1, 0x020000);
	CHECK_EQ(bus_text(f, NULL, 0, lines), 2);
	CHECK(strcmp(lines[0], "0001:00:03.1 Ethernet controller, pci8086,100e, class 020000: "
			       "nobody's") == 0);
	CHECK(strcmp(lines[1], "    not fenced") == 0);
	f->msi = 1;
	f->msix = 5;
	f->pin = 1;
	f->line = 11;
	f->bar[0] = (struct bus_bar){0xfebc0000, 0x20000, BUS_BAR_64, 0};
	f->bar[3] = (struct bus_bar){0xc000, 0x40, BUS_BAR_IO, 0};
	CHECK_EQ(bus_text(f, "net", FENCE_DMA | FENCE_INTERRUPTS, lines), 4);
	CHECK(strstr(lines[0], ": net") != NULL);
	CHECK(strcmp(lines[1], "    MSI-X 5 MSI 1 INTA to line 11 fenced") == 0);
	CHECK(strcmp(lines[2], "    memory 0xfebc0000, 128 KiB, 64-bit") == 0);
	CHECK(strcmp(lines[3], "    I/O ports 0xc000, 64") == 0);
	f->rom.size = 0x10000;
	CHECK_EQ(bus_text(f, "net", 0, lines), 5);
	CHECK(strcmp(lines[4], "    expansion ROM, 64 KiB") == 0);
	f->group = 2;
	bus_text(f, "net", 0, lines);
	CHECK(strcmp(lines[1], "    MSI-X 5 MSI 1 INTA to line 11 not fenced") == 0);
	f->flags = BUS_ACS;
	bus_text(f, "net", FENCE_DMA | FENCE_INTERRUPTS, lines);
	CHECK(strcmp(lines[1], "    MSI-X 5 MSI 1 INTA to line 11 ACS fenced, not from group 2") ==
		0);
	*f = (struct bus_function){.flags = BUS_BRIDGE | BUS_ACS, .secondary = 0x1f};
	CHECK_EQ(bus_text(f, NULL, FENCE_DMA | FENCE_INTERRUPTS, lines), 2);
	CHECK(strcmp(lines[1], "    to bus 1f ACS") == 0);
	/* the most that there can be */
	memset(f, 0xff, sizeof(*f));
	for (u32 i = 0; i < BUS_BARS; i++)
		f->bar[i].flags = i % 2 ? BUS_BAR_IO : ~1u;
	f->pin = 4;
	CHECK(bus_text(f, "a-name-of-thirty-one-characters", FENCE_DMA, lines) <= BUS_LINES);
	f->flags &= (u8)~BUS_BRIDGE;
	CHECK(bus_text(f, "a-name-of-thirty-one-characters", FENCE_DMA, lines) <= BUS_LINES);
	CHECK(strstr(lines[1], " fenced, but can forge interrupts") != NULL);
}

/* Those that an IOMMU does not keep apart. */
TEST(groups)
{
	struct bus_function *f, *g;

	memset(&table, 0, sizeof(table));
	f = add(0x300, 0x020000);
	g = add(0x400, 0x020000);
	CHECK(!bus_same_group(f, g) && !bus_same_group(f, f));
	f->group = 1;
	CHECK(!bus_same_group(f, g) && !bus_same_group(g, f) && !bus_same_group(f, NULL));
	g->group = 2;
	CHECK(!bus_same_group(f, g));
	g->group = 1;
	CHECK(bus_same_group(f, g));
}

/* Where a ROM of 128 KiB may decode: between the registers of its bus. */
TEST(rom_place)
{
	static struct boot_info machine;
	struct bus_function *f, *g, *b;

	memset(&table, 0, sizeof(table));
	memset(&machine, 0, sizeof(machine));
	f = add(3 << 3, 0x020000);
	f->rom.size = 0x20000;
	CHECK_EQ(bus_rom_place(&table, &machine, f), 0); /* nothing tells where */
	f->bar[0] = (struct bus_bar){0xe0000000, 0x10000, 0, 0};
	g = add(4 << 3, 0x020000);
	g->bar[0] = (struct bus_bar){0xe0080000, 0x1000, BUS_BAR_64, 0};
	g->bar[2] = (struct bus_bar){0xc000, 0x20, BUS_BAR_IO, 0};
	g->bar[3] = (struct bus_bar){0xe000000000, 0x1000, BUS_BAR_64, 0};
	CHECK_EQ(bus_rom_place(&table, &machine, f), 0xe0020000);
	g->bar[1] = (struct bus_bar){0xe003f000, 0x1000, 0, 0};
	CHECK_EQ(bus_rom_place(&table, &machine, f), 0xe0040000);
	machine.range[0] = (struct boot_range){0xe0050000, 0x1000, BOOT_RANGE_KERNEL, 0};
	machine.ranges = 1;
	CHECK_EQ(bus_rom_place(&table, &machine, f), 0xe0060000);
	f->rom.address = 0xe0100000; /* the firmware's choice */
	CHECK_EQ(bus_rom_place(&table, &machine, f), 0xe0100000);
	f->rom.address = 0xe0080000; /* taken */
	CHECK_EQ(bus_rom_place(&table, &machine, f), 0xe0060000);
	f->bar[1] = (struct bus_bar){0, 0x20, BUS_BAR_IO, 0};
	CHECK_EQ(bus_rom_place(&table, &machine, f), 0xe0060000);
	f->bar[1].flags = 0; /* would decode at 0 */
	CHECK_EQ(bus_rom_place(&table, &machine, f), 0);
	f->bar[1].size = 0;
	/* a bridge's window is not its neighbours' */
	b = add(5 << 3, 0x060400);
	b->flags = BUS_BRIDGE;
	b->secondary = 1;
	b->window[0] = (struct bus_window){0xe0060000, 0x10000};
	CHECK_EQ(bus_rom_place(&table, &machine, f), 0);
	b->window[0] = (struct bus_window){0xe0100000, 0x100000};
	b->window[1] = (struct bus_window){0xe0000000, 0x100000};
	CHECK_EQ(bus_rom_place(&table, &machine, f), 0);
	/* behind it there is its window for memory only */
	g = add(0x100, 0x020000);
	g->rom.size = 0x80000;
	CHECK_EQ(bus_rom_place(&table, &machine, g), 0xe0100000);
	g->bar[0] = (struct bus_bar){0xe0170000, 0x1000, 0, 0};
	CHECK_EQ(bus_rom_place(&table, &machine, g), 0xe0180000);
	g->bar[0].address = 0xe0110000;
	CHECK_EQ(bus_rom_place(&table, &machine, g), 0xe0180000);
	g->rom.size = 0x1000000;
	CHECK_EQ(bus_rom_place(&table, &machine, g), 0);
	table.left_out = 1;
	g->rom.size = 0x80000;
	CHECK_EQ(bus_rom_place(&table, &machine, g), 0);
}

/* A line that a guest's function has may be nobody else's. */
TEST(line_shared)
{
	static struct boot_info machine;
	static struct description d;
	struct domain_node *guest = &d.node[0], *other = &d.node[1];
	struct bus_function *f;

	memset(&table, 0, sizeof(table));
	memset(&machine, 0, sizeof(machine));
	add(3 << 3, 0x070002)->pin = 1;
	f = add(4 << 3, 0x020000);
	f->pin = 2;
	d.map = (struct interrupt_map){.address_mask = 0xffff00,
		.entries = 2,
		.entry = {{3 << 11, 1, {20, BOOT_IRQ_LEVEL}}, {4 << 11, 2, {20, BOOT_IRQ_LEVEL}}}};
	d.nodes = 2;
	guest->devices = 2; /* two of its own may share one */
	guest->device[0] = (struct device_node){.kind = DEVICE_FUNCTION, .function = 3 << 3};
	guest->device[1] = guest->device[0];
	CHECK(!bus_line_shared(&table, &d, &machine, guest, 20));
	other->devices = 1;
	other->device[0] = (struct device_node){.kind = DEVICE_FUNCTION, .function = 4 << 3};
	CHECK(bus_line_shared(&table, &d, &machine, guest, 20) == other);
	CHECK(bus_line_shared(&table, &d, &machine, other, 20) == guest);
	CHECK(!bus_line_shared(&table, &d, &machine, guest, 21));
	f->msi = 1; /* it does not use its line */
	CHECK(!bus_line_shared(&table, &d, &machine, guest, 20));
	other->device[0] =
		(struct device_node){.kind = DEVICE_PORTS, .has_irq = true, .isa_irq = 10};
	CHECK(bus_line_shared(&table, &d, &machine, guest, 10) == other);
	machine.overrides = 1;
	machine.override[0] = (struct boot_override){.isa_irq = 10, .gsi = 20};
	CHECK(bus_line_shared(&table, &d, &machine, guest, 20) == other);
	other->device[0].has_irq = false;
	CHECK(!bus_line_shared(&table, &d, &machine, guest, 20));
}

static u32 requester(const struct boot_info *machine, u32 function)
{
	for (u32 i = 0; i < table.functions; i++)
		if (table.function[i].function == function)
			return bus_requester(&table, machine, &table.function[i]);
	return ~0u;
}

static void bridge(u32 function, u8 secondary, u8 flags)
{
	struct bus_function *f = add(function, 0x060400);

	f->flags = BUS_BRIDGE | flags;
	f->secondary = secondary;
}

/* What an IOMMU can tell apart. */
TEST(requester)
{
	static struct boot_info machine;

	memset(&table, 0, sizeof(table));
	memset(&machine, 0, sizeof(machine));
	bridge(0x10, 1, BUS_EXPRESS); /* a root port */
	bridge(0x100, 2, BUS_EXPRESS | BUS_TO_PCI);
	bridge(0x208, 3, 0);   /* and a conventional bridge behind it */
	bridge(0x18, 4, 0);    /* a conventional bridge on bus 0 */
	bridge(0x10010, 1, 0); /* on another segment */
	bridge(0x500, 6, 0);   /* two that lead to each other */
	bridge(0x600, 5, 0);
	bridge(0x20, 0, 0); /* one that the firmware left alone */
	add(0x28, 0x020000);
	add(0x108, 0x020000);
	add(0x210, 0x020000);
	add(0x318, 0x020000);
	add(0x420, 0x020000);
	add(0x10108, 0x020000);
	add(0x608, 0x020000);
	CHECK_EQ(requester(&machine, 0x28), 0x28);
	CHECK_EQ(requester(&machine, 0x108), 0x108);
	CHECK_EQ(requester(&machine, 0x210), 0x200);
	CHECK_EQ(requester(&machine, 0x318), 0x200);
	CHECK_EQ(requester(&machine, 0x420), 0x18);
	CHECK_EQ(requester(&machine, 0x10108), 0x10010);
	requester(&machine, 0x608); /* comes back */
	machine.iommus = 2;
	machine.iommu[1].scopes = 1;
	machine.iommu[1].scope[0] =
		(struct boot_iommu_scope){0x100, 0x10f, BOOT_SCOPE_ALIAS << 16 | 0x777};
	CHECK_EQ(requester(&machine, 0x108), 0x777);
	machine.iommu[1].segment = 1;
	CHECK_EQ(requester(&machine, 0x108), 0x108);
	CHECK_EQ(requester(&machine, 0x10108), 0x10777);
}

/* From the map, through bridges, and from what the bus domain read. */
TEST(route)
{
	static const struct interrupt_map none = {.address_mask = 0xffff00};
	static const struct interrupt_map map = {
		.address_mask = 0xfff800,
		.entries = 4,
		.entry =
			{
				{0x1800, 1, {20, BOOT_IRQ_LEVEL}},
				{0x1800, 3, {22, BOOT_IRQ_LEVEL}},
				{0x12000, 1, {30, BOOT_IRQ_LEVEL}},
				{0x5000, 4, {40, BOOT_IRQ_LEVEL}},
			},
	};
	static struct boot_info machine;
	struct interrupt to = {0, 0};
	struct bus_function *f;

	memset(&table, 0, sizeof(table));
	memset(&machine, 0, sizeof(machine));
	f = add(3 << 3 | 2, 0x020000);
	CHECK(!bus_route(&table, &map, &machine, f, &to)); /* no pin */
	f->pin = 2;
	CHECK(!bus_route(&table, &map, &machine, f, &to));
	f->pin = 1;
	CHECK(bus_route(&table, &map, &machine, f, &to)); /* the mask lets any function pass */
	CHECK_EQ(to.gsi, 20);
	f->pin = 3;
	CHECK(bus_route(&table, &map, &machine, f, &to));
	CHECK_EQ(to.gsi, 22);
	f->line = 11;
	CHECK(bus_route(&table, &map, &machine, f, &to)); /* the map goes before */
	CHECK_EQ(to.gsi, 22);
	CHECK(bus_route(&table, &none, &machine, f, &to));
	CHECK_EQ(to.gsi, 11);
	CHECK_EQ(to.flags, BOOT_IRQ_LEVEL);
	machine.overrides = 1;
	machine.override[0] =
		(struct boot_override){11, 27, BOOT_IRQ_LEVEL | BOOT_IRQ_ACTIVE_LOW, 0};
	CHECK(bus_route(&table, &none, &machine, f, &to));
	CHECK_EQ(to.gsi, 27);
	CHECK_EQ(to.flags, BOOT_IRQ_LEVEL | BOOT_IRQ_ACTIVE_LOW);

	bridge(10 << 3, 1, 0);
	f = add(1 << 8 | 4 << 3, 0x020000);
	f->pin = 1; /* the map knows it */
	CHECK(bus_route(&table, &map, &machine, f, &to));
	CHECK_EQ(to.gsi, 30);
	f = add(1 << 8 | 5 << 3, 0x020000);
	f->pin = 3; /* C of device 5 is D at the bridge */
	CHECK(bus_route(&table, &map, &machine, f, &to));
	CHECK_EQ(to.gsi, 40);
	f->pin = 2;
	CHECK(!bus_route(&table, &map, &machine, f, &to));

	bridge(0x500, 6, 0); /* two that lead to each other */
	bridge(0x600, 5, 0);
	f = add(0x608, 0x020000);
	f->pin = 1;
	CHECK(!bus_route(&table, &map, &machine, f, &to));
	f = add(1 << 16 | 3 << 3, 0x020000); /* another segment */
	f->pin = 1;
	CHECK(!bus_route(&table, &map, &machine, f, &to));
}

TEST(map_line)
{
	char line[BUS_LINE];
	struct bus_function *f;

	memset(&table, 0, sizeof(table));
	f = add(2 << 8 | 3 << 3, 0x020000);
	f->pin = 2;
	bus_map_text(f, line);
	CHECK(strcmp(line, "#interrupt-cells = <1>; interrupt-map = <0x21800 0 0 2 &ioapic INPUT "
			   "SENSE>;") == 0);
}

TEST(node)
{
	char line[BUS_LINE];
	struct bus_function *f;

	memset(&table, 0, sizeof(table));
	f = add(3 << 3, 0x020000);
	CHECK(bus_node_text(f, line));
	CHECK(strcmp(line, "ethernet@3,0 { reg = <0x1800 0 0 0 0>; compatible = "
			   "\"pci8086,100e\"; };") == 0);
	f->class = 0x010802;
	f->function = 2 << 8 | 4 << 3 | 1;
	CHECK(bus_node_text(f, line));
	CHECK(strncmp(line, "nvme@44,1 { reg = <0x22100 ", 27) == 0);
	f->class = 0x060100; /* not for drivers */
	CHECK(!bus_node_text(f, line));
	f->class = 0x020000;
	f->function |= 1 << 16; /* another segment: the description has no word for it */
	CHECK(!bus_node_text(f, line));
}
