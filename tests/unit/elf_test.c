/* The ELF files of kernel and root: good ones, and each way in which one can be bad. */
#include <elf.h>
#include <stdlib.h>
#include "test.h"
#include "boot/elf.h"
#include "kernel/abi/syscall.h"

#define TEXT_OFFSET 0x1000
#define DATA_OFFSET 0x2000
#define FILE_SIZE   0x3000
#define DATA_BSS    0x100

/* A kernel with a text, a data and a note segment, and three symbols. Every test damages one thing.
 */
struct sample {
	Elf64_Ehdr header;
	Elf64_Phdr segment[3];
	Elf64_Shdr section[2];
	Elf64_Sym symbol[3];
	char strings[16];
	struct {
		Elf64_Nhdr header;
		char name[12];
		u32 abi;
	} note;
};

static void sample_make(u8 *file)
{
	struct sample sample = {
		.header = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
			.e_type = ET_EXEC,
			.e_machine = EM_X86_64,
			.e_version = EV_CURRENT,
			.e_entry = KERNEL_BASE + 0x10,
			.e_phoff = offsetof(struct sample, segment),
			.e_shoff = offsetof(struct sample, section),
			.e_ehsize = sizeof(Elf64_Ehdr),
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = 3,
			.e_shentsize = sizeof(Elf64_Shdr),
			.e_shnum = 2},
		.segment = {{.p_type = PT_LOAD,
				    .p_flags = PF_R | PF_X,
				    .p_offset = TEXT_OFFSET,
				    .p_vaddr = KERNEL_BASE,
				    .p_filesz = 0x800,
				    .p_memsz = 0x800},
			{.p_type = PT_LOAD,
				.p_flags = PF_R | PF_W,
				.p_offset = DATA_OFFSET,
				.p_vaddr = KERNEL_BASE + 0x1000,
				.p_filesz = 0x200,
				.p_memsz = 0x200 + DATA_BSS},
			{.p_type = PT_NOTE,
				.p_flags = PF_R,
				.p_offset = offsetof(struct sample, note),
				.p_filesz = sizeof(sample.note)}},
		.section = {{.sh_type = SHT_SYMTAB,
				    .sh_link = 1,
				    .sh_entsize = sizeof(Elf64_Sym),
				    .sh_offset = offsetof(struct sample, symbol),
				    .sh_size = sizeof(sample.symbol)},
			{.sh_type = SHT_STRTAB,
				.sh_offset = offsetof(struct sample, strings),
				.sh_size = sizeof(sample.strings)}},
		.symbol = {{.st_name = 1, .st_info = STT_FUNC, .st_shndx = 1},
			{.st_name = 3, .st_info = STT_OBJECT, .st_shndx = 1},
			{.st_name = 5, .st_info = STT_FUNC, .st_shndx = 1, .st_value = 5}},
		.strings = "\0a\0b\0c",
		.note = {{.n_namesz = 9, .n_descsz = 4, .n_type = BOOT_NOTE_TYPE}, BOOT_NOTE_NAME,
			BULKHEAD_ABI},
	};

	memset(file, 0, FILE_SIZE);
	memcpy(file, &sample, sizeof(sample));
	memset(file + TEXT_OFFSET, 0xcc, 0x800);
	memset(file + DATA_OFFSET, 0xdd, 0x200);
}

/* Exactly as large as the file, so that the sanitizer sees a byte too far. */
static u8 *sample_new(void)
{
	u8 *file = malloc(FILE_SIZE);

	sample_make(file);
	return file;
}

static struct sample *sample_of(u8 *file)
{
	return (void *)file;
}

static status_t check(const u8 *file, u64 size)
{
	struct elf_kernel kernel;
	const char *why = NULL;
	status_t status = elf_check_kernel(file, size, &kernel, &why);

	CHECK((status == STATUS_OK) == (why == NULL));
	return status;
}

