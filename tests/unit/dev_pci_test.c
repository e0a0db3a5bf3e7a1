/* Configuration space: probing, sizing, BARs, capabilities, interrupt pins. */
#include "guests/vmm/dev/pci.h"
#include "tests/unit/fake_machine.h"
#include "tests/unit/test.h"

static struct machine m;
static struct pci pci;
static struct pci_function *disk;

#define DISK        PCI_DEVFN(4, 0)
#define DISK_IO     0
#define DISK_MEMORY 1
#define DISK_WIDE   4

static const struct pci_identity disk_identity = {
	.vendor = 0x1af4,
	.device = 0x1042,
	.subsystem_vendor = 0x1af4,
	.subsystem = 0x0002,
	.class_code = 0x010000,
	.revision = 1,
	.interrupt_pin = 1,
};

static void start(void)
{
	fake_init(&m);
	pci_init(&pci);
	disk = pci_add(&pci, DISK, &disk_identity);
	CHECK(disk != NULL);
	CHECK(pci_set_bar(disk, DISK_IO, 64, PCI_BAR_IO));
	CHECK(pci_set_bar(disk, DISK_MEMORY, 4096, 0));
	CHECK(pci_set_bar(disk, DISK_WIDE, 1ull << 33, PCI_BAR_64 | PCI_BAR_PREFETCH));
	pci_reset(&m, &pci);
	m.bar_changes = 0;
}

static void point(u8 devfn, u8 offset)
{
	pci_write(&m, &pci, PCI_ADDRESS, 4, 0x80000000u | (u32)devfn << 8 | (offset & 0xfcu));
}

static u32 in(u8 devfn, u8 offset, unsigned size)
{
	point(devfn, offset);
	return pci_read(&m, &pci, PCI_DATA + (offset & 3), size);
}

static void out(u8 devfn, u8 offset, unsigned size, u32 value)
{
	point(devfn, offset);
	pci_write(&m, &pci, PCI_DATA + (offset & 3), size, value);
}

TEST(linux_probes_type_1)
{
	/* pci_check_type1 and pci_sanity_check */
	start();
	pci_write(&m, &pci, 0xcfb, 1, 0x01);
	u32 before = pci_read(&m, &pci, PCI_ADDRESS, 4);
	pci_write(&m, &pci, PCI_ADDRESS, 4, 0x80000000);
	CHECK_EQ(pci_read(&m, &pci, PCI_ADDRESS, 4), 0x80000000);
	pci_write(&m, &pci, PCI_ADDRESS, 4, before);
	CHECK_EQ(in(PCI_DEVFN_HOST, PCI_CLASS + 1, 2), 0x0600);
	CHECK_EQ(m.resets, 0);
}

TEST(the_machine)
{
	start();
	CHECK_EQ(in(PCI_DEVFN_HOST, 0, 4), 0x12378086);
	CHECK_EQ(in(PCI_DEVFN_HOST, 0x2c, 4), 0x11001af4);
	CHECK_EQ(in(PCI_DEVFN_ISA, 0, 4), 0x70008086);
	CHECK_EQ(in(PCI_DEVFN_ISA, 0x0e, 1), 0x80);
	CHECK_EQ(in(PCI_DEVFN_ISA, 0x08, 4), 0x06010000);
	CHECK_EQ(in(PCI_DEVFN_PM, 0, 4), 0x71138086);
	CHECK_EQ(in(PCI_DEVFN_PM, 0x08, 4), 0x06800003);
	CHECK_EQ(in(DISK, 0, 4), 0x10421af4);
	CHECK_EQ(in(DISK, 0x08, 4), 0x01000001);
	CHECK_EQ(in(DISK, 0x3c, 2), 0x0100);
	for (unsigned i = 0; i < 256; i++)
		if (i != PCI_DEVFN_HOST && i != PCI_DEVFN_ISA && i != PCI_DEVFN_PM && i != DISK)
			CHECK_EQ(in((u8)i, 0, 4), 0xffffffff);
	out(DISK, 0, 4, 0);
	CHECK_EQ(in(DISK, 0, 4), 0x10421af4);
}

