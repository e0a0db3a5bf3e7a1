/* AMD's remapping units (IVRS): AMD I/O Virtualization Technology 3.08, chapter 5. */
#include "acpi.h"

#define BDF_LAST         0xffff
#define IVMD_EXCLUSION   BIT(3) /* an exclusion range needs the same unity map */
#define IVMD_UNITY       BIT(0)
#define ENTRY_SIZE_SHIFT 6 /* the top two bits of an entry's type give its size: 4 << them */

/* The start of a range of IDs whose end has not come yet. */
struct ivhd_range {
	struct boot_iommu_scope scope;
	bool open;
};

/* Bytes of the device entry at `at`, of which `left` remain; 0 if it does not fit. */
static u32 entry_size(const u8 *at, u32 left)
{
	u32 size = 4u << (at[0] >> ENTRY_SIZE_SHIFT);

	if (at[0] == IVHD_ACPI_HID)
		size = left > IVHD_HID_UID_LENGTH
			       ? IVHD_HID_UID_LENGTH + 1u + at[IVHD_HID_UID_LENGTH]
			       : 0;
	return size <= left ? size : 0;
}

static void special_add(
	const struct acpi *acpi, struct boot_iommu *iommu, const struct ivhd_special *entry)
{
	u32 type = entry->variety == IVHD_VARIETY_IOAPIC ? BOOT_SCOPE_IOAPIC : BOOT_SCOPE_HPET;
	struct boot_iommu_scope scope = {.first_bdf = entry->bdf,
		.last_bdf = entry->bdf,
		.type_id = type << 16 | entry->handle};

	if (entry->variety == IVHD_VARIETY_IOAPIC || entry->variety == IVHD_VARIETY_HPET)
		acpi_add_scope(acpi, iommu, &scope, "IVRS");
}

static void range_end(
	const struct acpi *acpi, struct boot_iommu *iommu, struct ivhd_range *range, u16 last)
{
	if (!range->open || last < range->scope.first_bdf) {
		acpi->access->note("IVRS", "a range of devices makes no sense; ignored");
	} else {
		range->scope.last_bdf = last;
		acpi_add_scope(acpi, iommu, &range->scope, "IVRS");
	}
	range->open = false;
}

/* Translates one device entry to the scopes that DMAR has. */
static void entry_read(const struct acpi *acpi, struct boot_iommu *iommu,
	const struct ivhd_entry *entry, struct ivhd_range *range)
{
	const struct ivhd_alias *alias = (const void *)entry;
	struct boot_iommu_scope scope = {.first_bdf = entry->bdf,
		.last_bdf = entry->bdf,
		.type_id = (u32)BOOT_SCOPE_ENDPOINT << 16};

	switch (entry->type) {
	case IVHD_ALL:
		scope.first_bdf = 0;
		scope.last_bdf = BDF_LAST;
		acpi_add_scope(acpi, iommu, &scope, "IVRS");
		break;
	case IVHD_ALIAS:
		scope.type_id = (u32)BOOT_SCOPE_ALIAS << 16 | alias->alias;
		acpi_add_scope(acpi, iommu, &scope, "IVRS");
		break;
	case IVHD_SELECT:
	case IVHD_EXT_SELECT:
		acpi_add_scope(acpi, iommu, &scope, "IVRS");
		break;
	case IVHD_ACPI_HID:
		scope.type_id = (u32)BOOT_SCOPE_NAMESPACE << 16;
		acpi_add_scope(acpi, iommu, &scope, "IVRS");
		break;
	case IVHD_ALIAS_RANGE:
		*range = (struct ivhd_range){scope, true};
		range->scope.type_id = (u32)BOOT_SCOPE_ALIAS << 16 | alias->alias;
		break;
	case IVHD_RANGE:
	case IVHD_EXT_RANGE:
		*range = (struct ivhd_range){scope, true};
		break;
	case IVHD_RANGE_END:
		range_end(acpi, iommu, range, entry->bdf);
		break;
	case IVHD_SPECIAL:
		special_add(acpi, iommu, (const void *)entry);
		break;
	}
}

