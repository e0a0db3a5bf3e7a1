/* What root knows of the PCI functions, from the bus domain. */
#pragma once

#include "drivers/protocols/bus.h"
#include "drivers/root/description.h"
#include "kernel/abi/boot.h"

struct member;
struct session;

/* --- bus.c --- */

/* Gives root's end of the bus domain's session its memory. */
status_t bus_attach(struct session *s);

/* Sets the bus domain's event bit. */
void bus_signal(void);

/* The number of the function as lspci writes it; until the call after the next. */
const char *bus_number(const struct device_node *d);

/* Takes over what the bus domain tells, once it does. */
void bus_run(void);

/* True if it has access to a PCI function. */
bool bus_has_functions(const struct member *m);

/* True if the member waits for the bus domain to tell of a function that it has access to. */
bool bus_awaited(const struct member *m);

/*
 * Makes what the member's PCI functions need for as long as its holder keeps its state: their devs.
 * False, with a line in the log, if one is not there, is not what the description says, or may not
 * be given.
 */
bool bus_devices_make(struct member *m);
void bus_devices_end(struct member *m);

/* Lets a partition's functions reach its guest's RAM, at the guest's own addresses. False: logged.
 */
bool bus_guest_attach(struct member *m);

/* The program that had them is gone: they are stopped and, where that is possible, reset. */
void bus_devices_reset(struct member *m);

/* Adds function `i` of the node's devices to the start page of the member's process. */
bool bus_devices_add(struct member *m, struct start_info *info, u32 i);

/* The member that has a function whose requests carry that ID, or NULL. */
struct member *bus_requester_owner(u32 requester);

/* The operator's commands. */
void bus_list(void);
void bus_describe(void);

/* --- bus_table.c: pure --- */

#define BUS_LINES 12
#define BUS_LINE  120

/*
 * True if a table that a bus domain wrote can be used: counts and sizes in range, addresses that
 * are multiples of sizes, no function twice.
 */
bool bus_table_valid(const struct bus_table *t);

/* A function as lines for the operator; `owner` NULL: nobody's; `fence`: FENCE_*. Returns their
 * number. */
u32 bus_text(const struct bus_function *f, const char *owner, u32 fence,
	char lines[BUS_LINES][BUS_LINE]);

/*
 * The ID that the function's requests carry where an IOMMU sees them, with its segment: its own;
 * behind a conventional bridge the bridge's or that of its bus (VT-d specification, 3.4.1; PCI
 * Express to PCI/PCI-X Bridge Specification, 2.3); or the alias that the firmware tells.
 */
u32 bus_requester(
	const struct bus_table *t, const struct boot_info *machine, const struct bus_function *f);

/* True if the two, of which `g` may be NULL, can reach each other without passing an IOMMU. */
bool bus_same_group(const struct bus_function *f, const struct bus_function *g);

/* Does `compatible`, "pciVENDOR,DEVICE" or "pciclass,CLASS" with 4 or 6 digits, name the function?
 */
bool bus_compatible(const struct bus_function *f, const char *compatible);

/* True if a page of memory register `bar` of `f` holds registers of another function too. */
bool bus_shares_page(const struct bus_table *t, const struct bus_function *f, u32 bar);

/*
 * A bus address at which the expansion ROM of `f` may decode: where the firmware put it, else
 * between other registers of its bus, where nobody is known to be; 0: there is none, or the
 * function has memory registers without an address, which would decode with it. Nothing but the
 * ROM answers there, if the firmware has told of all that is not a register of a PCI function.
 */
u64 bus_rom_place(
	const struct bus_table *t, const struct boot_info *machine, const struct bus_function *f);

/*
 * Where the pin of `f` leads: by the description's map, else by the routing that the bus domain
 * read. A function behind a bridge has its bridge's pin, turned by its device number, unless the
 * map knows it itself (PCI-to-PCI Bridge Architecture 1.2, 9.1). False: that is not known.
 */
bool bus_route(const struct bus_table *t, const struct interrupt_map *map,
	const struct boot_info *machine, const struct bus_function *f, struct interrupt *out);

/*
 * Another node than `self` with a device that has the interrupt `gsi` as its line too, or NULL. A
 * guest that never ends such an interrupt would keep the other from its own.
 */
const struct domain_node *bus_line_shared(const struct bus_table *t, const struct description *d,
	const struct boot_info *machine, const struct domain_node *self, u32 gsi);

/* The line of a description that gives the pin of `f` a route; INPUT and SENSE are for the reader
 * to find out. */
void bus_map_text(const struct bus_function *f, char line[BUS_LINE]);

/* The GSI of line `line` of the ISA bus, by the firmware's overrides. `level`: unless they say
 * otherwise. */
struct interrupt bus_isa_interrupt(const struct boot_info *machine, u8 line, bool level);

/*
 * The line of a description that names the function (a child of the node of segment 0's host
 * bridge); false: it is none that a driver would be given.
 */
bool bus_node_text(const struct bus_function *f, char line[BUS_LINE]);
