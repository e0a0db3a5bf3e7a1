/* Tests of finding PCI functions, on configuration spaces made up here. */
#include <string.h>
#include "drivers/bus/scan.h"
#include "tests/unit/test.h"

#define FUNCTIONS 64

struct fake {
	u32 function;
	u8 config[256];
	u32 bar_mask[6]; /* writable bits of each register */
	u32 rom_mask;
};

static struct fake fake[FUNCTIONS];
static u32 fakes;
static u32 sized_while_decoding;

static struct fake *find(u32 function)
{
	for (u32 i = 0; i < fakes; i++) {
		if (fake[i].function == function)
			return &fake[i];
	}
	return NULL;
}

static u32 get(const struct fake *f, u32 offset, u32 size)
{
	u32 value = 0;

	memcpy(&value, f->config + offset, size);
	return value;
}

static void set(struct fake *f, u32 offset, u32 size, u32 value)
{
	memcpy(f->config + offset, &value, size);
}

static u32 read(u32 function, u32 offset, u32 size)
{
	const struct fake *f = find(function);

	CHECK(offset % size == 0 && offset + size <= 256);
	return f ? get(f, offset, size) : size == 4 ? ~0u : (1u << size * 8) - 1;
}

static void write(u32 function, u32 offset, u32 size, u32 value)
{
	struct fake *f = find(function);
	bool rom = offset == 0x30;
	u32 mask;

	CHECK(f != NULL);
	if (!f)
		return;
	if (offset == 4) {
		set(f, 4, size, value);
		return;
	}
	CHECK(size == 4 && (rom || (offset >= 0x10 && offset < 0x28)));
	mask = rom ? f->rom_mask : f->bar_mask[(offset - 0x10) / 4];
	if (get(f, 4, 2) & (rom ? 0 : 3))
		sized_while_decoding++;
	set(f, offset, 4, (value & mask) | (get(f, offset, 4) & ~mask));
}

static const struct bus_access bus_access = {read, write};

static struct fake *add(u32 function, u32 id, u32 class)
{
	struct fake *f = &fake[fakes++];

	memset(f, 0, sizeof(*f));
	f->function = function;
	set(f, 0, 4, id);
	set(f, 4, 2, 7);
	set(f, 8, 4, class << 8 | 2);
	return f;
}

static void add_bar(struct fake *f, u32 i, u32 low, u32 mask)
{
	set(f, 0x10 + i * 4, 4, low);
	f->bar_mask[i] = mask;
}

static struct bus_table table;

static void begin(void)
{
	memset(&table, 0, sizeof(table));
	fakes = 0;
	sized_while_decoding = 0;
}

static const struct bus_function *found(u32 function)
{
	for (u32 i = 0; i < table.functions; i++) {
		if (table.function[i].function == function)
			return &table.function[i];
	}
	return NULL;
}

TEST(nothing_there)
{
	begin();
	bus_scan(&table, 0, &bus_access);
	CHECK_EQ(table.functions, 0);
}

TEST(base_address_registers)
{
	const struct bus_function *f;
	struct fake *c;

	begin();
	c = add(3 << 3, 0x100e8086, 0x020000);
	add_bar(c, 0, 0xfebc0000, 0xfffe0000);
	add_bar(c, 1, 0xc001, 0xffffffc0);
	add_bar(c, 2, 0xd001, 0xffe0); /* upper half not there */
	add_bar(c, 3, 0x0000000c, 0xf0000000);
	add_bar(c, 4, 0x8, 0xffffffff);
	bus_scan(&table, 0, &bus_access);
	CHECK_EQ(table.functions, 1);
	f = found(3 << 3);
	CHECK(f->vendor == 0x8086 && f->device == 0x100e && f->class == 0x020000);
	CHECK(f->revision == 2 && f->line == BUS_NO_LINE);
	CHECK_EQ(f->bar[0].address, 0xfebc0000);
	CHECK_EQ(f->bar[0].size, 0x20000);
	CHECK_EQ(f->bar[0].flags, 0);
	CHECK_EQ(f->bar[1].address, 0xc000);
	CHECK_EQ(f->bar[1].size, 0x40);
	CHECK_EQ(f->bar[1].flags, BUS_BAR_IO);
	CHECK_EQ(f->bar[2].size, 0x20);
	CHECK_EQ(f->bar[3].size, 0x10000000);
	CHECK_EQ(f->bar[3].address, 0x800000000ull);
	CHECK_EQ(f->bar[3].flags, BUS_BAR_64 | BUS_BAR_PREFETCH);
	CHECK_EQ(f->bar[4].size, 0);
	CHECK_EQ(f->bar[5].size, 0);
	/* everything is as it was */
	CHECK_EQ(sized_while_decoding, 0);
	CHECK_EQ(get(c, 4, 2), 7);
	CHECK_EQ(get(c, 0x10, 4), 0xfebc0000);
	CHECK_EQ(get(c, 0x14, 4), 0xc001);
	CHECK_EQ(get(c, 0x1c, 4), 0xc);
	CHECK_EQ(get(c, 0x20, 4), 8);
}

