/*
 * Access Control Services: turns them on, and works out which functions can reach one another
 * without passing an IOMMU all the same. See scan.h. PCI Express Base Specification 5.0, 6.12.
 */
#include "drivers/bus/scan.h"
#include "drivers/lib/lib.h"

#define EXTENDED       0x100u
#define EXTENDED_END   0x1000u
#define EXTENDED_MAX   480 /* more do not fit */
#define EXTENDED_ACS   0x000du
#define ACS_SIZE       8u
#define ACS_CAPABILITY 4u
#define ACS_CONTROL    6u

/* In both registers: 7.7.8.2, 7.7.8.3. */
#define ACS_SOURCE     0x01u /* requesters have a bus number behind the port */
#define ACS_REQUEST    0x04u /* requests to peers go upstream */
#define ACS_COMPLETION 0x08u /* completions too */
#define ACS_UPSTREAM   0x10u /* what came from below goes up, and not down again */
#define ACS_EGRESS     0x20u /* a vector makes exceptions of these */
#define ACS_DIRECT     0x40u /* and so does what is said to be translated already */
#define ACS_WANTED     (ACS_SOURCE | ACS_REQUEST | ACS_COMPLETION | ACS_UPSTREAM)
#define ACS_UNWANTED   (ACS_EGRESS | ACS_DIRECT)

#define DEPTH_MAX 32 /* bridges in a row */
#define NONE      BUS_FUNCTIONS

/* The functions by their indices in the table, as a tree and in sets. */
struct buses {
	struct bus_table *table;
	u16 up[BUS_FUNCTIONS];     /* the bridge to its bus, or NONE: it is on a root bus */
	u16 fellow[BUS_FUNCTIONS]; /* of its set, with a lower index; the first: itself */
};

static u32 first_of(const struct buses *b, u32 i)
{
	while (b->fellow[i] != i)
		i = b->fellow[i];
	return i;
}

static void join(struct buses *b, u32 i, u32 k)
{
	u32 x = first_of(b, i), y = first_of(b, k);

	b->fellow[x > y ? x : y] = (u16)(x > y ? y : x);
}

/* The extended capability (7.6.3), or 0: there is none, or configuration space ends at 256 bytes.
 */
static u32 find(u32 function, const struct bus_access *a)
{
	u32 at = EXTENDED;

	for (u32 i = 0; i < EXTENDED_MAX && at >= EXTENDED; i++) {
		u32 header = a->read(function, at, 4);

		if (header == ~0u)
			return 0;
		if ((u16)header == EXTENDED_ACS)
			return at + ACS_SIZE <= EXTENDED_END ? at : 0;
		at = header >> 20 & ~3u;
	}
	return 0;
}

static bool is_port(const struct bus_function *f)
{
	return f->flags & BUS_BRIDGE && f->flags & BUS_EXPRESS &&
	       (f->port == BUS_PORT_ROOT || f->port == BUS_PORT_DOWNSTREAM);
}

/* A downstream port of a switch; one on a root bus, which has no switch around it, is taken for a
 * root port. */
static bool is_switch_port(const struct buses *b, u32 i)
{
	const struct bus_function *f = &b->table->function[i];

	return is_port(f) && f->port == BUS_PORT_DOWNSTREAM && b->up[i] != NONE;
}

/*
 * Turns on what sends requests upstream. A switch's port has all of it; elsewhere what is not there
 * has nothing to control (6.12.1.1, 6.12.1.2). What counts is what the register says afterwards.
 */
static bool turn_on(const struct buses *b, u32 i, const struct bus_access *a)
{
	u32 function = b->table->function[i].function;
	u32 at = b->table->function[i].flags & BUS_EXPRESS ? find(function, a) : 0;
	u32 can, on;

	if (!at)
		return false;
	can = a->read(function, at + ACS_CAPABILITY, 2);
	on = a->read(function, at + ACS_CONTROL, 2);
	on = (on & ~(ACS_WANTED | ACS_UNWANTED)) | (can & ACS_WANTED);
	a->write(function, at + ACS_CONTROL, 2, on);
	on = a->read(function, at + ACS_CONTROL, 2);
	if (is_switch_port(b, i))
		can = ACS_WANTED;
	return !(can & ACS_WANTED & ~on) && !(on & ACS_UNWANTED);
}

