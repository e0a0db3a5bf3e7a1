/*
 * Flattens the static ACPI tables into boot_info. No EFI in here: memory, PCI configuration space
 * and messages come through struct acpi_access, and everything that a table says is checked. A
 * table or an entry that is damaged is reported and left out; the rest still counts.
 */
#pragma once

#include "acpi_tables.h"
#include "kernel/abi/boot.h"
#include "kernel/abi/status.h"

struct acpi_access {
	/* Returns `size` readable bytes at physical `base`, or NULL if there is no such memory. */
	const void *(*map)(paddr_t base, u64 size);
	/* Reads the 32-bit configuration register at `offset` (a multiple of 4) of a PCI function.
	 */
	u32 (*pci_read)(u16 segment, u16 bdf, u32 offset);
	/* Tells the operator what is odd about the table with this signature (4 characters). */
	void (*note)(const char *signature, const char *text);
};

/* The tables of one machine. */
struct acpi {
	const struct acpi_access *access;
	const u8 *root; /* the addresses in the XSDT or RSDT */
	u32 entries;
	u32 entry_size; /* 8 or 4 */
};

/*
 * Finds the XSDT, or else the RSDT, from the RSDP at `rsdp`. Returns OK, NOT_FOUND if the RSDP is
 * not there, or DAMAGED if it or both tables fail their checks.
 */
status_t acpi_open(struct acpi *acpi, const struct acpi_access *access, paddr_t rsdp);

/*
 * Returns the next whole table with this signature, or NULL. *next is the place to start from: 0 at
 * first, updated for the next call.
 */
const struct acpi_header *acpi_find(const struct acpi *acpi, const char *signature, u32 *next);

/*
 * Returns the table at `base` if it has this signature, a sound length and a right checksum, else
 * NULL after a note.
 */
const struct acpi_header *acpi_table(
	const struct acpi_access *access, paddr_t base, const char *signature);

/*
 * Fills in, from the tables, what boot_info says about processors, I/O APICs, overrides, 8259s,
 * ECAM, HPET, power and IOMMUs, and sets BOOT_FLAG_ACPI. info->cpu may already hold the boot
 * processor; it is not listed twice.
 */
void acpi_collect(const struct acpi *acpi, struct boot_info *info);

/* The parts of acpi_collect, a file each. `table` is whole and has the right checksum. */
void acpi_read_madt(
	const struct acpi *acpi, const struct acpi_header *table, struct boot_info *info);
void acpi_read_mcfg(
	const struct acpi *acpi, const struct acpi_header *table, struct boot_info *info);
void acpi_read_hpet(
	const struct acpi *acpi, const struct acpi_header *table, struct boot_info *info);
/* Comes after the MADT, whose overrides say where the SCI goes. */
void acpi_read_fadt(
	const struct acpi *acpi, const struct acpi_header *table, struct boot_info *info);
void acpi_read_dmar(
	const struct acpi *acpi, const struct acpi_header *table, struct boot_info *info);
void acpi_read_ivrs(
	const struct acpi *acpi, const struct acpi_header *table, struct boot_info *info);

/*
 * Looks for the package of sleep types named _S5_ in the AML of a DSDT or SSDT, `size` bytes.
 * Returns true and the two values (each 0 to 7).
 */
bool acpi_find_s5(const u8 *aml, u64 size, u8 *typ_a, u8 *typ_b);

/* Appends to boot_info's tables; a full one is noted, and the entry lost. */
struct boot_iommu *acpi_add_iommu(
	const struct acpi *acpi, struct boot_info *info, const char *signature);
void acpi_add_scope(const struct acpi *acpi, struct boot_iommu *iommu,
	const struct boot_iommu_scope *scope, const char *signature);
void acpi_add_dma_reserved(const struct acpi *acpi, struct boot_info *info,
	const struct boot_dma_reserved *reserved, const char *signature);
