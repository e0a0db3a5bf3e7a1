/* Intel's remapping units (DMAR): VT-d 4.0 chapter 8. */
#include "acpi.h"

#define PCI_BUSES         0x18 /* register with a bridge's bus numbers */
#define PCI_DEVICES       32
#define PCI_FUNCTIONS     8
#define SECONDARY_SHIFT   8
#define SUBORDINATE_SHIFT 16

static u16 make_bdf(u32 bus, u32 device, u32 function)
{
	return (u16)(bus << 8 | device << 3 | function);
}

/* A bridge's scope is the bridge and all that the firmware's bus numbers put below it. */
static void scope_add_below(
	const struct acpi *acpi, struct boot_iommu *iommu, u16 bridge, u32 type_id)
{
	u32 buses = acpi->access->pci_read(iommu->segment, bridge, PCI_BUSES);
	u32 secondary = buses >> SECONDARY_SHIFT & 0xff;
	u32 subordinate = buses >> SUBORDINATE_SHIFT & 0xff;
	struct boot_iommu_scope scope = {
		.first_bdf = make_bdf(secondary, 0, 0),
		.last_bdf = make_bdf(subordinate, PCI_DEVICES - 1, PCI_FUNCTIONS - 1),
		.type_id = type_id,
	};

	if (secondary > bridge >> 8 && subordinate >= secondary)
		acpi_add_scope(acpi, iommu, &scope, "DMAR");
	else
		acpi->access->note("DMAR", "a bridge has no bus below it");
}

/* Follows the path of one device scope, `steps` pairs of device and function, to its function. */
static bool scope_path(
	const struct acpi *acpi, u16 segment, u32 bus, const u8 *path, u32 steps, u16 *bdf)
{
	for (u32 i = 0; i < steps; i++) {
		if (path[2 * i] >= PCI_DEVICES || path[2 * i + 1] >= PCI_FUNCTIONS)
			return false;
		*bdf = make_bdf(bus, path[2 * i], path[2 * i + 1]);
		if (i + 1 < steps) {
			u32 buses = acpi->access->pci_read(segment, *bdf, PCI_BUSES);

			bus = buses >> SECONDARY_SHIFT & 0xff;
			if (bus <= *bdf >> 8 || bus == 0xff)
				return false;
		}
	}
	return steps > 0;
}

static void scope_read(
	const struct acpi *acpi, struct boot_iommu *iommu, const struct dmar_scope *entry)
{
	u32 steps = (entry->length - (u32)sizeof(*entry)) / 2;
	struct boot_iommu_scope scope = {.type_id = (u32)entry->type << 16 | entry->enumeration_id};
	u16 bdf = 0;

	if (!scope_path(
		    acpi, iommu->segment, entry->start_bus, (const u8 *)(entry + 1), steps, &bdf)) {
		acpi->access->note("DMAR", "a device scope leads nowhere; ignored");
		return;
	}
	scope.first_bdf = scope.last_bdf = bdf;
	acpi_add_scope(acpi, iommu, &scope, "DMAR");
	if (entry->type == BOOT_SCOPE_BRIDGE)
		scope_add_below(acpi, iommu, bdf, scope.type_id);
}

/* Reads the device scopes in `size` bytes into iommu->scope; iommu->segment is set. */
static void scopes_read(
	const struct acpi *acpi, struct boot_iommu *iommu, const u8 *bytes, u32 size)
{
	for (u32 at = 0; size - at >= sizeof(struct dmar_scope);) {
		const struct dmar_scope *entry = (const void *)(bytes + at);

		if (entry->length < sizeof(*entry) || entry->length > size - at) {
			acpi->access->note(
				"DMAR", "a device scope has a wrong length; the rest is ignored");
			return;
		}
		scope_read(acpi, iommu, entry);
		at += entry->length;
	}
}

static void drhd_read(const struct acpi *acpi, const struct acpi_dmar *dmar,
	const struct dmar_drhd *drhd, struct boot_info *info)
{
	struct boot_iommu *iommu;

	if (drhd->entry.length < sizeof(*drhd) || !drhd->base ||
		!IS_ALIGNED(drhd->base, PAGE_SIZE)) {
		acpi->access->note("DMAR", "a remapping unit makes no sense; ignored");
		return;
	}
	iommu = acpi_add_iommu(acpi, info, "DMAR");
	if (!iommu)
		return;
	iommu->base = drhd->base;
	iommu->type = BOOT_IOMMU_VTD;
	iommu->segment = drhd->segment;
	if (dmar->flags & DMAR_INTR_REMAP)
		iommu->flags |= BOOT_IOMMU_INTREMAP;
	if (drhd->flags & DRHD_INCLUDE_PCI_ALL)
		iommu->flags |= BOOT_IOMMU_INCLUDE_ALL;
	scopes_read(acpi, iommu, (const u8 *)(drhd + 1), drhd->entry.length - (u32)sizeof(*drhd));
}

static void rmrr_read(const struct acpi *acpi, const struct dmar_rmrr *rmrr, struct boot_info *info)
{
	struct boot_iommu scopes = {0};

	if (rmrr->entry.length < sizeof(*rmrr) || rmrr->limit < rmrr->base ||
		rmrr->limit > ~0ull - PAGE_SIZE) {
		acpi->access->note("DMAR", "a reserved region makes no sense; ignored");
		return;
	}
	scopes.segment = rmrr->segment;
	scopes_read(acpi, &scopes, (const u8 *)(rmrr + 1), rmrr->entry.length - (u32)sizeof(*rmrr));
	for (u32 i = 0; i < scopes.scopes; i++) {
		u64 base = ALIGN_DOWN(rmrr->base, PAGE_SIZE);
		struct boot_dma_reserved reserved = {
			.base = base,
			.size = ALIGN_UP(rmrr->limit + 1, PAGE_SIZE) - base,
			.segment = rmrr->segment,
			.first_bdf = scopes.scope[i].first_bdf,
			.last_bdf = scopes.scope[i].last_bdf,
		};

		acpi_add_dma_reserved(acpi, info, &reserved, "DMAR");
	}
}

void acpi_read_dmar(
	const struct acpi *acpi, const struct acpi_header *table, struct boot_info *info)
{
	const struct acpi_dmar *dmar = (const void *)table;
	u32 at = sizeof(*dmar);

	if (table->length < sizeof(*dmar)) {
		acpi->access->note("DMAR", "the table is too short; ignored");
		return;
	}
	if (dmar->flags & DMAR_OPT_IN)
		info->flags |= BOOT_FLAG_DMA_OPT_IN;
	while (table->length - at >= sizeof(struct dmar_entry)) {
		const struct dmar_entry *entry = (const void *)((const u8 *)table + at);

		if (entry->length < sizeof(*entry) || entry->length > table->length - at) {
			acpi->access->note(
				"DMAR", "an entry has a wrong length; the rest is ignored");
			return;
		}
		if (entry->type == DMAR_DRHD)
			drhd_read(acpi, dmar, (const void *)entry, info);
		else if (entry->type == DMAR_RMRR)
			rmrr_read(acpi, (const void *)entry, info);
		at += entry->length;
	}
}
