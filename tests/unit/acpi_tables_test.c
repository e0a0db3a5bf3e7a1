/* The guest's ACPI tables: layout, sums, pointers, and what iasl says to them. */
#include "guests/vmm/boot/acpi_tables.h"
#include "guests/vmm/boot/acpi_aml.h"
#include "tests/unit/test.h"
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static u8 area[ACPI_AREA_SIZE];
static struct acpi_result result;
static u32 ids[ACPI_CPUS_MAX];

static const struct acpi_config small = {
	.cpus = 1,
	.apic_id = ids,
	.pm_base = 0x600,
	.serial1 = true,
};

static const struct acpi_config large = {
	.cpus = ACPI_CPUS_MAX,
	.apic_id = ids,
	.pm_base = 0xb000,
	.serial1 = true,
	.serial2 = true,
	.i8042 = true,
	.vga = true,
	.pci = true,
	.pci_low = ACPI_PCI_LOW,
	.pci_low_size = ACPI_PCI_LOW_SIZE,
	.pci_high = 0x8000000000ull,
	.pci_high_size = 0x800000000ull,
};

static bool build(const struct acpi_config *config, gpa_t base)
{
	for (u32 i = 0; i < ACPI_CPUS_MAX; i++)
		ids[i] = i < 60 ? i : 300 + i;
	memset(area, 0xee, sizeof(area));
	return acpi_build(config, base, area, sizeof(area), &result);
}

static u64 number(u32 offset, unsigned size)
{
	u64 value = 0;

	memcpy(&value, area + offset, size);
	return value;
}

static u8 sum_of(u32 start, u32 size)
{
	u8 sum = 0;

	for (u32 i = 0; i < size; i++)
		sum += area[start + i];
	return sum;
}

/* Finds a table as a guest does, from the RSDP on; 0 if it is not there. */
static u32 find(gpa_t base, const char *signature)
{
	u32 xsdt = (u32)(number(result.rsdp + 24, 8) - base);
	u32 entries = (u32)(number(xsdt + 4, 4) - 36) / 8;

	CHECK(memcmp(area + xsdt, "XSDT", 4) == 0);
	for (u32 i = 0; i < entries; i++) {
		u32 table = (u32)(number(xsdt + 36 + i * 8, 8) - base);

		if (memcmp(area + table, signature, 4) == 0)
			return table;
	}
	return 0;
}

TEST(rsdp_is_found_by_scanning)
{
	u32 found = 0;

	CHECK(build(&small, ACPI_AREA));
	for (u32 at = 0; at + 36 <= result.size && !found; at += 16)
		if (memcmp(area + at, "RSD PTR ", 8) == 0 && sum_of(at, 20) == 0)
			found = at;
	CHECK_EQ(found, result.rsdp);
	CHECK_EQ(area[found + 15], 2);
	CHECK_EQ(number(found + 20, 4), 36);
	CHECK_EQ(sum_of(found, 36), 0);
	CHECK_EQ(result.size, result.rsdp + result.rsdp_size);
	CHECK_EQ(area[result.size], 0xee);
}

TEST(sums_and_lengths)
{
	CHECK(build(&large, ACPI_AREA));
	CHECK_EQ(result.sums, 7);
	for (u32 i = 0; i < result.sums; i++) {
		const struct acpi_sum *s = &result.sum[i];

		CHECK_EQ(sum_of(s->start, s->size), 0);
		CHECK(s->where >= s->start && s->where < s->start + s->size);
	}
	CHECK_EQ(result.fixups, 9);
	for (u32 i = 0; i < result.fixups; i++) {
		const struct acpi_fixup *f = &result.fixup[i];

		CHECK_EQ(number(f->where, f->size), ACPI_AREA + f->target);
		CHECK(f->target < result.tables);
	}
}

TEST(fadt)
{
	u32 fadt;

	CHECK(build(&small, ACPI_AREA));
	fadt = find(ACPI_AREA, "FACP");
	CHECK(fadt != 0);
	CHECK(area[fadt + 8] >= 5);
	CHECK_EQ(number(fadt + 46, 2), 9);
	CHECK_EQ(number(fadt + 56, 4), 0x600);
	CHECK_EQ(number(fadt + 64, 4), 0x604);
	CHECK_EQ(number(fadt + 76, 4), 0x608);
	CHECK_EQ(number(fadt + 80, 4), 0x60c);
	CHECK_EQ(area[fadt + 108], 0x32);
	CHECK_EQ(number(fadt + 109, 2), 0x5); /* legacy devices, no VGA */
	CHECK_EQ(number(fadt + 116, 8) >> 32, 0xcf9);
	CHECK_EQ(area[fadt + 128], 6);
	CHECK_EQ(number(fadt + 40, 4), number(fadt + 140, 8));
	CHECK(memcmp(area + (number(fadt + 40, 4) - ACPI_AREA), "DSDT", 4) == 0);
	CHECK(memcmp(area + (number(fadt + 36, 4) - ACPI_AREA), "FACS", 4) == 0);
	CHECK_EQ(number(fadt + 36, 4) % 64, 0);
	CHECK(build(&large, ACPI_AREA));
	CHECK_EQ(number(find(ACPI_AREA, "FACP") + 109, 2), 0x3);
}

