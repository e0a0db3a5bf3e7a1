/* The DSDT's body: see acpi_dsdt.h. */
#include "guests/vmm/boot/acpi_dsdt.h"
#include "guests/vmm/dev/i8042.h"
#include "guests/vmm/dev/pci.h"
#include "guests/vmm/dev/pic.h"
#include "guests/vmm/dev/pit.h"
#include "guests/vmm/dev/pm.h"
#include "guests/vmm/dev/rtc.h"
#include "guests/vmm/dev/uart16550.h"

#define PINS             4u
#define FIRST_SLOT       1u /* the host bridge has no interrupt */
#define LAST_SLOT        31u
#define ANY_FUNCTION     0xffffu
#define ADR_SHIFT        16
#define PCI_CONFIG_SPACE 2    /* of an operation region */
#define FIELD_BYTE       1    /* access by bytes, no lock, preserve */
#define STATUS_PRESENT   0x0b /* _STA: present, enabled, working */
#define STATUS_DISABLED  0x09
#define IO_BEFORE_CONFIG 0x0cf7 /* the I/O windows leave the configuration ports out */
#define IO_AFTER_CONFIG  0x0d00
#define IO_LAST          0xffff
#define CONFIG_PORTS     8
#define VGA_FIRST        0xa0000u
#define VGA_LAST         0xbffffu
#define PACKAGE_MAX      255u

#define COM1_BASE 0x3f8
#define COM1_LINE 4
#define COM2_BASE 0x2f8
#define COM2_LINE 3

static const char *const links[PINS] = {"LNKA", "LNKB", "LNKC", "LNKD"};
static const char *const routes[PINS] = {
	"\\_SB.PCI0.ISA.PRQA", "\\_SB.PCI0.ISA.PRQB", "\\_SB.PCI0.ISA.PRQC", "\\_SB.PCI0.ISA.PRQD"};
static const u8 link_lines[] = {5, 10, 11};

static void sleep_states(struct aml *a)
{
	u32 package;

	aml_opcode(a, AML_NAME);
	aml_name(a, "\\_S5");
	package = aml_package(a, 4);
	aml_integer(a, PM_SLEEP_TYPE_S5);
	aml_integer(a, PM_SLEEP_TYPE_S5);
	aml_integer(a, 0);
	aml_integer(a, 0);
	aml_close(a, package);
}

/* \_PIC tells which interrupt controllers the system uses; _PRT answers accordingly. */
static void interrupt_mode(struct aml *a)
{
	u32 method;

	aml_name_integer(a, "\\PICF", 0);
	method = aml_method(a, "\\_PIC", 1, false);
	aml_opcode(a, AML_STORE);
	aml_opcode(a, AML_ARG0);
	aml_name(a, "\\PICF");
	aml_close(a, method);
}

static void processors(struct aml *a, u32 count)
{
	static const char digits[] = "0123456789ABCDEF";

	for (u32 i = 0; i < count; i++) {
		char name[] = {'C', 'P', digits[i >> 4 & 0xf], digits[i & 0xf], 0};
		u32 device = aml_device(a, name);

		aml_name_string(a, "_HID", "ACPI0007");
		aml_name_integer(a, "_UID", i);
		aml_close(a, device);
	}
}

/* Package () {address, pin, source, index}: the source is a link or, if NULL, a fixed GSI. */
static void route_entry(struct aml *a, u32 slot, u32 pin, const char *link, u32 gsi)
{
	u32 package = aml_package(a, 4);

	aml_integer(a, slot << ADR_SHIFT | ANY_FUNCTION);
	aml_integer(a, pin);
	if (link)
		aml_name(a, link);
	else
		aml_integer(a, 0);
	aml_integer(a, link ? 0 : gsi);
	aml_close(a, package);
}

/* The table for all slots; pin p of slot d is on PIRQ (d + p - 1) mod 4, as in pci_intx. */
static void route_table(struct aml *a, const char *path, bool by_links)
{
	static_assert((LAST_SLOT - FIRST_SLOT + 1) * PINS <= PACKAGE_MAX, "fits one package");
	u32 package;

	aml_opcode(a, AML_NAME);
	aml_name(a, path);
	package = aml_package(a, (LAST_SLOT - FIRST_SLOT + 1) * PINS);
	for (u32 slot = FIRST_SLOT; slot <= LAST_SLOT; slot++) {
		for (u32 pin = 0; pin < PINS; pin++) {
			u32 pirq = (slot + pin + PINS - 1) % PINS;

			route_entry(
				a, slot, pin, by_links ? links[pirq] : NULL, PCI_GSI_INTX + pirq);
		}
	}
	aml_close(a, package);
}

