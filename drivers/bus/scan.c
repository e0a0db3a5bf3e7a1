/* Finds the functions on the PCI buses: see scan.h. */
#include "drivers/bus/scan.h"
#include "drivers/lib/lib.h"

#define VENDOR          0x00
#define COMMAND         0x04
#define COMMAND_DECODES 0x3u
#define COMMAND_MEMORY  0x2u
#define STATUS          0x06
#define STATUS_CAPS     BIT(4)
#define REVISION        0x08
#define HEADER          0x0e
#define HEADER_MANY     0x80u
#define HEADER_BRIDGE   1u
#define BAR             0x10
#define ROM             0x30
#define ROM_ENABLE      0x1u
#define ROM_ADDRESS     0xfffff800u
#define BRIDGE_BUSES    0x18
#define BRIDGE_MEMORY   0x20 /* base, limit */
#define BRIDGE_PREFETCH 0x24
#define BRIDGE_UPPER    0x28 /* upper halves of base and limit */
#define BRIDGE_64       0x1u
#define SUBSYSTEM       0x2c
#define CAPS            0x34
#define PIN             0x3d
#define BRIDGE_CONTROL  0x3e
#define CAP_POWER       0x01
#define CAP_MSI         0x05
#define CAP_EXPRESS     0x10
#define CAP_MSIX        0x11
#define CAP_AF          0x13
#define CAPS_MAX        48
#define CLASS_HOST      0x0600
#define CLASS_BRIDGE    0x0604
#define BUSES           256u

#define PIIX_VENDOR  0x8086
#define PIIX3_ISA    0x7000
#define PIIX4_ISA    0x7110
#define PIIX_PIRQ    0x60 /* four registers */
#define PIRQ_OFF     0x80u
#define PIRQ_ALLOWED 0xdef8u /* ISA lines */

static void read_capability(
	struct bus_function *f, const struct bus_access *a, u32 id, u32 at, u32 function)
{
	u32 control = a->read(function, at + 2, 2);

	switch (id) {
	case CAP_MSI:
		f->msi = (u16)(1u << (control >> 1 & 7));
		break;
	case CAP_MSIX:
		f->msix = (u16)((control & 0x7ff) + 1);
		break;
	case CAP_EXPRESS:
		f->flags |= BUS_EXPRESS;
		f->port = (u8)(control >> 4 & 15);
		f->flags |= f->port == BUS_PORT_TO_PCI ? BUS_TO_PCI : 0;
		f->flags |= a->read(function, at + 4, 4) & BIT(28) ? BUS_RESET : 0;
		break;
	case CAP_AF:
		f->flags |= control >> 8 & 2 ? BUS_RESET : 0;
		break;
	case CAP_POWER:
		f->flags |= a->read(function, at + 4, 2) & BIT(3) ? 0 : BUS_RESET;
		break;
	}
}

static void read_capabilities(struct bus_function *f, const struct bus_access *a)
{
	u32 at = CAPS;

	if (!(a->read(f->function, STATUS, 2) & STATUS_CAPS))
		return;
	for (int i = 0; i < CAPS_MAX; i++) {
		at = a->read(f->function, at, 1) & 0xfc;
		if (at < 0x40)
			return;
		read_capability(f, a, a->read(f->function, at, 1), at, f->function);
		at++;
	}
}

/* The size that a register's writable bits tell; 0 if they tell none. */
static u64 size_of(u64 mask)
{
	u64 size = mask & -mask;

	return size && (mask | (size - 1)) == ~0ull ? size : 0;
}

