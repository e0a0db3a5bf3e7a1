/* Processors and interrupts (MADT), configuration space (MCFG) and the HPET. */
#include "acpi.h"
#include "memory.h"

#define XAPIC_BROADCAST  0xffu
#define X2APIC_BROADCAST 0xffffffffu
#define HPET_ALIGN       0x400u

static void cpu_add(const struct acpi *acpi, struct boot_info *info, u32 apic_id)
{
	for (u32 i = 0; i < info->cpus; i++) {
		if (info->cpu[i].apic_id == apic_id)
			return;
	}
	if (info->cpus == BOOT_MAX_CPUS) {
		acpi->access->note("APIC", "too many processors; one stays off");
		return;
	}
	info->cpu[info->cpus++] = (struct boot_cpu){.apic_id = apic_id};
}

static void ioapic_add(
	const struct acpi *acpi, struct boot_info *info, const struct madt_ioapic *entry)
{
	if (!entry->address || !IS_ALIGNED(entry->address, 16)) {
		acpi->access->note("APIC", "an I/O APIC has an impossible address; ignored");
		return;
	}
	if (info->ioapics == BOOT_MAX_IOAPICS) {
		acpi->access->note("APIC", "too many I/O APICs; one is ignored");
		return;
	}
	info->ioapic[info->ioapics++] = (struct boot_ioapic){
		.address = entry->address, .gsi_base = entry->gsi_base, .id = entry->id};
}

/* "Conforms to the bus" is edge-triggered and active high: the bus is ISA. */
static void override_add(
	const struct acpi *acpi, struct boot_info *info, const struct madt_override *entry)
{
	struct boot_override override = {.isa_irq = entry->source, .gsi = entry->gsi};

	if (entry->bus != 0 || entry->source > 15) {
		acpi->access->note("APIC", "an interrupt override is not for ISA; ignored");
		return;
	}
	if (info->overrides == BOOT_MAX_OVERRIDES) {
		acpi->access->note("APIC", "too many interrupt overrides; one is ignored");
		return;
	}
	if ((entry->flags & MADT_POLARITY_MASK) == MADT_POLARITY_LOW)
		override.flags |= BOOT_IRQ_ACTIVE_LOW;
	if ((entry->flags & MADT_TRIGGER_MASK) == MADT_TRIGGER_LEVEL)
		override.flags |= BOOT_IRQ_LEVEL;
	info->override[info->overrides++] = override;
}

/* Bytes that an entry of this type has at the least; 0 for those that nobody here reads. */
static u32 madt_entry_least(u8 type)
{
	switch (type) {
	case MADT_LAPIC:
		return sizeof(struct madt_lapic);
	case MADT_IOAPIC:
		return sizeof(struct madt_ioapic);
	case MADT_OVERRIDE:
		return sizeof(struct madt_override);
	case MADT_X2APIC:
		return sizeof(struct madt_x2apic);
	default:
		return 0;
	}
}

static void madt_entry_read(
	const struct acpi *acpi, struct boot_info *info, const struct madt_entry *entry)
{
	const struct madt_lapic *lapic = (const void *)entry;
	const struct madt_x2apic *x2apic = (const void *)entry;

	switch (entry->type) {
	case MADT_LAPIC:
		if ((lapic->flags & MADT_CPU_ENABLED) && lapic->apic_id != XAPIC_BROADCAST)
			cpu_add(acpi, info, lapic->apic_id);
		break;
	case MADT_X2APIC:
		if ((x2apic->flags & MADT_CPU_ENABLED) && x2apic->apic_id != X2APIC_BROADCAST)
			cpu_add(acpi, info, x2apic->apic_id);
		break;
	case MADT_IOAPIC:
		ioapic_add(acpi, info, (const void *)entry);
		break;
	case MADT_OVERRIDE:
		override_add(acpi, info, (const void *)entry);
		break;
	}
}

void acpi_read_madt(
	const struct acpi *acpi, const struct acpi_header *table, struct boot_info *info)
{
	const struct acpi_madt *madt = (const void *)table;
	u64 at = sizeof(*madt);

	if (table->length < sizeof(*madt)) {
		acpi->access->note("APIC", "the table is too short; ignored");
		return;
	}
	if (madt->flags & MADT_PCAT_COMPAT)
		info->flags |= BOOT_FLAG_8259;
	while (at + sizeof(struct madt_entry) <= table->length) {
		const struct madt_entry *entry = (const void *)((const u8 *)table + at);

		if (entry->length < sizeof(*entry) || entry->length > table->length - at) {
			acpi->access->note(
				"APIC", "an entry has a wrong length; the rest is ignored");
			return;
		}
		if (entry->length >= madt_entry_least(entry->type))
			madt_entry_read(acpi, info, entry);
		else
			acpi->access->note("APIC", "an entry is too short; ignored");
		at += entry->length;
	}
}

void acpi_read_mcfg(
	const struct acpi *acpi, const struct acpi_header *table, struct boot_info *info)
{
	for (u64 at = sizeof(struct acpi_mcfg); at + sizeof(struct mcfg_entry) <= table->length;
		at += sizeof(struct mcfg_entry)) {
		struct mcfg_entry entry;

		memcpy(&entry, (const u8 *)table + at, sizeof(entry));
		if (!entry.base || !IS_ALIGNED(entry.base, BIT(20)) ||
			entry.first_bus > entry.last_bus) {
			acpi->access->note("MCFG", "an entry makes no sense; ignored");
			continue;
		}
		if (info->ecams == BOOT_MAX_ECAMS) {
			acpi->access->note("MCFG", "too many segments; the rest is ignored");
			return;
		}
		info->ecam[info->ecams++] = (struct boot_ecam){.base = entry.base,
			.segment = entry.segment,
			.first_bus = entry.first_bus,
			.last_bus = entry.last_bus};
	}
}

void acpi_read_hpet(
	const struct acpi *acpi, const struct acpi_header *table, struct boot_info *info)
{
	const struct acpi_hpet *hpet = (const void *)table;

	if (table->length < sizeof(*hpet) || hpet->base.space != ACPI_SPACE_MEMORY ||
		!hpet->base.address || !IS_ALIGNED(hpet->base.address, HPET_ALIGN)) {
		acpi->access->note("HPET", "the table makes no sense; ignored");
		return;
	}
	info->hpet = hpet->base.address;
}
