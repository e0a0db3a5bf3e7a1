/* Tests of Access Control Services: which functions count as apart, on buses made up here. */
#include <string.h>
#include "drivers/bus/scan.h"
#include "tests/unit/test.h"

#define ENDPOINT 0u
#define LEGACY   1u
#define UPSTREAM 5u
#define ACS      0x000du
#define SERIAL   0x0003u
#define CAN      4u
#define CONTROL  6u
#define ALL      0x1du /* SV, RR, CR, UF */
#define EXTENDED 0x100u
#define SPACE    0x1000u

static struct bus_table table;

/* The extended configuration space of each function of the table, and what it lets be written of
 * the ACS control register. */
static u8 space[BUS_FUNCTIONS][SPACE];
static u16 writable[BUS_FUNCTIONS];
static u32 acs_at[BUS_FUNCTIONS];
static u32 reads, writes;

static u32 index_of(u32 function)
{
	for (u32 i = 0; i < table.functions; i++) {
		if (table.function[i].function == function)
			return i;
	}
	return BUS_FUNCTIONS;
}

static u32 read(u32 function, u32 offset, u32 size)
{
	u32 i = index_of(function);
	u32 value = 0;

	reads++;
	CHECK(i < BUS_FUNCTIONS && offset >= EXTENDED && offset + size <= SPACE);
	if (i == BUS_FUNCTIONS || offset + size > SPACE)
		return ~0u;
	CHECK(offset % size == 0 && table.function[i].flags & BUS_EXPRESS);
	memcpy(&value, &space[i][offset], size);
	return value;
}

static void write(u32 function, u32 offset, u32 size, u32 value)
{
	u32 i = index_of(function);
	u16 old;

	writes++;
	CHECK(i < BUS_FUNCTIONS);
	if (i == BUS_FUNCTIONS)
		return;
	CHECK(size == 2 && offset == acs_at[i] + CONTROL);
	memcpy(&old, &space[i][offset], 2);
	old = (u16)((old & ~writable[i]) | (value & writable[i]));
	memcpy(&space[i][offset], &old, 2);
}

static const struct bus_access bus_access = {read, write};

static void begin(void)
{
	memset(&table, 0, sizeof(table));
	memset(space, 0, sizeof(space));
	memset(writable, 0, sizeof(writable));
	memset(acs_at, 0, sizeof(acs_at));
	reads = writes = 0;
}

static void header(u32 i, u32 at, u32 id, u32 next)
{
	u32 value = id | 1u << 16 | next << 20;

	memcpy(&space[i][at], &value, 4);
}

/* ACS behind another capability, with these bits of which `keeps` can be set. */
static void add_acs(u32 i, u16 can, u16 keeps)
{
	header(i, EXTENDED, SERIAL, 0x150);
	header(i, 0x150, ACS, 0);
	memcpy(&space[i][0x150 + CAN], &can, 2);
	writable[i] = keeps;
	acs_at[i] = 0x150;
}

/* An Express function; `acs`: what it has of them. */
static u32 add(u32 function, u8 port, u16 acs)
{
	u32 i = table.functions++;

	table.function[i] =
		(struct bus_function){.function = function, .flags = BUS_EXPRESS, .port = port};
	if (acs)
		add_acs(i, acs, acs);
	return i;
}

static u32 add_bridge(u32 function, u8 port, u8 secondary, u16 acs)
{
	u32 i = add(function, port, acs);

	table.function[i].flags |= BUS_BRIDGE;
	table.function[i].secondary = secondary;
	return i;
}

static u32 control(u32 i)
{
	u16 value;

	memcpy(&value, &space[i][acs_at[i] + CONTROL], 2);
	return value;
}

static void isolate(void)
{
	bus_isolate(&table, &bus_access);
}

static u32 group(u32 i)
{
	return table.function[i].group;
}

static bool has(u32 i, u8 flag)
{
	return table.function[i].flags & flag;
}

