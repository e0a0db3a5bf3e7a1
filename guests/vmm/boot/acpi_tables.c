/* The static ACPI tables, and where each lies: see acpi_tables.h. */
#include "guests/vmm/boot/acpi_tables.h"
#include "guests/vmm/boot/acpi_dsdt.h"
#include "guests/vmm/dev/ioapic.h"
#include "guests/vmm/dev/lapic.h"
#include "guests/vmm/dev/pci.h"
#include "guests/vmm/dev/pit.h"
#include "guests/vmm/dev/pm.h"
#include "guests/vmm/dev/rtc.h"

#define HEADER_SIZE     36u
#define HEADER_LENGTH   4 /* offsets in the header */
#define HEADER_CHECKSUM 9
#define OEM_REVISION    1
#define CREATOR_ID      DEVICE_MAGIC('B', 'L', 'K', 'H')

#define DSDT_REVISION 2 /* integers of 64 bits */
#define FADT_REVISION 6
#define FADT_MINOR    4
#define FADT_SIZE     276u
#define MADT_REVISION 5
#define FACS_SIZE     64u
#define FACS_VERSION  2
#define XSDT_REVISION 1
#define RSDP_SIZE     36u
#define RSDP_SIZE_V1  20u
#define RSDP_REVISION 2
#define RSDP_CHECKSUM 8
#define RSDP_EXTENDED 32
#define RSDP_RSDT     16
#define RSDP_XSDT     24
#define RSDP_ALIGN    16

enum fadt_field { /* offsets (table 5.9) */
	FADT_FACS = 36,
	FADT_DSDT = 40,
	FADT_SCI = 46,
	FADT_SMI_COMMAND = 48,
	FADT_ACPI_ENABLE = 52,
	FADT_ACPI_DISABLE = 53,
	FADT_PM1A_EVENT = 56,
	FADT_PM1A_CONTROL = 64,
	FADT_PM_TIMER = 76,
	FADT_GPE0 = 80,
	FADT_PM1_EVENT_LENGTH = 88,
	FADT_PM1_CONTROL_LENGTH = 89,
	FADT_PM_TIMER_LENGTH = 91,
	FADT_GPE0_LENGTH = 92,
	FADT_C2_LATENCY = 96,
	FADT_C3_LATENCY = 98,
	FADT_CENTURY = 108,
	FADT_BOOT_ARCH = 109,
	FADT_FLAGS = 112,
	FADT_RESET_REGISTER = 116,
	FADT_RESET_VALUE = 128,
	FADT_MINOR_VERSION = 131,
	FADT_X_DSDT = 140,
	FADT_X_PM1A_EVENT = 148,
	FADT_X_PM1A_CONTROL = 172,
	FADT_X_PM_TIMER = 208,
	FADT_X_GPE0 = 220,
};

#define FADT_NO_C2           0xfff /* latencies that mean: not there */
#define FADT_NO_C3           0xfff
#define FADT_WBINVD          BIT(0)
#define FADT_C1              BIT(2)
#define FADT_NO_SLEEP_BUTTON BIT(5)
#define FADT_NO_RTC_WAKE     BIT(6)
#define FADT_RESET_SUPPORTED BIT(10)
#define FADT_LEGACY_DEVICES  BIT(0)
#define FADT_8042            BIT(1)
#define FADT_NO_VGA          BIT(2)
#define PM1_EVENT_LENGTH     4
#define PM1_CONTROL_LENGTH   2
#define GPE0_LENGTH          4

#define GAS_IO    1 /* address space */
#define GAS_BYTE  1 /* access sizes */
#define GAS_WORD  2
#define GAS_DWORD 3

enum madt_type { /* table 5.45 */
	MADT_LAPIC = 0,
	MADT_IOAPIC = 1,
	MADT_OVERRIDE = 2,
	MADT_LAPIC_NMI = 4,
	MADT_X2APIC = 9,
	MADT_X2APIC_NMI = 10,
};

#define MADT_PCAT       1 /* there are 8259s */
#define MADT_ENABLED    1
#define MADT_CONFORMING 0x0 /* polarity and trigger as is usual for the bus */
#define MADT_HIGH_LEVEL 0xd /* active high, level-triggered */
#define MADT_ALL_CPUS   0xff
#define MADT_ALL_CPUS32 0xffffffffu
#define MADT_LINT_NMI   1
#define ISA_BUS         0
#define PIT_GSI         2
#define APIC_ID_LIMIT   255u /* higher ones are x2APIC entries */

struct builder {
	struct aml out;
	struct acpi_result *result;
	gpa_t base;
};

