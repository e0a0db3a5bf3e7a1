/* Static ACPI tables: what is read from good ones, and that damaged ones do no harm. */
#include "test.h"
#include "acpi_machine.h"

static struct boot_info info;

/* The body of a MADT after its header: address, flags, then entries. */
static const u8 madt[] = {0, 0, 0xe0, 0xfe, 1, 0, 0, 0,  /* dual 8259s */
	0, 8, 0, 0, 1, 0, 0, 0,                          /* LAPIC 0 */
	0, 8, 1, 2, 1, 0, 0, 0,                          /* LAPIC 2 */
	0, 8, 2, 4, 0, 0, 0, 0,                          /* LAPIC 4, disabled */
	0, 8, 3, 6, 2, 0, 0, 0,                          /* LAPIC 6, online capable only */
	0, 8, 4, 0xff, 1, 0, 0, 0,                       /* no ID at all */
	9, 16, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, /* x2APIC 2 again */
	9, 16, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, /* x2APIC 256 */
	1, 12, 8, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0,       /* I/O APIC */
	1, 12, 9, 0, 0, 0x10, 0xc0, 0xfe, 24, 0, 0, 0,   /* another */
	2, 10, 0, 0, 2, 0, 0, 0, 0, 0,                   /* IRQ 0 is GSI 2 */
	2, 10, 0, 9, 20, 0, 0, 0, 0x0f, 0,               /* IRQ 9 is GSI 20, low, level */
	2, 10, 1, 9, 20, 0, 0, 0, 0x0f, 0,               /* not ISA */
	4, 6, 0xff, 0, 0, 1};                            /* NMI: not read */

TEST(acpi_madt)
{
	machine_reset();
	machine_add("APIC", madt, sizeof(madt), true);
	CHECK_EQ(machine_collect_acpi(&info), STATUS_OK);
	CHECK_EQ(info.flags, BOOT_FLAG_ACPI | BOOT_FLAG_8259);
	CHECK_EQ(info.cpus, 3);
	CHECK_EQ(info.cpu[1].apic_id, 2);
	CHECK_EQ(info.cpu[2].apic_id, 256);
	CHECK_EQ(info.ioapics, 2);
	CHECK_EQ(info.ioapic[1].address, 0xfec01000);
	CHECK_EQ(info.ioapic[1].gsi_base, 24);
	CHECK_EQ(info.ioapic[1].id, 9);
	CHECK_EQ(info.overrides, 2);
	CHECK_EQ(info.override[1].isa_irq, 9);
	CHECK_EQ(info.override[1].gsi, 20);
	CHECK_EQ(info.override[1].flags, BOOT_IRQ_ACTIVE_LOW | BOOT_IRQ_LEVEL);
	CHECK_EQ(machine_notes(), 1);
}

TEST(acpi_madt_many_cpus)
{
	u8 many[8 + 8 * 255] = {0};

	for (u32 i = 0; i < 255; i++)
		memcpy(many + 8 + 8 * i, (u8[]){0, 8, 0, (u8)i, 1, 0, 0, 0}, 8);
	machine_reset();
	machine_add("APIC", many, sizeof(many), true);
	CHECK_EQ(machine_collect_acpi(&info), STATUS_OK);
	CHECK_EQ(info.cpus, 255);
	CHECK_EQ(machine_notes(), 0);
}

/* An entry of length 0 must not be read for ever, one of 255 not past the end. */
TEST(acpi_madt_bad_lengths)
{
	static const u8 length[] = {0, 1, 255};

	for (u32 i = 0; i < ARRAY_SIZE(length); i++) {
		paddr_t table;

		machine_reset();
		table = machine_add("APIC", madt, sizeof(madt), true);
		machine_bytes(table)[sizeof(struct acpi_madt) + 8 + 1] = length[i];
		machine_seal(table);
		CHECK_EQ(machine_collect_acpi(&info), STATUS_OK);
		CHECK_EQ(info.cpus, 1);
		CHECK_EQ(machine_notes(), 1);
	}
}

TEST(acpi_rsdt_only)
{
	machine_reset();
	machine_roots(false, true);
	machine_add("APIC", madt, sizeof(madt), true);
	CHECK_EQ(machine_collect_acpi(&info), STATUS_OK);
	CHECK_EQ(info.cpus, 3);
	machine_roots(false, false);
	CHECK_EQ(machine_collect_acpi(&info), STATUS_DAMAGED);
}