static void routing(struct aml *a)
{
	u32 method;
	u32 branch;

	route_table(a, "PRTP", true);
	route_table(a, "PRTA", false);
	method = aml_method(a, "_PRT", 0, false);
	branch = aml_open(a, AML_IF);
	aml_name(a, "\\PICF");
	aml_opcode(a, AML_RETURN);
	aml_name(a, "PRTA");
	aml_close(a, branch);
	aml_opcode(a, AML_RETURN);
	aml_name(a, "PRTP");
	aml_close(a, method);
}

static void windows(struct aml *a, const struct acpi_config *config)
{
	struct aml_resources r = aml_resources_begin(a, "_CRS");

	aml_bus_window(a, 0, 0);
	aml_io(a, PCI_ADDRESS, CONFIG_PORTS);
	aml_io_window(a, 0, IO_BEFORE_CONFIG);
	aml_io_window(a, IO_AFTER_CONFIG, IO_LAST);
	if (config->vga)
		aml_memory_window32(a, VGA_FIRST, VGA_LAST);
	if (config->pci_low_size)
		aml_memory_window32(
			a, (u32)config->pci_low, (u32)(config->pci_low + config->pci_low_size - 1));
	if (config->pci_high_size)
		aml_memory_window64(
			a, config->pci_high, config->pci_high + config->pci_high_size - 1);
	aml_resources_end(a, r);
}

/* The ISA bridge's PIRQ route registers. */
static void route_registers(struct aml *a)
{
	static const char *const names[PINS] = {"PRQA", "PRQB", "PRQC", "PRQD"};
	u32 field;

	aml_opcode(a, AML_OP_REGION);
	aml_name(a, "PIRQ");
	aml_byte(a, PCI_CONFIG_SPACE);
	aml_integer(a, PCI_PIRQ);
	aml_integer(a, PCI_PIRQS);
	field = aml_open(a, AML_FIELD);
	aml_name(a, "PIRQ");
	aml_byte(a, FIELD_BYTE);
	for (unsigned i = 0; i < PINS; i++) {
		aml_name(a, names[i]);
		aml_byte(a, 8); /* bits */
	}
	aml_close(a, field);
}

/* If (register & none) Return (disabled); Return (present). */
static void link_status(struct aml *a, const char *route)
{
	u32 method = aml_method(a, "_STA", 0, false);
	u32 branch = aml_open(a, AML_IF);

	aml_opcode(a, AML_AND);
	aml_name(a, route);
	aml_integer(a, PCI_PIRQ_NONE);
	aml_byte(a, 0); /* no target */
	aml_opcode(a, AML_RETURN);
	aml_integer(a, STATUS_DISABLED);
	aml_close(a, branch);
	aml_opcode(a, AML_RETURN);
	aml_integer(a, STATUS_PRESENT);
	aml_close(a, method);
}

static void link_disable(struct aml *a, const char *route)
{
	u32 method = aml_method(a, "_DIS", 0, false);

	aml_opcode(a, AML_OR);
	aml_name(a, route);
	aml_integer(a, PCI_PIRQ_NONE);
	aml_name(a, route);
	aml_close(a, method);
}

static void interrupt_field(struct aml *a)
{
	aml_integer(a, AML_INTERRUPT_NUMBER);
	aml_name(a, "LINE");
}

/* The register's line, put into a template; 0 if there is none. */
static void link_current(struct aml *a, const char *route)
{
	static const u8 none[] = {0};
	struct aml_resources r = aml_resources_begin(a, "BUFF");
	u32 method;
	u32 branch;

	aml_interrupts(a, none, sizeof(none));
	aml_resources_end(a, r);
	method = aml_method(a, "_CRS", 0, true);
	aml_opcode(a, AML_CREATE_DWORD_FIELD);
	aml_name(a, "BUFF");
	interrupt_field(a);
	branch = aml_open(a, AML_IF);
	aml_opcode(a, AML_LESS);
	aml_name(a, route);
	aml_integer(a, PCI_PIRQ_NONE);
	aml_opcode(a, AML_STORE);
	aml_name(a, route);
	aml_name(a, "LINE");
	aml_close(a, branch);
	aml_opcode(a, AML_RETURN);
	aml_name(a, "BUFF");
	aml_close(a, method);
}

static void link_set(struct aml *a, const char *route)
{
	u32 method = aml_method(a, "_SRS", 1, true);

	aml_opcode(a, AML_CREATE_DWORD_FIELD);
	aml_opcode(a, AML_ARG0);
	interrupt_field(a);
	aml_opcode(a, AML_STORE);
	aml_name(a, "LINE");
	aml_name(a, route);
	aml_close(a, method);
}

