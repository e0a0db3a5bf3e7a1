/* Finds and checks ACPI tables (ACPI 6.5, 5.2.5 to 5.2.8), and collects what they say. */
#include "acpi.h"
#include "memory.h"

#define TABLE_MAX 0x1000000u /* bytes: no real table comes near */

static bool sum_is_zero(const void *data, u64 size)
{
	const u8 *at = data;
	u8 sum = 0;

	for (u64 i = 0; i < size; i++)
		sum = (u8)(sum + at[i]);
	return sum == 0;
}

const struct acpi_header *acpi_table(
	const struct acpi_access *access, paddr_t base, const char *signature)
{
	const struct acpi_header *table = access->map(base, sizeof(*table));
	u32 length;

	if (!table || memcmp(table->signature, signature, sizeof(table->signature)) != 0) {
		access->note(signature, "the table is not where it should be");
		return NULL;
	}
	length = table->length;
	table = length >= sizeof(*table) && length <= TABLE_MAX ? access->map(base, length) : NULL;
	if (!table) {
		access->note(signature, "the table has an impossible length; ignored");
		return NULL;
	}
	if (!sum_is_zero(table, length)) {
		access->note(signature, "the table has a wrong checksum; ignored");
		return NULL;
	}
	return table;
}

static bool root_use(struct acpi *acpi, paddr_t base, const char *signature, u32 entry_size)
{
	const struct acpi_header *table = base ? acpi_table(acpi->access, base, signature) : NULL;

	if (!table)
		return false;
	acpi->root = (const u8 *)(table + 1);
	acpi->entry_size = entry_size;
	acpi->entries = (table->length - (u32)sizeof(*table)) / entry_size;
	return true;
}

status_t acpi_open(struct acpi *acpi, const struct acpi_access *access, paddr_t rsdp)
{
	const struct acpi_rsdp *root = access->map(rsdp, ACPI_RSDP_V1_SIZE);

	memset(acpi, 0, sizeof(*acpi));
	acpi->access = access;
	if (!root || memcmp(root->signature, ACPI_RSDP_SIGNATURE, sizeof(root->signature)) != 0)
		return STATUS_NOT_FOUND;
	if (!sum_is_zero(root, ACPI_RSDP_V1_SIZE))
		return STATUS_DAMAGED;
	if (root->revision >= 2) {
		root = access->map(rsdp, sizeof(*root));
		if (!root)
			return STATUS_DAMAGED;
		if (!sum_is_zero(root, sizeof(*root)))
			access->note("RSDP", "wrong extended checksum; using the RSDT");
		else if (root_use(acpi, root->xsdt, "XSDT", sizeof(u64)))
			return STATUS_OK;
	}
	return root_use(acpi, root->rsdt, "RSDT", sizeof(u32)) ? STATUS_OK : STATUS_DAMAGED;
}

const struct acpi_header *acpi_find(const struct acpi *acpi, const char *signature, u32 *next)
{
	while (*next < acpi->entries) {
		paddr_t base = 0;
		const struct acpi_header *table;

		memcpy(&base, acpi->root + *next * acpi->entry_size, acpi->entry_size);
		(*next)++;
		table = base ? acpi->access->map(base, sizeof(*table)) : NULL;
		if (!table || memcmp(table->signature, signature, sizeof(table->signature)) != 0)
			continue;
		table = acpi_table(acpi->access, base, signature);
		if (table)
			return table;
	}
	return NULL;
}

void acpi_collect(const struct acpi *acpi, struct boot_info *info)
{
	static const struct {
		const char *signature;
		void (*read)(const struct acpi *, const struct acpi_header *, struct boot_info *);
	} reader[] = {
		{"APIC", acpi_read_madt},
		{"FACP", acpi_read_fadt},
		{"MCFG", acpi_read_mcfg},
		{"HPET", acpi_read_hpet},
		{"DMAR", acpi_read_dmar},
		{"IVRS", acpi_read_ivrs},
	};

	info->flags |= BOOT_FLAG_ACPI;
	for (u32 i = 0; i < ARRAY_SIZE(reader); i++) {
		u32 next = 0;
		const struct acpi_header *table = acpi_find(acpi, reader[i].signature, &next);

		if (table)
			reader[i].read(acpi, table, info);
	}
}

struct boot_iommu *acpi_add_iommu(
	const struct acpi *acpi, struct boot_info *info, const char *signature)
{
	struct boot_iommu *iommu;

	if (info->iommus == BOOT_MAX_IOMMUS) {
		acpi->access->note(signature, "too many units; the rest is ignored");
		return NULL;
	}
	iommu = &info->iommu[info->iommus++];
	memset(iommu, 0, sizeof(*iommu));
	return iommu;
}

/* Neighbours that are alike become one: a table may name hundreds of functions one by one. */
void acpi_add_scope(const struct acpi *acpi, struct boot_iommu *iommu,
	const struct boot_iommu_scope *scope, const char *signature)
{
	struct boot_iommu_scope *last = iommu->scopes ? &iommu->scope[iommu->scopes - 1] : NULL;

	if (last && last->type_id == scope->type_id && last->last_bdf + 1 == scope->first_bdf)
		last->last_bdf = scope->last_bdf;
	else if (iommu->scopes == BOOT_IOMMU_MAX_SCOPES)
		acpi->access->note(signature, "a unit has too many device scopes; one is ignored");
	else
		iommu->scope[iommu->scopes++] = *scope;
}

void acpi_add_dma_reserved(const struct acpi *acpi, struct boot_info *info,
	const struct boot_dma_reserved *reserved, const char *signature)
{
	if (info->dma_reserved_count == BOOT_MAX_DMA_RSVD)
		acpi->access->note(signature, "too many reserved DMA ranges; one is ignored");
	else
		info->dma_reserved[info->dma_reserved_count++] = *reserved;
}