TEST(acpi_damaged_tables)
{
	paddr_t table;

	machine_reset();
	table = machine_add("APIC", madt, sizeof(madt), true);
	machine_list(0);
	machine_list(0x1234);
	machine_bytes(table)[60] ^= 1;
	CHECK_EQ(machine_collect_acpi(&info), STATUS_OK);
	CHECK_EQ(info.cpus, 0);
	CHECK(strstr(machine_note(), "checksum"));
	machine_add("APIC", madt, sizeof(madt), true);
	CHECK_EQ(machine_collect_acpi(&info), STATUS_OK);
	CHECK_EQ(info.cpus, 3); /* a whole one further on still counts */
	((struct acpi_header *)machine_bytes(table))->length = 0xffffffff;
	CHECK_EQ(machine_collect_acpi(&info), STATUS_OK);
	CHECK(strstr(machine_note(), "length") || strstr(machine_note(), "ISA"));
}

TEST(acpi_mcfg_and_hpet)
{
	u8 mcfg[8 + 2 * 16] = {[8 + 3] = 0xb0, [8 + 11] = 0xff, [8 + 16 + 10] = 7};
	u8 hpet[20] = {0x01, 0xa2, 0x86, 0x80, 0, 64, 0, 0, 0x00, 0x00, 0xd0, 0xfe};

	machine_reset();
	machine_add("MCFG", mcfg, sizeof(mcfg), true);
	machine_add("HPET", hpet, sizeof(hpet), true);
	CHECK_EQ(machine_collect_acpi(&info), STATUS_OK);
	CHECK_EQ(info.ecams, 1);
	CHECK_EQ(info.ecam[0].base, 0xb0000000);
	CHECK_EQ(info.ecam[0].last_bus, 255);
	CHECK_EQ(info.hpet, 0xfed00000);
	CHECK_EQ(machine_notes(), 1);
	hpet[4] = ACPI_SPACE_IO;
	machine_reset();
	machine_add("HPET", hpet, sizeof(hpet), true);
	CHECK_EQ(machine_collect_acpi(&info), STATUS_OK);
	CHECK_EQ(info.hpet, 0);
}

static const u8 aml_s5[] = {0x08, '_', 'S', '5', '_', 0x12, 0x06, 0x04, 0x0a, 0x05, 0x01, 0, 0};

static struct acpi_fadt fadt_of(paddr_t dsdt)
{
	return (struct acpi_fadt){.dsdt = (u32)dsdt,
		.sci_irq = 9,
		.smi_command = 0xb2,
		.pm1a_control = 0x604,
		.pm1b_control = 0x10604,
		.pm_timer = 0x608,
		.pm_timer_length = 4,
		.flags = FADT_RESET_SUPPORTED | FADT_TIMER_32BIT,
		.reset = {.space = ACPI_SPACE_IO, .width = 8, .address = 0xcf9},
		.reset_value = 6,
		.x_pm_timer = {.space = ACPI_SPACE_IO, .width = 32, .address = 0x708}};
}

static void add_fadt(const struct acpi_fadt *fadt, u32 size)
{
	machine_add("FACP", (const u8 *)fadt + sizeof(fadt->header),
		size - (u32)sizeof(fadt->header), true);
}

TEST(acpi_fadt)
{
	struct acpi_fadt fadt;

	machine_reset();
	fadt = fadt_of(machine_add("DSDT", aml_s5, sizeof(aml_s5), false));
	add_fadt(&fadt, sizeof(fadt));
	machine_add("APIC", madt, sizeof(madt), true);
	CHECK_EQ(machine_collect_acpi(&info), STATUS_OK);
	CHECK_EQ(info.power.pm1a_control, 0x604);
	CHECK_EQ(info.power.pm1b_control, 0);
	CHECK_EQ(info.power.pm_timer, 0x708);
	CHECK_EQ(info.power.pm_timer_32bit, 1);
	CHECK_EQ(info.power.sci_gsi, 20); /* the override applies */
	CHECK_EQ(info.power.smi_command, 0xb2);
	CHECK_EQ(info.power.reset_space, ACPI_SPACE_IO);
	CHECK_EQ(info.power.reset_address, 0xcf9);
	CHECK_EQ(info.power.reset_value, 6);
	CHECK_EQ(info.power.s5_valid, 1);
	CHECK_EQ(info.power.slp_typ_a, 5);
	CHECK_EQ(info.power.slp_typ_b, 1);
}