TEST(elf_good_kernel)
{
	u8 *file = sample_new();
	u8 *block = malloc(0x2000);
	struct elf_kernel kernel;
	const char *why;
	u32 abi = 0;

	CHECK_EQ(elf_check_kernel(file, FILE_SIZE, &kernel, &why), STATUS_OK);
	CHECK_EQ(kernel.entry, KERNEL_BASE + 0x10);
	CHECK_EQ(kernel.image_size, 0x2000);
	CHECK_EQ(elf_find_abi(file, FILE_SIZE, &abi), STATUS_OK);
	CHECK_EQ(abi, BULKHEAD_ABI);
	memset(block, 0xee, 0x2000);
	elf_load_kernel(file, &kernel, block);
	CHECK_EQ(block[0], 0xcc);
	CHECK_EQ(block[0x7ff], 0xcc);
	CHECK_EQ(block[0x800], 0);
	CHECK_EQ(block[0x1000], 0xdd);
	CHECK_EQ(block[0x11ff], 0xdd);
	CHECK_EQ(block[0x1200], 0);
	CHECK_EQ(block[0x1fff], 0);
	free(block);
	free(file);
}

TEST(elf_function_symbols)
{
	u8 *file = sample_new();
	struct elf_kernel kernel;
	Elf64_Sym symbol[3] = {0};
	const char *why;

	CHECK_EQ(elf_check_kernel(file, FILE_SIZE, &kernel, &why), STATUS_OK);
	CHECK_EQ(elf_copy_functions(file, &kernel, NULL), 2);
	CHECK_EQ(elf_copy_functions(file, &kernel, symbol), 2);
	CHECK_EQ(symbol[0].st_name, 1);
	CHECK_EQ(symbol[1].st_value, 5);
	sample_of(file)->symbol[0].st_name = 16;
	CHECK_EQ(elf_copy_functions(file, &kernel, symbol), 1);
	free(file);
}

/* A damaged symbol table costs the names in a panic, not the start. */
TEST(elf_bad_symbols)
{
	static const struct {
		u64 offset, size;
		u32 link;
	} bad[] = {{FILE_SIZE, 24, 1}, {~0ull, 24, 1}, {0, ~0ull, 1}, {0, 24, 2}, {0, 24, 0}};
	u8 *file = sample_new();

	for (u32 i = 0; i < ARRAY_SIZE(bad); i++) {
		struct elf_kernel kernel;
		const char *why;

		sample_make(file);
		sample_of(file)->section[0].sh_offset = bad[i].offset;
		sample_of(file)->section[0].sh_size = bad[i].size;
		sample_of(file)->section[0].sh_link = bad[i].link;
		CHECK_EQ(elf_check_kernel(file, FILE_SIZE, &kernel, &why), STATUS_OK);
		CHECK_EQ(kernel.symbol_count, 0);
	}
	sample_make(file);
	sample_of(file)->strings[15] = 'x';
	CHECK_EQ(check(file, FILE_SIZE), STATUS_OK);
	sample_of(file)->header.e_shoff = ~0ull;
	CHECK_EQ(check(file, FILE_SIZE), STATUS_OK);
	free(file);
}

TEST(elf_bad_header)
{
	u8 *file = sample_new();
	struct sample *sample = sample_of(file);

	sample->header.e_type = ET_DYN;
	CHECK_EQ(check(file, FILE_SIZE), STATUS_DAMAGED);
	sample_make(file);
	sample->header.e_machine = EM_AARCH64;
	CHECK_EQ(check(file, FILE_SIZE), STATUS_DAMAGED);
	sample_make(file);
	sample->header.e_ident[EI_CLASS] = ELFCLASS32;
	CHECK_EQ(check(file, FILE_SIZE), STATUS_DAMAGED);
	sample_make(file);
	sample->header.e_phentsize = 8;
	CHECK_EQ(check(file, FILE_SIZE), STATUS_DAMAGED);
	sample_make(file);
	sample->header.e_phoff = ~0ull - 8;
	CHECK_EQ(check(file, FILE_SIZE), STATUS_DAMAGED);
	sample_make(file);
	sample->header.e_phnum = 0xffff;
	CHECK_EQ(check(file, FILE_SIZE), STATUS_DAMAGED);
	free(file);
}

