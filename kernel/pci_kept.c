/* What of a function's configuration only the kernel writes. */
#include "kernel/pci.h"

#define HEADER_LAYOUT 0x7f
#define CAPS_MAX      48 /* more do not fit */

struct kept {
	u8 capability;
	u8 offset; /* from the capability, in double words */
	u8 count;  /* double words */
	u32 bits;
};

/* PCI Local Bus Specification 3.0, 6.8; PCI Express Base Specification, 7.5.3.4; PCI Bus Power
 * Management 1.2, 3.2.4; PCI Advanced Capabilities ECN. */
static const struct kept kept[] = {
	{PCI_CAP_MSI, 0, 1, 0xffff0000},
	{PCI_CAP_MSI, 1, 5, 0xffffffff},
	{PCI_CAP_MSIX, 0, 1, 0xffff0000},
	{PCI_CAP_EXPRESS, 2, 1, BIT(15)},
	{PCI_CAP_POWER, 1, 1, 0x3},
	{PCI_CAP_AF, 1, 1, 0xff},
};

u32 pci_capability(u32 function, u8 id)
{
	u32 at = PCI_CAPS;

	if (!(pci_read(function, PCI_STATUS, 2) & PCI_STATUS_CAPS))
		return 0;
	for (u32 i = 0; i < CAPS_MAX; i++) {
		at = pci_read(function, at, 1) & 0xfc;
		if (at < 0x40)
			return 0;
		if (pci_read(function, at, 1) == id)
			return at;
		at++;
	}
	return 0;
}

u32 pci_kept(u32 function, u32 offset, u32 size)
{
	u32 bits = 0;
	u32 dword = offset & ~3u;

	if (dword == PCI_COMMAND && !(pci_read(function, PCI_HEADER, 1) & HEADER_LAYOUT))
		bits = PCI_COMMAND_MASTER;
	for (u32 i = 0; dword >= 0x40 && dword < 0x100 && i < ARRAY_SIZE(kept); i++) {
		u32 at = pci_capability(function, kept[i].capability);
		u32 first = at + kept[i].offset * 4u;

		if (at && dword >= first && dword < first + kept[i].count * 4u)
			bits |= kept[i].bits;
	}
	return bits >> (offset & 3) * 8 & (size == 4 ? ~0u : BIT(size * 8) - 1);
}
