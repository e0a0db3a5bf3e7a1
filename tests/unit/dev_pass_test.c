/* A function of the machine's own as a guest sees it, over a fake one. */
#include <string.h>

#include "tests/unit/fake_machine.h"
#include "tests/unit/pass_function.h"
#include "tests/unit/test.h"

#define PIN 19 /* device 4, INTA: PIRQ 3 */

static struct machine m;
static struct pci bus;
static struct pass pass;
static struct pass_bar bars[PCI_REGIONS];

static bool make(enum pass_kind kind)
{
	fake_init(&m);
	pci_init(&bus);
	pass_function_reset(kind, bars);
	return pass_init(&m, &pass, &bus, 3, PASS_DEVFN, bars, kind == PASS_WITH_LINE);
}

static u32 config(u32 offset, unsigned size)
{
	return pci_config_read(&m, &bus, PASS_DEVFN, offset, size);
}

static void config_write(u32 offset, unsigned size, u32 value)
{
	pci_config_write(&m, &bus, PASS_DEVFN, offset, size, value);
	pass_written(&m, &pass, &bus, offset, size);
}

static u32 capability(u8 id)
{
	u32 at = config(PCI_CAPABILITIES, 1);

	for (int i = 0; i < 8 && at; i++) {
		if (config(at, 1) == id)
			return at;
		at = config(at + 1, 1);
	}
	return 0;
}

static void entry_write(u32 entry, u32 field, u32 value)
{
	pass_write(&m, &pass, &bus, PASS_MEMORY, PASS_TABLE + entry * 16 + field, 4, value);
}

static u32 entry_read(u32 entry, u32 field)
{
	return pass_read(&m, &pass, PASS_MEMORY, PASS_TABLE + entry * 16 + field, 4);
}

TEST(identity_is_the_functions)
{
	CHECK(make(PASS_WITH_MSIX));
	CHECK_EQ(config(0, 4), 0x10d38086);
	CHECK_EQ(config(8, 4), 0x02000003);
	CHECK_EQ(config(0x2c, 4), 0x00015ad5);
	CHECK_EQ(config(PCI_COMMAND, 2), 0);
	CHECK_EQ(config(PCI_INTERRUPT_PIN, 1), 0);
	config_write(PCI_BAR0, 4, ~0u);
	config_write(PCI_BAR0 + 4, 4, ~0u);
	CHECK_EQ(config(PCI_BAR0, 4), ~(PASS_SIZE - 1) | 4);
	CHECK_EQ(config(PCI_BAR0 + 4, 4), ~0u);
	config_write(PCI_BAR0 + 16, 4, ~0u);
	CHECK_EQ(config(PCI_BAR0 + 16, 4), ~(PASS_PORT_SIZE - 1) | 1);
	CHECK(make(PASS_WITH_LINE));
	CHECK_EQ(config(PCI_INTERRUPT_PIN, 1), 1);
	CHECK(!capability(MSIX_CAPABILITY) && !capability(5));
}

TEST(capabilities_are_virtual)
{
	u32 at;

	CHECK(make(PASS_WITH_MSIX));
	at = capability(1);
	CHECK_EQ(config(at + 2, 2), 3);
	CHECK_EQ(config(at + 4, 2), 8);
	config_write(at + 4, 2, 0xffff);
	CHECK_EQ(config(at + 4, 2), 0xb);
	at = capability(0x10);
	CHECK_EQ(config(at + 2, 2), 0x92);
	CHECK_EQ(config(at + 4, 4), 0x10008001);
	CHECK_EQ(config(at + 8, 2), 0x2810);
	at = capability(MSIX_CAPABILITY);
	CHECK_EQ(config(at + 2, 2), PASS_VECTORS - 1);
	CHECK_EQ(config(at + 4, 4), PASS_TABLE);
	CHECK_EQ(config(at + 8, 4), PASS_PBA);
	CHECK(!capability(5) && !capability(9)); /* the latter is not known */
	CHECK_EQ(pass_function.dma_changes, 0);
}