TEST(madt)
{
	u32 madt, end;
	unsigned count[16] = {0};

	CHECK(build(&large, ACPI_AREA));
	madt = find(ACPI_AREA, "APIC");
	end = madt + (u32)number(madt + 4, 4);
	CHECK_EQ(number(madt + 36, 4), 0xfee00000);
	for (u32 at = madt + 44; at < end; at += area[at + 1]) {
		CHECK(area[at + 1] >= 2 && area[at] < 16);
		if (area[at + 1] < 2 || area[at] >= 16)
			return;
		count[area[at]]++;
		if (area[at] == 2 && area[at + 3] == 0)
			CHECK_EQ(number(at + 4, 4), 2);
		if (area[at] == 2 && area[at + 3] == 9)
			CHECK_EQ(number(at + 8, 2), 0xd);
		if (area[at] == 9)
			CHECK_EQ(number(at + 4, 4), 300 + number(at + 12, 4));
	}
	CHECK_EQ(count[0], 60);
	CHECK_EQ(count[9], 4);
	CHECK_EQ(count[1], 1);
	CHECK_EQ(count[2], 2);
	CHECK_EQ(count[4], 1);
	CHECK_EQ(count[10], 1);
}

TEST(for_firmware)
{
	CHECK(build(&large, 0));
	CHECK(find(0, "FACP") != 0);
	for (u32 i = 0; i < result.fixups; i++)
		CHECK_EQ(number(result.fixup[i].where, result.fixup[i].size),
			result.fixup[i].target);
	CHECK(result.rsdp >= result.tables);
}

TEST(what_does_not_fit_is_refused)
{
	struct acpi_config c = large;
	u32 needed;

	CHECK(build(&large, ACPI_AREA));
	needed = result.size;
	for (u32 size = 0; size < needed; size += 1 + size / 64) {
		u8 *exact = malloc(size + 1); /* the sanitizer watches its end */

		CHECK(!acpi_build(&large, ACPI_AREA, exact, size, &result));
		free(exact);
	}
	c.cpus = 0;
	CHECK(!build(&c, ACPI_AREA));
	c.cpus = ACPI_CPUS_MAX + 1;
	CHECK(!build(&c, ACPI_AREA));
	c = large;
	c.pm_base = 0;
	CHECK(!build(&c, ACPI_AREA));
	c = large;
	c.pci_low_size = 0x50000000;
	CHECK(!build(&c, ACPI_AREA));
	CHECK(!build(&large, ACPI_AREA + 32));
	CHECK(!build(&large, 0xffffffc0));
}

TEST(aml_integers_and_names)
{
	u8 bytes[64];
	struct aml a = {.bytes = bytes, .size = sizeof(bytes)};
	static const u8 expected[] = {0x00, 0x01, 0x0a, 0xff, 0x0b, 0x00, 0x01, 0x0c, 0x00, 0x00,
		0x01, 0x00, 0x0e, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00};
	static const u8 names[] = "FOO_\\_SB_\\./AB__CD__";

	aml_integer(&a, 0);
	aml_integer(&a, 1);
	aml_integer(&a, 0xff);
	aml_integer(&a, 0x100);
	aml_integer(&a, 0x10000);
	aml_integer(&a, 1ull << 32);
	CHECK_EQ(a.used, sizeof(expected));
	CHECK(memcmp(bytes, expected, sizeof(expected)) == 0);
	a.used = 0;
	aml_name(&a, "FOO");
	aml_name(&a, "\\_SB");
	CHECK(memcmp(bytes, names, 9) == 0);
	a.used = 0;
	aml_name(&a, "\\AB.CD");
	CHECK(memcmp(bytes,
		      "\\\x2e"
		      "AB__CD__",
		      10) == 0);
	a.used = 0;
	aml_name(&a, "AB.CD.EF");
	CHECK(memcmp(bytes,
		      "\x2f\x03"
		      "AB__CD__EF__",
		      14) == 0);
	a.used = 0;
	aml_name_eisa(&a, "_HID", "PNP0A03");
	CHECK(memcmp(bytes, "\x08_HID\x0c\x41\xd0\x0a\x03", 10) == 0);
	CHECK(!a.full);
}

/* Runs a command; returns its exit status, or -1. */
static int run(const char *command)
{
	int status = system(command);

	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool have_iasl(void)
{
	return run("command -v iasl >/dev/null 2>&1") == 0;
}

static void write_table(const char *folder, const char *name, u32 offset)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s.dat", folder, name);
	file = fopen(path, "wb");
	CHECK(file != NULL);
	if (!file)
		return;
	fwrite(area + offset, 1, number(offset + 4, 4), file);
	fclose(file);
}

