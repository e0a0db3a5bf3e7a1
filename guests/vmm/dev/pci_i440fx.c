/* The three functions of an i440FX and PIIX machine, and how interrupt pins reach lines. */
#include "guests/vmm/dev/pci.h"

#define PIN_COUNT      4u
#define DEVICE_SHIFT   3
#define SLOT_OF_PIRQ_A 1u /* the device whose INTA is PIRQA */
#define ISA_LINES      16u

/* Registers that firmware writes and reads back, without effect here. */
#define HOST_PAM0_WRITABLE 0x30u
#define HOST_PAM_WRITABLE  0x33u
#define HOST_SMRAM_INITIAL 0x02u
#define HOST_SMRAM_MASK    0x78u
#define ISA_XBCS           0x4e /* X-bus chip selects */
#define ISA_XBCS_INITIAL   0x0003u
#define ISA_TOP_OF_MEMORY  0x69
#define ISA_TOM_INITIAL    0x02u
#define PM_SMBUS_BASE      0x90
#define PM_SMBUS_MASK      0xfff0u
#define PM_SMBUS_CONFIG    0xd2
#define PM_SMBUS_CFG_MASK  0x0fu
#define IO_INDICATOR       0x01u   /* reads 1 in base registers of I/O space */
#define STATUS_MEDIUM      0x0200u /* DEVSEL timing */
#define PIRQ_WRITABLE      (PCI_PIRQ_NONE | PCI_PIRQ_LINE)
#define FIXED_ISA_COMMAND  (PCI_CMD_IO | PCI_CMD_MEMORY | PCI_CMD_MASTER)
#define FIXED_HOST_COMMAND (PCI_CMD_MEMORY | PCI_CMD_MASTER)

/* What pci_configure chooses: INTA and INTB on line 10, INTC and INTD on 11; ACPI on 9. */
static const u8 default_routes[PCI_PIRQS] = {10, 10, 11, 11};
#define PM_LINE 9

static const struct pci_identity host_identity = {
	.vendor = 0x8086,
	.device = 0x1237,
	.subsystem_vendor = 0x1af4, /* SeaBIOS knows a virtual machine by it */
	.subsystem = 0x1100,
	.class_code = 0x060000,
	.revision = 2,
};

static const struct pci_identity isa_identity = {
	.vendor = 0x8086,
	.device = 0x7000,
	.subsystem_vendor = 0x1af4,
	.subsystem = 0x1100,
	.class_code = 0x060100,
};

static const struct pci_identity pm_identity = {
	.vendor = 0x8086,
	.device = 0x7113,
	.subsystem_vendor = 0x1af4,
	.subsystem = 0x1100,
	.class_code = 0x068000,
	.revision = 3,
	.interrupt_pin = 1,
};

static void add_host(struct pci *s)
{
	struct pci_function *f = pci_add(s, PCI_DEVFN_HOST, &host_identity);

	pci_set(f, PCI_COMMAND, 2, FIXED_HOST_COMMAND, PCI_CMD_SERR);
	pci_set(f, PCI_STATUS, 2, STATUS_MEDIUM, 0);
	pci_set(f, PCI_PAM0, 1, 0, HOST_PAM0_WRITABLE);
	for (u8 i = 1; i < PCI_PAM_COUNT; i++)
		pci_set(f, PCI_PAM0 + i, 1, 0, HOST_PAM_WRITABLE);
	pci_set(f, PCI_SMRAM, 1, HOST_SMRAM_INITIAL, HOST_SMRAM_MASK);
}

static void add_isa(struct pci *s)
{
	struct pci_function *f = pci_add(s, PCI_DEVFN_ISA, &isa_identity);

	pci_set(f, PCI_COMMAND, 2, FIXED_ISA_COMMAND, PCI_CMD_SERR);
	pci_set(f, PCI_STATUS, 2, STATUS_MEDIUM, 0);
	for (u8 i = 0; i < PCI_PIRQS; i++)
		pci_set(f, PCI_PIRQ + i, 1, PCI_PIRQ_NONE, PIRQ_WRITABLE);
	pci_set(f, ISA_XBCS, 2, ISA_XBCS_INITIAL, UINT16_MAX);
	pci_set(f, ISA_TOP_OF_MEMORY, 1, ISA_TOM_INITIAL, UINT8_MAX);
}

static void add_pm(struct pci *s)
{
	struct pci_function *f = pci_add(s, PCI_DEVFN_PM, &pm_identity);

	pci_set(f, PCI_COMMAND, 2, 0, PCI_CMD_IO);
	pci_set(f, PCI_STATUS, 2, STATUS_MEDIUM, 0);
	pci_set(f, PCI_INTERRUPT_LINE, 1, PM_LINE, UINT8_MAX);
	pci_set(f, PCI_PM_BASE, 4, IO_INDICATOR, PCI_PM_BASE_MASK);
	/* There is no SMM: firmware that finds APMC_EN set takes its SMI handler as set up. */
	pci_set(f, PCI_PM_ACTIVATE, 4, PCI_PM_APMC_EN, PCI_PM_APMC_EN);
	pci_set(f, PCI_PM_REGION, 1, 0, PCI_PM_ENABLE);
	pci_set(f, PM_SMBUS_BASE, 4, IO_INDICATOR, PM_SMBUS_MASK);
	pci_set(f, PM_SMBUS_CONFIG, 1, 0, PM_SMBUS_CFG_MASK);
}

void pci_init(struct pci *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(s->index); i++)
		s->index[i] = 0;
	for (size_t i = 0; i < ARRAY_SIZE(s->function); i++)
		s->function[i].present = 0;
	s->header = device_header(PCI_MAGIC, PCI_VERSION, sizeof(*s));
	s->address = 0;
	s->reset_control = 0;
	s->functions = 0;
	s->isa_lines = 0;
	s->pirqs = 0;
	add_host(s);
	add_isa(s);
	add_pm(s);
}

