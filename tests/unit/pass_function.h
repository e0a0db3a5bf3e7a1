/*
 * The function of the machine's own behind a guest's: what dev/pass.h asks of the VMM, over the PCI
 * function of fake_device.h.
 */
#pragma once

#include "guests/vmm/dev/pass.h"

#define PASS_DEVFN     PCI_DEVFN(4, 0)
#define PASS_MEMORY    0 /* base address register: MSI-X table at 0x2010, pending bits at 0x3000 */
#define PASS_SIZE      0x8000u
#define PASS_TABLE     0x2010u
#define PASS_PBA       0x3000u
#define PASS_ENTRIES   40u
#define PASS_PORTS     4
#define PASS_PORT_SIZE 32u
#define PASS_ROM_SIZE  0x10000u

enum pass_kind {
	PASS_WITH_MSIX,
	PASS_WITH_MSI,
	PASS_WITH_LINE,
};

struct pass_function {
	bool dma;
	u32 dma_changes;
	u32 resets;
	u64 wanted;
	u32 lines_done;
	u32 writes; /* to registers: the last one */
	u32 bar;
	u64 offset;
	u32 value;
	u32 in_msix;   /* accesses of registers that must never come: MSI-X */
	bool stubborn; /* it cannot be reset alone */
};
extern struct pass_function pass_function;

/* A fresh function, and its registers as root tells of them. */
void pass_function_reset(enum pass_kind kind, struct pass_bar bars[PCI_REGIONS]);
