/*
 * PCI configuration space, and the parts of it that only the kernel writes. A function is named by
 * segment << 16 | bus << 8 | device << 3 | function.
 */
#pragma once

#include "kernel/abi/types.h"

#define PCI_VENDOR         0x00
#define PCI_COMMAND        0x04
#define PCI_COMMAND_MEMORY BIT(1)
#define PCI_COMMAND_MASTER BIT(2)
#define PCI_STATUS         0x06
#define PCI_STATUS_CAPS    BIT(4)
#define PCI_CLASS          0x0a /* class and subclass */
#define PCI_CLASS_IOMMU    0x0806
#define PCI_HEADER         0x0e
#define PCI_BAR            0x10
#define PCI_CAPS           0x34
#define PCI_CAP_POWER      0x01
#define PCI_CAP_MSI        0x05
#define PCI_CAP_EXPRESS    0x10
#define PCI_CAP_MSIX       0x11
#define PCI_CAP_AF         0x13
#define MSI_ENABLE         BIT(0) /* message control */

void pci_init(void);

/*
 * Reads and writes `size` bytes (1, 2, 4; `offset` a multiple of it and below 4096). Where nobody
 * answers, and beyond 256 bytes without ECAM, all bits are read as 1.
 */
u32 pci_read(u32 function, u32 offset, u32 size);
void pci_write(u32 function, u32 offset, u32 size, u32 value);

/* Programs the MSI capability at `at` to send one message, or none (6.8.1 of the same). */
void pci_message(u32 function, u32 at, u32 address, u32 data, bool masked);

/* Offset of the capability `id`, or 0. */
u32 pci_capability(u32 function, u8 id);

/*
 * The bits of such an access that ring 3 does not change: bus mastering of all but bridges, MSI and
 * MSI-X, power states and resets of a function.
 */
u32 pci_kept(u32 function, u32 offset, u32 size);
