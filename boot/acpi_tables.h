/*
 * The static ACPI tables that the loader reads: ACPI 6.5 chapter 5; PCI Firmware 3.2 section 4.1.2
 * (MCFG); IA-PC HPET 1.0a section 3.2.4; VT-d 4.0 chapter 8 (DMAR); AMD IOMMU 3.08 chapter 5
 * (IVRS). Tables stand at any address in memory, so every structure is packed.
 */
#pragma once

#include "kernel/abi/types.h"

#define ACPI_PACKED __attribute__((packed))

struct acpi_rsdp {
	char signature[8];
	u8 checksum; /* over the first 20 bytes */
	char oem[6];
	u8 revision;
	u32 rsdt;
	u32 length; /* from here on: revision 2 and later */
	u64 xsdt;
	u8 extended_checksum;
	u8 reserved[3];
} ACPI_PACKED;
static_assert(sizeof(struct acpi_rsdp) == 36);

#define ACPI_RSDP_SIGNATURE "RSD PTR "
#define ACPI_RSDP_V1_SIZE   20

struct acpi_header {
	char signature[4];
	u32 length; /* of the whole table */
	u8 revision;
	u8 checksum;
	char oem[6];
	char oem_table[8];
	u32 oem_revision;
	u32 creator;
	u32 creator_revision;
} ACPI_PACKED;
static_assert(sizeof(struct acpi_header) == 36);

/* Generic address structure, 5.2.3.2 */
struct acpi_gas {
	u8 space;
	u8 width;
	u8 offset;
	u8 access;
	u64 address;
} ACPI_PACKED;
static_assert(sizeof(struct acpi_gas) == 12);

#define ACPI_SPACE_MEMORY 0
#define ACPI_SPACE_IO     1
#define ACPI_SPACE_NONE   0xff /* boot_power.reset_space where there is none */

/* MADT, 5.2.12 */
struct acpi_madt {
	struct acpi_header header;
	u32 lapic;
	u32 flags;
} ACPI_PACKED;
static_assert(sizeof(struct acpi_madt) == 44);

#define MADT_PCAT_COMPAT BIT(0)

enum madt_type {
	MADT_LAPIC = 0,
	MADT_IOAPIC = 1,
	MADT_OVERRIDE = 2,
	MADT_X2APIC = 9,
};

struct madt_entry {
	u8 type;
	u8 length;
} ACPI_PACKED;

struct madt_lapic {
	struct madt_entry entry;
	u8 uid;
	u8 apic_id;
	u32 flags;
} ACPI_PACKED;
static_assert(sizeof(struct madt_lapic) == 8);

#define MADT_CPU_ENABLED BIT(0)

struct madt_ioapic {
	struct madt_entry entry;
	u8 id;
	u8 reserved;
	u32 address;
	u32 gsi_base;
} ACPI_PACKED;
static_assert(sizeof(struct madt_ioapic) == 12);

struct madt_override {
	struct madt_entry entry;
	u8 bus; /* 0: ISA */
	u8 source;
	u32 gsi;
	u16 flags;
} ACPI_PACKED;
static_assert(sizeof(struct madt_override) == 10);

#define MADT_POLARITY_MASK 0x3
#define MADT_POLARITY_LOW  0x3
#define MADT_TRIGGER_MASK  0xc
#define MADT_TRIGGER_LEVEL 0xc

struct madt_x2apic {
	struct madt_entry entry;
	u16 reserved;
	u32 apic_id;
	u32 flags;
	u32 uid;
} ACPI_PACKED;
static_assert(sizeof(struct madt_x2apic) == 16);

/* MCFG */
struct acpi_mcfg {
	struct acpi_header header;
	u64 reserved;
} ACPI_PACKED;

struct mcfg_entry {
	u64 base;
	u16 segment;
	u8 first_bus;
	u8 last_bus;
	u32 reserved;
} ACPI_PACKED;
static_assert(sizeof(struct mcfg_entry) == 16);

/* HPET */
struct acpi_hpet {
	struct acpi_header header;
	u32 block_id;
	struct acpi_gas base;
	u8 number;
	u16 minimum_tick;
	u8 attributes;
} ACPI_PACKED;
static_assert(sizeof(struct acpi_hpet) == 56);

/* FADT, 5.2.9; a firmware of an old revision ends it earlier */
struct acpi_fadt {
	struct acpi_header header;
	u32 facs;
	u32 dsdt;
	u8 reserved0;
	u8 profile;
	u16 sci_irq;
	u32 smi_command;
	u8 acpi_enable;
	u8 acpi_disable;
	u8 unused1[2];
	u32 pm1a_event;
	u32 pm1b_event;
	u32 pm1a_control;
	u32 pm1b_control;
	u32 pm2_control;
	u32 pm_timer;
	u8 unused2[11];
	u8 pm_timer_length;
	u8 unused3[20];
	u32 flags;
	struct acpi_gas reset;
	u8 reset_value;
	u8 unused4[11];
	u64 x_dsdt;
	u8 unused5[24];
	struct acpi_gas x_pm1a_control;
	struct acpi_gas x_pm1b_control;
	struct acpi_gas x_pm2_control;
	struct acpi_gas x_pm_timer;
} ACPI_PACKED;
static_assert(offsetof(struct acpi_fadt, pm1a_control) == 64);
static_assert(offsetof(struct acpi_fadt, pm_timer) == 76);
static_assert(offsetof(struct acpi_fadt, pm_timer_length) == 91);
static_assert(offsetof(struct acpi_fadt, flags) == 112);
static_assert(offsetof(struct acpi_fadt, reset) == 116);
static_assert(offsetof(struct acpi_fadt, x_dsdt) == 140);
static_assert(offsetof(struct acpi_fadt, x_pm1a_control) == 172);
static_assert(offsetof(struct acpi_fadt, x_pm_timer) == 208);

