/* Multiboot 1 kernels, as ELF and by address fields, with modules; and flat boot images. */
#define _GNU_SOURCE
#include <elf.h>
#include <stdlib.h>
#include "guests/vmm/boot/boot.h"
#include "tests/unit/test.h"

#define RAM       (16ull << 20)
#define FILE_SIZE 0x6000u
#define TEXT      0x1000u
#define MAGIC     0x1badb002u
#define LOAD      0x200000u

static u8 *ram;
static struct gmem memory;
static u8 file[FILE_SIZE];
static struct boot_request request;
static struct boot_entry entry;

static void set(u32 offset, u32 value)
{
	memcpy(file + offset, &value, sizeof(value));
}

static u32 get(gpa_t at)
{
	u32 value;

	memcpy(&value, ram + at, sizeof(value));
	return value;
}

static const char *text(gpa_t at)
{
	return (const char *)ram + at;
}

static void setup_ram(void)
{
	if (!ram)
		ram = aligned_alloc(PAGE_SIZE, RAM);
	memset(ram, 0xcc, RAM);
	memory = (struct gmem){0};
	gmem_add(&memory, 0, RAM, ram);
	memset(file, 0, sizeof(file));
	for (u32 i = TEXT; i < FILE_SIZE; i++)
		file[i] = (u8)(i * 5);
	request = (struct boot_request){.memory = &memory,
		.kernel = {file, sizeof(file)},
		.kernel_name = "test.flat",
		.bootargs = "a=b"};
}

static void put_header(u32 offset, u32 flags)
{
	set(offset, MAGIC);
	set(offset + 4, flags);
	set(offset + 8, -(MAGIC + flags));
}

static void put_addresses(
	u32 offset, u32 header, u32 load, u32 load_end, u32 bss_end, u32 entry_point)
{
	put_header(offset, BIT(16) | 1);
	set(offset + 12, header);
	set(offset + 16, load);
	set(offset + 20, load_end);
	set(offset + 24, bss_end);
	set(offset + 28, entry_point);
}

/* An ELF32 kernel linked to a virtual address, as kvm-unit-tests' are but for that. */
static void setup_elf(void)
{
	Elf32_Ehdr *h = (Elf32_Ehdr *)file;
	Elf32_Phdr *p = (Elf32_Phdr *)(file + sizeof(*h));

	setup_ram();
	*h = (Elf32_Ehdr){.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, 1},
		.e_type = ET_EXEC,
		.e_machine = EM_386,
		.e_entry = 0xc020000c,
		.e_phoff = sizeof(*h),
		.e_phentsize = sizeof(*p),
		.e_phnum = 1};
	*p = (Elf32_Phdr){.p_type = PT_LOAD,
		.p_offset = TEXT,
		.p_vaddr = 0xc0200000,
		.p_paddr = LOAD,
		.p_filesz = 0x1800,
		.p_memsz = 0x2345};
	put_header(TEXT, 0);
}

static const char *load(void)
{
	return boot_load(&request, &entry);
}

