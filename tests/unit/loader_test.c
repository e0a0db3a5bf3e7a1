/* Loading ELF programs with a PVH note, of both classes, and the memory map. */
#include <elf.h>
#include <stdlib.h>
#include "guests/vmm/boot/boot.h"
#include "tests/unit/test.h"

#define RAM       (16ull << 20)
#define FILE_SIZE 0x3000u
#define TEXT      0x1000u
#define NOTES     0x800u
#define ENTRY     0x200010u

static u8 *ram;
static struct gmem memory;
static u8 file[FILE_SIZE];
static struct boot_request request;
static struct boot_entry entry;

static void setup_ram(void)
{
	free(ram);
	ram = aligned_alloc(PAGE_SIZE, RAM);
	memset(ram, 0xcc, RAM);
	memory = (struct gmem){0};
	gmem_add(&memory, 0, RAM, ram);
	memset(file, 0, sizeof(file));
	for (u32 i = TEXT; i < FILE_SIZE; i++)
		file[i] = (u8)(i * 5);
	request = (struct boot_request){.memory = &memory,
		.kernel = {file, sizeof(file)},
		.bootargs = "a=b",
		.rsdp = 0xe2000};
}

static void put_note(void)
{
	u32 other[] = {4, 3, 1, 0x00554e47, 0x00112233}; /* another note first */
	u32 pvh[] = {4, 4, 18, 0x006e6558, ENTRY};

	memcpy(file + NOTES, other, sizeof(other));
	memcpy(file + NOTES + sizeof(other), pvh, sizeof(pvh));
}
#define NOTES_SIZE 40u

static Elf64_Ehdr *header_64(void)
{
	return (Elf64_Ehdr *)file;
}

static Elf64_Phdr *segment_64(u32 i)
{
	return (Elf64_Phdr *)(file + 64) + i;
}

static void setup_64(void)
{
	Elf64_Ehdr *h = header_64();

	setup_ram();
	*h = (Elf64_Ehdr){.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1},
		.e_type = ET_EXEC,
		.e_machine = EM_X86_64,
		.e_phoff = 64,
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = 2};
	*segment_64(0) = (Elf64_Phdr){.p_type = PT_LOAD,
		.p_offset = TEXT,
		.p_vaddr = 0xffffffff80200000,
		.p_paddr = 0x200000,
		.p_filesz = 0x1800,
		.p_memsz = 0x4000};
	*segment_64(1) = (Elf64_Phdr){.p_type = PT_NOTE, .p_offset = NOTES, .p_filesz = NOTES_SIZE};
	put_note();
}

static const char *load(void)
{
	return boot_load(&request, &entry);
}

TEST(pvh_loads_64)
{
	static u8 module[5000];
	u32 words[4];
	u64 longs[4];

	setup_64();
	memset(module, 0x77, sizeof(module));
	request.initrd = (struct boot_image){module, sizeof(module)};
	CHECK(load() == NULL);
	CHECK_EQ(entry.mode, BOOT_MODE_PROTECTED);
	CHECK_EQ(entry.rip, ENTRY);
	CHECK_EQ(entry.rbx, BOOT_PARAMS);
	CHECK(memcmp(ram + 0x200000, file + TEXT, 0x1800) == 0);
	CHECK_EQ(ram[0x201800], 0);
	CHECK_EQ(ram[0x203fff], 0);
	CHECK_EQ(ram[0x204000], 0xcc);
	memcpy(words, ram + BOOT_PARAMS, sizeof(words));
	CHECK_EQ(words[0], 0x336ec578);
	CHECK_EQ(words[1], 1);
	CHECK_EQ(words[3], 1);
	memcpy(longs, ram + BOOT_PARAMS + 16, sizeof(longs));
	CHECK(strcmp((char *)ram + longs[1], "a=b") == 0);
	CHECK_EQ(longs[2], 0xe2000);
	memcpy(words, ram + BOOT_PARAMS + 48, 4);
	CHECK_EQ(words[0], 3);
	memcpy(longs, ram + longs[0], 16);
	CHECK_EQ(longs[1], sizeof(module));
	CHECK(memcmp(ram + longs[0], module, sizeof(module)) == 0);
}

TEST(pvh_loads_32)
{
	Elf32_Ehdr *h = (Elf32_Ehdr *)file;
	Elf32_Phdr *p = (Elf32_Phdr *)(file + 52);

	setup_ram();
	*h = (Elf32_Ehdr){.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, 1},
		.e_machine = EM_386,
		.e_phoff = 52,
		.e_phentsize = sizeof(Elf32_Phdr),
		.e_phnum = 2};
	p[0] = (Elf32_Phdr){.p_type = PT_LOAD,
		.p_offset = TEXT,
		.p_paddr = 0x200000,
		.p_filesz = 0x100,
		.p_memsz = 0x200};
	p[1] = (Elf32_Phdr){.p_type = PT_NOTE, .p_offset = NOTES, .p_filesz = NOTES_SIZE};
	put_note();
	CHECK(load() == NULL);
	CHECK_EQ(entry.rip, ENTRY);
	CHECK(memcmp(ram + 0x200000, file + TEXT, 0x100) == 0);
}