/* ACPI 1.0: no reset register, no 64-bit fields; and _S5_ may stand in an SSDT. */
TEST(acpi_fadt_old)
{
	struct acpi_fadt fadt;

	machine_reset();
	fadt = fadt_of(machine_add("DSDT", "nothing", 7, false));
	fadt.flags = 0;
	add_fadt(&fadt, FADT_V1_SIZE);
	machine_add("SSDT", "nothing", 7, true);
	machine_add("SSDT", aml_s5, sizeof(aml_s5), true);
	CHECK_EQ(machine_collect_acpi(&info), STATUS_OK);
	CHECK_EQ(info.power.pm_timer, 0x608);
	CHECK_EQ(info.power.reset_space, ACPI_SPACE_NONE);
	CHECK_EQ(info.power.sci_gsi, 9);
	CHECK_EQ(info.power.slp_typ_a, 5);
	machine_reset();
	add_fadt(&fadt, FADT_V1_SIZE - 1);
	CHECK_EQ(machine_collect_acpi(&info), STATUS_OK);
	CHECK_EQ(info.power.pm1a_control, 0);
}

static bool s5(const char *bytes, u32 size, u8 *a, u8 *b)
{
	u8 exact[32];

	memset(exact, 0x5a, sizeof(exact));
	memcpy(exact + sizeof(exact) - size, bytes, size);
	return acpi_find_s5(exact + sizeof(exact) - size, size, a, b);
}

#define S5(bytes) s5(bytes, sizeof(bytes) - 1, &a, &b)

TEST(acpi_s5_forms)
{
	u8 a = 9, b = 9;

	CHECK(S5("\x08_S5_\x12\x06\x04\x0a\x07\x0a\x06\x00\x00"));
	CHECK(a == 7 && b == 6);
	CHECK(S5("\x08\\_S5_\x12\x06\x02\x00\x01"));
	CHECK(a == 0 && b == 1);
	CHECK(S5("\x08_S5_\x12\x46\x00\x02\x0b\x05\x00\x0c\x04\x00\x00\x00")); /* a two-byte length
										*/
	CHECK(a == 5 && b == 4);
	CHECK(S5("\x08_S5_\x12\x03\x01\x0a\x03"));
	CHECK(a == 3 && b == 3);
	CHECK(S5("_S5__S5_\x08_S5_\x12\x06\x02\x00\x01")); /* other uses of the name come first */
}

TEST(acpi_s5_refused)
{
	u8 a, b;

	CHECK(!S5("_S5_"));
	CHECK(!S5("x_S5_\x12\x06\x02\x00\x01"));
	CHECK(!S5("\x08_S5_"));
	CHECK(!S5("\x08_S5_\x12"));
	CHECK(!S5("\x08_S5_\x12\x06"));
	CHECK(!S5("\x08_S5_\x12\xc6\x00"));
	CHECK(!S5("\x08_S5_\x12\x06\x02\x0a"));
	CHECK(!S5("\x08_S5_\x12\x06\x02\x0c\x01\x00"));
	CHECK(!S5("\x08_S5_\x12\x06\x00\x01\x01"));
	CHECK(!S5("\x08_S5_\x12\x06\x02\x0a\x08\x01"));
	CHECK(!S5("\x08_S5_\x14\x06\x02\x00\x01"));
}

/* Any byte of any table may be anything: nothing reads too far or runs for ever. */
TEST(acpi_random_damage)
{
	u32 seed = 7;

	for (u32 round = 0; round < 3000; round++) {
		struct acpi_fadt fadt;
		paddr_t table;
		u32 at;

		machine_reset();
		fadt = fadt_of(machine_add("DSDT", aml_s5, sizeof(aml_s5), false));
		add_fadt(&fadt, sizeof(fadt));
		table = machine_add("APIC", madt, sizeof(madt), true);
		for (u32 i = 0; i < 3; i++) {
			seed = seed * 1103515245 + 12345;
			at = 36 + (seed >> 8) % (u32)sizeof(madt);
			machine_bytes(table)[at] = (u8)(seed >> 20);
		}
		machine_seal(table);
		CHECK_EQ(machine_collect_acpi(&info), STATUS_OK);
		CHECK(info.cpus <= BOOT_MAX_CPUS && info.ioapics <= BOOT_MAX_IOAPICS);
	}
}
