/* DMAR and IVRS: units, scopes and reserved memory, whole and damaged. */
#include "test.h"
#include "acpi_machine.h"

static struct boot_info info;

static const u8 dmar[] = {38, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,    /* interrupt remapping, opt-in */
	0, 0, 24, 0, 0, 0, 0, 0, 0, 0, 0xd9, 0xfe, 0, 0, 0, 0,    /* DRHD fed90000 */
	1, 8, 0, 0, 0, 0, 2, 0,                                   /* endpoint 00:02.0 */
	0, 0, 52, 0, 1, 0, 0, 0, 0, 0x10, 0xd9, 0xfe, 0, 0, 0, 0, /* DRHD fed91000, all others */
	3, 8, 0, 0, 8, 0xf0, 0x1f, 0,                             /* I/O APIC 8 is f0:1f.0 */
	4, 8, 0, 0, 1, 0, 0x1e, 0,                                /* HPET 1 */
	2, 10, 0, 0, 0, 0, 0x1c, 0, 0, 1,                         /* bridge 00:1c.0 -> 00.1 */
	1, 10, 0, 0, 0, 0, 0x1d, 0, 0, 0,                         /* endpoint behind no bridge */
	1, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0, 0, 0, 0,       /* RMRR 7b000000 */
	0xff, 0xff, 0x7f, 0x7b, 0, 0, 0, 0,                       /* to 7b7fffff */
	1, 8, 0, 0, 0, 0, 2, 0};

TEST(dmar_units)
{
	machine_reset();
	machine_bridge(0x00e0, 3, 5); /* 00:1c.0 */
	machine_bridge(0x0301, 4, 5); /* 03:00.1 */
	machine_add("DMAR", dmar, sizeof(dmar), true);
	CHECK_EQ(machine_collect_acpi(&info), STATUS_OK);
	CHECK_EQ(info.flags, BOOT_FLAG_ACPI | BOOT_FLAG_DMA_OPT_IN);
	CHECK_EQ(info.iommus, 2);
	CHECK_EQ(info.iommu[0].base, 0xfed90000);
	CHECK_EQ(info.iommu[0].type, BOOT_IOMMU_VTD);
	CHECK_EQ(info.iommu[0].flags, BOOT_IOMMU_INTREMAP);
	CHECK_EQ(info.iommu[0].scopes, 1);
	CHECK_EQ(info.iommu[0].scope[0].first_bdf, 0x10);
	CHECK_EQ(info.iommu[1].flags, BOOT_IOMMU_INTREMAP | BOOT_IOMMU_INCLUDE_ALL);
	CHECK_EQ(info.iommu[1].scopes, 4);
	CHECK_EQ(info.iommu[1].scope[0].type_id, BOOT_SCOPE_IOAPIC << 16 | 8);
	CHECK_EQ(info.iommu[1].scope[0].first_bdf, 0xf0f8);
	CHECK_EQ(info.iommu[1].scope[1].type_id, BOOT_SCOPE_HPET << 16 | 1);
	CHECK_EQ(info.iommu[1].scope[2].first_bdf, 0x301);
	CHECK_EQ(info.iommu[1].scope[3].first_bdf, 0x400);
	CHECK_EQ(info.iommu[1].scope[3].last_bdf, 0x5ff);
	CHECK_EQ(machine_notes(), 1); /* the path through 00:1d.0, where there is no bridge */
	CHECK_EQ(info.dma_reserved_count, 1);
	CHECK_EQ(info.dma_reserved[0].base, 0x7b000000);
	CHECK_EQ(info.dma_reserved[0].size, 0x800000);
	CHECK_EQ(info.dma_reserved[0].first_bdf, 0x10);
}

/* Offsets in `dmar` and what to put there; each damage costs something, none does harm. */
TEST(dmar_damage)
{
	static const struct {
		u32 at;
		u8 value;
	} damage[] = {{14, 0}, {14, 3}, {14, 255}, {28, 255}, {28, 0}, {28, 3}, {29, 255}, {21, 1},
		{34, 40}, {35, 9}};

	for (u32 i = 0; i < ARRAY_SIZE(damage); i++) {
		paddr_t table;

		machine_reset();
		table = machine_add("DMAR", dmar, sizeof(dmar), true);
		machine_bytes(table)[36 + damage[i].at] = damage[i].value;
		machine_seal(table);
		CHECK_EQ(machine_collect_acpi(&info), STATUS_OK);
		CHECK(machine_notes() > 0);
	}
}

#define IVHD_HEAD(type, length, base2)                                                             \
	type, 0, length, 0, 2, 0, 0x40, 0, 0, 0, base2, 0xfe, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
#define ZEROS_16 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0

