/*
 * A guest that has a function of the machine, QEMU's educational device (docs/specs/edu.txt), and
 * has it copy between its own memory and what lies beyond: that must be refused, and harm neither
 * the guest nor anybody else. It begins at a key, and says PASS or FAIL for each of its doings.
 */
#include "small.h"

#define IDENTITY    0x11e81234u
#define DMA_FROM    0x80u
#define DMA_TO      0x88u
#define DMA_COUNT   0x90u
#define DMA_DO      0x98u
#define DMA_START   1u
#define DMA_FROM_IT 2u /* out of the device's memory */
#define BUFFER      0x40000u
#define WORDS       64u
#define PATIENCE    0x1000000u /* looks at a transfer, which begins 100 ms after its command */
#define BEYOND      0x2000000u /* 32 MiB: not this guest's, but memory of the machine */
#define STEP        0x4000000u
#define PLACES      4u
#define PATTERN     0x5ca1ab1e0ddba11ull

static u64 memory; /* the device's registers */
static u64 data[2][WORDS];

static bool said(const char *what, bool good)
{
	put_verdict(good);
	put_text(what);
	put_text("\n");
	return good;
}

static volatile u32 *at(u32 offset)
{
	return (volatile u32 *)(memory + offset);
}

static bool find(void)
{
	for (u32 slot = 0; slot < PCI_SLOTS; slot++) {
		u32 address = PCI_SLOT(slot);

		if (pci_read(address + PCI_ID) != IDENTITY)
			continue;
		pci_write(address + PCI_COMMAND, PCI_WORKS);
		memory = pci_read(address + PCI_BAR0) & ~0xfu;
		return true;
	}
	return false;
}

/* Copies `data` out of the device or into it; true: it says that it is done. */
static bool copy(u64 address, bool out)
{
	*at(DMA_FROM) = out ? BUFFER : (u32)address;
	*at(DMA_TO) = out ? (u32)address : BUFFER;
	*at(DMA_COUNT) = sizeof(data[0]);
	*at(DMA_DO) = DMA_START | (out ? DMA_FROM_IT : 0);
	for (u32 i = 0; i < PATIENCE; i++) {
		if (!(*at(DMA_DO) & DMA_START))
			return true;
	}
	return false;
}

/* Through the device from one place of the guest's memory to another. */
static bool works(u64 mark)
{
	for (u32 i = 0; i < WORDS; i++) {
		((volatile u64 *)data[0])[i] = mark + i;
		((volatile u64 *)data[1])[i] = 0;
	}
	if (!copy((u64)data[0], false) || !copy((u64)data[1], true))
		return false;
	for (u32 i = 0; i < WORDS; i++) {
		if (((volatile u64 *)data[1])[i] != mark + i)
			return false;
	}
	return true;
}

/* What the device reads beyond the guest's memory is nothing: zeroes, ones, or what it had before.
 * There it would be what another guest keeps in each of its blocks: keeper.c. */
static bool reads_nothing(void)
{
	const volatile u64 *first = &data[1][0];

	if (!copy(BEYOND, false) || !copy((u64)data[1], true))
		return false;
	return *first == 0 || *first == ~0ull || *first == PATTERN;
}

void small_main(const char *cmdline)
{
	(void)cmdline;
	wait_key();
	if (!said("the device is there", find()))
		return;
	said("the device reaches the guest's memory", works(PATTERN));
	for (u32 i = 0; i < PLACES; i++)
		said("the device is told to write beyond it", copy(BEYOND + i * STEP, true));
	said("the device reads nothing there", reads_nothing());
	said("the device reaches the guest's memory afterwards", works(~PATTERN));
	put_sum("reach");
	for (;;)
		__asm__ volatile("cli; hlt");
}