TEST(access_sizes)
{
	start();
	CHECK_EQ(in(DISK, 2, 2), 0x1042);
	CHECK_EQ(in(DISK, 3, 1), 0x10);
	CHECK_EQ(in(DISK, 1, 2), 0x421a);
	CHECK_EQ(in(DISK, 2, 4), 0xffffffff); /* crosses the port */
	CHECK_EQ(in(DISK, 3, 2), 0xffff);
	out(DISK, PCI_INTERRUPT_LINE, 1, 0x5a);
	CHECK_EQ(in(DISK, PCI_INTERRUPT_LINE, 1), 0x5a);
	out(DISK, PCI_INTERRUPT_LINE, 4, 0xffffff0b);
	CHECK_EQ(in(DISK, PCI_INTERRUPT_LINE, 4), 0x0000010b);
	pci_write(&m, &pci, PCI_ADDRESS, 4, DISK << 8); /* not enabled */
	CHECK_EQ(pci_read(&m, &pci, PCI_DATA, 4), 0xffffffff);
	pci_write(&m, &pci, PCI_ADDRESS, 4, 0x80010000 | DISK << 8); /* bus 1 */
	CHECK_EQ(pci_read(&m, &pci, PCI_DATA, 2), 0xffff);
	CHECK_EQ(pci_config_read(&m, &pci, DISK, 255, 2), 0xffff);
	CHECK_EQ(pci_config_read(&m, &pci, DISK, 0xffffffff, 4), 0xffffffff);
	CHECK_EQ(pci_config_read(&m, &pci, DISK, 256, 1), 0xff);
}

TEST(status_bits_are_cleared_by_ones)
{
	start();
	pci_put(disk, PCI_STATUS, 2, 0xf900 | PCI_STS_CAPABILITIES);
	out(DISK, PCI_COMMAND, 4, 0x80000000);
	CHECK_EQ(in(DISK, PCI_STATUS, 2), 0x7900 | PCI_STS_CAPABILITIES);
	out(DISK, PCI_STATUS, 2, 0xffff);
	CHECK_EQ(in(DISK, PCI_STATUS, 2), PCI_STS_CAPABILITIES);
	out(DISK, PCI_COMMAND, 2, 0xffff);
	CHECK_EQ(in(DISK, PCI_COMMAND, 2), PCI_CMD_WRITABLE);
	CHECK(pci_is_master(disk));
}

TEST(bars_are_sized)
{
	start();
	out(DISK, 0x10, 4, 0xffffffff);
	CHECK_EQ(in(DISK, 0x10, 4), 0xffffffc1);
	out(DISK, 0x14, 4, 0xffffffff);
	CHECK_EQ(in(DISK, 0x14, 4), 0xfffff000);
	out(DISK, 0x18, 4, 0xffffffff);
	CHECK_EQ(in(DISK, 0x18, 4), 0);
	out(DISK, 0x20, 4, 0xffffffff);
	out(DISK, 0x24, 4, 0xffffffff);
	CHECK_EQ(in(DISK, 0x20, 4), 0x0000000c);
	CHECK_EQ(in(DISK, 0x24, 4), 0xfffffffe);
	out(DISK, PCI_ROM, 4, 0xffffffff);
	CHECK_EQ(in(DISK, PCI_ROM, 4), 0);
	CHECK_EQ(m.bar_changes, 0);
}

TEST(io_bar_moves)
{
	start();
	out(DISK, 0x10, 4, 0xc001);
	CHECK_EQ(m.bar_changes, 0);
	out(DISK, PCI_COMMAND, 2, PCI_CMD_IO);
	CHECK_EQ(m.bar_changes, 1);
	CHECK(m.bar.mapped && !m.bar.was_mapped);
	CHECK_EQ(m.bar.address, 0xc000);
	CHECK_EQ(m.bar.number, DISK_IO);
	out(DISK, 0x10, 4, 0xffffffff); /* sizing with decoding on */
	CHECK_EQ(m.bar_changes, 2);
	CHECK(!m.bar.mapped && m.bar.was_mapped);
	CHECK_EQ(m.bar.old, 0xc000);
	out(DISK, 0x10, 4, 0xc041);
	CHECK_EQ(m.bar.address, 0xc040);
	out(DISK, 0x10, 4, 0xc041); /* the same again: no news */
	CHECK_EQ(m.bar_changes, 3);
	out(DISK, 0x10, 4, 0x1c041); /* I/O space ends at 64 KiB */
	CHECK(!m.bar.mapped);
	out(DISK, 0x10, 4, 1);
	CHECK(!m.bar.mapped);
	out(DISK, 0x11, 1, 0xd0); /* by bytes */
	CHECK(m.bar.mapped);
	CHECK_EQ(m.bar.address, 0xd000);
	pci_reset(&m, &pci);
	CHECK(!m.bar.mapped);
	CHECK_EQ(in(DISK, 0x10, 4), 1);
}

