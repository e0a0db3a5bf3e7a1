/* Fake physical memory: each mapping is a copy of its own size, so that a sanitizer sees overreads.
 */
#include <stdlib.h>
#include <string.h>
#include "acpi_machine.h"

#define MEMORY_BASE  0x7f000000u
#define MEMORY_SIZE  0x10000u
#define RSDP         (MEMORY_BASE + 0x40)
#define TABLES_FROM  0x100u
#define MAPPINGS_MAX 1024
#define LISTED_MAX   32
#define BRIDGES_MAX  8

static u8 memory[MEMORY_SIZE];
static u32 used;
static void *mapping[MAPPINGS_MAX];
static u32 mappings;
static u64 listed[LISTED_MAX];
static u32 listed_count;
static bool with_xsdt, with_rsdt;
static u32 notes;
static const char *last_note;
static struct {
	u16 bdf;
	u32 buses;
} bridge[BRIDGES_MAX];
static u32 bridges;

static const void *map(paddr_t base, u64 size)
{
	void *copy;

	if (base < MEMORY_BASE || base - MEMORY_BASE > MEMORY_SIZE ||
		size > MEMORY_SIZE - (base - MEMORY_BASE) || mappings == MAPPINGS_MAX)
		return NULL;
	copy = malloc(size);
	memcpy(copy, memory + (base - MEMORY_BASE), size);
	mapping[mappings++] = copy;
	return copy;
}

static u32 pci_read(u16 segment, u16 bdf, u32 offset)
{
	for (u32 i = 0; i < bridges && segment == 0 && offset == 0x18; i++) {
		if (bridge[i].bdf == bdf)
			return bridge[i].buses;
	}
	return ~0u;
}

static void note(const char *signature, const char *text)
{
	(void)signature;
	notes++;
	last_note = text;
}

static const struct acpi_access access = {map, pci_read, note};

void machine_reset(void)
{
	memset(memory, 0, sizeof(memory));
	used = TABLES_FROM;
	listed_count = bridges = notes = 0;
	last_note = "";
	with_xsdt = with_rsdt = true;
}

static void seal(u8 *bytes, u32 size, u32 checksum)
{
	u8 sum = 0;

	bytes[checksum] = 0;
	for (u32 i = 0; i < size; i++)
		sum = (u8)(sum + bytes[i]);
	bytes[checksum] = (u8)-sum;
}

u8 *machine_bytes(paddr_t table)
{
	return memory + (table - MEMORY_BASE);
}

void machine_seal(paddr_t table)
{
	struct acpi_header *header = (void *)machine_bytes(table);

	if (header->length <= MEMORY_SIZE - (table - MEMORY_BASE))
		seal((u8 *)header, header->length, offsetof(struct acpi_header, checksum));
}

void machine_list(paddr_t table)
{
	listed[listed_count++] = table;
}

paddr_t machine_add(const char *signature, const void *body, u32 size, bool in_root)
{
	paddr_t table = MEMORY_BASE + used;
	struct acpi_header header = {.length = (u32)sizeof(header) + size, .revision = 1};

	memcpy(header.signature, signature, sizeof(header.signature));
	memcpy(memory + used, &header, sizeof(header));
	memcpy(memory + used + sizeof(header), body, size);
	used += header.length + 3; /* the next one is misaligned, as real ones may be */
	machine_seal(table);
	if (in_root)
		machine_list(table);
	return table;
}

void machine_bridge(u16 bdf, u8 secondary, u8 subordinate)
{
	bridge[bridges].bdf = bdf;
	bridge[bridges++].buses = (u32)subordinate << 16 | (u32)secondary << 8 | bdf >> 8;
}

void machine_roots(bool xsdt, bool rsdt)
{
	with_xsdt = xsdt;
	with_rsdt = rsdt;
}

static void roots_write(void)
{
	struct acpi_rsdp rsdp = {.revision = 2, .length = sizeof(rsdp)};
	u32 narrow[LISTED_MAX];

	for (u32 i = 0; i < listed_count; i++)
		narrow[i] = (u32)listed[i];
	memcpy(rsdp.signature, ACPI_RSDP_SIGNATURE, sizeof(rsdp.signature));
	if (with_xsdt)
		rsdp.xsdt = machine_add("XSDT", listed, listed_count * 8, false);
	else
		rsdp.revision = 0;
	if (with_rsdt)
		rsdp.rsdt = (u32)machine_add("RSDT", narrow, listed_count * 4, false);
	seal((u8 *)&rsdp, ACPI_RSDP_V1_SIZE, offsetof(struct acpi_rsdp, checksum));
	seal((u8 *)&rsdp, sizeof(rsdp), offsetof(struct acpi_rsdp, extended_checksum));
	memcpy(machine_bytes(RSDP), &rsdp, sizeof(rsdp));
}

status_t machine_collect_acpi(struct boot_info *info)
{
	u32 before = used;
	struct acpi acpi;
	status_t status;

	roots_write();
	memset(info, 0, sizeof(*info));
	info->power.reset_space = ACPI_SPACE_NONE;
	status = acpi_open(&acpi, &access, RSDP);
	if (status == STATUS_OK)
		acpi_collect(&acpi, info);
	while (mappings)
		free(mapping[--mappings]);
	used = before; /* so that a test may damage a table and collect again */
	return status;
}

u32 machine_notes(void)
{
	return notes;
}

const char *machine_note(void)
{
	return last_note;
}