static void pad(struct builder *b, u32 alignment)
{
	while (!b->out.full && b->out.used % alignment)
		aml_byte(&b->out, 0);
}

static void text(struct builder *b, const char *s, unsigned length)
{
	for (unsigned i = 0; i < length; i++)
		aml_byte(&b->out, (u8)s[i]);
}

static void poke(struct builder *b, u32 where, u64 value, unsigned size)
{
	for (unsigned i = 0; i < size && where + i < b->out.used; i++)
		b->out.bytes[where + i] = (u8)(value >> i * 8);
}

/* Stores a pointer to `target`, an offset in the area. */
static void point(struct builder *b, u32 where, u32 target, u32 size)
{
	poke(b, where, b->base + target, size);
	if (b->result->fixups < ACPI_FIXUPS)
		b->result->fixup[b->result->fixups++] = (struct acpi_fixup){where, target, size};
}

static void sum(struct builder *b, u32 where, u32 start, u32 size)
{
	u8 total = 0;

	if (b->out.full)
		return;
	b->out.bytes[where] = 0;
	for (u32 i = 0; i < size; i++)
		total += b->out.bytes[start + i];
	b->out.bytes[where] = (u8)-total;
	if (b->result->sums < ACPI_SUMS)
		b->result->sum[b->result->sums++] = (struct acpi_sum){where, start, size};
}

/* Begins a table; returns its offset. The rest follows, and table_end. */
static u32 table_begin(struct builder *b, const char *signature, u8 revision)
{
	u32 start;

	pad(b, 8);
	start = b->out.used;
	text(b, signature, 4);
	aml_raw(&b->out, 0, 4); /* length */
	aml_byte(&b->out, revision);
	aml_byte(&b->out, 0); /* checksum */
	text(b, ACPI_OEM_ID, 6);
	text(b, ACPI_OEM_TABLE, 8);
	aml_raw(&b->out, OEM_REVISION, 4);
	aml_raw(&b->out, CREATOR_ID, 4);
	aml_raw(&b->out, OEM_REVISION, 4);
	return start;
}

/* Sets the length; the checksum comes last, when the pointers are there. */
static u32 table_end(struct builder *b, u32 start)
{
	u32 length = b->out.used - start;

	poke(b, start + HEADER_LENGTH, length, 4);
	return length;
}

static void table_sum(struct builder *b, u32 start, u32 length)
{
	sum(b, start + HEADER_CHECKSUM, start, length);
}

static u32 build_facs(struct builder *b)
{
	u32 start;

	pad(b, ACPI_ALIGN);
	start = b->out.used;
	text(b, "FACS", 4);
	aml_raw(&b->out, FACS_SIZE, 4);
	aml_raw(&b->out, 0, 8); /* hardware signature, waking vector */
	aml_raw(&b->out, 0, 8); /* lock, flags */
	aml_raw(&b->out, 0, 8); /* long waking vector */
	aml_byte(&b->out, FACS_VERSION);
	while (!b->out.full && b->out.used < start + FACS_SIZE)
		aml_byte(&b->out, 0);
	return start;
}

static u32 build_dsdt(struct builder *b, const struct acpi_config *config)
{
	u32 start = table_begin(b, "DSDT", DSDT_REVISION);

	acpi_dsdt(&b->out, config);
	table_sum(b, start, table_end(b, start));
	return start;
}

/* A generic address in I/O space (5.2.3.2). */
static void poke_io(struct builder *b, u32 where, u16 port, u8 bytes, u8 access)
{
	poke(b, where, GAS_IO, 1);
	poke(b, where + 1, bytes * 8ull, 1);
	poke(b, where + 2, 0, 1);
	poke(b, where + 3, access, 1);
	poke(b, where + 4, port, 8);
}

/* A register block in its old field and its generic one. */
static void poke_block(
	struct builder *b, u32 start, u32 old, u32 generic, u16 port, u8 bytes, u8 access)
{
	poke(b, start + old, port, 4);
	poke_io(b, start + generic, port, bytes, access);
}

