/*
 * What a PC's firmware leaves in low memory for a kernel that expects it: interrupt vectors of real
 * mode, their handlers, and the BIOS data area. (IBM PC/AT Technical Reference, BIOS listings.)
 *
 * There are no services: software interrupts return with CF set, as of a function that a BIOS does
 * not have. Exceptions return at once. The PICs' interrupts are acknowledged; that of the timer
 * counts in the data area before, and calls INT 1Ch. (The count is not set back at midnight.)
 */
#include "boot.h"
#include "drivers/lib/lib.h"

#define VECTORS      256u
#define SEGMENT      0xf000u /* of the handlers */
#define IRQ0         0x08u   /* vectors of the first PIC, */
#define IRQ1         0x09u
#define IRQ8         0x70u /* and of the second one */
#define LINES        8u
#define TICK         0x1cu /* called by that of the timer */
#define BDA          0x400u
#define BDA_SIZE     0x100u
#define BDA_MEMORY   0x413u /* word: KiB of low memory */
#define KIB          1024u
#define HANDLER_SIZE 0x20u

enum handler {
	SERVICE,
	QUIET,
	TIMER,
	KEYBOARD,
	FIRST_PIC,
	SECOND_PIC,
	HANDLERS,
};

static const u8 handlers[HANDLERS][HANDLER_SIZE] = {
	/* push bp; mov bp, sp; or byte [bp+6], 1 (CF of the FLAGS pushed); pop bp; iret */
	[SERVICE] = {0x55, 0x89, 0xe5, 0x80, 0x4e, 0x06, 0x01, 0x5d, 0xcf},
	[QUIET] = {0xcf},
	/* push ax; push ds; mov ax, 40h; mov ds, ax; add word [6ch], 1; adc word [6eh], 0;
	 * int 1ch; mov al, 20h; out 20h, al; pop ds; pop ax; iret */
	[TIMER] = {0x50, 0x1e, 0xb8, 0x40, 0x00, 0x8e, 0xd8, 0x83, 0x06, 0x6c, 0x00, 0x01, 0x83,
		0x16, 0x6e, 0x00, 0x00, 0xcd, 0x1c, 0xb0, 0x20, 0xe6, 0x20, 0x1f, 0x58, 0xcf},
	/* push ax; in al, 60h; mov al, 20h; out 20h, al; pop ax; iret */
	[KEYBOARD] = {0x50, 0xe4, 0x60, 0xb0, 0x20, 0xe6, 0x20, 0x58, 0xcf},
	/* push ax; mov al, 20h; out 20h, al; pop ax; iret */
	[FIRST_PIC] = {0x50, 0xb0, 0x20, 0xe6, 0x20, 0x58, 0xcf},
	/* push ax; mov al, 20h; out a0h, al; out 20h, al; pop ax; iret */
	[SECOND_PIC] = {0x50, 0xb0, 0x20, 0xe6, 0xa0, 0xe6, 0x20, 0x58, 0xcf},
};
static_assert(sizeof(handlers) <= BOOT_HIGH_START - BOOT_HANDLERS);

static enum handler handler_of(u32 vector)
{
	if (vector == IRQ0)
		return TIMER;
	if (vector == IRQ1)
		return KEYBOARD;
	if (vector < IRQ0 || vector == TICK)
		return QUIET;
	if (vector < IRQ0 + LINES)
		return FIRST_PIC;
	return vector >= IRQ8 && vector < IRQ8 + LINES ? SECOND_PIC : SERVICE;
}

bool boot_put_bios(const struct gmem *memory)
{
	const u32 offset = BOOT_HANDLERS - (SEGMENT << 4);
	u32 vector[VECTORS]; /* segment, offset */
	u8 bda[BDA_SIZE] = {0};
	u16 kib = 0;

	while (kib < BOOT_LOW_RAM_END / KIB && memmap_is_ram(memory, 0, (kib + 1ull) * KIB))
		kib++;
	for (u32 i = 0; i < VECTORS; i++)
		vector[i] = SEGMENT << 16 | (offset + handler_of(i) * HANDLER_SIZE);
	memcpy(bda + (BDA_MEMORY - BDA), &kib, sizeof(kib));
	return gmem_write(memory, 0, vector, sizeof(vector)) &&
	       gmem_write(memory, BDA, bda, sizeof(bda)) &&
	       gmem_write(memory, BOOT_HANDLERS, handlers, sizeof(handlers));
}
