/*
 * Flat 16-bit boot images: a boot sector, with anything behind it, that starts in real mode at
 * 0000:7C00 with DL = 80h, as a PC's firmware starts the first hard disk (BIOS Boot Specification
 * 1.01, 6.5). As there is no firmware that would load the rest of a disk, the whole image is
 * loaded.
 *
 * No BIOS services are there. All interrupt vectors lead to a stub: those of software interrupts
 * return with CF set, as a BIOS does for functions that it does not have; those of exceptions and
 * of the PIC's usual vectors return at once. The BIOS data area holds the size of low memory, and
 * is zero otherwise. Interrupts are off, the PIC is not initialized, A20 is on, the ACPI tables are
 * in their place.
 */
#include "boot.h"
#include "drivers/lib/lib.h"

#define LOAD_AT    0x7c00u
#define SECTOR     512u
#define SIGNATURE  0xaa55u
#define HARD_DISK  0x80u /* DL: the first one */
#define VECTORS    256u
#define EXCEPTIONS 0x10u /* vectors below: exceptions, and the first PIC's as a PC sets it up */
#define SECOND_PIC 0x70u
#define PIC_LINES  8u
#define BDA        0x400u /* BIOS data area, 256 bytes */
#define BDA_SIZE   0x100u
#define BDA_MEMORY 0x413u /* word: KiB of low memory */
#define STUB_AT    0x4f0u /* an area of the BIOS data area that is left to programs */
#define STUB_IRET  8u     /* offset of the stub's last instruction */
#define KIB        1024u

/* push bp; mov bp, sp; or byte [bp+6], 1 (CF of the FLAGS pushed); pop bp; iret */
static const u8 stub[] = {0x55, 0x89, 0xe5, 0x80, 0x4e, 0x06, 0x01, 0x5d, 0xcf};
static_assert(sizeof(stub) == STUB_IRET + 1 && STUB_AT + sizeof(stub) <= BDA + BDA_SIZE);

bool flat_is(const struct boot_image *image)
{
	u16 signature;

	if (!image->data || image->size < SECTOR)
		return false;
	memcpy(&signature, (const u8 *)image->data + SECTOR - sizeof(signature), sizeof(signature));
	return signature == SIGNATURE;
}

static bool put_low_memory(const struct gmem *memory)
{
	u32 vector[VECTORS]; /* segment 0 : offset */
	u8 bda[BDA_SIZE] = {0};
	u16 kib = 0;

	while (kib < BOOT_LOW_RAM_END / KIB && memmap_is_ram(memory, 0, (kib + 1ull) * KIB))
		kib++;
	for (u32 i = 0; i < VECTORS; i++) {
		bool quiet = i < EXCEPTIONS || (i >= SECOND_PIC && i < SECOND_PIC + PIC_LINES);

		vector[i] = STUB_AT + (quiet ? STUB_IRET : 0);
	}
	memcpy(bda + (BDA_MEMORY - BDA), &kib, sizeof(kib));
	memcpy(bda + (STUB_AT - BDA), stub, sizeof(stub));
	return gmem_write(memory, 0, vector, sizeof(vector)) &&
	       gmem_write(memory, BDA, bda, sizeof(bda));
}

const char *flat_load(const struct boot_request *r, struct boot_entry *entry)
{
	if (r->modules || r->initrd.data)
		return "a boot image takes neither an initrd nor modules";
	if (*r->bootargs)
		return "a boot image takes no command line";
	if (!memmap_is_ram(r->memory, LOAD_AT, r->kernel.size))
		return "the boot image does not fit between 0x7c00 and 0x9ffff";
	if (!put_low_memory(r->memory) ||
		!gmem_write(r->memory, LOAD_AT, r->kernel.data, r->kernel.size))
		return "the machine has no memory at address 0";
	*entry = (struct boot_entry){
		.mode = BOOT_MODE_REAL,
		.rip = LOAD_AT,
		.rdx = HARD_DISK,
		.rsp = LOAD_AT, /* the stack grows down from it */
	};
	return NULL;
}
