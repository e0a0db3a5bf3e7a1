/* Exits for which a whole machine looks at the guest's instructions: memory-mapped devices, string
 * I/O, garbage. */
#include <stdlib.h>
#include "guests/vmm/boot/boot.h"
#include "tests/unit/machine_host.h"

#define CODE  0x10000u
#define LAPIC 0xfee00000u

static struct vcpu *v;

static void setup(void)
{
	v = host_setup(false);
}

/* Puts code at RIP, and an exit for an access to `gpa`. */
static void memory_exit(const char *code, u32 size, gpa_t gpa, u64 access)
{
	memcpy(host_ram + CODE, code, size);
	v->run->rip = CODE;
	memset(&v->run->exit, 0, sizeof(v->run->exit));
	v->run->exit.memory.gpa = gpa;
	v->run->exit.memory.access = access;
	host_exit(v, EXIT_MEMORY, 0);
}
#define MEMORY_EXIT(code, gpa, access) memory_exit(code, sizeof(code) - 1, gpa, access)

TEST(machine_lapic_mmio)
{
	setup();
	/* mov eax, [fee00030]; the quick way */
	MEMORY_EXIT("\x8b\x04\x25\x30\x00\xe0\xfe", LAPIC + 0x30, EXIT_ACCESS_READ);
	CHECK_EQ(v->run->gpr[RAX], LAPIC_VERSION_VALUE);
	CHECK_EQ(v->run->rip, CODE + 7);
	/* mov [rdx + 8], r9d */
	v->run->gpr[9] = 0x1234500000070;
	MEMORY_EXIT("\x44\x89\x4a\x08", LAPIC + 0x80, EXIT_ACCESS_WRITE);
	CHECK_EQ(v->lapic->page->word[0x80 / 4], 0x70);
	CHECK_EQ(v->run->rip, CODE + 4);
	CHECK(v->run->dirty & GROUP_APIC);
	/* mov dword [rdx], 0x1ff */
	MEMORY_EXIT("\xc7\x02\xff\x01\x00\x00", LAPIC + 0xf0, EXIT_ACCESS_WRITE);
	CHECK_EQ(v->lapic->page->word[0xf0 / 4], 0x1ff);
	/* movzx ecx, byte [rdx]: through the decoder */
	v->run->gpr[RDX] = LAPIC + 0x30;
	MEMORY_EXIT("\x0f\xb6\x0a", LAPIC + 0x30, EXIT_ACCESS_READ);
	CHECK_EQ(v->run->gpr[RCX], LAPIC_VERSION_VALUE & 0xff);
	/* or dword [rdx], 0x10 on the TPR */
	v->run->gpr[RDX] = LAPIC + 0x80;
	MEMORY_EXIT("\x83\x0a\x08", LAPIC + 0x80, EXIT_ACCESS_READ);
	CHECK_EQ(v->lapic->page->word[0x80 / 4], 0x78);
	CHECK_EQ(v->run->rip, CODE + 3);
	CHECK_EQ(host_machine.stop, MACHINE_RUNS);
}

TEST(machine_ioapic_mmio)
{
	setup();
	v->run->gpr[RDX] = IOAPIC_BASE;
	v->run->gpr[RAX] = 1;
	MEMORY_EXIT("\x89\x02", IOAPIC_BASE, EXIT_ACCESS_WRITE);
	MEMORY_EXIT("\x8b\x42\x10", IOAPIC_BASE + 0x10, EXIT_ACCESS_READ);
	CHECK_EQ(v->run->gpr[RAX], 0x170020);
}