TEST(multiboot_elf)
{
	static u8 one[5000], two[3], disk[100];

	setup_elf();
	memset(one, 0x11, sizeof(one));
	memset(two, 0x22, sizeof(two));
	memset(disk, 0x33, sizeof(disk));
	request.initrd = (struct boot_image){disk, sizeof(disk)};
	request.initrd_name = "disk";
	request.modules = 2;
	request.module[0] = (struct boot_module){{one, sizeof(one)}, "one.bin", "x y"};
	request.module[1] = (struct boot_module){{two, sizeof(two)}, "two.bin", ""};
	CHECK(load() == NULL);
	CHECK_EQ(entry.mode, BOOT_MODE_PROTECTED);
	CHECK_EQ(entry.rip, LOAD + 0xc);
	CHECK_EQ(entry.rax, 0x2badb002);
	CHECK_EQ(entry.rbx, BOOT_PARAMS);
	CHECK(memcmp(ram + LOAD, file + TEXT, 0x1800) == 0);
	CHECK_EQ(ram[LOAD + 0x1800], 0);
	CHECK_EQ(ram[LOAD + 0x2344], 0);
	CHECK_EQ(ram[LOAD + 0x2345], 0xcc);

	CHECK_EQ(get(BOOT_PARAMS), BIT(0) | BIT(2) | BIT(3) | BIT(6) | BIT(9));
	CHECK_EQ(get(BOOT_PARAMS + 4), 640);
	CHECK_EQ(get(BOOT_PARAMS + 8), RAM / 1024 - 1024);
	CHECK(strcmp(text(get(BOOT_PARAMS + 16)), "test.flat a=b") == 0);
	CHECK(strcmp(text(get(BOOT_PARAMS + 64)), "Bulkhead") == 0);
	/* memory map: entries of 20 bytes and their size */
	CHECK_EQ(get(BOOT_PARAMS + 44), 3 * 24);
	CHECK_EQ(get(get(BOOT_PARAMS + 48)), 20);
	CHECK_EQ(get(get(BOOT_PARAMS + 48) + 12), 0xa0000);
	CHECK_EQ(get(get(BOOT_PARAMS + 48) + 20), 1);
	CHECK_EQ(get(get(BOOT_PARAMS + 48) + 48 + 4), 0x100000);
	/* modules on whole pages behind the BSS, the initrd first */
	CHECK_EQ(get(BOOT_PARAMS + 20), 3);
	for (u32 i = 0; i < 3; i++) {
		static const u32 starts[] = {LOAD + 0x3000, LOAD + 0x4000, LOAD + 0x6000};
		static const u32 sizes[] = {sizeof(disk), sizeof(one), sizeof(two)};
		static const char *const strings[] = {"disk", "one.bin x y", "two.bin"};
		static const u8 *const data[] = {disk, one, two};
		u32 at = get(BOOT_PARAMS + 24) + 16 * i;

		CHECK_EQ(get(at), starts[i]);
		CHECK_EQ(get(at + 4), starts[i] + sizes[i]);
		CHECK(strcmp(text(get(at + 8)), strings[i]) == 0);
		CHECK_EQ(get(at + 12), 0);
		CHECK(memcmp(ram + starts[i], data[i], sizes[i]) == 0);
	}
}

TEST(multiboot_elf64)
{
	Elf64_Ehdr *h = (Elf64_Ehdr *)file;
	Elf64_Phdr *p = (Elf64_Phdr *)(file + sizeof(*h));

	setup_ram();
	*h = (Elf64_Ehdr){.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1},
		.e_machine = EM_X86_64,
		.e_entry = LOAD + 0x20,
		.e_phoff = sizeof(*h),
		.e_phentsize = sizeof(*p),
		.e_phnum = 1};
	*p = (Elf64_Phdr){.p_type = PT_LOAD,
		.p_offset = TEXT,
		.p_vaddr = LOAD,
		.p_paddr = LOAD,
		.p_filesz = 0x100,
		.p_memsz = 0x100};
	put_header(0x1ff4, 2); /* the last place where it fits */
	CHECK(load() == NULL);
	CHECK_EQ(entry.rip, LOAD + 0x20);
	CHECK_EQ(entry.mode, BOOT_MODE_PROTECTED);
	CHECK_EQ(get(BOOT_PARAMS + 20), 0);
	put_header(0x1ff8, 2);
	set(0x1ff4, 0);
	CHECK(load() != NULL);
}

TEST(multiboot_addresses)
{
	setup_ram();
	/* the header in mid-file, 0x100 bytes of it before are loaded */
	put_addresses(0x800, LOAD + 0x100, LOAD, LOAD + 0x400, LOAD + 0x1000, LOAD + 0x123);
	CHECK(load() == NULL);
	CHECK_EQ(entry.rip, LOAD + 0x123);
	CHECK(memcmp(ram + LOAD, file + 0x700, 0x400) == 0);
	CHECK_EQ(ram[LOAD + 0x400], 0);
	CHECK_EQ(ram[LOAD + 0xfff], 0);
	CHECK_EQ(ram[LOAD + 0x1000], 0xcc);
	/* without ends: the rest of the file, no BSS */
	put_addresses(0x800, LOAD + 0x100, LOAD, 0, 0, LOAD);
	CHECK(load() == NULL);
	CHECK(memcmp(ram + LOAD, file + 0x700, FILE_SIZE - 0x700) == 0);
	CHECK_EQ(ram[LOAD + FILE_SIZE - 0x700], 0xcc);
	/* they count for ELF files too */
	setup_elf();
	put_addresses(TEXT, 0x300000, 0x300000, 0x300100, 0, 0x300010);
	CHECK(load() == NULL);
	CHECK_EQ(entry.rip, 0x300010);
	CHECK_EQ(ram[LOAD], 0xcc);
}

