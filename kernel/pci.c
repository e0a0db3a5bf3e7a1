/* Access to configuration space: ECAM where the firmware tells of it (PCI Express Base
 * Specification, 7.2.2), else the ports CF8h and CFCh (PCI Local Bus Specification 3.0, 3.2.2.3.2).
 */
#include "kernel/pci.h"
#include "kernel/kernel.h"

#define CONFIG_ADDRESS 0xcf8
#define CONFIG_DATA    0xcfc
#define CONFIG_ENABLE  BIT(31)
#define BUS_SIZE       BIT(20) /* bytes of ECAM for each bus */
#define MSI_MULTIPLE   0x70u
#define MSI_64         BIT(7)

static u8 *ecam[BOOT_MAX_ECAMS]; /* where first_bus begins */
static struct spinlock lock;     /* the ports */

void pci_init(void)
{
	for (u32 i = 0; i < boot->ecams; i++) {
		const struct boot_ecam *e = &boot->ecam[i];

		ecam[i] = device_map(e->base + e->first_bus * BUS_SIZE,
			(e->last_bus - e->first_bus + 1) * BUS_SIZE, MEM_CACHE_UC);
	}
}

static volatile void *ecam_at(u32 function, u32 offset)
{
	u32 bus = function >> 8 & 0xff;

	for (u32 i = 0; i < boot->ecams; i++) {
		const struct boot_ecam *e = &boot->ecam[i];

		if (e->segment == function >> 16 && bus >= e->first_bus && bus <= e->last_bus)
			return ecam[i] + (bus - e->first_bus) * BUS_SIZE +
			       (function & 0xff) * PAGE_SIZE + offset;
	}
	return NULL;
}

/* Chooses the register; the lock is held. False: the ports do not lead there. */
static bool select(u32 function, u32 offset)
{
	if (function >> 16 || offset > 0xff)
		return false;
	out32(CONFIG_ADDRESS, (u32)CONFIG_ENABLE | function << 8 | (offset & ~3u));
	return true;
}

u32 pci_read(u32 function, u32 offset, u32 size)
{
	volatile void *at = ecam_at(function, offset);
	u16 port = CONFIG_DATA + (offset & 3);
	u32 value = ~0u;

	if (at)
		return size == 1   ? *(volatile u8 *)at
		       : size == 2 ? *(volatile u16 *)at
				   : *(volatile u32 *)at;
	spin_lock(&lock);
	if (select(function, offset))
		value = size == 1 ? in8(port) : size == 2 ? in16(port) : in32(port);
	spin_unlock(&lock);
	return value;
}

void pci_write(u32 function, u32 offset, u32 size, u32 value)
{
	volatile void *at = ecam_at(function, offset);
	u16 port = CONFIG_DATA + (offset & 3);

	spin_lock(&lock);
	if (at && size == 1)
		*(volatile u8 *)at = (u8)value;
	else if (at && size == 2)
		*(volatile u16 *)at = (u16)value;
	else if (at)
		*(volatile u32 *)at = value;
	else if (!select(function, offset))
		;
	else if (size == 1)
		out8(port, (u8)value);
	else if (size == 2)
		out16(port, (u16)value);
	else
		out32(port, value);
	spin_unlock(&lock);
}

void pci_message(u32 function, u32 at, u32 address, u32 data, bool masked)
{
	u32 control = pci_read(function, at + 2, 2) & ~(u32)(MSI_MULTIPLE | MSI_ENABLE);
	u32 data_at = at + (control & MSI_64 ? 12 : 8);

	pci_write(function, at + 2, 2, control);
	pci_write(function, at + 4, 4, address);
	if (control & MSI_64)
		pci_write(function, at + 8, 4, 0);
	pci_write(function, data_at, 2, data);
	if (!masked)
		pci_write(function, at + 2, 2, control | (u32)MSI_ENABLE);
}