/* Reads register `i`; returns how many it takes. */
static u32 read_bar(struct bus_function *f, const struct bus_access *a, u32 i)
{
	struct bus_bar *bar = &f->bar[i];
	u32 at = BAR + i * 4;
	u32 low = a->read(f->function, at, 4);
	bool io = low & 1;
	bool wide = !io && (low & 6) == 4 && i + 1 < BUS_BARS;
	u32 high = wide ? a->read(f->function, at + 4, 4) : 0;
	u64 mask = wide || io ? 0 : ~0ull << 32;

	a->write(f->function, at, 4, ~0u);
	mask |= a->read(f->function, at, 4) & (io ? ~3u : ~15u);
	a->write(f->function, at, 4, low);
	if (io)
		mask |= ~0xffffull; /* upper halves of I/O registers need not be there */
	if (wide) {
		a->write(f->function, at + 4, 4, ~0u);
		mask |= (u64)a->read(f->function, at + 4, 4) << 32;
		a->write(f->function, at + 4, 4, high);
	}
	if ((mask & (io ? 0xfffc : ~0xfull)) == 0 || (!io && !wide && !(u32)mask))
		return 1;
	bar->size = size_of(mask);
	if (!bar->size)
		return wide ? 2 : 1;
	bar->address = (u64)high << 32 | (low & (io ? ~3u : ~15u));
	bar->flags = (io ? BUS_BAR_IO : 0) | (wide ? BUS_BAR_64 : 0) |
		     (!io && low & 8 ? BUS_BAR_PREFETCH : 0);
	return wide ? 2 : 1;
}

/* PCI Local Bus Specification 3.0, 6.2.5.2. An address that is none is told as 0. */
static void read_rom(struct bus_function *f, const struct bus_access *a)
{
	u32 old = a->read(f->function, ROM, 4);
	u32 mask;

	a->write(f->function, ROM, 4, ROM_ADDRESS);
	mask = a->read(f->function, ROM, 4) & ROM_ADDRESS;
	a->write(f->function, ROM, 4, old & ~ROM_ENABLE);
	if (!mask)
		return;
	f->rom.size = size_of(~0ull << 32 | mask);
	if (f->rom.size && (old & mask) != mask)
		f->rom.address = old & mask;
}

/* Base and limit of a bridge are in their upper twelve bits those of the address' lower half
 * (PCI-to-PCI Bridge Architecture 1.2, 3.2.5). */
static void read_windows(struct bus_function *f, const struct bus_access *a)
{
	for (u32 i = 0; i < ARRAY_SIZE(f->window); i++) {
		u32 both = a->read(f->function, i ? BRIDGE_PREFETCH : BRIDGE_MEMORY, 4);
		u64 first = (both & 0xfff0) << 16;
		u64 last = (both & 0xfff00000) | 0xfffff;

		if (i && (both & 0xf) == BRIDGE_64) {
			first |= (u64)a->read(f->function, BRIDGE_UPPER, 4) << 32;
			last |= (u64)a->read(f->function, BRIDGE_UPPER + 4, 4) << 32;
		}
		if (first && last > first)
			f->window[i] = (struct bus_window){first, last - first + 1};
	}
}

static void read_bars(struct bus_function *f, const struct bus_access *a)
{
	u32 count = f->flags & BUS_BRIDGE ? 2 : BUS_BARS;
	u32 command = a->read(f->function, COMMAND, 2);

	if (f->class >> 8 == CLASS_HOST)
		return;
	a->write(f->function, COMMAND, 2, command & ~COMMAND_DECODES);
	for (u32 i = 0; i < count;)
		i += read_bar(f, a, i);
	if (f->flags & BUS_BRIDGE)
		read_windows(f, a);
	else
		read_rom(f, a);
	a->write(f->function, COMMAND, 2, command);
}

/* Adds the function; NULL: there is no room, or nobody there. */
static struct bus_function *add(struct bus_table *t, u32 function, const struct bus_access *a)
{
	u32 id = a->read(function, VENDOR, 4);
	u32 revision;
	struct bus_function *f;