/* A kernel that lies where the boot information usually goes. */
TEST(multiboot_low)
{
	u32 info = BOOT_PARAMS + BOOT_SHIFT;

	setup_elf();
	((Elf32_Phdr *)(file + sizeof(Elf32_Ehdr)))->p_paddr = 0x8000;
	request.module[0] = (struct boot_module){{file, 16}, "one.bin", "x"};
	request.modules = 1;
	CHECK(load() == NULL);
	CHECK_EQ(entry.rip, 0x800c);
	CHECK_EQ(entry.rbx, info);
	CHECK_EQ(entry.shift, BOOT_SHIFT);
	CHECK(memcmp(ram + 0x8000, file + TEXT, 0x1800) == 0);
	CHECK_EQ(ram[0x8000 + 0x2344], 0);
	CHECK(strcmp(text(get(info + 16)), "test.flat a=b") == 0);
	CHECK(strcmp(text(get(info + 64)), "Bulkhead") == 0);
	CHECK(strcmp(text(get(get(info + 24) + 8)), "one.bin x") == 0);
	CHECK_EQ(get(get(info + 48) + 12), 0xa0000);
	for (u32 at = BOOT_LOW_START; at < 0x8000; at++)
		CHECK_EQ(ram[at], 0xcc);
	/* both places taken */
	((Elf32_Phdr *)(file + sizeof(Elf32_Ehdr)))->p_memsz =
		BOOT_SHIFT + BOOT_LOW_START - 0x8000 + 1;
	CHECK(load() == boot_low_taken);
}

TEST(multiboot_damaged)
{
	static const u32 bad[][6] = {
		{0x800, LOAD, LOAD + 1, 0, 0, LOAD},                  /* header before it */
		{0x800, LOAD + 0x804, LOAD, 0, 0, LOAD},              /* before the file */
		{0x800, LOAD, LOAD, LOAD, 0, LOAD},                   /* empty */
		{0x800, LOAD, LOAD, LOAD - 1, 0, LOAD},               /* negative */
		{0x800, LOAD, LOAD, LOAD + FILE_SIZE, 0, LOAD},       /* beyond the file */
		{0x800, LOAD, LOAD, LOAD + 0x100, LOAD + 0xff, LOAD}, /* BSS too early */
		{0x800, LOAD, LOAD, LOAD + 0x100, 0xfffff000, LOAD},  /* BSS beyond RAM */
		{0x800, RAM - 0x100, RAM - 0x100, 0, 0, LOAD},        /* beyond RAM */
		{0x800, 0xfffffff0, 0xfffffff0, 0, 0, LOAD},          /* wraps */
		{0x800, 0x8000, 0x8000, 0, 0x92000, LOAD}, /* both places of the information */
		{0x800, 0x9f000, 0x9f000, 0, 0, LOAD},     /* hole */
		{0x800, LOAD, LOAD, 0, 0, 0xf0000000},     /* entry outside RAM */
		{0x1ff4, LOAD, LOAD, 0, 0, LOAD},          /* header cut off */
	};

	for (u32 i = 0; i < ARRAY_SIZE(bad); i++) {
		const u32 *b = bad[i];

		setup_ram();
		put_addresses(b[0], b[1], b[2], b[3], b[4], b[5]);
		if (load() == NULL)
			test_fail(__FILE__, __LINE__, "damaged header %u was loaded", i);
	}
	for (u32 bit = 2; bit < 16; bit++) { /* what it may ask for and what not */
		setup_elf();
		put_header(TEXT, (u32)BIT(bit));
		CHECK(load() != NULL);
	}
	setup_elf();
	put_header(TEXT, 0xfffe0003); /* optional features of the future */
	CHECK(load() == NULL);
	setup_elf();
	set(TEXT + 8, 1); /* checksum */
	CHECK(load() != NULL);
	setup_ram();
	put_header(0x800, 0); /* neither ELF nor addresses */
	CHECK(load() != NULL);
	for (u32 size = 0; size < TEXT + 12; size += size < 80 ? 1 : 100) {
		setup_elf();
		request.kernel.size = size;
		CHECK(load() != NULL);
	}
}