/*
 * Disassembles each table, which finds malformed ones, and compiles what came out, which finds
 * what is well-formed but wrong: 0 errors, 0 warnings, 0 remarks.
 */
static void check_with_iasl(const struct acpi_config *config)
{
	static const char *const names[] = {"DSDT", "FACP", "APIC", "FACS", "XSDT", "RSDT"};
	char folder[] = "/tmp/acpi_tables_test.XXXXXX";
	char command[512];
	u32 offsets[ARRAY_SIZE(names)];
	u32 fadt;

	CHECK(build(config, ACPI_AREA));
	CHECK(mkdtemp(folder) != NULL);
	fadt = find(ACPI_AREA, "FACP");
	offsets[0] = (u32)(number(fadt + 40, 4) - ACPI_AREA);
	offsets[1] = fadt;
	offsets[2] = find(ACPI_AREA, "APIC");
	offsets[3] = (u32)(number(fadt + 36, 4) - ACPI_AREA);
	offsets[4] = (u32)(number(result.rsdp + 24, 8) - ACPI_AREA);
	offsets[5] = (u32)(number(result.rsdp + 16, 4) - ACPI_AREA);
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		write_table(folder, names[i], offsets[i]);
		snprintf(command, sizeof(command),
			"cd %s && iasl -d %s.dat >%s.out 2>&1 && test -s %s.dsl && "
			"! grep -iE 'error|warning|invalid|incorrect|unknown' %s.out %s.dsl",
			folder, names[i], names[i], names[i], names[i], names[i]);
		CHECK_EQ(run(command), 0);
		snprintf(command, sizeof(command),
			"cd %s && iasl -p again %s.dsl >%s.again 2>&1; "
			"grep -q '0 Errors, 0 Warnings, 0 Remarks' %s.again || { cat %s.again; "
			"false; }",
			folder, names[i], names[i], names[i], names[i]);
		CHECK_EQ(run(command), 0);
	}
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	CHECK_EQ(run(command), 0);
}

TEST(iasl_accepts_the_tables)
{
	struct acpi_config c = large;

	if (!have_iasl()) {
		printf("iasl is not installed: tables not disassembled\n");
		return;
	}
	check_with_iasl(&small);
	check_with_iasl(&large);
	c.pci_high_size = 0;
	c.cpus = 2;
	check_with_iasl(&c);
}

/* Executes `commands` on the DSDT of `large` and greps what it prints, lines joined, for
 * `expected`. */
static bool executed(const char *folder, const char *commands, const char *expected)
{
	char command[1024];

	snprintf(command, sizeof(command),
		"cd %s && acpiexec -b '%s' DSDT.dat >out 2>&1; "
		"! grep -iE 'exception|warning|AE_' out && tr -s ' \\n' ' ' <out | grep -qE '%s' "
		"|| "
		"{ tail -40 out; false; }",
		folder, commands, expected);
	return run(command) == 0;
}

TEST(methods_do_what_they_should)
{
	char folder[] = "/tmp/acpi_tables_test.XXXXXX";
	char command[256];

	if (run("command -v acpiexec >/dev/null 2>&1") != 0) {
		printf("acpiexec is not installed: methods not executed\n");
		return;
	}
	CHECK(build(&large, ACPI_AREA));
	CHECK(mkdtemp(folder) != NULL);
	write_table(folder, "DSDT", (u32)(number(find(ACPI_AREA, "FACP") + 40, 4) - ACPI_AREA));
	/* slot 4, INTA: GSI 19 with the I/O APIC; link D with the PICs, too large for acpiexec */
	CHECK(executed(folder, "evaluate \\_PIC 1;evaluate \\_SB.PCI0._PRT",
		"0004FFFF .Integer. = 0+ .Integer. = 0+ .Integer. = 0+13 "));
	snprintf(command, sizeof(command),
		"cd %s && iasl -d DSDT.dat >out 2>&1 && tr -s ' \\n' ' ' <DSDT.dsl | "
		"grep -q '0x0004FFFF, Zero, LNKD, Zero'",
		folder);
	CHECK_EQ(run(command), 0);
	/* a link that was set to line 11 is there; one that was disabled is not */
	CHECK(executed(folder,
		"evaluate \\_SB.LNKC._SRS (89 06 00 09 01 0b 00 00 00 79 00);"
		"evaluate \\_SB.LNKC._STA;evaluate \\_SB.LNKC._CRS",
		"Integer. = 0+B .*89 06 00 09 01 0B 00 00 00 79 00"));
	CHECK(executed(
		folder, "evaluate \\_SB.LNKC._DIS;evaluate \\_SB.LNKC._STA", "Integer. = 0+9 "));
	CHECK(executed(
		folder, "evaluate \\_S5", "Contains 4 Elements: .Integer. = 0+5 .Integer. = 0+5 "));
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	CHECK_EQ(run(command), 0);
}
