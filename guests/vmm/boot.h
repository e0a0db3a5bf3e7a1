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

struct boot_request {
	const struct gmem *memory;
	struct boot_image kernel;
	struct boot_image initrd;
	const char *bootargs; /* "" without any */
	gpa_t rsdp;           /* of the ACPI tables, 0 without */
};

enum boot_mode {
	BOOT_MODE_PROTECTED, /* flat 32-bit, paging off */
	BOOT_MODE_LONG,      /* flat 64-bit, first 4 GiB mapped one to one */
};

/* State of the first vCPU at the entry; registers that are not named are 0. */
struct boot_entry {
	enum boot_mode mode;
	u64 rip;
	u64 rbx;
	u64 rsi;
	u64 rsp;
	u64 cr3;
};

/* Low memory that a loader uses, guest-physical; a kernel's own segments must not lie in it. */
#define BOOT_LOW_START    0x1000u
#define BOOT_GDT          0x1000u
#define BOOT_PARAMS       0x2000u /* zero page or hvm_start_info */
#define BOOT_TABLES       0x3000u /* memory map, module list */
#define BOOT_CMDLINE      0x4000u
#define BOOT_CMDLINE_SIZE 0x2000u
#define BOOT_PAGING       0x6000u /* PML4, PDPT, four page directories */
#define BOOT_LOW_END      0xc000u

#define BOOT_LOW_RAM_END 0xa0000u  /* RAM for the guest ends here ... */
#define BOOT_HIGH_START  0x100000u /* ... and goes on here */
#define BOOT_ROM_START   0xe0000u  /* reserved: ACPI tables */
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

/* Copies the command line to BOOT_CMDLINE; false: longer than `max` characters or than the place.
 */
bool boot_put_cmdline(const struct boot_request *r, u64 max);

/* Maps the first 4 GiB one to one at BOOT_PAGING; false: no RAM there. */
bool boot_put_paging(const struct gmem *memory);

/*
 * Loads a kernel and fills `entry`. Returns NULL, or what is wrong, for the log; memory may then
 * hold parts. boot_load looks at the image for its kind: bzImage, or ELF with a PVH note.
 */
const char *boot_load(const struct boot_request *r, struct boot_entry *entry);
const char *bzimage_load(const struct boot_request *r, struct boot_entry *entry);
const char *pvh_load(const struct boot_request *r, struct boot_entry *entry);

/* Does the image begin as one of these do? */
bool bzimage_is(const struct boot_image *image);
bool pvh_is(const struct boot_image *image);
