/* Power, reset and the PM timer (FADT), and the sleep types of soft-off (_S5_ in the AML). */
#include "acpi.h"
#include "memory.h"

/* AML, ACPI 6.5 chapter 20.2 */
#define AML_ZERO         0x00
#define AML_ONE          0x01
#define AML_NAME         0x08
#define AML_BYTE         0x0a
#define AML_WORD         0x0b
#define AML_DWORD        0x0c
#define AML_PACKAGE      0x12
#define AML_ROOT         '\\'
#define AML_LENGTH_BYTES 6 /* shift: how many bytes follow the lead byte of a PkgLength */

#define SLEEP_TYPE_MAX 7 /* SLP_TYPx has three bits */
#define PM_TIMER_BYTES 4 /* length of the PM timer's block, if there is one */

/* Reads an integer constant at aml[*at]; false if there is none within `size` bytes. */
static bool aml_integer(const u8 *aml, u64 size, u64 *at, u64 *value)
{
	u64 bytes;

	if (*at >= size)
		return false;
	switch (aml[(*at)++]) {
	case AML_ZERO:
		*value = 0;
		return true;
	case AML_ONE:
		*value = 1;
		return true;
	case AML_BYTE:
		bytes = 1;
		break;
	case AML_WORD:
		bytes = 2;
		break;
	case AML_DWORD:
		bytes = 4;
		break;
	default:
		return false;
	}
	if (bytes > size - *at)
		return false;
	*value = 0;
	memcpy(value, aml + *at, bytes);
	*at += bytes;
	return true;
}

/* Reads the package that follows the name _S5_ at aml[at]. */
static bool s5_package(const u8 *aml, u64 size, u64 at, u8 *typ_a, u8 *typ_b)
{
	u64 a, b;
	u8 elements;

	if (size - at < 3 || aml[at] != AML_PACKAGE)
		return false;
	at++;
	at += 1u +
	      (aml[at] >> AML_LENGTH_BYTES); /* PkgLength: the elements are at the front anyway */
	if (at >= size)
		return false;
	elements = aml[at++];
	if (!elements)
		return false;
	if (!aml_integer(aml, size, &at, &a) || a > SLEEP_TYPE_MAX)
		return false;
	if (elements < 2 || !aml_integer(aml, size, &at, &b) || b > SLEEP_TYPE_MAX)
		b = a; /* few machines have a PM1b block; one that has it wants the same there */
	*typ_a = (u8)a;
	*typ_b = (u8)b;
	return true;
}

bool acpi_find_s5(const u8 *aml, u64 size, u8 *typ_a, u8 *typ_b)
{
	for (u64 at = 1; at + 4 < size; at++) {
		bool named;

		if (memcmp(aml + at, "_S5_", 4) != 0)
			continue;
		named = aml[at - 1] == AML_NAME ||
			(at >= 2 && aml[at - 1] == AML_ROOT && aml[at - 2] == AML_NAME);
		if (named && s5_package(aml, size, at + 4, typ_a, typ_b))
			return true;
	}
	return false;
}

static bool s5_in_table(const struct acpi_header *table, struct boot_power *power)
{
	return acpi_find_s5((const u8 *)(table + 1), table->length - sizeof(*table),
		&power->slp_typ_a, &power->slp_typ_b);
}

static void s5_search(const struct acpi *acpi, paddr_t dsdt, struct boot_power *power)
{
	const struct acpi_header *table = dsdt ? acpi_table(acpi->access, dsdt, "DSDT") : NULL;

	power->s5_valid = table && s5_in_table(table, power);
	for (u32 next = 0; !power->s5_valid;) {
		table = acpi_find(acpi, "SSDT", &next);
		if (!table)
			break;
		power->s5_valid = s5_in_table(table, power);
	}
	if (!power->s5_valid)
		acpi->access->note("DSDT", "no _S5_ found: the machine cannot be switched off");
}

/* The port of a register that has an old 32-bit field and a newer generic one, which counts more.
 */
static u16 register_port(u32 port, const struct acpi_gas *gas)
{
	if (gas->address && gas->space == ACPI_SPACE_IO && gas->address <= 0xffff)
		return (u16)gas->address;
	return port <= 0xffff ? (u16)port : 0;
}

/* The SCI is named by its 8259 input where there are 8259s, so an override may move it. */
static u16 sci_gsi(const struct boot_info *info, u16 irq)
{
	for (u32 i = 0; i < info->overrides; i++) {
		if (info->override[i].isa_irq == irq)
			return (u16)info->override[i].gsi;
	}
	return irq;
}

void acpi_read_fadt(
	const struct acpi *acpi, const struct acpi_header *table, struct boot_info *info)
{
	struct boot_power *power = &info->power;
	struct acpi_fadt fadt;
	u64 size = table->length < sizeof(fadt) ? table->length : sizeof(fadt);

	if (size < FADT_V1_SIZE) {
		acpi->access->note("FACP", "the table is too short; ignored");
		return;
	}
	memset(&fadt, 0, sizeof(fadt)); /* what an older table lacks reads as absent */
	memcpy(&fadt, table, size);
	power->pm1a_control = register_port(fadt.pm1a_control, &fadt.x_pm1a_control);
	power->pm1b_control = register_port(fadt.pm1b_control, &fadt.x_pm1b_control);
	if (fadt.pm_timer_length == PM_TIMER_BYTES)
		power->pm_timer = register_port(fadt.pm_timer, &fadt.x_pm_timer);
	power->pm_timer_32bit = (fadt.flags & FADT_TIMER_32BIT) != 0;
	power->sci_gsi = sci_gsi(info, fadt.sci_irq);
	power->smi_command = fadt.smi_command <= 0xffff ? (u16)fadt.smi_command : 0;
	if ((fadt.flags & FADT_RESET_SUPPORTED) && fadt.reset.address &&
		fadt.reset.space <= ACPI_SPACE_IO) {
		power->reset_space = fadt.reset.space;
		power->reset_address = fadt.reset.address;
		power->reset_value = fadt.reset_value;
	}
	s5_search(acpi, fadt.x_dsdt ? fadt.x_dsdt : fadt.dsdt, power);
}