TEST(pvh_damaged)
{
	setup_64();
	segment_64(0)->p_filesz = FILE_SIZE;
	segment_64(0)->p_memsz = FILE_SIZE;
	CHECK(load() != NULL);
	setup_64();
	segment_64(0)->p_memsz = 0x100; /* less than in the file */
	CHECK(load() != NULL);
	setup_64();
	segment_64(0)->p_offset = ~0ull;
	CHECK(load() != NULL);
	setup_64();
	segment_64(0)->p_paddr = RAM - 0x1000; /* ends beyond RAM */
	CHECK(load() != NULL);
	setup_64();
	segment_64(0)->p_paddr = -0x1000ull;
	CHECK(load() != NULL);
	setup_64();
	segment_64(0)->p_paddr = 0x9f000; /* into the hole below 1 MiB */
	CHECK(load() != NULL);
	setup_64();
	segment_64(0)->p_paddr = 0x2000; /* over both places of the boot information */
	segment_64(0)->p_memsz = BOOT_SHIFT;
	CHECK(load() == boot_low_taken);
	setup_64();
	header_64()->e_phoff = FILE_SIZE - 8;
	CHECK(load() != NULL);
	setup_64();
	header_64()->e_phoff = ~0ull - 8;
	CHECK(load() != NULL);
	setup_64();
	header_64()->e_phnum = 0xffff;
	CHECK(load() != NULL);
	setup_64();
	header_64()->e_phentsize = 8;
	CHECK(load() != NULL);
	setup_64();
	header_64()->e_machine = EM_AARCH64;
	CHECK(load() != NULL);
	setup_64();
	header_64()->e_ident[EI_DATA] = ELFDATA2MSB;
	CHECK(load() != NULL);
	for (u64 size = 0; size < 64; size++) {
		setup_64();
		request.kernel.size = size;
		CHECK(load() != NULL);
	}
}

TEST(pvh_notes)
{
	u32 huge = ~0u;

	setup_64();
	segment_64(1)->p_type = PT_NULL;
	CHECK(load() != NULL);
	setup_64();
	memcpy(file + NOTES, &huge, 4); /* the first note's name never ends */
	CHECK(load() != NULL);
	setup_64();
	memcpy(file + NOTES + 4, &huge, 4);
	CHECK(load() != NULL);
	setup_64();
	segment_64(1)->p_filesz = NOTES_SIZE - 1; /* the entry is cut off */
	CHECK(load() != NULL);
	setup_64();
	segment_64(1)->p_offset = FILE_SIZE - 16;
	CHECK(load() != NULL);
	setup_64();
	huge = 0xf0000000u; /* entry where no RAM is */
	memcpy(file + NOTES + 36, &huge, 4);
	CHECK(load() != NULL);
}

TEST(pvh_random)
{
	u32 loaded = 0;

	srand(3);
	setup_64();
	for (u32 i = 0; i < 20000; i++) {
		u8 saved[NOTES + 64];

		memcpy(saved, file, sizeof(saved));
		for (u32 k = 0; k < 2; k++) {
			u32 at = rand() & 1 ? (u32)rand() % 176 : NOTES + (u32)rand() % NOTES_SIZE;

			file[at] = (u8)rand();
		}
		request.kernel.size = rand() & 1 ? FILE_SIZE : (u64)rand() % FILE_SIZE;
		loaded += load() == NULL;
		memcpy(file, saved, sizeof(saved));
	}
	CHECK(loaded > 100);
}

TEST(boot_unknown_kind)
{
	setup_ram();
	CHECK(load() != NULL);
}

TEST(memmap)
{
	struct memmap_entry map[MEMMAP_MAX];
	struct gmem g = {0};
	static u8 one;

	gmem_add(&g, 0, 0x80000, &one);
	CHECK_EQ(memmap_build(&g, map), 1);
	CHECK_EQ(map[0].size, 0x80000);
	gmem_add(&g, 1ull << 32, 0x40000000, &one);
	gmem_add(&g, 0x100000, 0x200000, &one);
	CHECK_EQ(memmap_build(&g, map), 3);
	CHECK_EQ(map[2].base, 1ull << 32);
	CHECK(!memmap_is_ram(&g, 0xa0000, 0x1000));
	CHECK(memmap_is_ram(&g, 0x100000, 0x200000));
	CHECK(!memmap_is_ram(&g, 0x100000, 0x200001));
	CHECK(!memmap_is_ram(&g, ~0ull, 2));
	CHECK_EQ(memmap_place_high(&g, 0x1000, BOOT_4G, 0, 0), 0x2ff000);
	CHECK_EQ(memmap_place_high(&g, 0x1000, ~0ull, 0, 0), (1ull << 32) + 0x3ffff000);
	CHECK_EQ(memmap_place_high(&g, 0x1000, BOOT_4G, 0x200000, 0x100000), 0x1ff000);
	CHECK_EQ(memmap_place_high(&g, 0x200000, BOOT_4G, 0x200000, 0x1000), 0);
	CHECK_EQ(memmap_place_high(&g, 0x1000, 0x1000, 0, 0), 0);
}
