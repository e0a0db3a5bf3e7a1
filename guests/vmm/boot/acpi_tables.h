/*
 * The guest's ACPI tables: RSDP, RSDT, XSDT, FADT, FACS, MADT, DSDT.
 *
 * ACPI specification 6.4, chapters 5 (tables), 19 and 20 (ASL and AML).
 */
#pragma once

#include "guests/vmm/dev/device.h"

#define ACPI_AREA      0xe0000ull /* guest-physical: where direct boot puts the tables */
#define ACPI_AREA_SIZE 0x1f000u   /* BOOT_HANDLERS is behind it */
#define ACPI_ALIGN     64         /* of the whole: FACS */
#define ACPI_CPUS_MAX  64
#define ACPI_OEM_ID    "BLKHD "
#define ACPI_OEM_TABLE "BULKHEAD"

struct acpi_config {
	u32 cpus; /* 1 to ACPI_CPUS_MAX; APIC IDs are apic_id[], UIDs the indices */
	const u32 *apic_id;
	u16 pm_base;  /* I/O base of the PM block */
	bool serial1; /* COM1, 0x3F8, line 4 */
	bool serial2; /* COM2, 0x2F8, line 3 */
	bool i8042;
	bool vga;
	bool pci;    /* host bridge with windows and routing */
	u64 pci_low; /* memory window below 4 GiB: first address, bytes */
	u64 pci_low_size;
	u64 pci_high; /* memory window above 4 GiB; size 0: none */
	u64 pci_high_size;
};

#define ACPI_PCI_LOW      0xc0000000ull /* the usual window */
#define ACPI_PCI_LOW_SIZE 0x3ec00000ull

/* A pointer within the tables: `size` bytes at `where` hold base + target. */
struct acpi_fixup {
	u32 where;
	u32 target;
	u32 size; /* 4 or 8 */
};

/* A checksum: the byte at `where` makes the sum of [start, start + size) zero. */
struct acpi_sum {
	u32 where;
	u32 start;
	u32 size;
};

#define ACPI_FIXUPS 10
#define ACPI_SUMS   8

/*
 * What was built. Pointers and sums are listed so that a VMM can hand the tables to firmware as
 * fw_cfg files: built with base 0, `tables` bytes are etc/acpi/tables, and what follows from `rsdp`
 * on is etc/acpi/rsdp; the lists give the commands of etc/table-loader.
 */
struct acpi_result {
	u32 size;   /* bytes in all */
	u32 tables; /* bytes of everything but the RSDP */
	u32 rsdp;   /* offset of the RSDP, a multiple of 16; base + rsdp is for acpi_rsdp_addr */
	u32 rsdp_size;
	u32 fixups;
	u32 sums;
	struct acpi_fixup fixup[ACPI_FIXUPS]; /* the RSDP's: where >= rsdp */
	struct acpi_sum sum[ACPI_SUMS];
};

/*
 * Builds the tables.
 *
 * config: the machine
 * base:   guest-physical address of the area, a multiple of ACPI_ALIGN
 * area:   where the caller sees it; size bytes; unused bytes are left alone
 *
 * Returns false if the area is too small or the configuration is out of range; the area's content
 * is then undefined. For a guest that scans for the RSDP the area lies in 0xE0000-0xFFFFF.
 */
bool acpi_build(const struct acpi_config *config, gpa_t base, u8 *area, size_t size,
	struct acpi_result *result);