static void ivhd_read(const struct acpi *acpi, const struct ivrs_ivhd *ivhd, struct boot_info *info)
{
	u32 at = ivhd->block.type == IVRS_IVHD_10 ? IVHD_10_SIZE : IVHD_11_SIZE;
	struct ivhd_range range = {0};
	struct boot_iommu *iommu;

	if (ivhd->block.length < at || !ivhd->base || !IS_ALIGNED(ivhd->base, PAGE_SIZE)) {
		acpi->access->note("IVRS", "a remapping unit makes no sense; ignored");
		return;
	}
	iommu = acpi_add_iommu(acpi, info, "IVRS");
	if (!iommu)
		return;
	iommu->base = ivhd->base;
	iommu->type = BOOT_IOMMU_AMDVI;
	iommu->segment = ivhd->segment;
	iommu->bdf = ivhd->block.bdf;
	while (at < ivhd->block.length) {
		const u8 *entry = (const u8 *)ivhd + at;
		u32 left = ivhd->block.length - at;
		u32 size = entry_size(entry, left);

		if (!size) {
			acpi->access->note(
				"IVRS", "a device entry has a wrong length; the rest is ignored");
			return;
		}
		entry_read(acpi, iommu, (const void *)entry, &range);
		at += size;
	}
}

static void ivmd_read(const struct acpi *acpi, const struct ivrs_ivmd *ivmd, struct boot_info *info)
{
	struct boot_dma_reserved reserved = {.first_bdf = ivmd->block.bdf};

	if (ivmd->block.length < sizeof(*ivmd) || !ivmd->size ||
		ivmd->base + ivmd->size < ivmd->base || !IS_ALIGNED(ivmd->base, PAGE_SIZE) ||
		!IS_ALIGNED(ivmd->size, PAGE_SIZE)) {
		acpi->access->note("IVRS", "a reserved region makes no sense; ignored");
		return;
	}
	if (!(ivmd->block.flags & (IVMD_UNITY | IVMD_EXCLUSION)))
		return;
	reserved.base = ivmd->base;
	reserved.size = ivmd->size;
	reserved.segment = ivmd->segment;
	reserved.last_bdf = reserved.first_bdf;
	if (ivmd->block.type == IVRS_IVMD_ALL) {
		reserved.first_bdf = 0;
		reserved.last_bdf = BDF_LAST;
	} else if (ivmd->block.type == IVRS_IVMD_RANGE) {
		reserved.last_bdf = ivmd->last_bdf;
	}
	acpi_add_dma_reserved(acpi, info, &reserved, "IVRS");
}

/* Returns the block at `at`, or NULL if no whole one is there. */
static const struct ivrs_block *block_at(const struct acpi_header *table, u32 at)
{
	const struct ivrs_block *block = (const void *)((const u8 *)table + at);

	if (at > table->length || table->length - at < sizeof(*block) ||
		block->length < sizeof(*block) || block->length > table->length - at)
		return NULL;
	return block;
}

static bool is_ivhd(const struct ivrs_block *block)
{
	return (block->type == IVRS_IVHD_10 || block->type == IVRS_IVHD_11 ||
		       block->type == IVRS_IVHD_40) &&
	       block->length >= sizeof(struct ivrs_ivhd);
}

/* Newer firmware describes a unit once for each generation of software: the highest type counts. */
static bool is_superseded(const struct acpi_header *table, const struct ivrs_ivhd *ivhd)
{
	const struct ivrs_block *block;

	for (u32 at = sizeof(struct acpi_ivrs); (block = block_at(table, at));
		at += block->length) {
		if (is_ivhd(block) && block->type > ivhd->block.type &&
			block->bdf == ivhd->block.bdf &&
			((const struct ivrs_ivhd *)block)->segment == ivhd->segment)
			return true;
	}
	return false;
}

/* The firmware names the I/O APICs' IDs just when interrupts can be remapped. */
static void intremap_find(struct boot_info *info, u32 first)
{
	bool found = false;

	for (u32 i = first; i < info->iommus; i++) {
		for (u32 j = 0; j < info->iommu[i].scopes; j++)
			found |= info->iommu[i].scope[j].type_id >> 16 == BOOT_SCOPE_IOAPIC;
	}
	for (u32 i = first; found && i < info->iommus; i++)
		info->iommu[i].flags |= BOOT_IOMMU_INTREMAP;
}

void acpi_read_ivrs(
	const struct acpi *acpi, const struct acpi_header *table, struct boot_info *info)
{
	const struct ivrs_block *block;
	u32 first = info->iommus;
	u32 at = sizeof(struct acpi_ivrs);

	for (; (block = block_at(table, at)); at += block->length) {
		if (is_ivhd(block)) {
			if (!is_superseded(table, (const void *)block))
				ivhd_read(acpi, (const void *)block, info);
		} else if (block->type >= IVRS_IVMD_ALL && block->type <= IVRS_IVMD_RANGE) {
			ivmd_read(acpi, (const void *)block, info);
		}
	}
	if (at < table->length)
		acpi->access->note("IVRS", "a block has a wrong length; the rest is ignored");
	intremap_find(info, first);
}
