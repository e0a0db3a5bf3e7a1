/* Tests of root's ELF reader: a good file, each way to be wrong, and random damage. */
#include <elf.h>
#include <stdlib.h>

#include "drivers/root/elf.h"
#include "drivers/lib/start.h"
#include "tests/unit/test.h"

#define FILE_SIZE 0x5000u

static struct file {
	Elf64_Ehdr header;
	Elf64_Phdr segment[4];
	u8 rest[FILE_SIZE - sizeof(Elf64_Ehdr) - 4 * sizeof(Elf64_Phdr)];
} good, bad;

static void make_good(void)
{
	static const struct {
		u32 size, data, type;
		char name[12];
		u32 abi;
	} note = {9, 4, 1, "Bulkhead", 1};

	memset(&good, 0, sizeof(good));
	memcpy(good.header.e_ident, ELFMAG, SELFMAG);
	good.header.e_ident[EI_CLASS] = ELFCLASS64;
	good.header.e_ident[EI_DATA] = ELFDATA2LSB;
	good.header.e_type = ET_EXEC;
	good.header.e_machine = EM_X86_64;
	good.header.e_entry = START_IMAGE + 0x10;
	good.header.e_phoff = sizeof(good.header);
	good.header.e_phentsize = sizeof(Elf64_Phdr);
	good.header.e_phnum = 4;
	good.segment[0] =
		(Elf64_Phdr){PT_LOAD, PF_R | PF_X, 0x1000, START_IMAGE, 0, 0x1234, 0x1234, 0x1000};
	good.segment[1] =
		(Elf64_Phdr){PT_LOAD, PF_R, 0x3000, START_IMAGE + 0x2000, 0, 0x100, 0x100, 0x1000};
	good.segment[2] = (Elf64_Phdr){
		PT_LOAD, PF_R | PF_W, 0x4000, START_IMAGE + 0x3000, 0, 0x800, 0x5000, 0x1000};
	good.segment[3] = (Elf64_Phdr){PT_NOTE, PF_R, 0x3080, 0, 0, sizeof(note), sizeof(note), 4};
	memcpy((u8 *)&good + 0x3080, &note, sizeof(note));
	bad = good;
}

static const char *read_bad(struct elf_program *p)
{
	return elf_read(p, &bad, sizeof(bad));
}

TEST(elf_good)
{
	struct elf_program p;

	make_good();
	CHECK(elf_read(&p, &good, sizeof(good)) == NULL);
	CHECK_EQ(p.entry, START_IMAGE + 0x10);
	CHECK_EQ(p.segments, 3);
	CHECK(p.segment[0].execute && !p.segment[0].write);
	CHECK(!p.segment[1].execute && !p.segment[1].write);
	CHECK(p.segment[2].write && p.segment[2].size == 0x5000 && p.segment[2].file_size == 0x800);
}

#define REFUSED(change)                                                                            \
	do {                                                                                       \
		struct elf_program p_;                                                             \
		make_good();                                                                       \
		change;                                                                            \
		CHECK(read_bad(&p_) != NULL);                                                      \
	} while (0)

TEST(elf_refused)
{
	REFUSED(bad.header.e_ident[0] = 0);
	REFUSED(bad.header.e_machine = EM_386);
	REFUSED(bad.header.e_type = ET_DYN);
	REFUSED(bad.header.e_phoff = sizeof(bad));
	REFUSED(bad.header.e_phoff = ~0ull);
	REFUSED(bad.header.e_phnum = 0);
	REFUSED(bad.header.e_entry = START_IMAGE + 0x2000);
	REFUSED(bad.segment[0].p_flags |= PF_W);
	REFUSED(bad.segment[0].p_vaddr++);
	REFUSED(bad.segment[0].p_offset++);
	REFUSED(bad.segment[0].p_filesz = sizeof(bad));
	REFUSED(bad.segment[0].p_memsz++);
	REFUSED(bad.segment[1].p_vaddr = START_IMAGE + 0x1000);
	REFUSED(bad.segment[2].p_vaddr = START_IMAGE - 0x1000);
	REFUSED(bad.segment[2].p_vaddr = START_RESOURCES - 0x1000);
	REFUSED(bad.segment[2].p_memsz = ~0ull);
	REFUSED(bad.segment[2].p_filesz = ~0ull);
	REFUSED(bad.segment[3].p_type = PT_NULL);
	REFUSED(bad.segment[3].p_type = PT_INTERP);
	REFUSED(bad.rest[0x3080 + 24 - offsetof(struct file, rest)] = 2);
}

TEST(elf_short_files)
{
	struct elf_program p;

	make_good();
	for (u64 size = 0; size < 0x4800; size++) {
		u8 *copy = malloc(size ? size : 1);

		memcpy(copy, &good, size);
		CHECK(elf_read(&p, copy, size) != NULL);
		free(copy);
		if (size > 1000)
			size += 250;
	}
}

TEST(elf_random_damage)
{
	struct elf_program p;

	for (int i = 0; i < 200000; i++) {
		make_good();
		for (int k = 0; k < 3; k++)
			((u8 *)&bad)[random() % (64 + 4 * 56)] ^= (u8)(1 << random() % 8);
		if (read_bad(&p))
			continue;
		for (u32 s = 0; s < p.segments; s++) {
			CHECK(p.segment[s].offset + p.segment[s].file_size <= sizeof(bad));
			CHECK(p.segment[s].base >= START_IMAGE);
			CHECK(p.segment[s].base + p.segment[s].size <= START_RESOURCES);
		}
	}
}
