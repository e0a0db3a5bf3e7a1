/* Functions of the machine's own in the guest's: BARs, ports, what exits, the line's end. */
#include "guests/vmm/dev/pci.h"
#include "guests/vmm/mmio.h"
#include "tests/unit/machine_host.h"

#define DEVFN   PCI_DEVFN(5, 0)
#define MEMORY  0x10000u
#define PORTS   0x20u
#define ROM     0x8000u
#define LINE    BIT(6)
#define PIN     16 /* device 5, INTA: PIRQ 0 */
#define VECTOR  0x61
#define COMMAND (PCI_CMD_IO | PCI_CMD_MEMORY)

static struct vcpu *start(void)
{
	static const struct pass_bar bars[PCI_REGIONS] = {
		{MEMORY, 0}, {0x100, 0}, [4] = {PORTS, PCI_BAR_IO}, [PCI_ROM_BAR] = {ROM, 0}};
	struct machine *m = &host_machine;
	struct vcpu *v = host_setup(false);

	CHECK(pass_init(m, &m->state->pass[0], &m->state->pci, 0, DEVFN, bars, true));
	machine_pass_bits(m, 0, LINE);
	CHECK(m->wake_mask & LINE);
	pci_configure(m, &m->state->pci, PM_BASE_DEFAULT);
	return v;
}

static void config_write(u32 offset, unsigned size, u32 value)
{
	pci_config_write(&host_machine, &host_machine.state->pci, DEVFN, offset, size, value);
}

static u32 config(u32 offset)
{
	return pci_config_read(&host_machine, &host_machine.state->pci, DEVFN, offset, 4);
}

TEST(registers_are_mapped)
{
	start();
	CHECK_EQ(host.mappings, 1);
	CHECK_EQ(host.mapping[0].gpa, PCI_MEMORY_FIRST);
	CHECK_EQ(host.mapping[0].size, MEMORY);
	config_write(PCI_BAR0, 4, 0xe8000000);
	CHECK_EQ(host.mappings, 1);
	CHECK_EQ(host.mapping[0].gpa, 0xe8000000);
	config_write(PCI_COMMAND, 2, PCI_CMD_IO);
	CHECK_EQ(host.mappings, 0);
	config_write(PCI_COMMAND, 2, COMMAND);
	CHECK_EQ(host.mappings, 1);
}

/* Over the guest's RAM or its interrupt controllers nothing is mapped, and nothing unmapped later.
 */
TEST(places_that_are_taken)
{
	start();
	config_write(PCI_BAR0, 4, 0x100000);
	CHECK_EQ(host.mappings, 0);
	CHECK(host_logged("is taken"));
	config_write(PCI_BAR0, 4, 0xfec00000);
	CHECK_EQ(host.mappings, 0);
	config_write(PCI_BAR0, 4, 0xfebf0000);
	CHECK_EQ(host.mappings, 1);
	config_write(PCI_BAR0, 4, 0xfee00000);
	CHECK_EQ(host.mappings, 0);
	config_write(PCI_BAR0, 4, 0xe0000000);
	CHECK_EQ(host.mappings, 1);
}

TEST(expansion_rom)
{
	struct vcpu *v = start();
	u32 at = config(PCI_ROM);

	CHECK(at >= PCI_MEMORY_FIRST && at % ROM == 0); /* has a place, and does not decode */
	CHECK_EQ(host.mappings, 1);
	CHECK(!mmio_backed(v, at));
	config_write(PCI_ROM, 4, at | PCI_ROM_ENABLE);
	CHECK_EQ(host.mappings, 2);
	CHECK_EQ(host.mapping[1].gpa, at);
	CHECK_EQ(host.mapping[1].size, ROM);
	CHECK(mmio_backed(v, at + ROM - 1) && !mmio_backed(v, at + ROM));
	host.register_value = 7;
	mmio_write(v, at + 8, 4, 0xdeadbeef); /* no effect */
	CHECK_EQ(host.register_value, 7);
	config_write(PCI_ROM, 4, at);
	CHECK_EQ(host.mappings, 1);
	CHECK(!mmio_backed(v, at));
}

