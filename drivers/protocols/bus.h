/*
 * What the bus domain tells root: the PCI functions of the machine. The session's memory holds one
 * struct bus_session. The server writes its table, sets `state` and signals root's event; it does
 * not change it afterwards. Root checks and copies it once. Then root may ask for expansion ROMs to
 * decode, one after another, of functions that nobody has yet.
 */
#pragma once

#include "kernel/abi/types.h"

#define BUS_FUNCTIONS 256u
#define BUS_BARS      6u
#define BUS_ROM       6u /* the number of the expansion ROM, behind them */
#define BUS_NO_LINE   0xffu

/* bus_bar.flags */
#define BUS_BAR_IO       BIT(0) /* I/O ports, else memory */
#define BUS_BAR_64       BIT(1)
#define BUS_BAR_PREFETCH BIT(2)

/* A base address register; size 0: there is none. */
struct bus_bar {
	u64 address; /* bus address; 0: the firmware gave none */
	u64 size;    /* bytes, a power of two */
	u32 flags;
	u32 reserved;
};

/* bus_function.flags */
#define BUS_BRIDGE  BIT(0) /* to another PCI bus */
#define BUS_EXPRESS BIT(1)
#define BUS_RESET   BIT(2) /* can be reset alone */
#define BUS_TO_PCI  BIT(3) /* an Express bridge to a conventional bus */
#define BUS_ACS     BIT(4) /* sends all requests upstream, to the IOMMU (Access Control Services) */
#define BUS_CHIPSET BIT(5) /* nothing says that the root complex keeps it from other functions */

/* bus_function.port of Express functions: PCI Express Base Specification 5.0, 7.5.3.2. */
#define BUS_PORT_ROOT       4u
#define BUS_PORT_DOWNSTREAM 6u /* of a switch */
#define BUS_PORT_TO_PCI     7u

/* What a bridge forwards to its secondary bus; size 0: nothing. */
struct bus_window {
	u64 address;
	u64 size;
};

struct bus_function {
	u32 function; /* segment << 16 | bus << 8 | device << 3 | function */
	u16 vendor;
	u16 device;
	u32 class; /* base class << 16 | sub-class << 8 | interface */
	u16 subsystem_vendor;
	u16 subsystem;
	u8 revision;
	u8 flags;     /* BUS_* */
	u8 pin;       /* 1 to 4: INTA to INTD; 0: none */
	u8 secondary; /* bus behind a bridge */
	u8 line;      /* of the ISA bus that the pin leads to, as a level; or BUS_NO_LINE */
	u8 reserved;
	u16 msi; /* messages; 0: no such capability */
	u16 msix;
	u8 port;  /* kind of Express function, BUS_PORT_* or another */
	u8 group; /* its functions reach one another without passing an IOMMU; 0: it reaches none so
		   */
	struct bus_bar bar[BUS_BARS];
	struct bus_bar rom;          /* expansion ROM; its address is often not given */
	struct bus_window window[2]; /* of a bridge: memory, prefetchable memory */
};

enum bus_state {
	BUS_EMPTY = 0,
	BUS_READY = 1,
};

struct bus_table {
	u32 state; /* enum bus_state; written last */
	u32 functions;
	u32 left_out; /* functions for which there was no room */
	u32 reserved;
	struct bus_function function[BUS_FUNCTIONS];
};

/* What root asks for: that the ROM of a function decodes, or no longer. The server signals root
 * when it is done. Memory decoding of the function stays on. */
struct bus_rom {
	u32 asked;    /* root's: counts what it asked for; written last */
	u32 done;     /* the server's: what of that it has done */
	u32 function; /* root's */
	u32 address;  /* root's: bus address; 0: it is not to decode */
};

/* The bridge whose secondary bus is `bus`, with its segment (segment << 8 | bus); NULL: there is
 * none, as for bus 0, which a bridge that the firmware left alone has in its register. */
static inline const struct bus_function *bus_bridge_to(const struct bus_table *t, u32 bus)
{
	for (u32 i = 0; i < t->functions; i++) {
		const struct bus_function *f = &t->function[i];

		if (f->flags & BUS_BRIDGE && f->secondary &&
			(f->function >> 16 << 8 | f->secondary) == bus)
			return f;
	}
	return NULL;
}

struct bus_session {
	struct bus_table table;
	struct bus_rom rom;
};

#define BUS_SESSION_SIZE ALIGN_UP(sizeof(struct bus_session), PAGE_SIZE)