	if ((u16)id == 0xffff)
		return NULL;
	if (t->functions == BUS_FUNCTIONS) {
		t->left_out++;
		return NULL;
	}
	f = &t->function[t->functions++];
	revision = a->read(function, REVISION, 4);
	*f = (struct bus_function){
		.function = function,
		.vendor = (u16)id,
		.device = (u16)(id >> 16),
		.class = revision >> 8,
		.revision = (u8)revision,
		.pin = (u8)a->read(function, PIN, 1),
		.line = BUS_NO_LINE,
	};
	f->pin = f->pin > 4 ? 0 : f->pin;
	if ((a->read(function, HEADER, 1) & ~HEADER_MANY) == HEADER_BRIDGE) {
		f->flags = BUS_BRIDGE;
		f->secondary = (u8)(a->read(function, BRIDGE_BUSES, 4) >> 8);
	} else {
		u32 subsystem = a->read(function, SUBSYSTEM, 4);

		f->subsystem_vendor = (u16)subsystem;
		f->subsystem = (u16)(subsystem >> 16);
	}
	read_capabilities(f, a);
	read_bars(f, a);
	return f;
}

static void scan_bus(struct bus_table *t, u32 bus, const struct bus_access *a, u64 *todo)
{
	for (u32 device = 0; device < 32; device++) {
		u32 first = bus << 8 | device << 3;
		u32 count = a->read(first, HEADER, 1) & HEADER_MANY ? 8 : 1;

		if ((u16)a->read(first, VENDOR, 2) == 0xffff)
			continue;
		for (u32 i = 0; i < count; i++) {
			struct bus_function *f = add(t, first + i, a);

			if (f && f->flags & BUS_BRIDGE && f->secondary)
				todo[f->secondary / 64] |= BIT(f->secondary % 64);
		}
	}
}

void bus_scan(struct bus_table *t, u32 segment, const struct bus_access *a)
{
	u64 todo[BUSES / 64] = {1};
	u64 done[BUSES / 64] = {0};

	/* A bridge's bus has a higher number than its own, but firmware is not always right. */
	for (u32 bus = 0; bus < BUSES; bus++) {
		u64 bit = BIT(bus % 64);

		if (!(todo[bus / 64] & bit) || done[bus / 64] & bit)
			continue;
		done[bus / 64] |= bit;
		scan_bus(t, segment << 8 | bus, a, todo);
		for (u32 i = 0; i < BUSES / 64; i++) {
			if (todo[i] & ~done[i] &
				(i == bus / 64         ? bit - 1
					: i < bus / 64 ? ~0ull
						       : 0))
				bus = ~0u; /* a lower one: look from the start */
		}
	}
}

void bus_show_rom(u32 function, u32 address, const struct bus_access *a)
{
	u32 command = a->read(function, COMMAND, 2);

	a->write(function, ROM, 4, address ? address | ROM_ENABLE : 0);
	if (address && !(command & COMMAND_MEMORY))
		a->write(function, COMMAND, 2, command | COMMAND_MEMORY);
}

/* Line 0 to 3 of the ISA bridge, or -1. */
static int pirq_of(const struct bus_table *t, const struct bus_function *f)
{
	u32 pin = f->pin - 1u;

	for (u32 depth = 0; f && depth < 32; depth++) {
		u32 device = f->function >> 3 & 31;

		if ((f->function >> 8 & 0xff) == 0)
			return (int)((pin + device + 3) & 3); /* the board's: device 1 has A at A */
		pin = (pin + device) & 3;
		f = bus_bridge_to(t, f->function >> 8);
	}
	return -1;
}

void bus_route_piix(struct bus_table *t, const struct bus_access *a)
{
	const struct bus_function *isa = NULL;

	for (u32 i = 0; i < t->functions; i++) {
		const struct bus_function *f = &t->function[i];

		if (f->vendor == PIIX_VENDOR && f->function >> 8 == 0 &&
			(f->device == PIIX3_ISA || f->device == PIIX4_ISA))
			isa = f;
	}
	for (u32 i = 0; isa && i < t->functions; i++) {
		struct bus_function *f = &t->function[i];
		int line = f->pin && f->function >> 16 == 0 ? pirq_of(t, f) : -1;
		u32 irq = line < 0 ? PIRQ_OFF : a->read(isa->function, PIIX_PIRQ + (u32)line, 1);

		if (irq & PIRQ_OFF || !(PIRQ_ALLOWED >> (irq & 15) & 1))
			continue;
		f->line = (u8)(irq & 15);
	}
}