TEST(memory_bars_move)
{
	start();
	out(DISK, 0x14, 4, 0xfe000000);
	out(DISK, PCI_COMMAND, 2, PCI_CMD_MEMORY);
	CHECK_EQ(m.bar_changes, 1);
	CHECK_EQ(m.bar.number, DISK_MEMORY);
	out(DISK, 0x24, 4, 0x80);
	CHECK_EQ(m.bar.number, DISK_WIDE);
	CHECK_EQ(m.bar.address, 0x8000000000);
	CHECK(m.bar.mapped);
	out(DISK, 0x24, 4, 0xffffffff); /* the last piece of the space: being sized */
	CHECK(!m.bar.mapped);
	out(DISK, PCI_COMMAND, 2, 0);
	CHECK_EQ(m.bar.number, DISK_MEMORY);
	CHECK(!m.bar.mapped);
}

/* It decodes with both its own enable bit and the function's. */
TEST(expansion_rom)
{
	start();
	CHECK(!pci_set_rom(disk, 0x400) && !pci_set_rom(disk, 0x3000) &&
		!pci_set_rom(disk, 0x2000000));
	CHECK(pci_set_rom(disk, 0x10000));
	out(DISK, PCI_COMMAND, 2, PCI_CMD_MEMORY);
	out(DISK, PCI_ROM, 4, 0xfffffffe);
	CHECK_EQ(in(DISK, PCI_ROM, 4), 0xffff0000);
	out(DISK, PCI_ROM, 4, 0xffffffff);
	CHECK_EQ(in(DISK, PCI_ROM, 4), 0xffff0001);
	CHECK_EQ(m.bar_changes, 0);
	out(DISK, PCI_ROM, 4, 0xe0010000);
	CHECK_EQ(m.bar_changes, 0);
	out(DISK, PCI_ROM, 4, 0xe001f801);
	CHECK_EQ(m.bar_changes, 1);
	CHECK(m.bar.number == PCI_ROM_BAR && m.bar.mapped && m.bar.address == 0xe0010000);
	out(DISK, PCI_COMMAND, 2, 0);
	CHECK_EQ(m.bar_changes, 2);
	CHECK(m.bar.was_mapped && !m.bar.mapped && m.bar.old == 0xe0010000);
	out(DISK, PCI_COMMAND, 2, PCI_CMD_MEMORY);
	out(DISK, PCI_ROM + 2, 1, 0x03);
	CHECK(m.bar.mapped && m.bar.address == 0xe0030000);
	pci_reset(&m, &pci);
	CHECK(!m.bar.mapped);
	CHECK_EQ(in(DISK, PCI_ROM, 4), 0);
}

TEST(impossible_bars)
{
	start();
	CHECK(!pci_set_bar(disk, 6, 4096, 0));
	CHECK(!pci_set_bar(disk, 5, 4096, PCI_BAR_64));
	CHECK(!pci_set_bar(disk, 2, 4095, 0));
	CHECK(!pci_set_bar(disk, 2, 0, 0));
	CHECK(!pci_set_bar(disk, 2, 8, 0));
	CHECK(!pci_set_bar(disk, 2, 512, PCI_BAR_IO));
	CHECK(!pci_set_bar(disk, 2, 1ull << 32, 0));
	CHECK(pci_set_bar(disk, 2, 1ull << 31, 0));
	CHECK(pci_set_bar(disk, 3, 256, PCI_BAR_IO));
}

TEST(capabilities)
{
	u8 first, second;
	unsigned count = 0;

	start();
	CHECK_EQ(in(DISK, PCI_STATUS, 2) & PCI_STS_CAPABILITIES, 0);
	first = pci_add_capability(disk, 9, 16);
	second = pci_add_capability(disk, 0x11, 13);
	CHECK_EQ(first, 0x40);
	CHECK_EQ(second, 0x50);
	CHECK_EQ(pci_add_capability(disk, 1, 8), 0x60);
	CHECK_EQ(pci_add_capability(disk, 1, 3), 0);
	CHECK_EQ(pci_add_capability(disk, 1, 192), 0);
	CHECK_EQ(pci_add_capability(disk, 1, 152), 0x68);
	CHECK_EQ(pci_add_capability(disk, 1, 4), 0); /* full */
	for (u8 at = (u8)in(DISK, PCI_CAPABILITIES, 1); at && count < 10; count++)
		at = (u8)in(DISK, at + 1, 1);
	CHECK_EQ(count, 4);
	CHECK(in(DISK, PCI_STATUS, 2) & PCI_STS_CAPABILITIES);
	pci_set(disk, first + 4, 4, 0x12345678, 0x0000ff00);
	out(DISK, first + 4, 4, 0);
	CHECK_EQ(in(DISK, first + 4, 4), 0x12340078);
	pci_reset(&m, &pci);
	CHECK_EQ(in(DISK, first + 4, 4), 0x12345678);
}