TEST(expansion_rom)
{
	struct fake *a, *c;

	begin();
	a = add(3 << 3, 0x100e8086, 0x020000);
	a->rom_mask = 0xfffe0001;
	set(a, 0x30, 4, 0xfeb40001); /* decodes: no longer */
	c = add(4 << 3, 0x100e8086, 0x020000);
	c->rom_mask = 0xfffc0001;
	set(c, 0x30, 4, 0xfffc0000);                              /* as after sizing: no address */
	add(5 << 3, 0x100e8086, 0x020000)->rom_mask = 0xff0f0001; /* nonsense */
	add(6 << 3, 0x100e8086, 0x020000);
	bus_scan(&table, 0, &bus_access);
	CHECK_EQ(found(3 << 3)->rom.address, 0xfeb40000);
	CHECK_EQ(found(3 << 3)->rom.size, 0x20000);
	CHECK_EQ(get(a, 0x30, 4), 0xfeb40000);
	CHECK_EQ(found(4 << 3)->rom.address, 0);
	CHECK_EQ(found(4 << 3)->rom.size, 0x40000);
	CHECK_EQ(found(5 << 3)->rom.size, 0);
	CHECK_EQ(found(6 << 3)->rom.size, 0);
	set(c, 4, 2, 5);
	bus_show_rom(4 << 3, 0xe0040000, &bus_access);
	CHECK_EQ(get(c, 0x30, 4), 0xe0040001);
	CHECK_EQ(get(c, 4, 2), 7);
	bus_show_rom(4 << 3, 0, &bus_access);
	CHECK_EQ(get(c, 0x30, 4), 0);
	CHECK_EQ(get(c, 4, 2), 7);
}

TEST(windows_of_bridges)
{
	const struct bus_function *f;
	struct fake *c;

	begin();
	c = add(2 << 3, 0x00011b36, 0x060400);
	set(c, 0x0e, 1, 1);
	set(c, 0x18, 4, 0x00010100);
	set(c, 0x20, 4, 0xfe90fe80);
	set(c, 0x24, 4, 0x00110001);
	set(c, 0x28, 4, 0xe0);
	set(c, 0x2c, 4, 0xe1);
	c = add(3 << 3, 0x00011b36, 0x060400);
	set(c, 0x0e, 1, 1);
	set(c, 0x18, 4, 0x00020200);
	set(c, 0x20, 4, 0x0000fff0); /* limit below the base: closed */
	set(c, 0x24, 4, 0xc000b000);
	bus_scan(&table, 0, &bus_access);
	f = found(2 << 3);
	CHECK_EQ(f->window[0].address, 0xfe800000);
	CHECK_EQ(f->window[0].size, 0x200000);
	CHECK_EQ(f->window[1].address, 0xe000000000ull);
	CHECK_EQ(f->window[1].size, 0x100200000ull);
	f = found(3 << 3);
	CHECK_EQ(f->window[0].size, 0);
	CHECK_EQ(f->window[1].address, 0xb0000000);
	CHECK_EQ(f->window[1].size, 0x10100000);
	CHECK_EQ(f->rom.size, 0);
}

TEST(no_registers)
{
	struct fake *c;

	begin();
	c = add(1 << 3, 0x12341234, 0xff0000);
	add_bar(c, 0, 0, 0xffff0f00); /* nonsense: no power of two */
	bus_scan(&table, 0, &bus_access);
	for (u32 i = 0; i < BUS_BARS; i++)
		CHECK_EQ(table.function[0].bar[i].size, 0);
	/* a host bridge's are not touched */
	begin();
	c = add(0, 0x12378086, 0x060000);
	add_bar(c, 0, 0xe0000000, 0xf0000000);
	bus_scan(&table, 0, &bus_access);
	CHECK_EQ(table.function[0].bar[0].size, 0);
}