TEST(machine_unbacked_memory)
{
	setup();
	v->run->gpr[RDX] = 0xd0000000;
	MEMORY_EXIT("\x48\x8b\x02", 0xd0000000, EXIT_ACCESS_READ); /* mov rax, [rdx] */
	CHECK_EQ(v->run->gpr[RAX], ~0ull);
	MEMORY_EXIT("\x48\x89\x02", 0xd0000000, EXIT_ACCESS_WRITE);
	CHECK_EQ(v->run->rip, CODE + 3);
	/* movdqu xmm1, [rdx] */
	MEMORY_EXIT("\xf3\x0f\x6f\x0a", 0xd0000000, EXIT_ACCESS_READ);
	CHECK_EQ(host.fpu[160 + 16], 0xff);
	CHECK_EQ(host.fpu[160 + 31], 0xff);
	CHECK_EQ(host.fpu[160 + 32], 0);
	CHECK_EQ(host.fpu[512] & 2, 2);
	/* rep movsb from there to RAM, across a page */
	v->run->gpr[RSI] = 0xd0000ff0;
	v->run->gpr[RDI] = 0x30ff8;
	v->run->gpr[RCX] = 0x20;
	MEMORY_EXIT("\xf3\xa4", 0xd0000ff0, EXIT_ACCESS_READ);
	CHECK_EQ(v->run->gpr[RCX], 0);
	CHECK_EQ(host_ram[0x30ff8], 0xff);
	CHECK_EQ(host_ram[0x31017], 0xff);
	CHECK_EQ(host_ram[0x31018], 0);
	/* a fetch from there */
	v->run->rip = 0xd0000000;
	v->run->exit.memory.gpa = 0xd0000000;
	v->run->exit.memory.access = EXIT_ACCESS_EXEC;
	host_exit(v, EXIT_MEMORY, 0);
	CHECK(host_raised(v, VECTOR_UD));
}

TEST(machine_memory_faults)
{
	setup();
	/* the code is in RAM, and the source of the copy is not mapped */
	v->run->gpr[RSI] = 0x8000000000;
	v->run->gpr[RDI] = 0xd0000000;
	MEMORY_EXIT("\xa4", 0xd0000000, EXIT_ACCESS_WRITE); /* movsb */
	CHECK(host_raised(v, VECTOR_PF));
	CHECK_EQ(v->run->cr2, 0x8000000000);
	CHECK_EQ(v->run->inject >> 32, 0);
	CHECK_EQ(v->run->rip, CODE);
	/* non-canonical */
	v->run->gpr[RSI] = BIT(63);
	MEMORY_EXIT("\xa4", 0xd0000000, EXIT_ACCESS_WRITE);
	CHECK(host_raised(v, VECTOR_GP));
	/* page tables where nothing is */
	memcpy(host_ram + BOOT_PAGING + 8, &(u64){0xd0000003}, 8);
	v->run->gpr[RDX] = 0x8000000000;
	v->run->exit.memory.gla = 0x8000000000;
	MEMORY_EXIT("\x8b\x02", 0xd0000000, EXIT_ACCESS_READ | EXIT_ACCESS_WALK);
	CHECK(host_raised(v, VECTOR_PF));
	CHECK_EQ(v->run->inject >> 32, PF_PRESENT | PF_RESERVED);
	CHECK_EQ(v->run->cr2, 0x8000000000);
	/* RIP where nothing is mapped */
	v->run->rip = 0x8000001000;
	v->run->exit.memory.access = EXIT_ACCESS_READ;
	host_exit(v, EXIT_MEMORY, 0);
	CHECK(host_raised(v, VECTOR_PF));
	CHECK_EQ(host_machine.stop, MACHINE_RUNS);
}

TEST(machine_double_fault)
{
	setup();
	v->run->exit.memory.gla = 0x8000000000; /* of the stack: not mapped */
	v->run->exit.memory.gpa = 0xd0000000;   /* of a page table */
	v->run->exit.memory.access = EXIT_ACCESS_WRITE | EXIT_ACCESS_WALK | EXIT_ACCESS_GLA;
	v->run->valid = GROUP_ALL_REG;
	v->run->exit_kind = EXIT_MEMORY;
	v->run->exit_length = 0;
	/* the exit interrupted the delivery of a page fault */
	v->run->inject = INJECT_VALID | INJECT_TYPE_EXCEPT | INJECT_ERROR | VECTOR_PF;
	exit_handle(v);
	CHECK(host_raised(v, VECTOR_DF));
	exit_handle(v); /* and now of a double fault */
	CHECK_EQ(host_machine.stop, MACHINE_FAILED);
	CHECK(host_logged("triple fault"));
}

TEST(machine_event_without_memory)
{
	setup();
	v->run->valid = GROUP_ALL_REG;
	v->run->exit_kind = EXIT_MEMORY;
	v->run->exit.memory.gpa = 0xd0000000;
	v->run->exit.memory.access = EXIT_ACCESS_WRITE;
	v->run->inject = INJECT_VALID | INJECT_TYPE_INTR | 0x30;
	exit_handle(v);
	CHECK_EQ(host_machine.stop, MACHINE_FAILED);
	CHECK(host_logged("an event whose stack"));
}