/* Damages the second segment in one field, and expects a refusal. */
#define CHECK_SEGMENT_REFUSED(field, value)                                                        \
	do {                                                                                       \
		sample_make(file);                                                                 \
		sample_of(file)->segment[1].field = (value);                                       \
		CHECK_EQ(check(file, FILE_SIZE), STATUS_DAMAGED);                                  \
	} while (0)

TEST(elf_bad_segments)
{
	u8 *file = sample_new();

	CHECK_SEGMENT_REFUSED(p_offset, FILE_SIZE - 0x1ff);
	CHECK_SEGMENT_REFUSED(p_offset, ~0ull);
	CHECK_SEGMENT_REFUSED(p_filesz, ~0ull);
	CHECK_SEGMENT_REFUSED(p_memsz, 0x1ff);
	CHECK_SEGMENT_REFUSED(p_memsz, KERNEL_IMAGE_MAX);
	CHECK_SEGMENT_REFUSED(p_memsz, ~0ull);
	CHECK_SEGMENT_REFUSED(p_vaddr, KERNEL_BASE - 0x1000);
	CHECK_SEGMENT_REFUSED(p_vaddr, 0x1000);
	CHECK_SEGMENT_REFUSED(p_vaddr, KERNEL_BASE);
	CHECK_SEGMENT_REFUSED(p_vaddr, KERNEL_BASE + 0x800);
	CHECK_SEGMENT_REFUSED(p_vaddr, ~0ull - 0xfff);
	CHECK_SEGMENT_REFUSED(p_flags, PF_R | PF_W | PF_X);
	free(file);
}

TEST(elf_bad_entry)
{
	static const u64 entry[] = {
		0, KERNEL_BASE - 1, KERNEL_BASE + 0x800, KERNEL_BASE + 0x1000, ~0ull};
	u8 *file = sample_new();

	for (u32 i = 0; i < ARRAY_SIZE(entry); i++) {
		sample_of(file)->header.e_entry = entry[i];
		CHECK_EQ(check(file, FILE_SIZE), STATUS_DAMAGED);
	}
	free(file);
}

/* A file cut anywhere is refused or accepted, but never read past its end. */
TEST(elf_cut_file)
{
	u8 *whole = sample_new();

	for (u64 size = 0; size < FILE_SIZE; size += size < 0x400 ? 1 : 0x40) {
		u8 *file = malloc(size ? size : 1);
		u32 abi;

		memcpy(file, whole, size);
		CHECK((check(file, size) == STATUS_OK) == (size >= DATA_OFFSET + 0x200));
		elf_find_abi(file, size, &abi);
		free(file);
	}
	free(whole);
}

TEST(elf_notes)
{
	u8 *file = sample_new();
	struct sample *sample = sample_of(file);
	u32 abi = 0;

	sample->note.abi = 7;
	CHECK_EQ(elf_find_abi(file, FILE_SIZE, &abi), STATUS_OK);
	CHECK_EQ(abi, 7);
	sample->note.name[0] = 'b';
	CHECK_EQ(elf_find_abi(file, FILE_SIZE, &abi), STATUS_NOT_FOUND);
	sample_make(file);
	sample->note.header.n_type = 2;
	CHECK_EQ(elf_find_abi(file, FILE_SIZE, &abi), STATUS_NOT_FOUND);
	sample_make(file);
	sample->note.header.n_namesz = 0xffffffff;
	CHECK_EQ(elf_find_abi(file, FILE_SIZE, &abi), STATUS_DAMAGED);
	sample_make(file);
	sample->note.header.n_descsz = 5;
	CHECK_EQ(elf_find_abi(file, FILE_SIZE, &abi), STATUS_DAMAGED);
	sample_make(file);
	sample->segment[2].p_offset = FILE_SIZE - 4;
	CHECK_EQ(elf_find_abi(file, FILE_SIZE, &abi), STATUS_DAMAGED);
	CHECK_EQ(elf_find_abi("#!/bin/sh\n", 10, &abi), STATUS_NOT_FOUND);
	free(file);
}

#define ROOT_TEXT 0x200000ull
#define ROOT_DATA 0x202000ull