static unsigned pirq_of(u8 devfn, u32 pin)
{
	return ((devfn >> DEVICE_SHIFT) + PIN_COUNT - SLOT_OF_PIRQ_A + pin - 1) % PIN_COUNT;
}

/* Returns the ISA line of a PIRQ, or ISA_LINES if it is routed nowhere. */
static u32 route(const struct pci_function *isa, unsigned pirq)
{
	u8 value = (u8)pci_get(isa, (u8)(PCI_PIRQ + pirq), 1);
	u32 line = value & PCI_PIRQ_LINE;

	return value & PCI_PIRQ_NONE || !(PCI_PIRQ_ALLOWED & BIT(line)) ? ISA_LINES : line;
}

u16 pci_routed_lines(struct pci *s)
{
	const struct pci_function *isa = pci_find(s, PCI_DEVFN_ISA);
	u32 lines = 0;

	for (unsigned i = 0; isa && i < PCI_PIRQS; i++)
		lines |= 1u << route(isa, i);
	return (u16)lines;
}

static u8 asserted_pirqs(struct pci *s)
{
	u8 pirqs = 0;

	for (unsigned i = 0; i < s->functions && i < PCI_FUNCTIONS; i++) {
		struct pci_function *f = &s->function[i];
		u32 pin = f->config[PCI_INTERRUPT_PIN];

		if (f->intx && pin && !(pci_get(f, PCI_COMMAND, 2) & PCI_CMD_INTX_DISABLE))
			pirqs |= (u8)(1u << pirq_of(f->devfn, pin));
	}
	return pirqs;
}

void pci_update_lines(struct machine *m, struct pci *s)
{
	const struct pci_function *isa = pci_find(s, PCI_DEVFN_ISA);
	u8 pirqs = asserted_pirqs(s);
	u8 changed = pirqs ^ s->pirqs;
	u32 lines = 0;
	u32 lines_changed;

	for (unsigned i = 0; isa && i < PCI_PIRQS; i++)
		if (pirqs & BIT(i))
			lines |= 1u << route(isa, i);
	lines &= UINT16_MAX;
	lines_changed = lines ^ s->isa_lines;
	s->pirqs = pirqs;
	s->isa_lines = (u16)lines;
	for (unsigned i = 0; i < PCI_PIRQS; i++)
		if (changed & BIT(i))
			machine_line(m, PCI_GSI_INTX + i, pirqs & BIT(i));
	for (unsigned i = 0; i < ISA_LINES; i++)
		if (lines_changed & BIT(i))
			machine_line(m, i, lines & BIT(i));
}

void pci_intx(struct machine *m, struct pci *s, u8 devfn, bool level)
{
	struct pci_function *f = pci_find(s, devfn);

	if (!f || f->intx == level)
		return;
	f->intx = level;
	if (level)
		f->config[PCI_STATUS] |= PCI_STS_INTX;
	else
		f->config[PCI_STATUS] &= (u8)~PCI_STS_INTX;
	pci_update_lines(m, s);
}

u16 pci_pm_base(struct pci *s)
{
	const struct pci_function *f = pci_find(s, PCI_DEVFN_PM);

	if (!f || !(pci_get(f, PCI_PM_REGION, 1) & PCI_PM_ENABLE))
		return 0;
	return pci_get(f, PCI_PM_BASE, 4) & PCI_PM_BASE_MASK;
}

/* Places a function's BARs at the next free addresses; those that do not fit stay where they are.
 */
static void assign_bars(struct machine *m, struct pci *s, struct pci_function *f, u64 next[2])
{
	static const u64 end[2] = {PCI_MEMORY_END, PCI_IO_END};
	u32 decode = 0;

	for (u32 i = 0; i < PCI_REGIONS; i++) {
		const struct pci_bar *bar = &f->bar[i];
		u32 io = bar->flags & PCI_BAR_IO;
		u64 at = bar->size ? ALIGN_UP(next[io], bar->size) : 0;

		if (!bar->size || at + bar->size > end[io])
			continue;
		next[io] = at + bar->size;
		pci_config_write(m, s, f->devfn, pci_bar_register(i), 4, (u32)at);
		decode |= io ? PCI_CMD_IO : PCI_CMD_MEMORY;
	}
	if (decode)
		pci_config_write(
			m, s, f->devfn, PCI_COMMAND, 2, pci_get(f, PCI_COMMAND, 2) | decode);
}

void pci_configure(struct machine *m, struct pci *s, u16 pm_base)
{
	u64 next[2] = {PCI_MEMORY_FIRST, PCI_IO_FIRST};

	for (unsigned i = 0; i < PCI_PIRQS; i++)
		pci_config_write(m, s, PCI_DEVFN_ISA, PCI_PIRQ + i, 1, default_routes[i]);
	pci_config_write(m, s, PCI_DEVFN_PM, PCI_PM_BASE, 4, pm_base);
	pci_config_write(m, s, PCI_DEVFN_PM, PCI_PM_REGION, 1, PCI_PM_ENABLE);
	for (unsigned i = 0; i < s->functions && i < PCI_FUNCTIONS; i++) {
		struct pci_function *f = &s->function[i];
		u32 pin = f->config[PCI_INTERRUPT_PIN];

		assign_bars(m, s, f, next);
		if (pin && f->devfn != PCI_DEVFN_PM)
			pci_config_write(m, s, f->devfn, PCI_INTERRUPT_LINE, 1,
				default_routes[pirq_of(f->devfn, pin)]);
	}
}