static void fill_fadt(struct builder *b, u32 start, const struct acpi_config *config)
{
	u16 pm = config->pm_base;
	u64 boot = FADT_LEGACY_DEVICES | (config->i8042 ? FADT_8042 : 0) |
		   (config->vga ? 0 : FADT_NO_VGA);

	poke(b, start + FADT_SCI, PM_SCI_LINE, 2);
	poke(b, start + FADT_SMI_COMMAND, PM_APM_CONTROL, 4);
	poke(b, start + FADT_ACPI_ENABLE, PM_ACPI_ENABLE, 1);
	poke(b, start + FADT_ACPI_DISABLE, PM_ACPI_DISABLE, 1);
	poke_block(b, start, FADT_PM1A_EVENT, FADT_X_PM1A_EVENT, pm + PM1_STATUS, PM1_EVENT_LENGTH,
		GAS_WORD);
	poke_block(b, start, FADT_PM1A_CONTROL, FADT_X_PM1A_CONTROL, pm + PM1_CONTROL,
		PM1_CONTROL_LENGTH, GAS_WORD);
	poke_block(b, start, FADT_PM_TIMER, FADT_X_PM_TIMER, pm + PM_TIMER, sizeof(u32), GAS_DWORD);
	poke_block(b, start, FADT_GPE0, FADT_X_GPE0, pm + PM_GPE0_STATUS, GPE0_LENGTH, GAS_BYTE);
	poke(b, start + FADT_PM1_EVENT_LENGTH, PM1_EVENT_LENGTH, 1);
	poke(b, start + FADT_PM1_CONTROL_LENGTH, PM1_CONTROL_LENGTH, 1);
	poke(b, start + FADT_PM_TIMER_LENGTH, sizeof(u32), 1);
	poke(b, start + FADT_GPE0_LENGTH, GPE0_LENGTH, 1);
	poke(b, start + FADT_C2_LATENCY, FADT_NO_C2, 2);
	poke(b, start + FADT_C3_LATENCY, FADT_NO_C3, 2);
	poke(b, start + FADT_CENTURY, RTC_CENTURY, 1);
	poke(b, start + FADT_BOOT_ARCH, boot, 2);
	poke(b, start + FADT_FLAGS,
		FADT_WBINVD | FADT_C1 | FADT_NO_SLEEP_BUTTON | FADT_NO_RTC_WAKE |
			FADT_RESET_SUPPORTED,
		4);
	poke_io(b, start + FADT_RESET_REGISTER, PCI_RESET_CONTROL, 1, GAS_BYTE);
	poke(b, start + FADT_RESET_VALUE, PCI_RESET_CPU | PCI_RESET_SYSTEM, 1);
	poke(b, start + FADT_MINOR_VERSION, FADT_MINOR, 1);
}

static u32 build_fadt(struct builder *b, const struct acpi_config *config, u32 facs, u32 dsdt)
{
	u32 start = table_begin(b, "FACP", FADT_REVISION);

	while (!b->out.full && b->out.used < start + FADT_SIZE)
		aml_byte(&b->out, 0);
	fill_fadt(b, start, config);
	point(b, start + FADT_FACS, facs, 4);
	point(b, start + FADT_DSDT, dsdt, 4);
	point(b, start + FADT_X_DSDT, dsdt, 8);
	table_sum(b, start, table_end(b, start));
	return start;
}

/* Returns whether the processor needed an x2APIC entry. */
static bool madt_processor(struct builder *b, u32 uid, u32 apic_id)
{
	bool wide = apic_id >= APIC_ID_LIMIT;

	if (wide) {
		aml_byte(&b->out, MADT_X2APIC);
		aml_byte(&b->out, 16);
		aml_raw(&b->out, 0, 2);
		aml_raw(&b->out, apic_id, 4);
		aml_raw(&b->out, MADT_ENABLED, 4);
		aml_raw(&b->out, uid, 4);
	} else {
		aml_byte(&b->out, MADT_LAPIC);
		aml_byte(&b->out, 8);
		aml_byte(&b->out, (u8)uid);
		aml_byte(&b->out, (u8)apic_id);
		aml_raw(&b->out, MADT_ENABLED, 4);
	}
	return wide;
}

static void madt_override(struct builder *b, u8 line, u32 gsi, u16 flags)
{
	aml_byte(&b->out, MADT_OVERRIDE);
	aml_byte(&b->out, 10);
	aml_byte(&b->out, ISA_BUS);
	aml_byte(&b->out, line);
	aml_raw(&b->out, gsi, 4);
	aml_raw(&b->out, flags, 2);
}

static void madt_nmi(struct builder *b, bool wide)
{
	aml_byte(&b->out, MADT_LAPIC_NMI);
	aml_byte(&b->out, 6);
	aml_byte(&b->out, MADT_ALL_CPUS);
	aml_raw(&b->out, MADT_CONFORMING, 2);
	aml_byte(&b->out, MADT_LINT_NMI);
	if (!wide)
		return;
	aml_byte(&b->out, MADT_X2APIC_NMI);
	aml_byte(&b->out, 12);
	aml_raw(&b->out, MADT_CONFORMING, 2);
	aml_raw(&b->out, MADT_ALL_CPUS32, 4);
	aml_byte(&b->out, MADT_LINT_NMI);
	aml_raw(&b->out, 0, 3);
}