TEST(multiboot_limits)
{
	static char args[BOOT_CMDLINE_SIZE * 4];
	static u8 big[8 << 20];
	u32 name = sizeof("test.flat ");

	memset(args, 'a', sizeof(args) - 1);
	setup_elf();
	request.bootargs = args + sizeof(args) - 1 - (BOOT_CMDLINE_SIZE - name);
	CHECK(load() == NULL);
	CHECK_EQ(strlen(text(BOOT_CMDLINE)), BOOT_CMDLINE_SIZE - 1);
	request.bootargs--;
	CHECK(load() != NULL);
	setup_elf();
	request.modules = 1;
	request.module[0] = (struct boot_module){{big, sizeof(big)}, "big", args};
	CHECK(load() != NULL); /* the string */
	request.module[0].args = "";
	CHECK(load() == NULL);
	request.modules = 2;
	request.module[1] = request.module[0];
	CHECK(load() != NULL); /* the memory */
	request.modules = BOOT_MODULES_MAX;
	for (u32 i = 0; i < BOOT_MODULES_MAX; i++)
		request.module[i] = (struct boot_module){{big, i}, "m", "n"};
	request.initrd = (struct boot_image){big, 1};
	CHECK(load() == NULL);
	CHECK_EQ(get(BOOT_PARAMS + 20), BOOT_PLACED_MAX);
}

/* RAM in pieces: modules go to the next one with room, never above 4 GiB. */
TEST(multiboot_pieces)
{
	static u8 module[0x3000];

	setup_elf();
	memory = (struct gmem){0};
	gmem_add(&memory, 0, 0x204000, ram);
	gmem_add(&memory, 0x400000, 0x3000, ram + 0x400000);
	gmem_add(&memory, 1ull << 32, 0x100000, ram + 0x500000);
	request.modules = 1;
	request.module[0] = (struct boot_module){{module, sizeof(module)}, "m", ""};
	CHECK(load() == NULL);
	CHECK_EQ(get(get(BOOT_PARAMS + 24)), 0x400000);
	CHECK_EQ(get(BOOT_PARAMS + 8), 0x104000 / 1024);
	request.modules = 2;
	request.module[1] = request.module[0];
	CHECK(load() != NULL);
}

/* Any header: refused or loaded, but never outside the guest's RAM (the sanitizers look). */
TEST(multiboot_random)
{
	u32 loaded = 0;

	srand(6);
	for (u32 i = 0; i < 20000; i++) {
		u32 field[5];

		if (i % 500 == 0)
			setup_ram();
		for (u32 k = 0; k < 5; k++)
			field[k] =
				rand() % 8 ? LOAD + (u32)(rand() % 64) * 0x100 : (u32)rand() << 1;
		if (rand() % 4 == 0)
			field[2] = field[3] = 0;
		put_addresses((u32)(rand() % 0x800) * 4, field[0], field[1], field[2], field[3],
			field[4]);
		request.kernel.size = rand() & 1 ? FILE_SIZE : (u64)rand() % FILE_SIZE;
		loaded += load() == NULL;
		memset(file, 0, TEXT * 2);
	}
	CHECK(loaded > 100);
}

