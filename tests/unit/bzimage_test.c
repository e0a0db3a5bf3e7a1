/* Loading bzImages: a good one, and files that lie about themselves. */
#include <stdlib.h>
#include "guests/vmm/boot/boot.h"
#include "tests/unit/test.h"

#define RAM       (64ull << 20)
#define FILE_SIZE 0x10000u
#define PAYLOAD   0x800u /* three setup sectors */

static u8 *ram;
static struct gmem memory;
static u8 file[FILE_SIZE];
static struct boot_request request;
static struct boot_entry entry;

static void set(u32 offset, u64 value, u32 size)
{
	memcpy(file + offset, &value, size);
}

static u64 get(gpa_t at, u32 size)
{
	u64 value = 0;

	memcpy(&value, ram + at, size);
	return value;
}

static void setup(void)
{
	free(ram);
	ram = aligned_alloc(PAGE_SIZE, RAM);
	memset(ram, 0xcc, RAM);
	memory = (struct gmem){0};
	gmem_add(&memory, 0, RAM, ram);
	memset(file, 0, sizeof(file));
	set(0x1f1, 3, 1);
	set(0x1f4, (FILE_SIZE - PAYLOAD) / 16, 4);
	set(0x1fe, 0xaa55, 2);
	set(0x200, 0x6aeb, 2); /* jump: the header ends at 0x26c */
	set(0x202, 0x53726448, 4);
	set(0x206, 0x20f, 2);
	set(0x211, 1, 1);
	set(0x22c, 0x7fffffff, 4);
	set(0x230, 0x200000, 4);
	set(0x234, 1, 1);
	set(0x236, 3, 2);
	set(0x238, 2047, 4);
	set(0x258, 0x1000000, 8);
	set(0x260, 0x300000, 4);
	for (u32 i = PAYLOAD; i < FILE_SIZE; i++)
		file[i] = (u8)(i * 7);
	request = (struct boot_request){.memory = &memory,
		.kernel = {file, sizeof(file)},
		.bootargs = "console=ttyS0",
		.rsdp = 0xe1000};
}

static const char *load(void)
{
	return boot_load(&request, &entry);
}

TEST(bzimage_loads)
{
	static u8 initrd[12345];

	setup();
	memset(initrd, 0x5a, sizeof(initrd));
	request.initrd = (struct boot_image){initrd, sizeof(initrd)};
	CHECK(load() == NULL);
	CHECK_EQ(entry.mode, BOOT_MODE_LONG);
	CHECK_EQ(entry.rip, 0x1000200);
	CHECK_EQ(entry.rsi, BOOT_PARAMS);
	CHECK(memcmp(ram + 0x1000000, file + PAYLOAD, FILE_SIZE - PAYLOAD) == 0);
	CHECK_EQ(get(BOOT_PARAMS + 0x70, 8), 0xe1000);
	CHECK_EQ(get(BOOT_PARAMS + 0x210, 1), 0xff);
	CHECK(strcmp((char *)ram + get(BOOT_PARAMS + 0x228, 4), "console=ttyS0") == 0);
	CHECK_EQ(get(BOOT_PARAMS + 0x218, 4), ALIGN_DOWN(RAM - sizeof(initrd), PAGE_SIZE));
	CHECK_EQ(get(BOOT_PARAMS + 0x21c, 4), sizeof(initrd));
	CHECK(memcmp(ram + get(BOOT_PARAMS + 0x218, 4), initrd, sizeof(initrd)) == 0);
	/* e820: low RAM, reserved, high RAM */
	CHECK_EQ(get(BOOT_PARAMS + 0x1e8, 1), 3);
	CHECK_EQ(get(BOOT_PARAMS + 0x2d0 + 8, 8), 0xa0000);
	CHECK_EQ(get(BOOT_PARAMS + 0x2d0 + 20 + 16, 4), 2);
	CHECK_EQ(get(BOOT_PARAMS + 0x2d0 + 40, 8), 0x100000);
	CHECK_EQ(get(BOOT_PARAMS + 0x2d0 + 40 + 8, 8), RAM - 0x100000);
	/* page tables */
	CHECK_EQ(get(entry.cr3, 8), (entry.cr3 + 0x1000) | 3);
	CHECK_EQ(get(entry.cr3 + 0x2000 + 5 * 8, 8), 5 * 0x200000 | 0x83);
	/* the zero page beyond the header is zero */
	CHECK_EQ(get(BOOT_PARAMS, 8), 0);
	CHECK_EQ(get(BOOT_PARAMS + 0xff8, 8), 0);
}