TEST(interrupt_pins_reach_both_controllers)
{
	struct pci_function *nic;
	struct pci_identity identity = disk_identity;

	start();
	nic = pci_add(&pci, PCI_DEVFN(8, 0), &identity); /* the same PIRQ, four slots on */
	CHECK(nic != NULL);
	pci_intx(&m, &pci, DISK, true); /* slot 4, INTA: PIRQD */
	CHECK(m.line[19]);
	CHECK(!m.line[10] && !m.line[11]); /* not routed */
	CHECK(in(DISK, PCI_STATUS, 2) & PCI_STS_INTX);
	out(PCI_DEVFN_ISA, 0x60, 4, 0x0b0b0a0a);
	CHECK(m.line[11] && !m.line[10]);
	CHECK_EQ(pci_routed_lines(&pci), 1 << 10 | 1 << 11);
	pci_intx(&m, &pci, PCI_DEVFN(8, 0), true);
	pci_intx(&m, &pci, DISK, false);
	CHECK(m.line[11] && m.line[19]);
	out(PCI_DEVFN(8, 0), PCI_COMMAND, 2, PCI_CMD_INTX_DISABLE);
	CHECK(!m.line[11] && !m.line[19]);
	out(PCI_DEVFN(8, 0), PCI_COMMAND, 2, 0);
	CHECK(m.line[11] && m.line[19]);
	out(PCI_DEVFN_ISA, 0x63, 1, 0x05); /* the route moves, and the level with it */
	CHECK(!m.line[11] && m.line[5]);
	out(PCI_DEVFN_ISA, 0x63, 1, 0x00); /* the PIT's line is not allowed */
	CHECK(!m.line[5] && !m.line[0]);
	pci_reset(&m, &pci);
	CHECK(!m.line[19]);
	CHECK_EQ(pci_routed_lines(&pci), 0);
	pci_intx(&m, &pci, 0xf8, true); /* nobody there */
}

TEST(power_management_base)
{
	start();
	CHECK_EQ(pci_pm_base(&pci), 0);
	CHECK_EQ(in(PCI_DEVFN_PM, PCI_PM_BASE, 4), 1);
	out(PCI_DEVFN_PM, PCI_PM_BASE, 4, 0xffffffff);
	CHECK_EQ(in(PCI_DEVFN_PM, PCI_PM_BASE, 4), 0xffc1);
	out(PCI_DEVFN_PM, PCI_PM_BASE, 4, 0xb000);
	CHECK_EQ(pci_pm_base(&pci), 0);
	out(PCI_DEVFN_PM, PCI_PM_REGION, 1, 1);
	CHECK_EQ(pci_pm_base(&pci), 0xb000);
	CHECK(in(PCI_DEVFN_PM, PCI_PM_ACTIVATE, 4) & 1u << 25); /* SeaBIOS waits for no SMI */
}

TEST(pam_registers_are_stored)
{
	start();
	for (u8 i = 0; i < 7; i++) {
		CHECK_EQ(in(PCI_DEVFN_HOST, 0x59 + i, 1), 0);
		out(PCI_DEVFN_HOST, 0x59 + i, 1, 0xff);
		CHECK_EQ(in(PCI_DEVFN_HOST, 0x59 + i, 1), i ? 0x33 : 0x30);
	}
}

TEST(reset_control)
{
	start();
	pci_write(&m, &pci, PCI_RESET_CONTROL, 1, 0x02);
	CHECK_EQ(m.resets, 0);
	CHECK_EQ(pci_read(&m, &pci, PCI_RESET_CONTROL, 1), 0x02);
	pci_write(&m, &pci, PCI_RESET_CONTROL, 1, 0x06);
	CHECK_EQ(m.resets, 1);
	pci_write(&m, &pci, PCI_ADDRESS, 4, 0x80000600); /* not a reset */
	CHECK_EQ(m.resets, 1);
}