/* The same file as a root: it lies in memory as it does in the file. */
static struct sample *root_make(u8 *file)
{
	struct sample *sample = sample_of(file);

	sample_make(file);
	sample->segment[0].p_vaddr = ROOT_TEXT;
	sample->segment[1].p_vaddr = ROOT_DATA;
	sample->segment[1].p_memsz = sample->segment[1].p_filesz;
	sample->header.e_entry = ROOT_TEXT + 8;
	return sample;
}

static status_t root_check(const u8 *file, u64 size)
{
	static struct boot_info info;
	const char *why = NULL;
	status_t status;

	memset(&info, 0, sizeof(info));
	status = elf_check_root(file, size, &info, &why);
	CHECK((status == STATUS_OK) == (why == NULL));
	return status;
}

TEST(elf_good_root)
{
	static struct boot_info info;
	u8 *file = sample_new();
	const char *why;

	root_make(file);
	CHECK_EQ(elf_check_root(file, FILE_SIZE, &info, &why), STATUS_OK);
	CHECK_EQ(info.root_entry, ROOT_TEXT + 8);
	CHECK_EQ(info.root_segment[0].address, ROOT_TEXT);
	CHECK_EQ(info.root_segment[0].offset, TEXT_OFFSET);
	CHECK_EQ(info.root_segment[0].size, 0x1000);
	CHECK_EQ(info.root_segment[0].flags, BOOT_SEGMENT_EXEC);
	CHECK_EQ(info.root_segment[1].address, ROOT_DATA);
	CHECK_EQ(info.root_segment[1].offset, DATA_OFFSET);
	CHECK_EQ(info.root_segment[1].size, 0x1000);
	CHECK_EQ(info.root_segment[1].flags, BOOT_SEGMENT_WRITE);
	CHECK_EQ(info.root_segment[2].size, 0);
	free(file);
}

#define CHECK_ROOT_REFUSED(field, value)                                                           \
	do {                                                                                       \
		root_make(file)->segment[1].field = (value);                                       \
		CHECK_EQ(root_check(file, FILE_SIZE), STATUS_DAMAGED);                             \
	} while (0)

TEST(elf_bad_root)
{
	u8 *file = sample_new();

	root_make(file);
	CHECK_EQ(root_check(file, FILE_SIZE), STATUS_OK);
	CHECK_EQ(root_check(file, 40), STATUS_DAMAGED);
	CHECK_EQ(root_check(file, DATA_OFFSET + 0x1ff), STATUS_DAMAGED);
	root_make(file)->header.e_phnum = 0xffff;
	CHECK_EQ(root_check(file, FILE_SIZE), STATUS_DAMAGED);
	CHECK_ROOT_REFUSED(p_offset, DATA_OFFSET + 8);
	CHECK_ROOT_REFUSED(p_vaddr, ROOT_DATA + 8);
	CHECK_ROOT_REFUSED(p_vaddr, 0);
	CHECK_ROOT_REFUSED(p_vaddr, ABI_USER_MIN - PAGE_SIZE);
	CHECK_ROOT_REFUSED(p_vaddr, BIT(40));
	CHECK_ROOT_REFUSED(p_vaddr, ~0ull << PAGE_SHIFT);
	CHECK_ROOT_REFUSED(p_memsz, 0x201);
	CHECK_ROOT_REFUSED(p_filesz, ~0ull);
	CHECK_ROOT_REFUSED(p_flags, PF_R | PF_W | PF_X);
	free(file);
}

TEST(elf_root_segments)
{
	u8 *file = sample_new();
	struct sample *sample = root_make(file);
	Elf64_Phdr *many = (void *)(file + TEXT_OFFSET);

	sample->header.e_phoff = TEXT_OFFSET;
	sample->header.e_phnum = BOOT_MAX_SEGMENTS;
	for (u32 i = 0; i < BOOT_MAX_SEGMENTS + 1; i++)
		many[i] = sample->segment[0];
	CHECK_EQ(root_check(file, FILE_SIZE), STATUS_OK);
	sample->header.e_phnum++;
	CHECK_EQ(root_check(file, FILE_SIZE), STATUS_DAMAGED);
	free(file);
}
