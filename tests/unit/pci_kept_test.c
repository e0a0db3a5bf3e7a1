/* Tests of what of a configuration space ring 3 does not change. */
#include <string.h>
#include "kernel/pci.h"
#include "tests/unit/test.h"

static u8 config[256];

u32 pci_read(u32 function, u32 offset, u32 size)
{
	u32 value = 0;

	(void)function;
	CHECK(offset + size <= sizeof(config) && offset % size == 0);
	memcpy(&value, config + offset, size);
	return value;
}

static void capability(u8 at, u8 id, u8 next)
{
	config[at] = id;
	config[at + 1] = next;
}

static void begin(void)
{
	memset(config, 0, sizeof(config));
	config[PCI_STATUS] = PCI_STATUS_CAPS;
	config[PCI_CAPS] = 0x40;
	capability(0x40, PCI_CAP_POWER, 0x50);
	capability(0x50, PCI_CAP_MSI, 0x70);
	capability(0x70, PCI_CAP_MSIX, 0x80);
	capability(0x80, PCI_CAP_EXPRESS, 0xc0);
	capability(0xc0, PCI_CAP_AF, 0);
}

TEST(find)
{
	begin();
	CHECK_EQ(pci_capability(0, PCI_CAP_POWER), 0x40);
	CHECK_EQ(pci_capability(0, PCI_CAP_AF), 0xc0);
	CHECK_EQ(pci_capability(0, 0x09), 0);
	config[0xc1] = 0x40; /* a ring */
	CHECK_EQ(pci_capability(0, 0x09), 0);
	config[0x41] = 0x13; /* outside */
	CHECK_EQ(pci_capability(0, PCI_CAP_AF), 0);
	begin();
	config[PCI_STATUS] = 0;
	CHECK_EQ(pci_capability(0, PCI_CAP_POWER), 0);
}

TEST(bus_mastering)
{
	begin();
	CHECK_EQ(pci_kept(0, PCI_COMMAND, 1), PCI_COMMAND_MASTER);
	CHECK_EQ(pci_kept(0, PCI_COMMAND, 2), PCI_COMMAND_MASTER);
	CHECK_EQ(pci_kept(0, PCI_COMMAND, 4), PCI_COMMAND_MASTER);
	CHECK_EQ(pci_kept(0, PCI_STATUS, 2), 0);
	config[PCI_HEADER] = 0x80; /* several functions */
	CHECK_EQ(pci_kept(0, PCI_COMMAND, 2), PCI_COMMAND_MASTER);
	config[PCI_HEADER] = 0x81; /* a bridge forwards what is behind it */
	CHECK_EQ(pci_kept(0, PCI_COMMAND, 2), 0);
}

TEST(messages)
{
	begin();
	CHECK_EQ(pci_kept(0, 0x50, 2), 0);
	CHECK_EQ(pci_kept(0, 0x52, 2), 0xffff);
	CHECK_EQ(pci_kept(0, 0x53, 1), 0xff);
	CHECK_EQ(pci_kept(0, 0x54, 4), 0xffffffff);
	CHECK_EQ(pci_kept(0, 0x5c, 2), 0xffff);
	CHECK_EQ(pci_kept(0, 0x72, 2), 0xffff);
	CHECK_EQ(pci_kept(0, 0x70, 4), 0xffff0000);
	CHECK_EQ(pci_kept(0, 0x74, 4), 0);
}

TEST(resets_and_power)
{
	begin();
	CHECK_EQ(pci_kept(0, 0x44, 2), 3);
	CHECK_EQ(pci_kept(0, 0x45, 1), 0);
	CHECK_EQ(pci_kept(0, 0x88, 2), 0x8000);
	CHECK_EQ(pci_kept(0, 0x89, 1), 0x80);
	CHECK_EQ(pci_kept(0, 0x8a, 2), 0);
	CHECK_EQ(pci_kept(0, 0xc4, 1), 0xff);
	CHECK_EQ(pci_kept(0, 0xc5, 1), 0);
}

TEST(elsewhere)
{
	begin();
	for (u32 at = 0x10; at < 0x40; at += 4)
		CHECK_EQ(pci_kept(0, at, 4), 0);
	CHECK_EQ(pci_kept(0, 0x100, 4), 0);
	CHECK_EQ(pci_kept(0, 0xffc, 4), 0);
}