/* As i386 kernels are: the entry is the first byte, with the zero page in ESI and all else 0. */
TEST(bzimage_without_64_bit_entry)
{
	setup();
	set(0x236, 0, 2);
	CHECK(load() == NULL);
	CHECK_EQ(entry.mode, BOOT_MODE_PROTECTED);
	CHECK_EQ(entry.rip, 0x1000000);
	CHECK_EQ(entry.rsi, BOOT_PARAMS);
	CHECK_EQ(entry.rbx, 0);
	CHECK(memcmp(ram + 0x1000000, file + PAYLOAD, FILE_SIZE - PAYLOAD) == 0);
	CHECK_EQ(get(BOOT_PARAMS + 0x214, 4), 0x1000000);
	set(0x1f4, 0x10, 4); /* shorter than the offset of a 64-bit entry */
	CHECK(load() == NULL);
}

TEST(bzimage_relocates)
{
	setup();
	set(0x258, RAM - 0x100000, 8); /* where it does not fit */
	CHECK(load() == NULL);
	CHECK_EQ(entry.rip, 0x200200);
	set(0x234, 0, 1);
	CHECK(load() != NULL);
	set(0x234, 1, 1);
	set(0x260, RAM, 4);
	CHECK(load() != NULL);
}

TEST(bzimage_initrd_limits)
{
	static u8 big[0x100000];

	setup();
	request.initrd = (struct boot_image){big, sizeof(big)};
	set(0x22c, 0x1ffffff, 4);
	CHECK(load() == NULL);
	CHECK_EQ(get(BOOT_PARAMS + 0x218, 4), 0x1f00000);
	set(0x22c, 0x12fffff, 4); /* only the kernel's own place and what is below are left */
	CHECK(load() == NULL);
	CHECK_EQ(get(BOOT_PARAMS + 0x218, 4), 0xf00000);
	set(0x22c, 0x17ffff, 4);
	CHECK(load() != NULL);
	request.initrd.size = 1ull << 33;
	CHECK(load() != NULL);
}

TEST(bzimage_damaged)
{
	setup();
	set(0x1fe, 0, 2);
	CHECK(load() != NULL);
	setup();
	set(0x206, 0x20b, 2);
	CHECK(load() != NULL);
	setup();
	set(0x211, 0, 1); /* a zImage */
	CHECK(load() != NULL);
	setup();
	set(0x1f1, 0xff, 1); /* setup beyond the file */
	CHECK(load() != NULL);
	setup();
	request.kernel.size = FILE_SIZE - 0x1000; /* cut short */
	CHECK(load() != NULL);
	setup();
	set(0x1f4, 0xffffffff, 4);
	CHECK(load() != NULL);
	setup();
	set(0x1f4, 0, 4);
	CHECK(load() != NULL);
	setup();
	set(0x1f4, 0x20, 4); /* shorter than the entry's offset */
	CHECK(load() != NULL);
	setup();
	set(0x230, 0x300000, 4);
	CHECK(load() != NULL);
	setup();
	set(0x230, 0, 4);
	CHECK(load() != NULL);
	setup();
	set(0x260, 0x10, 4);
	CHECK(load() != NULL);
	setup();
	set(0x238, 4, 4); /* the command line is longer */
	CHECK(load() != NULL);
	setup();
	request.kernel.size = 0x200;
	CHECK(load() != NULL);
	request.kernel.size = 0;
	CHECK(load() != NULL);
	request.kernel.data = NULL;
	CHECK(load() != NULL);
}

/* Any header: refused or loaded, but never outside the guest's RAM (the sanitizers look). */
TEST(bzimage_random_headers)
{
	u32 loaded = 0;

	srand(2);
	setup();
	for (u32 i = 0; i < 20000; i++) {
		u8 saved[0x90];

		memcpy(saved, file + 0x1f1, sizeof(saved));
		for (u32 k = 0; k < 3; k++)
			file[0x1f1 + rand() % sizeof(saved)] = (u8)rand();
		request.kernel.size = (u64)rand() % FILE_SIZE;
		if (rand() & 1)
			request.kernel.size = FILE_SIZE;
		loaded += load() == NULL;
		memcpy(file + 0x1f1, saved, sizeof(saved));
	}
	CHECK(loaded > 100);
}

TEST(bzimage_needs_low_memory)
{
	setup();
	memory = (struct gmem){0};
	gmem_add(&memory, 0x100000, RAM - 0x100000, ram + 0x100000);
	CHECK(load() != NULL);
}