TEST(many_functions_and_bridges)
{
	struct fake *c;

	begin();
	c = add(1 << 3, 0x70008086, 0x060100);
	set(c, 0x0e, 1, 0x80);
	add(1 << 3 | 1, 0x70108086, 0x010180);
	add(1 << 3 | 3, 0x71138086, 0x068000);
	add(2 << 3, 0x11111111, 0);
	add(2 << 3 | 1, 0x22222222, 0); /* device 2 has one function only */
	c = add(4 << 3, 0x00011b36, 0x060400);
	set(c, 0x0e, 1, 1);
	set(c, 0x18, 4, 0x00020500); /* buses 5 to 2: behind a wrong order */
	c = add(5 << 8, 0x00011b36, 0x060400);
	set(c, 0x0e, 1, 1);
	set(c, 0x18, 4, 0x00030305);
	add(3 << 8 | 7 << 3, 0x33333333, 0x020000);
	c = add(5 << 8 | 1 << 3, 0x00011b36, 0x060400);
	set(c, 0x0e, 1, 1);
	set(c, 0x18, 4, 0x00050505); /* a loop */
	bus_scan(&table, 0, &bus_access);
	CHECK_EQ(table.functions, 8);
	CHECK(found(1 << 3 | 3) && !found(2 << 3 | 1));
	CHECK(found(4 << 3)->flags & BUS_BRIDGE);
	CHECK_EQ(found(4 << 3)->secondary, 5);
	CHECK(found(3 << 8 | 7 << 3) != NULL);
}

TEST(capabilities)
{
	const struct bus_function *f;
	struct fake *c;

	begin();
	c = add(6 << 3, 0x00101b36, 0x010802);
	set(c, 6, 2, 0x10);
	set(c, 0x34, 1, 0x40);
	set(c, 0x40, 4, 0x00405011); /* MSI-X, 65 messages */
	set(c, 0x50, 4, 0x00866005); /* MSI, 8 messages */
	set(c, 0x60, 4, 0x00028010);
	set(c, 0x64, 4, 1u << 28);
	set(c, 0x80, 4, 0x00008001); /* itself next: no end */
	set(c, 0x84, 4, 8);
	set(c, 0x3d, 1, 9);
	bus_scan(&table, 0, &bus_access);
	f = found(6 << 3);
	CHECK(f->msix == 65 && f->msi == 8 && f->pin == 0);
	CHECK_EQ(f->flags, BUS_EXPRESS | BUS_RESET);
	CHECK_EQ(f->port, 0);
	set(c, 0x60, 4, 0x00728010); /* to a conventional bus */
	bus_scan(&table, 0, &bus_access);
	CHECK(table.function[table.functions - 1].flags & BUS_TO_PCI);
	CHECK_EQ(table.function[table.functions - 1].port, BUS_PORT_TO_PCI);
}

TEST(routes)
{
	struct fake *c;

	begin();
	c = add(1 << 3, 0x70008086, 0x060100);
	set(c, 0x60, 4, 0x800b0a0b); /* line D is off */
	c = add(2 << 3, 0x11111111, 0x020000);
	set(c, 0x3d, 1, 1); /* A of device 2: B */
	c = add(3 << 3, 0x22222222, 0x020000);
	set(c, 0x3d, 1, 2); /* B of device 3: D */
	c = add(4 << 3, 0x00011b36, 0x060400);
	set(c, 0x0e, 1, 1);
	set(c, 0x18, 4, 0x00050500);
	c = add(5 << 8 | 2 << 3, 0x33333333, 0x020000);
	set(c, 0x3d, 1, 1); /* C of the bridge at device 4: B */
	c = add(6 << 3, 0x44444444, 0x020000);
	set(c, 0x3d, 1, 4); /* D of device 6: A */
	bus_scan(&table, 0, &bus_access);
	bus_route_piix(&table, &bus_access);
	CHECK_EQ(found(2 << 3)->line, 10);
	CHECK_EQ(found(3 << 3)->line, BUS_NO_LINE);
	CHECK_EQ(found(5 << 8 | 2 << 3)->line, 10);
	CHECK_EQ(found(6 << 3)->line, 11);
	set(find(1 << 3), 0x60, 4, 0x00000002); /* lines that cannot be */
	table.function[1].line = BUS_NO_LINE;
	bus_route_piix(&table, &bus_access);
	CHECK_EQ(found(2 << 3)->line, BUS_NO_LINE);
}

TEST(too_many)
{
	begin();
	for (u32 i = 0; i < 32; i++)
		set(add(i << 3, 0x11111111, 0), 0x0e, 1, 0);
	table.functions = BUS_FUNCTIONS - 3;
	bus_scan(&table, 0, &bus_access);
	CHECK_EQ(table.functions, BUS_FUNCTIONS);
	CHECK_EQ(table.left_out, 29);
}
