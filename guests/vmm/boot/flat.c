/*
 * Flat 16-bit boot images: a boot sector, with anything behind it, that starts in real mode at
 * 0000:7C00 with DL = 80h, as a PC's firmware starts the first hard disk (BIOS Boot Specification
 * 1.01, 6.5). As there is no firmware that would load the rest of a disk, the whole image is
 * loaded.
 *
 * Low memory is as firmware leaves it (bios.c), but no BIOS services are there. Interrupts are off,
 * A20 is on, the ACPI tables are in their place.
 */
#include "boot.h"
#include "drivers/lib/lib.h"

#define LOAD_AT   0x7c00u
#define SECTOR    512u
#define SIGNATURE 0xaa55u
#define HARD_DISK 0x80u /* DL: the first one */

bool flat_is(const struct boot_image *image)
{
	u16 signature;

	if (!image->data || image->size < SECTOR)
		return false;
	memcpy(&signature, (const u8 *)image->data + SECTOR - sizeof(signature), sizeof(signature));
	return signature == SIGNATURE;
}

const char *flat_load(const struct boot_request *r, struct boot_entry *entry)
{
	if (r->modules || r->initrd.data)
		return "a boot image takes neither an initrd nor modules";
	if (*r->bootargs)
		return "a boot image takes no command line";
	if (!memmap_is_ram(r->memory, LOAD_AT, r->kernel.size))
		return "the boot image does not fit between 0x7c00 and 0x9ffff";
	if (!boot_put_bios(r->memory) ||
		!gmem_write(r->memory, LOAD_AT, r->kernel.data, r->kernel.size))
		return "the machine has no memory at address 0";
	*entry = (struct boot_entry){
		.mode = BOOT_MODE_REAL,
		.rip = LOAD_AT,
		.rdx = HARD_DISK,
		.rsp = LOAD_AT, /* the stack grows down from it */
		.bios = true,
	};
	return NULL;
}