TEST(machine_unknown_instruction)
{
	setup();
	MEMORY_EXIT("\xd9\x02", 0xd0000000, EXIT_ACCESS_READ); /* fld dword [rdx] */
	CHECK_EQ(host_machine.stop, MACHINE_FAILED);
	CHECK(host_logged("cannot be emulated"));
	CHECK(host_logged("code at rip: d9 02"));
	CHECK(host_logged("rip 0000000000010000"));
	setup();
	v->run->ss.attributes |= 3 << 5; /* a program of the guest cannot end it */
	memcpy(host_ram + BOOT_PAGING, &(u64){(BOOT_PAGING + 0x1000) | 7}, 8);
	memcpy(host_ram + BOOT_PAGING + 0x1000, &(u64){(BOOT_PAGING + 0x2000) | 7}, 8);
	memcpy(host_ram + BOOT_PAGING + 0x2000, &(u64){0x87}, 8);
	MEMORY_EXIT("\xd9\x02", 0xd0000000, EXIT_ACCESS_READ);
	CHECK(host_raised(v, VECTOR_UD));
	CHECK_EQ(host_machine.stop, MACHINE_RUNS);
}

TEST(machine_string_io)
{
	setup();
	memcpy(host_ram + CODE, "\xf3\x6c", 2); /* rep insb */
	v->run->rip = CODE;
	v->run->gpr[RDX] = 0xb000;
	v->run->gpr[RDI] = 0x40ffc;
	v->run->gpr[RCX] = 8;
	memset(&v->run->exit, 0, sizeof(v->run->exit));
	v->run->exit.io.port = 0xb000;
	v->run->exit.io.size = 1;
	v->run->exit.io.flags = EXIT_IO_IN | EXIT_IO_STRING | EXIT_IO_REP;
	host_exit(v, EXIT_IO, 0);
	CHECK_EQ(v->run->rip, CODE); /* to the end of the page, then again */
	CHECK_EQ(v->run->gpr[RCX], 4);
	host_exit(v, EXIT_IO, 0);
	CHECK_EQ(v->run->rip, CODE + 2);
	CHECK_EQ(v->run->gpr[RCX], 0);
	CHECK_EQ(host_ram[0x41003], 0xff);
	CHECK_EQ(host_ram[0x41004], 0);
	/* to an unmapped page: a fault before the port is read */
	v->run->rip = CODE;
	v->run->gpr[RDI] = 0x8000000000;
	v->run->gpr[RCX] = 8;
	host_exit(v, EXIT_IO, 0);
	CHECK(host_raised(v, VECTOR_PF));
	CHECK_EQ(v->run->gpr[RCX], 8);
	CHECK_EQ(v->run->inject >> 32, PF_WRITE);
}

/* Limits of segments outside 64-bit mode: of the other operand, and before a port is read. */
TEST(machine_segment_limits)
{
	setup();
	v->run->cr0 = CR0_PE | CR0_ET;
	v->run->cr4 = v->run->efer = 0;
	v->run->cs.attributes = (u16)((v->run->cs.attributes & ~SEGMENT_L) | SEGMENT_DB);
	v->run->es.limit = 0x2fff;
	v->run->gpr[RSI] = 0xd0000000;
	v->run->gpr[RDI] = 0x3000;
	MEMORY_EXIT("\xa4", 0xd0000000, EXIT_ACCESS_READ); /* movsb */
	CHECK(host_raised(v, VECTOR_GP));
	v->run->gpr[RDI] = 0x2fff;
	MEMORY_EXIT("\xa4", 0xd0000000, EXIT_ACCESS_READ);
	CHECK_EQ(host_ram[0x2fff], 0xff);
	v->run->ss.limit = 0xfff;
	v->run->gpr[RSP] = 0x1002;
	v->run->gpr[RDX] = 0xd0000000;
	MEMORY_EXIT("\xff\x32", 0xd0000000, EXIT_ACCESS_READ); /* push dword [edx] */
	CHECK(host_raised(v, VECTOR_SS));
	CHECK_EQ(v->run->gpr[RSP], 0x1002);

	memcpy(host_ram + CODE, "\xf3\x6c", 2); /* rep insb */
	v->run->rip = CODE;
	v->run->gpr[RDI] = 0x2ffe;
	v->run->gpr[RCX] = 8;
	memset(&v->run->exit, 0, sizeof(v->run->exit));
	v->run->exit.io.port = 0xb000;
	v->run->exit.io.size = 1;
	v->run->exit.io.flags = EXIT_IO_IN | EXIT_IO_STRING | EXIT_IO_REP;
	host_exit(v, EXIT_IO, 0);
	CHECK_EQ(v->run->gpr[RCX], 6);
	CHECK_EQ(v->run->rip, CODE);
	host_exit(v, EXIT_IO, 0);
	CHECK(host_raised(v, VECTOR_GP));
	CHECK_EQ(v->run->gpr[RCX], 6);
	v->run->es.attributes &= ~BIT(1); /* read-only */
	v->run->gpr[RDI] = 0x100;
	host_exit(v, EXIT_IO, 0);
	CHECK(host_raised(v, VECTOR_GP));
}