/* Are they functions of one device? A link has one only, whatever device numbers it uses (ARI). */
static bool same_device(const struct buses *b, u32 i, u32 k)
{
	u32 f = b->table->function[i].function, g = b->table->function[k].function;

	return f >> 3 == g >> 3 ||
	       (f >> 8 == g >> 8 && b->up[i] != NONE && is_port(&b->table->function[b->up[i]]));
}

/*
 * Does function `i`, which is not on a root bus, send requests to `k` itself, both of their own and
 * of what is behind them? A switch's port can do so with what is behind itself, too.
 */
static bool is_open(const struct buses *b, u32 i, u32 k)
{
	const struct bus_function *f = &b->table->function[i];

	if (f->flags & BUS_ACS)
		return false;
	if (is_switch_port(b, i))
		return f->function >> 8 == b->table->function[k].function >> 8;
	return i != k && same_device(b, i, k);
}

/* Is `x` function `i`, or behind it? */
static bool is_behind(const struct buses *b, u32 x, u32 i)
{
	for (u32 depth = 0; x != NONE && depth < DEPTH_MAX; depth++, x = b->up[x]) {
		if (x == i)
			return true;
	}
	return false;
}

/* Is `x` a function that `i` is open to, or behind one? */
static bool is_reached(const struct buses *b, u32 x, u32 i)
{
	for (u32 depth = 0; x != NONE && depth < DEPTH_MAX; depth++, x = b->up[x]) {
		if (is_open(b, i, x))
			return true;
	}
	return false;
}

/* Joins what can send requests by `i` with what they can reach. Bridges are nobody's to have. */
static void join_through(struct buses *b, u32 i)
{
	const struct bus_table *t = b->table;
	u32 from = NONE, to = NONE;

	for (u32 x = 0; x < t->functions; x++) {
		if (t->function[x].flags & BUS_BRIDGE)
			continue;
		if (from == NONE && is_behind(b, x, i))
			from = x;
		if (to == NONE && is_reached(b, x, i))
			to = x;
	}
	for (u32 x = 0; x < t->functions && from != NONE && to != NONE; x++) {
		if (!(t->function[x].flags & BUS_BRIDGE) &&
			(is_behind(b, x, i) || is_reached(b, x, i)))
			join(b, x, from);
	}
}

/*
 * Is it for the root complex alone to keep it from others? Its root port does not say that it sends
 * all requests upstream, or the device with that port or itself on a root bus has several functions
 * and does not say so.
 */
static bool is_left_to_chipset(const struct buses *b, u32 i)
{
	const struct bus_table *t = b->table;
	const struct bus_function *f;

	for (u32 depth = 0; b->up[i] != NONE && depth < DEPTH_MAX; depth++)
		i = b->up[i];
	f = &t->function[i];
	if (is_port(f) && !(f->flags & BUS_ACS))
		return true;
	for (u32 k = 0; k < t->functions; k++) {
		const struct bus_function *g = &t->function[k];

		if (k != i && g->function >> 3 == f->function >> 3 &&
			!(f->flags & g->flags & BUS_ACS))
			return true;
	}
	return false;
}

/* Numbers the sets that have several functions, from 1. */
static void number(const struct buses *b)
{
	struct bus_table *t = b->table;
	u8 groups = 0;

	for (u32 i = 0; i < t->functions; i++) {
		struct bus_function *first = &t->function[first_of(b, i)];

		t->function[i].group = 0;
		if (first == &t->function[i])
			continue;
		if (!first->group)
			first->group = ++groups;
		t->function[i].group = first->group;
	}
}

void bus_isolate(struct bus_table *t, const struct bus_access *a)
{
	struct buses b = {.table = t};

	for (u32 i = 0; i < t->functions; i++) {
		const struct bus_function *up = bus_bridge_to(t, t->function[i].function >> 8);

		b.up[i] = up ? (u16)(up - t->function) : NONE;
		b.fellow[i] = (u16)i;
	}
	for (u32 i = 0; i < t->functions; i++) {
		struct bus_function *f = &t->function[i];

		/* The reset of a function, which its driver may ask for, turns them off (6.6.2). */
		if (turn_on(&b, i, a) && (f->flags & BUS_BRIDGE || !(f->flags & BUS_RESET)))
			f->flags |= BUS_ACS;
	}
	for (u32 i = 0; i < t->functions; i++) {
		if (b.up[i] != NONE)
			join_through(&b, i);
	}
	number(&b);
	for (u32 i = 0; i < t->functions; i++) {
		if (is_left_to_chipset(&b, i))
			t->function[i].flags |= BUS_CHIPSET;
	}
}