TEST(root_ports)
{
	u32 with, without, a, b, c;

	begin();
	with = add_bridge(1 << 3, BUS_PORT_ROOT, 1, 0x5f);
	without = add_bridge(2 << 3, BUS_PORT_ROOT, 2, 0);
	a = add(0x100, ENDPOINT, 0);
	b = add(0x200, ENDPOINT, 0);
	c = add(3 << 3, ENDPOINT, 0);
	isolate();
	CHECK_EQ(control(with), ALL);
	CHECK(has(with, BUS_ACS) && !has(without, BUS_ACS));
	CHECK(!has(a, BUS_CHIPSET) && has(b, BUS_CHIPSET) && !has(c, BUS_CHIPSET));
	for (u32 i = 0; i < table.functions; i++)
		CHECK_EQ(group(i), 0);
	CHECK_EQ(writes, 1);
}

/* What a root port does not have is nothing to control; what it has must keep what is written. */
TEST(registers)
{
	u32 part, stuck, egress, old, a, b;

	begin();
	part = add_bridge(1 << 3, BUS_PORT_ROOT, 1, 0x1);
	stuck = add_bridge(2 << 3, BUS_PORT_ROOT, 2, 0x1d);
	writable[stuck] = 0x19;
	egress = add_bridge(3 << 3, BUS_PORT_ROOT, 3, 0x7d);
	writable[egress] = 0x1d;
	space[egress][acs_at[egress] + CONTROL] = 0x20; /* exceptions that cannot be taken back */
	old = add_bridge(4 << 3, BUS_PORT_ROOT, 4, 0x7f);
	space[old][acs_at[old] + CONTROL] = 0x62; /* blocks translated requests, and others */
	a = add(0x100, ENDPOINT, 0);
	b = add(0x200, ENDPOINT, 0);
	isolate();
	CHECK(has(part, BUS_ACS) && !has(stuck, BUS_ACS) && !has(egress, BUS_ACS));
	CHECK_EQ(control(old), ALL | 2);
	CHECK(has(old, BUS_ACS));
	CHECK(!has(a, BUS_CHIPSET) && has(b, BUS_CHIPSET));
	table.function[part].port = BUS_PORT_DOWNSTREAM; /* without a switch: as a root port */
	table.function[stuck].port = BUS_PORT_DOWNSTREAM;
	table.function[part].flags &= (u8)~BUS_ACS;
	isolate();
	CHECK(has(part, BUS_ACS) && !has(stuck, BUS_ACS));
	CHECK(!has(a, BUS_CHIPSET) && has(b, BUS_CHIPSET) && !group(a) && !group(b));
}

/* A root port, a switch of three ports, and a function behind each, and one beside it all. */
static void add_switch(u16 first, u16 second, u16 third)
{
	add_bridge(1 << 3, BUS_PORT_ROOT, 1, ALL);
	add_bridge(0x100, UPSTREAM, 2, 0);
	add_bridge(0x200, BUS_PORT_DOWNSTREAM, 3, first);
	add_bridge(0x208, BUS_PORT_DOWNSTREAM, 4, second);
	add_bridge(0x210, BUS_PORT_DOWNSTREAM, 5, third);
	add(0x300, ENDPOINT, 0);
	add(0x400, ENDPOINT, 0);
	add(0x500, LEGACY, 0);
	add(2 << 3, ENDPOINT, 0);
}

#define FIRST  5
#define SECOND 6
#define THIRD  7
#define BESIDE 8

TEST(switches)
{
	begin();
	add_switch(0x5f, 0x5f, 0x5f);
	table.function[2].flags |= BUS_RESET; /* the kernel resets no bridge */
	isolate();
	for (u32 i = 0; i < table.functions; i++)
		CHECK_EQ(group(i), 0);
	CHECK(has(2, BUS_ACS) && has(4, BUS_ACS));
	begin();
	add_switch(0, 0, 0);
	isolate();
	for (u32 i = 0; i < table.functions; i++)
		CHECK_EQ(group(i), i == FIRST || i == SECOND || i == THIRD);
	begin(); /* one port lets its function reach all others */
	add_switch(ALL, 0, ALL);
	isolate();
	CHECK(group(FIRST) == 1 && group(SECOND) == 1 && group(THIRD) == 1 && !group(BESIDE));
	begin(); /* it has ACS, but not what a switch's port must have */
	add_switch(ALL, 0x9, ALL);
	isolate();
	CHECK(group(FIRST) == 1 && group(SECOND) == 1 && group(THIRD) == 1);
	begin(); /* nobody is there who could send by it */
	add_switch(ALL, ALL, 0);
	table.functions = 1 + THIRD;
	table.function[THIRD].function = 3 << 3;
	isolate();
	CHECK(!group(FIRST) && !group(SECOND) && !group(THIRD));
}