TEST(master_bit_is_dma)
{
	CHECK(make(PASS_WITH_MSIX));
	config_write(PCI_COMMAND, 2, PCI_CMD_MEMORY);
	CHECK_EQ(pass_function.dma_changes, 0);
	config_write(PCI_COMMAND, 2, PCI_CMD_MEMORY | PCI_CMD_MASTER);
	CHECK(pass_function.dma);
	config_write(PCI_COMMAND, 2, PCI_CMD_MEMORY | PCI_CMD_MASTER | PCI_CMD_IO);
	CHECK_EQ(pass_function.dma_changes, 1);
	config_write(PCI_COMMAND, 1, 0);
	CHECK(!pass_function.dma);
}

/* What the guest writes into the table stays here; messages come with its address and data. */
TEST(messages)
{
	u32 at;

	CHECK(make(PASS_WITH_MSIX));
	at = capability(MSIX_CAPABILITY);
	for (u32 i = 0; i < PASS_VECTORS; i++)
		CHECK_EQ(entry_read(i, 12), 1);
	CHECK_EQ(entry_read(PASS_VECTORS, 12), 0); /* the function has it, the guest does not */
	entry_write(2, 0, 0xfee01003);
	entry_write(2, 4, 0);
	entry_write(2, 8, 0x55);
	entry_write(2, 12, 0);
	CHECK_EQ(entry_read(2, 0), 0xfee01000);
	CHECK_EQ(pass_function.wanted, 0);
	config_write(at + 2, 2, 0x8000);
	CHECK_EQ(pass_function.wanted, BIT(0) | BIT(2));
	pass_message(&m, &pass, &bus, 2);
	CHECK_EQ(m.messages, 0); /* not bus master */
	CHECK_EQ(pass_read(&m, &pass, PASS_MEMORY, PASS_PBA, 4), 4);
	config_write(PCI_COMMAND, 2, PCI_CMD_MASTER);
	CHECK_EQ(m.messages, 1);
	CHECK_EQ(m.message[0].address, 0xfee01000);
	CHECK_EQ(m.message[0].data, 0x55);
	entry_write(2, 12, 1);
	pass_message(&m, &pass, &bus, 2);
	CHECK_EQ(m.messages, 1);
	CHECK_EQ(pass_read(&m, &pass, PASS_MEMORY, PASS_PBA, 4), 4);
	entry_write(2, 12, 0);
	CHECK_EQ(m.messages, 2);
	config_write(at + 2, 2, 0xc000);
	pass_message(&m, &pass, &bus, 2);
	pass_message(&m, &pass, &bus, 3);  /* never asked for: masked */
	pass_message(&m, &pass, &bus, 70); /* cannot be */
	CHECK_EQ(m.messages, 2);
	config_write(at + 2, 2, 0x8000);
	CHECK_EQ(m.messages, 3);
	CHECK_EQ(pass_function.in_msix, 0);
	CHECK_EQ(pass_function.writes, 0);
}

/* Before the guest unmasks any, a function may look at whether MSI-X is on. */
TEST(msix_is_on_before_a_message_is_unmasked)
{
	u32 at;

	CHECK(make(PASS_WITH_MSIX));
	at = capability(MSIX_CAPABILITY);
	config_write(PCI_COMMAND, 2, PCI_CMD_MASTER);
	CHECK_EQ(pass_function.wanted, 0);
	config_write(at + 2, 2, 0xc000);
	CHECK_EQ(pass_function.wanted, BIT(0));
	config_write(at + 2, 2, 0x8000);
	pass_message(&m, &pass, &bus, 0);
	CHECK_EQ(m.messages, 0);
	entry_write(0, 8, 0x31);
	entry_write(0, 12, 0);
	CHECK_EQ(m.messages, 1);
	CHECK_EQ(m.message[0].data, 0x31);
}