TEST(machine_length_unknown)
{
	static const struct {
		const char *code;
		u32 length;
		enum exit_kind kind;
	} cases[] = {{"\x0f\xa2", 2, EXIT_CPUID}, {"\x66\x0f\xa2", 3, EXIT_CPUID},
		{"\x48\xf3\x0f\xa2", 4, EXIT_CPUID}, {"\x0f\x09", 2, EXIT_WBINVD},
		{"\x0f\x01\xc1", 3, EXIT_HYPERCALL}};

	for (u32 i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		setup();
		memcpy(host_ram + CODE, cases[i].code, strlen(cases[i].code));
		v->run->rip = CODE;
		v->run->gpr[RAX] = 0;
		host_exit(v, cases[i].kind, 0);
		CHECK_EQ(v->run->rip, CODE + cases[i].length);
	}
	setup();
	memcpy(host_ram + CODE, "\x90", 1);
	v->run->rip = CODE;
	v->run->gpr[RAX] = 0;
	host_exit(v, EXIT_CPUID, 0);
	CHECK_EQ(host_machine.stop, MACHINE_FAILED);
}

TEST(machine_hostile)
{
	static const gpa_t places[] = {LAPIC, IOAPIC_BASE, 0xd0000000, HOST_RAM, 1ull << 39};

	srand(5);
	setup();
	for (u32 i = 0; i < 200000; i++) {
		struct run_page *run = v->run;
		enum exit_kind kind = (enum exit_kind)(rand() % EXIT_KIND_COUNT);

		if (i % 64 == 0) {
			setup();
			run = v->run;
		}
		for (u32 k = 0; k < 20; k++)
			host_ram[CODE + k] = (u8)rand();
		run->rip = rand() % 8 ? CODE : (u64)rand() << 33 ^ (u64)rand();
		for (u32 k = 0; k < 16; k++)
			run->gpr[k] = rand() % 4 ? places[rand() % 5] + (u64)rand() % 4096
						 : (u64)rand() << 33 ^ (u64)rand();
		if (rand() % 4 == 0)
			run->gpr[RCX] = (u64)rand() % 64;
		if (rand() % 16 == 0)
			run->cr3 = (u64)rand();
		if (rand() % 16 == 0)
			run->cs.attributes = (u16)rand();
		if (rand() % 16 == 0)
			run->efer = (u64)rand();
		if (rand() % 16 == 0)
			run->cr0 = (u64)rand() << 1;
		run->rflags = (u64)rand() & 0x3ffff;
		for (u32 k = 0; k < 6; k++)
			run->exit.raw[k] = (u64)rand() << 33 ^ (u64)rand();
		if (kind == EXIT_MEMORY) {
			run->exit.memory.gpa = places[rand() % 5] + (u64)rand() % 4096;
			run->exit.memory.access = (u64)rand() % 32;
			if (rand() % 2)
				run->exit.memory.byte_count = 0;
		}
		if (kind == EXIT_IO)
			run->exit.io.size = (u8)(1 << rand() % 3);
		host_exit(v, kind, (u32)rand() % 4);
		if (rand() % 4 == 0)
			exit_handle(v); /* with what was to be injected put back */
		host_machine.stop = MACHINE_RUNS;
		host.log[0] = 0;
	}
}