static u32 build_madt(struct builder *b, const struct acpi_config *config)
{
	u32 start = table_begin(b, "APIC", MADT_REVISION);
	bool wide = false;

	aml_raw(&b->out, LAPIC_DEFAULT_BASE, 4);
	aml_raw(&b->out, MADT_PCAT, 4);
	for (u32 i = 0; i < config->cpus; i++)
		wide |= madt_processor(b, i, config->apic_id[i]);
	aml_byte(&b->out, MADT_IOAPIC);
	aml_byte(&b->out, 12);
	aml_byte(&b->out, 0); /* ID, as after reset */
	aml_byte(&b->out, 0);
	aml_raw(&b->out, IOAPIC_BASE, 4);
	aml_raw(&b->out, 0, 4); /* first GSI */
	madt_override(b, PIT_LINE, PIT_GSI, MADT_CONFORMING);
	madt_override(b, PM_SCI_LINE, PM_SCI_LINE, MADT_HIGH_LEVEL);
	madt_nmi(b, wide);
	table_sum(b, start, table_end(b, start));
	return start;
}

/* RSDT or XSDT: pointers of `width` bytes to the FADT and the MADT. */
static u32 build_root(struct builder *b, const char *signature, u32 width, u32 fadt, u32 madt)
{
	u32 start = table_begin(b, signature, XSDT_REVISION);

	aml_raw(&b->out, 0, width);
	aml_raw(&b->out, 0, width);
	point(b, start + HEADER_SIZE, fadt, width);
	point(b, start + HEADER_SIZE + width, madt, width);
	table_sum(b, start, table_end(b, start));
	return start;
}

static void build_rsdp(struct builder *b, u32 rsdt, u32 xsdt)
{
	u32 start = b->out.used;

	text(b, "RSD PTR ", 8);
	aml_byte(&b->out, 0); /* checksum */
	text(b, ACPI_OEM_ID, 6);
	aml_byte(&b->out, RSDP_REVISION);
	aml_raw(&b->out, 0, 4); /* RSDT */
	aml_raw(&b->out, RSDP_SIZE, 4);
	aml_raw(&b->out, 0, 8); /* XSDT */
	aml_raw(&b->out, 0, 4); /* extended checksum, reserved */
	point(b, start + RSDP_RSDT, rsdt, 4);
	point(b, start + RSDP_XSDT, xsdt, 8);
	sum(b, start + RSDP_CHECKSUM, start, RSDP_SIZE_V1);
	sum(b, start + RSDP_EXTENDED, start, RSDP_SIZE);
	b->result->rsdp = start;
	b->result->rsdp_size = RSDP_SIZE;
}

static bool config_allowed(const struct acpi_config *c)
{
	u64 low_end = c->pci_low + c->pci_low_size;

	if (c->cpus == 0 || c->cpus > ACPI_CPUS_MAX || c->pm_base == 0 ||
		c->pm_base > UINT16_MAX - PM_BLOCK_SIZE)
		return false;
	if (c->pci_low > UINT32_MAX || low_end < c->pci_low || low_end > BIT(32))
		return false;
	return c->pci_high + c->pci_high_size >= c->pci_high;
}

bool acpi_build(const struct acpi_config *config, gpa_t base, u8 *area, size_t size,
	struct acpi_result *result)
{
	struct builder b = {.out = {.bytes = area}, .result = result, .base = base};
	u32 facs, dsdt, fadt, madt, rsdt, xsdt;

	*result = (struct acpi_result){0};
	if (!config_allowed(config) || base % ACPI_ALIGN || base > UINT32_MAX - ACPI_AREA_SIZE)
		return false;
	b.out.size = size < ACPI_AREA_SIZE ? (u32)size : ACPI_AREA_SIZE;
	facs = build_facs(&b);
	dsdt = build_dsdt(&b, config);
	fadt = build_fadt(&b, config, facs, dsdt);
	madt = build_madt(&b, config);
	rsdt = build_root(&b, "RSDT", sizeof(u32), fadt, madt);
	xsdt = build_root(&b, "XSDT", sizeof(u64), fadt, madt);
	pad(&b, RSDP_ALIGN);
	result->tables = b.out.used;
	build_rsdp(&b, rsdt, xsdt);
	result->size = b.out.used;
	return !b.out.full;
}