/* A function of the switch's own device, and a switch behind a switch. */
TEST(switches_in_switches)
{
	u32 engine, far;

	begin();
	add_switch(ALL, ALL, ALL);
	engine = add(0x101, ENDPOINT, 0);
	isolate();
	CHECK(group(engine) == 1 && group(FIRST) == 1 && group(THIRD) == 1 && !group(BESIDE));
	begin(); /* nor does it help that this one has ACS, if the port beside it has none */
	add_switch(ALL, ALL, ALL);
	engine = add(0x101, ENDPOINT, 0xc);
	isolate();
	CHECK(group(engine) == 1 && group(FIRST) == 1 && group(SECOND) == 1 && group(THIRD) == 1);
	begin(); /* the inner one has none: what is behind it is together */
	add_switch(ALL, ALL, ALL);
	table.function[FIRST].flags |= BUS_BRIDGE;
	table.function[FIRST].port = UPSTREAM;
	table.function[FIRST].secondary = 6;
	add_bridge(0x600, BUS_PORT_DOWNSTREAM, 7, 0);
	add_bridge(0x608, BUS_PORT_DOWNSTREAM, 8, 0);
	far = add(0x700, ENDPOINT, 0);
	isolate();
	CHECK(!group(far));
	add(0x800, ENDPOINT, 0);
	isolate();
	CHECK(group(far) == 1 && group(far + 1) == 1 && !group(SECOND) && !group(FIRST));
	begin(); /* the outer port has none: it can turn around what the inner ones send up */
	add_switch(0, ALL, ALL);
	table.function[FIRST].flags |= BUS_BRIDGE;
	table.function[FIRST].port = UPSTREAM;
	table.function[FIRST].secondary = 6;
	add_bridge(0x600, BUS_PORT_DOWNSTREAM, 7, ALL);
	add_bridge(0x608, BUS_PORT_DOWNSTREAM, 8, ALL);
	far = add(0x700, ENDPOINT, 0);
	add(0x800, ENDPOINT, 0);
	isolate();
	CHECK(group(far) == 1 && group(far + 1) == 1 && group(SECOND) == 1 && group(THIRD) == 1);
}

TEST(devices_of_several_functions)
{
	u32 a, b, c;

	begin();
	add_bridge(1 << 3, BUS_PORT_ROOT, 1, ALL);
	a = add(0x100, ENDPOINT, 0);
	b = add(0x101, ENDPOINT, 0xc);
	isolate();
	CHECK(group(a) == 1 && group(b) == 1);
	CHECK(has(b, BUS_ACS) && !has(a, BUS_CHIPSET));
	CHECK_EQ(control(b), 0xc);
	add_acs(a, 0xc, 0xc);
	isolate();
	CHECK(!group(a) && !group(b));
	table.function[b].flags |= BUS_RESET; /* and they would be off */
	table.function[b].flags &= (u8)~BUS_ACS;
	isolate();
	CHECK(group(a) == 1 && group(b) == 1 && !has(b, BUS_ACS));
	/* on a link any device number is the same device's, elsewhere not */
	begin();
	add_bridge(1 << 3, BUS_PORT_ROOT, 1, ALL);
	a = add(0x100, ENDPOINT, 0);
	b = add(0x128, ENDPOINT, 0);
	isolate();
	CHECK(group(a) == 1 && group(b) == 1);
	table.function[0].port = BUS_PORT_TO_PCI;
	isolate();
	CHECK(!group(a) && !group(b));
	/* two such devices are two groups; on a root bus the chipset's */
	begin();
	add_bridge(1 << 3, BUS_PORT_ROOT, 1, ALL);
	add_bridge(2 << 3, BUS_PORT_ROOT, 2, ALL);
	a = add(0x100, ENDPOINT, 0);
	add(0x101, ENDPOINT, 0);
	b = add(0x200, ENDPOINT, 0);
	add(0x203, ENDPOINT, 0);
	c = add(3 << 3, ENDPOINT, 0);
	add(3 << 3 | 1, ENDPOINT, 0xc);
	isolate();
	CHECK(group(a) == 1 && group(a + 1) == 1 && group(b) == 2 && group(b + 1) == 2);
	CHECK(!group(c) && !group(c + 1) && has(c, BUS_CHIPSET) && has(c + 1, BUS_CHIPSET));
	/* root ports that are functions of one device */
	begin();
	a = add_bridge(1 << 3, BUS_PORT_ROOT, 1, ALL);
	b = add_bridge(1 << 3 | 1, BUS_PORT_ROOT, 2, ALL);
	c = add(0x100, ENDPOINT, 0);
	isolate();
	CHECK(!has(c, BUS_CHIPSET));
	table.function[b].flags &= (u8) ~(BUS_EXPRESS | BUS_ACS);
	table.function[c].flags &= (u8)~BUS_ACS;
	isolate();
	CHECK(has(c, BUS_CHIPSET) && !group(c));
}

