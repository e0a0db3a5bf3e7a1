/* The function behind a guest's: see pass_function.h. */
#include <string.h>

#include "tests/unit/fake_device.h"
#include "tests/unit/pass_function.h"

#define CAP_POWER_AT   0x40
#define CAP_EXPRESS_AT 0x50
#define CAP_VENDOR_AT  0x90
#define CAP_LAST_AT    0xa0
#define CAP_EXPRESS    0x10
#define CAP_MSI        0x05

struct pass_function pass_function;
static u8 registers[PASS_SIZE];

static void set(u32 offset, u32 size, u32 value)
{
	memcpy(fake_device.config + offset, &value, size);
}

static u32 register_read(u32 offset, u32 size)
{
	u32 value = 0;

	memcpy(&value, registers + offset, size);
	return value;
}

static void register_write(u32 offset, u32 size, u32 value)
{
	memcpy(registers + offset, &value, size);
}

void pass_function_reset(enum pass_kind kind, struct pass_bar bars[PCI_REGIONS])
{
	fake_device_reset();
	fake_device.read = register_read;
	fake_device.write = register_write;
	pass_function = (struct pass_function){0};
	memset(registers, 0, sizeof(registers));
	memset(bars, 0, PCI_REGIONS * sizeof(*bars));
	bars[PASS_MEMORY] = (struct pass_bar){PASS_SIZE, PCI_BAR_64};
	bars[PASS_PORTS] = (struct pass_bar){PASS_PORT_SIZE, PCI_BAR_IO};
	bars[PCI_ROM_BAR] = (struct pass_bar){PASS_ROM_SIZE, 0};
	set(0x00, 4, 0x10d38086);
	set(0x04, 4, 0x00100007);
	set(0x08, 4, 0x02000003);
	set(0x2c, 4, 0x00015ad5);
	set(0x34, 1, CAP_POWER_AT);
	set(CAP_POWER_AT, 4, 0xc8230001 | CAP_VENDOR_AT << 8);
	set(CAP_VENDOR_AT, 4, 0x00100009 | CAP_EXPRESS_AT << 8);
	set(CAP_EXPRESS_AT, 4, 0x00020010 | (kind == PASS_WITH_LINE ? 0 : CAP_LAST_AT << 8));
	set(CAP_EXPRESS_AT + 4, 4, 0x10008ce1);
	set(CAP_EXPRESS_AT + 8, 2, 0x2810);
	if (kind == PASS_WITH_MSI)
		set(CAP_LAST_AT, 4, 0x00880005);
	if (kind == PASS_WITH_MSIX) {
		set(CAP_LAST_AT, 4, 0x80000011 | (PASS_ENTRIES - 1) << 16);
		set(CAP_LAST_AT + 4, 4, PASS_TABLE | PASS_MEMORY);
		set(CAP_LAST_AT + 8, 4, PASS_PBA | PASS_MEMORY);
	}
}

u32 pass_config(struct machine *m, u8 number, u32 offset, unsigned size)
{
	(void)m;
	(void)number;
	return device_config(NULL, offset, size);
}

u32 pass_capability(struct machine *m, u8 number, u8 id)
{
	(void)m;
	(void)number;
	return device_capability(NULL, id, 0);
}

void pass_dma(struct machine *m, u8 number, bool on)
{
	(void)m;
	(void)number;
	pass_function.dma = on;
	pass_function.dma_changes++;
}

void pass_reset(struct machine *m, u8 number)
{
	(void)m;
	(void)number;
	pass_function.dma = false;
	pass_function.wanted = 0;
	pass_function.resets++;
}

bool pass_can_reset(struct machine *m, u8 number)
{
	(void)m;
	(void)number;
	return !pass_function.stubborn;
}

void pass_want(struct machine *m, u8 number, u32 vector)
{
	(void)m;
	(void)number;
	pass_function.wanted |= BIT(vector);
}

void pass_line_done(struct machine *m, u8 number)
{
	(void)m;
	(void)number;
	pass_function.lines_done++;
}

/* Any byte of the table or of the pending bits. */
static void note_msix(u32 bar, u64 offset, unsigned size)
{
	u64 end = offset + size;

	if (bar == PASS_MEMORY &&
		((end > PASS_TABLE && offset < PASS_TABLE + PASS_ENTRIES * MSIX_ENTRY) ||
			(end > PASS_PBA && offset < PASS_PBA + 8)) &&
		device_capability(NULL, MSIX_CAPABILITY, 0))
		pass_function.in_msix++;
}

u32 pass_register_read(struct machine *m, u8 number, u32 bar, u64 offset, unsigned size)
{
	(void)m;
	(void)number;
	note_msix(bar, offset, size);
	if (bar == PCI_ROM_BAR) /* each word of it tells where it stands */
		return (u32)offset;
	return bar == PASS_MEMORY && offset % size == 0 && offset <= PASS_SIZE - size
		       ? fake_device.read((u32)offset, size)
		       : 0;
}

void pass_register_write(
	struct machine *m, u8 number, u32 bar, u64 offset, unsigned size, u32 value)
{
	(void)m;
	(void)number;
	note_msix(bar, offset, size);
	pass_function.writes++;
	pass_function.bar = bar;
	pass_function.offset = offset;
	pass_function.value = value;
	if (bar == PASS_MEMORY && offset % size == 0 && offset <= PASS_SIZE - size)
		fake_device.write((u32)offset, size, value);
}
