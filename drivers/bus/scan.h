/* Finds the functions on the PCI buses. Pure but for the accesses that its user gives it. */
#pragma once

#include "drivers/protocols/bus.h"

/* How configuration space is reached: offsets are multiples of the size, which is 1, 2 or 4. */
struct bus_access {
	u32 (*read)(u32 function, u32 offset, u32 size);
	void (*write)(u32 function, u32 offset, u32 size, u32 value);
};

/*
 * Fills in `t` with the functions on bus 0 of `segment` and on the buses behind its bridges, by the
 * bus numbers that the firmware gave. Base address registers are sized, for which each function
 * does not decode for a moment; expansion ROMs do not decode afterwards; bridges towards the host
 * and what cannot be sized so keep their registers. `t` may hold other segments' functions already.
 * PCI Local Bus Specification 3.0, 6.1, 6.2.5; PCI-to-PCI Bridge Architecture 1.2, 3.2.
 */
void bus_scan(struct bus_table *t, u32 segment, const struct bus_access *access);

/*
 * Fills in `line` of the functions of segment 0 whose pins lead to the PIRQ lines of a PIIX3 or
 * PIIX4 on bus 0 (82371SB data sheet, 2.2.13). A function behind a bridge has its bridge's pin,
 * turned by its device number (PCI-to-PCI Bridge Architecture 1.2, 9.1).
 */
void bus_route_piix(struct bus_table *t, const struct bus_access *access);

/*
 * Turns on Access Control Services (ACS) where functions have them: source validation, redirection
 * of requests and completions, upstream forwarding; without exceptions. Fills in `group` of all
 * functions, BUS_ACS and BUS_CHIPSET, which are not set before:
 *
 * - a downstream port of a switch without them lets what is behind it, and behind its sisters,
 * reach one another;
 * - so does a device of several functions, not on a root bus, of which one is without them, or
 * would be after a reset of the function;
 * - what is on a root bus, or behind different root ports, is for the root complex to keep apart.
 *
 * PCI Express Base Specification 5.0, 6.12, 7.7.8. Without ECAM there is no access to the
 * registers, and all count as without.
 */
void bus_isolate(struct bus_table *t, const struct bus_access *access);

/*
 * Lets the expansion ROM of a function decode at a bus address, a multiple of its size, with memory
 * decoding on; or, with address 0, no longer. While it does, the function's other registers may not
 * be accessed (PCI Local Bus Specification 3.0, 6.2.5.2).
 */
void bus_show_rom(u32 function, u32 address, const struct bus_access *access);