TEST(single_message)
{
	u32 at;

	CHECK(make(PASS_WITH_MSI));
	at = capability(5);
	CHECK_EQ(config(at + 2, 2), 0x80);
	config_write(at + 4, 4, 0xfee02000);
	config_write(at + 12, 2, 0x77);
	config_write(PCI_COMMAND, 2, PCI_CMD_MASTER);
	pass_message(&m, &pass, &bus, 0);
	CHECK_EQ(m.messages, 0);
	config_write(at + 2, 2, 0xffff);
	CHECK_EQ(config(at + 2, 2), 0x81);
	CHECK_EQ(pass_function.wanted, 1);
	CHECK_EQ(m.messages, 1);
	CHECK_EQ(m.message[0].data, 0x77);
	pass_message(&m, &pass, &bus, 0);
	CHECK_EQ(m.messages, 2);
}

TEST(line)
{
	CHECK(make(PASS_WITH_LINE));
	pass_line(&m, &pass, &bus);
	CHECK(m.line[PIN] && config(PCI_STATUS, 2) & PCI_STS_INTX);
	pass_line_end(&m, &pass, &bus);
	CHECK(!m.line[PIN]);
	CHECK_EQ(pass_function.lines_done, 1);
	pass_line_end(&m, &pass, &bus);
	CHECK_EQ(pass_function.lines_done, 1);
	config_write(PCI_COMMAND, 2, PCI_CMD_INTX_DISABLE);
	pass_line(&m, &pass, &bus);
	CHECK(!m.line[PIN]);
	config_write(PCI_COMMAND, 2, 0);
	CHECK(m.line[PIN]);
}

TEST(registers)
{
	CHECK(make(PASS_WITH_MSIX));
	pass_write(&m, &pass, &bus, PASS_MEMORY, 0x10, 4, 0x12345678);
	CHECK_EQ(pass_read(&m, &pass, PASS_MEMORY, 0x10, 4), 0x12345678);
	CHECK_EQ(pass_read(&m, &pass, PASS_MEMORY, 0x12, 1), 0x34);
	/* beside the table, on its page */
	pass_write(&m, &pass, &bus, PASS_MEMORY, PASS_TABLE - 4, 4, 7);
	CHECK_EQ(pass_function.writes, 2);
	/* partly in it */
	pass_write(&m, &pass, &bus, PASS_MEMORY, PASS_TABLE - 2, 4, ~0u);
	pass_write(&m, &pass, &bus, PASS_MEMORY, PASS_TABLE + PASS_ENTRIES * 16 - 1, 2, ~0u);
	pass_write(&m, &pass, &bus, PASS_MEMORY, PASS_TABLE + 30 * 16, 4, ~0u);
	pass_write(&m, &pass, &bus, PASS_MEMORY, PASS_PBA, 4, ~0u);
	CHECK_EQ(pass_read(&m, &pass, PASS_MEMORY, PASS_TABLE - 2, 4), 0);
	CHECK_EQ(pass_function.writes, 2);
	pass_write(&m, &pass, &bus, PASS_PORTS, 8, 2, 0x123456);
	CHECK_EQ(pass_function.bar, PASS_PORTS);
	CHECK_EQ(pass_function.value, 0x3456);
	CHECK_EQ(pass_function.in_msix, 0);
}

/* Reads go through, writes have no effect; what MSI-X takes of a register is no part of it. */
TEST(expansion_rom)
{
	u64 start = 0, end;

	CHECK(make(PASS_WITH_MSIX));
	config_write(PCI_ROM, 4, ~1u);
	CHECK_EQ(config(PCI_ROM, 4), ~(PASS_ROM_SIZE - 1));
	CHECK_EQ(pass_read(&m, &pass, PCI_ROM_BAR, PASS_TABLE, 4), PASS_TABLE);
	pass_write(&m, &pass, &bus, PCI_ROM_BAR, PASS_TABLE, 4, 0x12345678);
	pass_write(&m, &pass, &bus, PCI_ROM_BAR, 0, 1, 0xff);
	CHECK_EQ(pass_function.writes, 0);
	CHECK(pass_direct(&pass, PCI_ROM_BAR, PASS_ROM_SIZE, &start, &end));
	CHECK_EQ(start, 0);
	CHECK_EQ(end, PASS_ROM_SIZE);
	make(PASS_WITH_LINE);
	bars[PCI_ROM_BAR].size = 0x300;
	CHECK(!pass_init(&m, &pass, &bus, 3, PCI_DEVFN(6, 0), bars, true));
}

