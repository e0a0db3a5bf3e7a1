/*
 * Starting a guest without firmware: what is put where, and the processor state at its entry.
 *
 * Images are untrusted: each loader checks all that it reads, and copies only into guest RAM.
 */
#pragma once

#include "guests/vmm/gmem.h"

struct boot_image {
	const void *data; /* NULL: there is none */
	u64 size;
};

#define BOOT_MODULES_MAX 8u
#define BOOT_PLACED_MAX  (BOOT_MODULES_MAX + 1) /* and the initrd */

/* A file that the kernel finds in its memory. */
struct boot_module {
	struct boot_image image;
	const char *name; /* of the file */
	const char *args; /* "" without any */
};

struct boot_request {
	const struct gmem *memory;
	struct boot_image kernel;
	const char *kernel_name; /* of the file; NULL counts as "" */
	struct boot_image initrd;
	const char *initrd_name; /* as kernel_name */
	u32 modules;             /* at most BOOT_MODULES_MAX */
	struct boot_module module[BOOT_MODULES_MAX];
	const char *bootargs; /* "" without any */
	gpa_t rsdp;           /* of the ACPI tables, 0 without */
	u32 shift;            /* 0 or BOOT_SHIFT; the loaders' own */
};

enum boot_mode {
	BOOT_MODE_PROTECTED, /* flat 32-bit, paging off */
	BOOT_MODE_LONG,      /* flat 64-bit, first 4 GiB mapped one to one */
	BOOT_MODE_REAL,      /* 16-bit, all segments at 0 */
};

/* State of the first vCPU at the entry; registers that are not named are 0. */
struct boot_entry {
	enum boot_mode mode;
	u64 rip;
	u64 rax;
	u64 rbx;
	u64 rdx;
	u64 rsi;
	u64 rsp;
	u64 cr3;
	u32 shift; /* of BOOT_GDT */
	bool bios; /* it expects interrupt controllers and timer as a PC's firmware leaves them */
};

/*
 * Low memory that a loader uses, guest-physical. All of it lies BOOT_SHIFT higher for a Multiboot
 * or PVH kernel with segments there, for which boot_request.shift is BOOT_SHIFT instead of 0.
 */
#define BOOT_LOW_START    0x1000u
#define BOOT_GDT          0x1000u
#define BOOT_PARAMS       0x2000u /* zero page, hvm_start_info or Multiboot information */
#define BOOT_TABLES       0x3000u /* memory map, module list */
#define BOOT_CMDLINE      0x4000u
#define BOOT_CMDLINE_SIZE 0x2000u
#define BOOT_PAGING       0x6000u /* PML4, PDPT, four page directories; or ... */
#define BOOT_STRINGS      0x6000u /* ... strings of modules */
#define BOOT_LOW_END      0xc000u
#define BOOT_SHIFT        0x90000u

#define BOOT_LOW_RAM_END 0xa0000u  /* RAM for the guest ends here ... */
#define BOOT_HIGH_START  0x100000u /* ... and goes on here */
#define BOOT_ROM_START   0xe0000u  /* reserved: ACPI tables, ... */
#define BOOT_HANDLERS    0xff000u  /* ... handlers of boot_put_bios */
#define BOOT_4G          (1ull << 32)

enum memmap_type { /* as in e820 and PVH */
	MEMMAP_RAM = 1,
	MEMMAP_RESERVED = 2,
};

struct memmap_entry {
	u64 base;
	u64 size;
	u32 type;
};
#define MEMMAP_MAX (GMEM_MAX_RANGES + 3)

/* Lists the guest's memory map; returns the number of entries, at most MEMMAP_MAX. */
u32 memmap_build(const struct gmem *memory, struct memmap_entry *out);

/*
 * Finds the highest page-aligned place for `size` bytes in RAM that the guest may use, from
 * BOOT_HIGH_START on, whose end is at most `limit`, and that does not touch [avoid, avoid +
 * avoid_size). 0: none.
 */
gpa_t memmap_place_high(
	const struct gmem *memory, u64 size, u64 limit, gpa_t avoid, u64 avoid_size);

/* Is [base, base + size) RAM that the guest may use? size is not 0. */
bool memmap_is_ram(const struct gmem *memory, gpa_t base, u64 size);

/* What elf_load and the like return when `shift` is not the one for this kernel. */
extern const char boot_low_taken[];

/* Loads with shift 0, or else with BOOT_SHIFT. Returns what `load` does. */
typedef const char *boot_loader(const struct boot_request *r, struct boot_entry *entry);
const char *boot_load_beside(
	boot_loader *load, const struct boot_request *r, struct boot_entry *entry);

/* Would [base, base + size) hit what the loader puts into low memory? */
bool boot_low_overlaps(u32 shift, gpa_t base, u64 size);

/* Copies the command line to BOOT_CMDLINE; false: longer than `max` characters or than the place.
 */
bool boot_put_cmdline(const struct boot_request *r, u64 max);

/* The same with the kernel's file name before it, as boot loaders do it for Multiboot. */
bool boot_put_named_cmdline(const struct boot_request *r);

/* Puts the vectors and handlers of real mode and the BIOS data area into memory (bios.c); false: no
 * RAM there. */
bool boot_put_bios(const struct gmem *memory);

/* Maps the first 4 GiB one to one at BOOT_PAGING; false: no RAM there. */
bool boot_put_paging(const struct gmem *memory);

#define BOOT_MODULES_HIGH  BIT(0) /* as high as possible, else right behind the kernel */
#define BOOT_MODULES_NAMED BIT(1) /* the strings begin with the file's name */

/* Where a module went. */
struct boot_placed {
	u32 address; /* guest-physical, page-aligned */
	u32 size;    /* bytes */
	u32 args;    /* guest-physical, of a string with its closing zero */
};

/*
 * Copies the initrd, if there is one, and then the modules to pages below 4 GiB and above the
 * kernel, and their strings to BOOT_STRINGS. Not for BOOT_MODE_LONG, whose page tables lie there.
 *
 * kernel_end: guest-physical end of the kernel with its BSS
 * how:        BOOT_MODULES_*
 * placed:     out: BOOT_PLACED_MAX entries, of which *count are filled
 *
 * Returns NULL, or what is wrong.
 */
const char *boot_put_modules(const struct boot_request *r, u64 kernel_end, u32 how,
	struct boot_placed *placed, u32 *count);

/*
 * Loads a kernel and fills `entry`. Returns NULL, or what is wrong, for the log; memory may then
 * hold parts. boot_load looks at the image for its kind, in this order: ELF with a PVH note,
 * bzImage, Multiboot 1, flat boot image. r->kernel.data is not NULL.
 */
const char *boot_load(const struct boot_request *r, struct boot_entry *entry);
const char *bzimage_load(const struct boot_request *r, struct boot_entry *entry);
const char *pvh_load(const struct boot_request *r, struct boot_entry *entry);
const char *multiboot_load(const struct boot_request *r, struct boot_entry *entry);
const char *flat_load(const struct boot_request *r, struct boot_entry *entry);

/* Does the image begin as one of these do? */
bool bzimage_is(const struct boot_image *image);
bool pvh_is(const struct boot_image *image);
bool multiboot_is(const struct boot_image *image);
bool flat_is(const struct boot_image *image);
