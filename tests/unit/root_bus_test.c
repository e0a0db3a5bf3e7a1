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
	CHECK_EQ(bus_text(f, NULL, lines), 1);
	CHECK(strcmp(lines[0], "0001:00:03.1 Ethernet controller, pci8086,100e, class 020000: "
			       "nobody's") == 0);
	f->msi = 1;
	f->msix = 5;
	f->pin = 1;
	f->line = 11;
	f->bar[0] = (struct bus_bar){0xfebc0000, 0x20000, BUS_BAR_64, 0};
	f->bar[3] = (struct bus_bar){0xc000, 0x40, BUS_BAR_IO, 0};
	CHECK_EQ(bus_text(f, "net", lines), 4);
	CHECK(strstr(lines[0], ": net") != NULL);
	CHECK(strcmp(lines[1], "    MSI-X 5 MSI 1 INTA to line 11") == 0);
	CHECK(strcmp(lines[2], "    memory 0xfebc0000, 128 KiB, 64-bit") == 0);
	CHECK(strcmp(lines[3], "    I/O ports 0xc000, 64") == 0);
	/* the most that there can be */
	memset(f, 0xff, sizeof(*f));
	for (u32 i = 0; i < BUS_BARS; i++)
		f->bar[i].flags = i % 2 ? BUS_BAR_IO : ~1u;
	f->pin = 4;
	CHECK(bus_text(f, "a-name-of-thirty-one-characters", lines) <= BUS_LINES);
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
