/* Sets up the machine as firmware would, builds the ACPI tables and loads the kernel. */
#include "start.h"
#include "guests/vmm/boot/acpi_tables.h"
#include "entry.h"

#define COM1       0x3f8u
#define COM2       0x2f8u
#define ELCR_SHIFT 8

#define PIC_MASTER_VECTOR 0x08u
#define PIC_SLAVE_VECTOR  0x70u
#define BIOS_MASTER_MASK  0xf8u     /* all but lines 0, 1 and 2 */
#define BIOS_PIT_MODE     (3u << 1) /* square wave */
#define PIT_ACCESS_SHIFT  4

static bool build_acpi(struct machine *m, gpa_t *rsdp)
{
	u8 *area = gmem_at(&m->memory, ACPI_AREA, ACPI_AREA_SIZE);
	u32 ids[MACHINE_VCPUS];
	struct acpi_result result;
	struct acpi_config config = {
		.cpus = m->vcpus,
		.apic_id = ids,
		.pm_base = PM_BASE_DEFAULT,
		.serial1 = m->state->serial == COM1,
		.serial2 = m->state->serial == COM2,
		.i8042 = true,
		.pci = true,
		.pci_low = ACPI_PCI_LOW,
		.pci_low_size = ACPI_PCI_LOW_SIZE,
	};

	for (u32 i = 0; i < m->vcpus; i++)
		ids[i] = m->state->lapic[i].id;
	if (!area || !acpi_build(&config, ACPI_AREA, area, ACPI_AREA_SIZE, &result)) {
		log_line("the machine needs memory from 0 to 1 MiB for its ACPI tables");
		return false;
	}
	*rsdp = ACPI_AREA + result.rsdp;
	return true;
}

/* What firmware leaves behind. */
static void configure(struct machine *m)
{
	struct machine_state *s = m->state;
	u16 routed;

	pci_configure(m, &s->pci, PM_BASE_DEFAULT);
	machine_pm_bind(m);
	pm_enable_acpi(m, &s->pm);
	routed = pci_routed_lines(&s->pci);
	pic_write(m, &s->pic, PIC_ELCR_MASTER, 1, routed & 0xff);
	pic_write(m, &s->pic, PIC_ELCR_SLAVE, 1, routed >> ELCR_SHIFT);
	for (u32 i = 0; i < m->vcpus; i++)
		lapic_virtual_wire(&m->lapic[i]);
}

/* PICs at the vectors of real mode, with timer, keyboard and the second PIC let through; channel 0
 * of the timer with the longest period (IBM PC/AT Technical Reference, BIOS listings). */
static void configure_bios(struct machine *m)
{
	static const struct {
		u16 port;
		u8 value;
	} pic[] = {
		{PIC_MASTER_COMMAND, PIC_ICW1 | PIC_ICW1_IC4},
		{PIC_MASTER_DATA, PIC_MASTER_VECTOR},
		{PIC_MASTER_DATA, 1u << PIC_CASCADE},
		{PIC_MASTER_DATA, PIC_ICW4_8086},
		{PIC_SLAVE_COMMAND, PIC_ICW1 | PIC_ICW1_IC4},
		{PIC_SLAVE_DATA, PIC_SLAVE_VECTOR},
		{PIC_SLAVE_DATA, PIC_CASCADE},
		{PIC_SLAVE_DATA, PIC_ICW4_8086},
		{PIC_MASTER_DATA, BIOS_MASTER_MASK},
		{PIC_SLAVE_DATA, UINT8_MAX},
	};
	struct machine_state *s = m->state;

	for (u32 i = 0; i < ARRAY_SIZE(pic); i++)
		pic_write(m, &s->pic, pic[i].port, 1, pic[i].value);
	pit_write(m, &s->pit, PIT_CONTROL, 1, PIT_LOW_HIGH << PIT_ACCESS_SHIFT | BIOS_PIT_MODE);
	pit_write(m, &s->pit, PIT_CHANNEL0, 1, 0);
	pit_write(m, &s->pit, PIT_CHANNEL0, 1, 0);
}

static bool memory_fits(const struct machine *m)
{
	for (u32 i = 0; i < m->memory.ranges; i++) {
		const struct gmem_range *r = &m->memory.range[i];
		u64 end = r->base + r->size;

		if (r->base < BOOT_4G && end > ACPI_PCI_LOW) {
			log_line("memory at %llx to %llx overlaps the machine's devices: below 4 "
				 "GiB it "
				 "must end at %llx",
				(unsigned long long)r->base, (unsigned long long)end,
				(unsigned long long)ACPI_PCI_LOW);
			return false;
		}
		if ((end - 1) >> m->cpuid.physical_bits) {
			log_line("memory ends at %llx, beyond the processor's %u address bits",
				(unsigned long long)end, m->cpuid.physical_bits);
			return false;
		}
	}
	return true;
}

/* Finds the files that the boot node names. */
static bool find_files(const struct config *c, struct boot_request *r)
{
	r->kernel_name = c->kernel;
	r->initrd_name = c->initrd;
	if (!config_file(c, c->kernel, &r->kernel) ||
		(c->initrd && !config_file(c, c->initrd, &r->initrd)))
		return false;
	for (u32 i = 0; i < c->modules; i++) {
		struct boot_module *m = &r->module[i];

		m->name = c->module[i].file;
		m->args = c->module[i].args;
		if (!config_file(c, m->name, &m->image))
			return false;
	}
	r->modules = c->modules;
	return true;
}

bool start_direct(const struct config *c, struct machine *m)
{
	struct boot_request request = {.memory = &m->memory, .bootargs = c->bootargs};
	struct boot_entry entry;
	const char *wrong;

	if (!c->kernel) {
		log_line("the machine's boot node names no kernel, and there is no firmware yet");
		return false;
	}
	if (!memory_fits(m) || !find_files(c, &request))
		return false;
	configure(m);
	if (!build_acpi(m, &request.rsdp))
		return false;
	wrong = boot_load(&request, &entry);
	if (wrong) {
		log_line("%s: %s", c->kernel, wrong);
		return false;
	}
	if (entry.bios)
		configure_bios(m);
	entry_set(&m->vcpu[0], &entry);
	return true;
}