TEST(pvh_modules)
{
	static u8 one[5000];
	u32 note[] = {4, 4, 18, 0x006e6558, LOAD + 0x10};
	Elf32_Phdr *p = (Elf32_Phdr *)(file + sizeof(Elf32_Ehdr)) + 1;
	u64 module[4];

	setup_elf();
	((Elf32_Ehdr *)file)->e_phnum = 2;
	*p = (Elf32_Phdr){.p_type = PT_NOTE, .p_offset = 0x800, .p_filesz = sizeof(note)};
	memcpy(file + 0x800, note, sizeof(note));
	request.modules = 2;
	request.module[0] = (struct boot_module){{one, sizeof(one)}, "one.bin", "x y"};
	request.module[1] = (struct boot_module){{one, 1}, "two.bin", ""};
	CHECK(load() == NULL); /* PVH goes before Multiboot */
	CHECK_EQ(entry.rip, LOAD + 0x10);
	CHECK_EQ(entry.rax, 0);
	CHECK(strcmp(text(BOOT_CMDLINE), "a=b") == 0);
	CHECK_EQ(get(BOOT_PARAMS + 12), 2);
	memcpy(module, ram + get(BOOT_PARAMS + 16), sizeof(module));
	CHECK_EQ(module[0], RAM - 0x2000);
	CHECK_EQ(module[1], sizeof(one));
	CHECK(strcmp(text(module[2]), "x y") == 0);
	memcpy(module, ram + get(BOOT_PARAMS + 16) + sizeof(module), sizeof(module));
	CHECK_EQ(module[0], RAM - 0x3000);
	CHECK(strcmp(text(module[2]), "") == 0);
}

static void setup_flat(u32 size)
{
	setup_ram();
	file[510] = 0x55;
	file[511] = 0xaa;
	request.kernel.size = size;
	request.bootargs = "";
}

static const u8 *handler(u32 vector)
{
	u32 far = get(4 * vector);

	return ram + (far >> 16 << 4) + (far & 0xffff);
}

/* Exceptions return, interrupts of the PICs are acknowledged, services fail. */
static void check_vectors(void)
{
	static const u8 first[] = {0xb0, 0x20, 0xe6, 0x20}; /* mov al, 20h; out 20h, al */
	static const u8 second[] = {0xb0, 0x20, 0xe6, 0xa0, 0xe6, 0x20};
	static const u8 tick[] = {0x83, 0x06, 0x6c, 0x00, 0x01}; /* add word [6ch], 1 */

	CHECK_EQ(*handler(0x00), 0xcf);
	CHECK_EQ(*handler(0x1c), 0xcf);
	CHECK(memmem(handler(0x08), 32, tick, sizeof(tick)) != NULL);
	CHECK(memmem(handler(0x08), 32, first, sizeof(first)) != NULL);
	CHECK(memmem(handler(0x0f), 8, first, sizeof(first)) != NULL);
	CHECK(memmem(handler(0x70), 8, second, sizeof(second)) != NULL);
	CHECK(memmem(handler(0x77), 8, second, sizeof(second)) != NULL);
	CHECK_EQ(*handler(0x13), 0x55);
	CHECK_EQ(get(4 * 0x13), get(4 * 0xff));
	CHECK_EQ(get(0x413) & 0xffff, 640);
}

TEST(flat_loads)
{
	setup_flat(FILE_SIZE);
	CHECK(load() == NULL);
	CHECK_EQ(entry.mode, BOOT_MODE_REAL);
	CHECK_EQ(entry.rip, 0x7c00);
	CHECK_EQ(entry.rdx, 0x80);
	CHECK_EQ(entry.rsp, 0x7c00);
	CHECK(memcmp(ram + 0x7c00, file, FILE_SIZE) == 0);
	CHECK_EQ(ram[0x7c00 + FILE_SIZE], 0xcc);
	CHECK_EQ(get(0x413) & 0xffff, 640);
	CHECK(entry.bios);
	check_vectors();
	setup_flat(512);
	CHECK(load() == NULL);
}

TEST(flat_refused)
{
	static u8 large[0xa0000];

	setup_flat(511);
	CHECK(load() != NULL);
	setup_flat(512);
	file[511] = 0xab;
	CHECK(load() != NULL);
	setup_flat(512);
	request.bootargs = "x";
	CHECK(load() != NULL);
	setup_flat(512);
	request.modules = 1;
	CHECK(load() != NULL);
	setup_flat(512);
	memcpy(large, file, 512);
	request.kernel = (struct boot_image){large, 0xa0000 - 0x7c00};
	CHECK(load() == NULL);
	request.kernel.size++;
	CHECK(load() != NULL);
}
