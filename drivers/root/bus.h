/* What root knows of the PCI functions, from the bus domain. */
#pragma once

#include "drivers/protocols/bus.h"
#include "drivers/root/description.h"

struct session;

/* --- bus.c --- */

/* Gives root's end of the bus domain's session its memory. */
status_t bus_attach(struct session *s);

/* Takes over what the bus domain tells, once it does. */
void bus_run(void);

/* The operator's commands. */
void bus_list(void);
void bus_describe(void);

/* --- bus_text.c: pure --- */

#define BUS_LINES 12
#define BUS_LINE  120

/*
 * True if a table that a bus domain wrote can be used: counts and sizes in range, addresses that
 * are multiples of sizes, no function twice.
 */
bool bus_table_valid(const struct bus_table *t);

/* A function as lines for the operator; `owner` NULL: nobody's. Returns their number. */
u32 bus_text(const struct bus_function *f, const char *owner, char lines[BUS_LINES][BUS_LINE]);

/*
 * The line of a description that names the function (a child of the node of segment 0's host
 * bridge); false: it is none that a driver would be given.
 */
bool bus_node_text(const struct bus_function *f, char line[BUS_LINE]);