/* Other segments' buses have the same numbers. */
TEST(segments)
{
	begin();
	add_switch(0, 0, 0);
	table.function[SECOND].function |= 1 << 16;
	table.function[THIRD].function |= 1 << 16;
	isolate();
	CHECK(!group(FIRST) && !group(SECOND) && !group(THIRD));
}

/* Lists of capabilities without an end or with a wrong one, and no configuration space so far. */
TEST(lists)
{
	u32 i;

	begin();
	i = add_bridge(1 << 3, BUS_PORT_ROOT, 1, 0);
	header(i, EXTENDED, SERIAL, 0x200);
	header(i, 0x200, SERIAL, EXTENDED);
	isolate();
	CHECK(reads <= 480 && !writes && !has(i, BUS_ACS));
	begin();
	i = add_bridge(1 << 3, BUS_PORT_ROOT, 1, 0);
	header(i, EXTENDED, SERIAL, 0x40);
	header(i, 0x40, ACS, 0);
	isolate();
	CHECK(!writes && !has(i, BUS_ACS));
	begin();
	i = add_bridge(1 << 3, BUS_PORT_ROOT, 1, 0);
	header(i, EXTENDED, SERIAL, 0xffc);
	header(i, 0xffc, ACS, 0); /* would go on beyond */
	isolate();
	CHECK(!writes && !has(i, BUS_ACS));
	begin();
	i = add_bridge(1 << 3, BUS_PORT_ROOT, 1, 0);
	memset(space[i], 0xff, SPACE);
	isolate();
	CHECK(reads == 1 && !writes && !has(i, BUS_ACS));
}

/* Bridges that lead to each other or to themselves, and buses at random: it comes to an end, and
 * what is in one group without ACS anywhere is what a port or a device joins. */
TEST(nonsense)
{
	u32 seed = 1;

	begin();
	add_bridge(0x500, BUS_PORT_DOWNSTREAM, 6, 0);
	add_bridge(0x600, BUS_PORT_DOWNSTREAM, 5, 0);
	add_bridge(0x700, BUS_PORT_DOWNSTREAM, 7, 0);
	add_bridge(0x20, BUS_PORT_ROOT, 0, 0);
	add(0x608, ENDPOINT, 0);
	add(0x508, ENDPOINT, 0);
	add(0x708, ENDPOINT, 0);
	add(0x28, ENDPOINT, 0);
	isolate();
	CHECK(group(4) == 1 && group(5) == 1 && !group(6) && !group(7));
	for (u32 round = 0; round < 20; round++) {
		u32 members[BUS_FUNCTIONS] = {0};

		begin();
		for (u32 i = 0; i < BUS_FUNCTIONS; i++) {
			seed = seed * 1664525 + 1013904223;
			add((i << 4 & 0xff0) | seed >> 28, seed >> 24 & 7,
				seed & BIT(20) ? 0 : seed >> 8 & 0x7f);
			if (seed & BIT(21)) {
				table.function[i].flags |= BUS_BRIDGE;
				table.function[i].secondary = seed >> 12 & 15;
			}
		}
		isolate();
		for (u32 i = 0; i < BUS_FUNCTIONS; i++)
			members[group(i)]++;
		CHECK(members[1] > 1);
		for (u32 i = 1; i < BUS_FUNCTIONS; i++)
			CHECK(members[i] != 1 && (!members[i] || members[i - 1]));
	}
}