#define FADT_V1_SIZE         116 /* bytes of the first revision */
#define FADT_TIMER_32BIT     BIT(8)
#define FADT_RESET_SUPPORTED BIT(10)

/* DMAR, chapter 8 */
struct acpi_dmar {
	struct acpi_header header;
	u8 address_width;
	u8 flags;
	u8 reserved[10];
} ACPI_PACKED;
static_assert(sizeof(struct acpi_dmar) == 48);

#define DMAR_INTR_REMAP BIT(0)
#define DMAR_OPT_IN     BIT(2)

enum dmar_type {
	DMAR_DRHD = 0,
	DMAR_RMRR = 1,
};

struct dmar_entry {
	u16 type;
	u16 length;
} ACPI_PACKED;

struct dmar_drhd {
	struct dmar_entry entry;
	u8 flags;
	u8 size;
	u16 segment;
	u64 base;
} ACPI_PACKED;
static_assert(sizeof(struct dmar_drhd) == 16);

#define DRHD_INCLUDE_PCI_ALL BIT(0)

struct dmar_rmrr {
	struct dmar_entry entry;
	u16 reserved;
	u16 segment;
	u64 base;
	u64 limit; /* the last byte */
} ACPI_PACKED;
static_assert(sizeof(struct dmar_rmrr) == 24);

/* Device scope, 8.3.1; after it the path: device and function of each step, from start_bus */
struct dmar_scope {
	u8 type;
	u8 length;
	u8 flags;
	u8 reserved;
	u8 enumeration_id;
	u8 start_bus;
} ACPI_PACKED;
static_assert(sizeof(struct dmar_scope) == 6);

/* IVRS, chapter 5 */
struct acpi_ivrs {
	struct acpi_header header;
	u32 info;
	u64 reserved;
} ACPI_PACKED;
static_assert(sizeof(struct acpi_ivrs) == 48);

enum ivrs_type {
	IVRS_IVHD_10 = 0x10,
	IVRS_IVHD_11 = 0x11,
	IVRS_IVHD_40 = 0x40,
	IVRS_IVMD_ALL = 0x20,
	IVRS_IVMD_ONE = 0x21,
	IVRS_IVMD_RANGE = 0x22,
};

struct ivrs_block {
	u8 type;
	u8 flags;
	u16 length;
	u16 bdf;
} ACPI_PACKED;

struct ivrs_ivhd {
	struct ivrs_block block;
	u16 capability;
	u64 base;
	u16 segment;
	u16 info;
	u32 features;
} ACPI_PACKED;
static_assert(sizeof(struct ivrs_ivhd) == 24);

#define IVHD_10_SIZE 24 /* bytes before the device entries */
#define IVHD_11_SIZE 40 /* likewise, types 11h and 40h */

struct ivrs_ivmd {
	struct ivrs_block block;
	u16 last_bdf; /* of a range */
	u16 segment;
	u8 reserved[6];
	u64 base;
	u64 size;
} ACPI_PACKED;
static_assert(sizeof(struct ivrs_ivmd) == 32);

/* IVHD device entries */
enum ivhd_type {
	IVHD_PAD = 0,
	IVHD_ALL = 1,
	IVHD_SELECT = 2,
	IVHD_RANGE = 3,
	IVHD_RANGE_END = 4,
	IVHD_ALIAS = 0x42,
	IVHD_ALIAS_RANGE = 0x43,
	IVHD_EXT_SELECT = 0x46,
	IVHD_EXT_RANGE = 0x47,
	IVHD_SPECIAL = 0x48,
	IVHD_ACPI_HID = 0xf0,
};

struct ivhd_entry {
	u8 type;
	u16 bdf;
	u8 setting;
} ACPI_PACKED;
static_assert(sizeof(struct ivhd_entry) == 4);

struct ivhd_alias {
	struct ivhd_entry entry;
	u8 reserved0;
	u16 alias;
	u8 reserved1;
} ACPI_PACKED;
static_assert(sizeof(struct ivhd_alias) == 8);

struct ivhd_special {
	struct ivhd_entry entry; /* its bdf is reserved */
	u8 handle;
	u16 bdf;
	u8 variety;
} ACPI_PACKED;
static_assert(sizeof(struct ivhd_special) == 8);

#define IVHD_VARIETY_IOAPIC 1
#define IVHD_VARIETY_HPET   2

#define IVHD_HID_UID_LENGTH 21 /* offset of the byte that tells how many bytes of UID follow */