static const u8 ivrs[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,     /* information, reserved */
	IVHD_HEAD(0x10, 28, 0xd8), 1, 0, 0, 0,                    /* all: superseded */
	IVHD_HEAD(0x11, 44, 0xd8), ZEROS_16, 1, 0, 0, 0,          /* likewise */
	IVHD_HEAD(0x40, 102, 0xd8), ZEROS_16,                     /* this one counts: 40 + 62 */
	2, 0x08, 0, 0,                                            /* select 00:01.0 */
	2, 0x09, 0, 0,                                            /* and its neighbour */
	0, 0, 0, 0,                                               /* padding */
	3, 0x00, 1, 0, 4, 0xff, 1, 0,                             /* range 01:00.0 - 01:1f.7 */
	0x42, 0x00, 3, 0, 0, 0xa4, 0, 0,                          /* 03:00.0 appears as 00:14.4 */
	0x48, 0, 0, 0xd7, 33, 0xa0, 0, 1,                         /* I/O APIC 33 is 00:14.0 */
	0xf0, 0xa5, 0, 0, 'A', 'M', 'D', 'I', '0', '0', '2', '0', /* a device with a name */
	0, 0, 0, 0, 0, 0, 0, 0, 2, 4, '\\', '_', 'S', 'B', 0x21, 8, 32, 0, 0x10, 0, 0, 0, 0, 0, 0,
	0, 0, 0, 0, 0, /* IVMD exclusion, 00:02.0 */
	0, 0, 0, 0x7a, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0};

TEST(ivrs_unit)
{
	const struct boot_iommu *iommu = &info.iommu[0];

	machine_reset();
	machine_add("IVRS", ivrs, sizeof(ivrs), true);
	CHECK_EQ(machine_collect_acpi(&info), STATUS_OK);
	CHECK_EQ(machine_notes(), 0);
	CHECK_EQ(info.iommus, 1);
	CHECK_EQ(iommu->base, 0xfed80000);
	CHECK_EQ(iommu->type, BOOT_IOMMU_AMDVI);
	CHECK_EQ(iommu->flags, BOOT_IOMMU_INTREMAP);
	CHECK_EQ(iommu->scopes, 5);
	CHECK_EQ(iommu->bdf, 2);
	CHECK_EQ(iommu->scope[0].first_bdf, 0x08);
	CHECK_EQ(iommu->scope[0].last_bdf, 0x09);
	CHECK_EQ(iommu->scope[1].first_bdf, 0x100);
	CHECK_EQ(iommu->scope[1].last_bdf, 0x1ff);
	CHECK_EQ(iommu->scope[2].first_bdf, 0x300);
	CHECK_EQ(iommu->scope[2].type_id, BOOT_SCOPE_ALIAS << 16 | 0xa4);
	CHECK_EQ(iommu->scope[3].first_bdf, 0xa0);
	CHECK_EQ(iommu->scope[3].type_id, BOOT_SCOPE_IOAPIC << 16 | 33);
	CHECK_EQ(iommu->scope[4].first_bdf, 0xa5);
	CHECK_EQ(iommu->scope[4].type_id, BOOT_SCOPE_NAMESPACE << 16);
	CHECK_EQ(info.dma_reserved_count, 1);
	CHECK_EQ(info.dma_reserved[0].base, 0x7a000000);
	CHECK_EQ(info.dma_reserved[0].size, 0x1000);
	CHECK_EQ(info.dma_reserved[0].first_bdf, 0x10);
}

/* Any bytes of either table may be anything: nothing reads too far or runs for ever. */
TEST(iommu_random_damage)
{
	u32 seed = 3;

	for (u32 round = 0; round < 6000; round++) {
		const u8 *body = round & 1 ? ivrs : dmar;
		u32 size = round & 1 ? sizeof(ivrs) : sizeof(dmar);
		paddr_t table;

		machine_reset();
		machine_bridge(0x00e0, 3, 5);
		table = machine_add(round & 1 ? "IVRS" : "DMAR", body, size, true);
		for (u32 i = 0; i < 3; i++) {
			seed = seed * 1103515245 + 12345;
			machine_bytes(table)[36 + (seed >> 8) % size] = (u8)(seed >> 20);
		}
		machine_seal(table);
		CHECK_EQ(machine_collect_acpi(&info), STATUS_OK);
		CHECK(info.iommus <= BOOT_MAX_IOMMUS);
		CHECK(info.dma_reserved_count <= BOOT_MAX_DMA_RSVD);
		for (u32 i = 0; i < info.iommus; i++)
			CHECK(info.iommu[i].scopes <= BOOT_IOMMU_MAX_SCOPES);
	}
}