TEST(direct_parts)
{
	u64 start = 0, end;

	CHECK(make(PASS_WITH_MSIX));
	CHECK(pass_direct(&pass, PASS_MEMORY, PASS_SIZE, &start, &end));
	CHECK_EQ(start, 0);
	CHECK_EQ(end, 0x2000);
	start = end;
	CHECK(pass_direct(&pass, PASS_MEMORY, PASS_SIZE, &start, &end));
	CHECK_EQ(start, 0x4000);
	CHECK_EQ(end, PASS_SIZE);
	start = end;
	CHECK(!pass_direct(&pass, PASS_MEMORY, PASS_SIZE, &start, &end));
	start = 0;
	CHECK(pass_direct(&pass, 2, 0x10000, &start, &end));
	CHECK_EQ(end, 0x10000);
	start = 0;
	CHECK(!pass_direct(&pass, 2, 0x800, &start, &end));
}

TEST(reset_by_the_guest)
{
	u32 at, express;

	CHECK(make(PASS_WITH_MSIX));
	at = capability(MSIX_CAPABILITY);
	express = capability(0x10);
	config_write(PCI_BAR0, 4, 0xe0000000);
	config_write(PCI_COMMAND, 2, PCI_CMD_MASTER | PCI_CMD_MEMORY);
	CHECK(m.bar.mapped);
	config_write(at + 2, 2, 0x8000);
	entry_write(0, 12, 0);
	CHECK_EQ(pass_function.wanted, 1);
	config_write(express + 8, 2, 0x8000);
	CHECK_EQ(pass_function.resets, 1);
	CHECK(!pass_function.dma && !m.bar.mapped);
	CHECK_EQ(config(PCI_COMMAND, 2), 0);
	CHECK_EQ(config(PCI_BAR0, 4), 4);
	CHECK_EQ(config(at + 2, 2), PASS_VECTORS - 1);
	CHECK_EQ(config(express + 8, 2), 0x2810);
	CHECK_EQ(entry_read(0, 12), 1);
	CHECK(make(PASS_WITH_MSIX));
	pass_function.stubborn = true;
	config_write(express + 8, 2, 0x8000);
	CHECK_EQ(pass_function.resets, 0);
}

/* A fresh VMM: DMA and messages as the guest has them, and each message once, for it may be lost.
 */
TEST(resume)
{
	CHECK(make(PASS_WITH_MSIX));
	config_write(capability(MSIX_CAPABILITY) + 2, 2, 0x8000);
	entry_write(1, 8, 0x41);
	entry_write(1, 12, 0);
	config_write(PCI_COMMAND, 2, PCI_CMD_MASTER);
	pass_function.wanted = 0;
	pass_function.dma = false;
	pass_resume(&m, &pass, &bus);
	CHECK(pass_function.dma);
	CHECK_EQ(pass_function.wanted, BIT(0) | BIT(1));
	CHECK_EQ(m.messages, 1);
	CHECK_EQ(m.message[0].data, 0x41);
	CHECK_EQ(pass.pending, BIT(0));
}

TEST(what_cannot_be_shown)
{
	CHECK(make(PASS_WITH_MSIX));
	CHECK(!pass_init(&m, &pass, &bus, 0, PASS_DEVFN, bars, false)); /* taken */
	pci_init(&bus);
	bars[PASS_MEMORY].size = 0x2000; /* its table would be behind */
	CHECK(!pass_init(&m, &pass, &bus, 0, PASS_DEVFN, bars, false));
	CHECK(!pass.present);
	pci_init(&bus);
	bars[PASS_MEMORY] = (struct pass_bar){0x300, 0};
	CHECK(!pass_init(&m, &pass, &bus, 0, PASS_DEVFN, bars, false));
}