TEST(small_registers_exit)
{
	struct vcpu *v = start();
	u64 at = config(PCI_BAR0 + 4) & ~15u;

	CHECK(mmio_backed(v, at) && mmio_backed(v, at + 0xff) && !mmio_backed(v, at + 0x100));
	CHECK_EQ(mmio_read(v, at + 8, 4), 9);
	mmio_write(v, at + 0x10, 4, 77);
	CHECK_EQ(host.register_bar, 1);
	CHECK_EQ(host.register_offset, 0x10);
	CHECK_EQ(host.register_value, 77);
	CHECK_EQ(mmio_read(v, at + 0xfe, 4), ~0u); /* beyond its end */
}

TEST(ports_exit)
{
	struct vcpu *v = start();
	u16 at = (u16)(config(PCI_BAR0 + 16) & ~3u);

	CHECK_EQ(port_read(v, at + 4, 1), 5);
	port_write(v, at + 8, 2, 0x1234);
	CHECK_EQ(host.register_bar, 4);
	CHECK_EQ(host.register_offset, 8);
	CHECK_EQ(port_read(v, at + PORTS - 1, 2), 0xffff); /* beyond its end */
	config_write(PCI_BAR0 + 16, 4, 0xd000);            /* nothing is there */
	CHECK_EQ(port_read(v, at + 4, 1), 0xff);
	CHECK_EQ(port_read(v, 0xd004, 1), 5);
}

static void ioapic(u32 index, u32 value)
{
	struct vcpu *v = &host_machine.vcpu[0];

	mmio_write(v, IOAPIC_BASE, 4, index);
	mmio_write(v, IOAPIC_BASE + 0x10, 4, value);
}

TEST(line_ends_with_the_interrupt)
{
	struct vcpu *v = start();
	struct machine *m = &host_machine;

	ioapic(0x10 + 2 * PIN, VECTOR | (u32)IOAPIC_RTE_LEVEL | (u32)IOAPIC_RTE_ACTIVE_LOW);
	machine_pass_event(m, LINE);
	CHECK(m->state->pci.pirqs & BIT(0));
	CHECK(m->state->ioapic.redirection[PIN] & IOAPIC_RTE_REMOTE_IRR);
	CHECK_EQ(host.lines_done, 0);
	ioapic_eoi(m, &m->state->ioapic, VECTOR + 1);
	CHECK_EQ(host.lines_done, 0);
	ioapic_eoi(m, &m->state->ioapic, VECTOR);
	CHECK_EQ(host.lines_done, 1);
	CHECK(!(m->state->pci.pirqs & BIT(0)));
	CHECK(!(m->state->ioapic.redirection[PIN] & IOAPIC_RTE_REMOTE_IRR));
	machine_pass_event(m, LINE); /* the function still asserts it */
	CHECK(m->state->ioapic.redirection[PIN] & IOAPIC_RTE_REMOTE_IRR);
	port_write(v, PIC_MASTER_COMMAND, 1, 0x0b); /* OCW3: no end */
	CHECK_EQ(host.lines_done, 1);
	port_write(v, PIC_MASTER_COMMAND, 1, 0x20);
	CHECK_EQ(host.lines_done, 2);
}

TEST(fresh_vmm)
{
	struct machine *m = &host_machine;

	start();
	host.mappings = 0; /* they went with the process before */
	memset(&m->pass, 0, sizeof(m->pass));
	memset(&m->ports, 0, sizeof(m->ports));
	machine_pass_bits(m, 0, LINE);
	machine_pass_resume(m);
	CHECK_EQ(host.mappings, 1);
	CHECK_EQ(port_read(&m->vcpu[0], (u16)(config(PCI_BAR0 + 16) & ~3u), 1), 1);
}