TEST(direct_boot)
{
	start();
	pci_configure(&m, &pci, 0x600);
	CHECK_EQ(pci_pm_base(&pci), 0x600);
	CHECK_EQ(pci_routed_lines(&pci), 1 << 10 | 1 << 11);
	CHECK_EQ(in(DISK, PCI_INTERRUPT_LINE, 1), 11);
	CHECK_EQ(in(PCI_DEVFN_PM, PCI_INTERRUPT_LINE, 1), 9);
}

TEST(table_fills_up)
{
	unsigned added = 0;

	start();
	CHECK(pci_add(&pci, DISK, &disk_identity) == NULL);
	for (unsigned i = 0x40; i < 0x100; i++)
		added += pci_add(&pci, (u8)i, &disk_identity) != NULL;
	CHECK_EQ(added, PCI_FUNCTIONS - 4);
	CHECK(device_header_is(&pci.header, PCI_MAGIC, PCI_VERSION, sizeof(pci)));
}

TEST(hammer)
{
	u64 seed = 10;

	start();
	pci_add_capability(disk, 9, 16);
	pci_set(disk, 0x44, 4, 0, 0xffffffff);
	for (unsigned i = 0; i < 200000; i++) {
		u64 r = fake_random(&seed);
		u16 port = (u16)(0xcf8 + (r & 7));
		unsigned size = fake_random_size(&seed);

		if ((r >> 8 & 3) == 0)
			pci_write(&m, &pci, PCI_ADDRESS, 4, 0x80000000u | (r >> 32 & 0x12fff));
		else if ((r >> 8 & 3) == 1)
			pci_write(&m, &pci, port, size, (u32)(r >> 32));
		else if ((r >> 8 & 3) == 2)
			pci_read(&m, &pci, port, size);
		else
			pci_intx(&m, &pci, (u8)(r >> 32 & 0x3f), r >> 40 & 1);
		if (m.bar.mapped && m.bar.number == DISK_IO && m.bar.address > 0xffc0) {
			CHECK(!"I/O BARs are in I/O space");
			break;
		}
		if (m.line[0] || m.line[1] || m.line[2] || m.line[8] || m.line[13]) {
			CHECK(!"only lines that a PIRQ may use");
			break;
		}
	}
	CHECK(m.bar_changes > 0);
}

TEST(direct_boot_places_bars)
{
	struct pci_function *other;

	start();
	other = pci_add(&pci, PCI_DEVFN(5, 0), &disk_identity);
	CHECK(pci_set_bar(other, 0, 4096, 0));
	CHECK(pci_set_bar(other, 1, 32, PCI_BAR_IO));
	pci_configure(&m, &pci, 0x600);
	CHECK(disk->bar[DISK_IO].mapped);
	CHECK_EQ(disk->bar[DISK_IO].address, PCI_IO_FIRST);
	CHECK_EQ(disk->bar[DISK_MEMORY].address, PCI_MEMORY_FIRST);
	CHECK(!disk->bar[DISK_WIDE].mapped); /* does not fit */
	CHECK_EQ(other->bar[0].address, PCI_MEMORY_FIRST + 4096);
	CHECK_EQ(other->bar[1].address, PCI_IO_FIRST + 64);
	CHECK_EQ(in(DISK, PCI_COMMAND, 2) & 7, PCI_CMD_IO | PCI_CMD_MEMORY);
}

TEST(further_functions_are_announced)
{
	start();
	CHECK_EQ(in(DISK, PCI_HEADER_TYPE, 1), 0);
	CHECK(pci_add(&pci, DISK + 3, &disk_identity) != NULL);
	CHECK_EQ(in(DISK, PCI_HEADER_TYPE, 1), PCI_HEADER_MULTI);
	CHECK(pci_add(&pci, PCI_DEVFN(9, 2), &disk_identity) != NULL);
	CHECK(pci_add(&pci, PCI_DEVFN(9, 0), &disk_identity) != NULL);
	CHECK_EQ(in(PCI_DEVFN(9, 0), PCI_HEADER_TYPE, 1), PCI_HEADER_MULTI);
	CHECK_EQ(in(PCI_DEVFN_ISA, PCI_HEADER_TYPE, 1), PCI_HEADER_MULTI);
}