static void link_device(struct aml *a, unsigned number)
{
	u32 device = aml_device(a, links[number]);
	struct aml_resources r;

	aml_name_eisa(a, "_HID", "PNP0C0F");
	aml_name_integer(a, "_UID", number);
	r = aml_resources_begin(a, "_PRS");
	aml_interrupts(a, link_lines, sizeof(link_lines));
	aml_resources_end(a, r);
	link_status(a, routes[number]);
	link_disable(a, routes[number]);
	link_current(a, routes[number]);
	link_set(a, routes[number]);
	aml_close(a, device);
}

/* A legacy device: up to three port ranges (length 0 ends) and an interrupt line (0xff: none). */
struct legacy {
	const char *name;
	const char *hid;
	struct {
		u16 first;
		u8 length;
	} ports[3];
	u8 line;
	u8 uid;
};
#define NO_LINE 0xff

static void legacy_device(struct aml *a, const struct legacy *l)
{
	u32 device = aml_device(a, l->name);
	struct aml_resources r;

	aml_name_eisa(a, "_HID", l->hid);
	if (l->uid)
		aml_name_integer(a, "_UID", l->uid);
	r = aml_resources_begin(a, "_CRS");
	for (size_t i = 0; i < ARRAY_SIZE(l->ports) && l->ports[i].length; i++)
		aml_io(a, l->ports[i].first, l->ports[i].length);
	if (l->line != NO_LINE)
		aml_irq(a, l->line);
	aml_resources_end(a, r);
	aml_close(a, device);
}

static void legacy_devices(struct aml *a, const struct acpi_config *config)
{
	static const struct legacy always[] = {
		{"PIC", "PNP0000",
			{{PIC_MASTER_COMMAND, 2}, {PIC_SLAVE_COMMAND, 2}, {PIC_ELCR_MASTER, 2}},
			PIC_CASCADE, 0},
		{"TMR", "PNP0100", {{PIT_CHANNEL0, 4}}, PIT_LINE, 0},
		{"SPKR", "PNP0800", {{PIT_NMI_STATUS, 1}}, NO_LINE, 0},
		{"RTC", "PNP0B00", {{RTC_INDEX, 2}}, RTC_LINE, 0},
	};
	static const struct legacy keyboard = {
		"KBD", "PNP0303", {{I8042_DATA, 1}, {I8042_STATUS, 1}}, I8042_LINE_KEYBOARD, 0};
	static const struct legacy mouse = {"MOU", "PNP0F13", {{0, 0}}, I8042_LINE_MOUSE, 0};
	static const struct legacy serial1 = {
		"COM1", "PNP0501", {{COM1_BASE, UART_PORTS}}, COM1_LINE, 1};
	static const struct legacy serial2 = {
		"COM2", "PNP0501", {{COM2_BASE, UART_PORTS}}, COM2_LINE, 2};
	struct legacy board = {"SYSR", "PNP0C02",
		{{config->pm_base, PM_BLOCK_SIZE}, {PM_APM_CONTROL, 2}, {I8042_PORT92, 1}}, NO_LINE,
		0};

	for (size_t i = 0; i < ARRAY_SIZE(always); i++)
		legacy_device(a, &always[i]);
	if (config->i8042) {
		legacy_device(a, &keyboard);
		legacy_device(a, &mouse);
	}
	if (config->serial1)
		legacy_device(a, &serial1);
	if (config->serial2)
		legacy_device(a, &serial2);
	legacy_device(a, &board);
}

static void pci_root(struct aml *a, const struct acpi_config *config)
{
	u32 root = aml_device(a, "PCI0");
	u32 isa;

	aml_name_eisa(a, "_HID", "PNP0A03");
	aml_name_integer(a, "_UID", 0);
	aml_name_integer(a, "_BBN", 0);
	windows(a, config);
	routing(a);
	isa = aml_device(a, "ISA");
	aml_name_integer(a, "_ADR", 1u << ADR_SHIFT);
	route_registers(a);
	legacy_devices(a, config);
	aml_close(a, isa);
	aml_close(a, root);
	for (unsigned i = 0; i < PINS; i++)
		link_device(a, i);
}

void acpi_dsdt(struct aml *a, const struct acpi_config *config)
{
	u32 scope;

	sleep_states(a);
	interrupt_mode(a);
	scope = aml_scope(a, "\\_SB");
	processors(a, config->cpus);
	if (config->pci)
		pci_root(a, config);
	else
		legacy_devices(a, config);
	aml_close(a, scope);
}
