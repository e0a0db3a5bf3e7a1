/* A machine of crafted ACPI tables for unit tests: physical memory, configuration space, notes. */
#pragma once

#include "boot/acpi.h"

/* Forgets everything: no tables, no notes, no bridges. */
void machine_reset(void);

/*
 * Puts a table with this signature and these bytes after its header into memory, with a right
 * checksum, and lists it in the XSDT if `listed`. Returns its physical address.
 */
paddr_t machine_add(const char *signature, const void *body, u32 size, bool listed);

/* Bytes of a table in memory, to be damaged. */
u8 *machine_bytes(paddr_t table);

/* Makes the checksum of a table right again. */
void machine_seal(paddr_t table);

/* Lists a physical address in the XSDT without putting anything there. */
void machine_list(paddr_t table);

/* Makes a PCI bridge with these buses below it. */
void machine_bridge(u16 bdf, u8 secondary, u8 subordinate);

/* What kind of root the RSDP has; the default is both. */
void machine_roots(bool xsdt, bool rsdt);

/* Writes RSDP and root tables, then runs the parser. Returns what acpi_open returned. */
status_t machine_collect_acpi(struct boot_info *info);

/* How many notes there were, and the last one. */
u32 machine_notes(void);
const char *machine_note(void);
