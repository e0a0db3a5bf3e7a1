/* Exits handled by a whole machine: ports, memory-mapped devices, interrupts, the console, faults, hostile state. */
#include <stdlib.h>
#include "guests/vmm/boot.h"
#include "guests/vmm/console.h"
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

static void io_exit(u16 port, u8 size, u8 flags, u32 value)
{
	memset(&v->run->exit, 0, sizeof(v->run->exit));
	v->run->exit.io.port = port;
	v->run->exit.io.size = size;
	v->run->exit.io.flags = flags;
	v->run->gpr[RAX] = 0xaaaaaaaa00000000ull | value;
	host_exit(v, EXIT_IO, 1);
}

static u64 in(u16 port, u8 size)
{
	io_exit(port, size, EXIT_IO_IN, 0x55555555);
	return v->run->gpr[RAX];
}

static void out(u16 port, u8 size, u32 value)
{
	io_exit(port, size, 0, value);
}

TEST(machine_cpuid)
{
	setup();
	v->run->gpr[RAX] = 0xffffffff40000000;
	v->run->rip = 0x5000;
	v->run->shadow = SHADOW_STI | SHADOW_NMI;
	host_exit(v, EXIT_CPUID, 2);
	CHECK_EQ(v->run->gpr[RAX], 0x40000010);
	CHECK_EQ(v->run->rip, 0x5002);
	CHECK_EQ(v->run->shadow, SHADOW_NMI);
	CHECK_EQ(v->run->dirty, GROUP_RIP);
	CHECK_EQ(v->exits[EXIT_CPUID], 1);
	CHECK_EQ(host.fetched, 0);
	v->run->gpr[RAX] = 1;
	v->run->cr4 |= CR4_OSXSAVE;
	host_exit(v, EXIT_CPUID, 2);
	CHECK(v->run->gpr[RCX] & BIT(27));
	CHECK_EQ(host.fetched, GROUP_CR);
}

TEST(machine_single_step)
{
	setup();
	v->run->gpr[RAX] = 0;
	v->run->rflags |= RFLAGS_TF | RFLAGS_RF;
	host_exit(v, EXIT_CPUID, 2);
	CHECK(host_raised(v, VECTOR_DB));
	CHECK(v->run->dr6 & DR6_BS);
	CHECK(!(v->run->rflags & RFLAGS_RF));
}

TEST(machine_ports)
{
	setup();
	CHECK_EQ(in(0xb000, 1), 0xaaaaaaaa555555ffull);
	CHECK_EQ(in(0xb000, 2), 0xaaaaaaaa5555ffffull);
	CHECK_EQ(in(0xb000, 4), 0xffffffffull);
	out(0xb000, 4, 0);
	out(0x21, 1, 0x5a);
	CHECK_EQ(in(0x21, 1) & 0xff, 0x5a);
	out(0xcf8, 4, 0x80000000);
	CHECK_EQ(in(0xcfc, 4), 0x12378086);
	out(0x70, 1, 0x0d);
	CHECK_EQ(in(0x71, 1) & 0xff, 0x80);
	CHECK_EQ(in(0x3fd, 1) & 0xff, 0xff); /* no serial port */
	v->run->exit.io.size = 3;
	host_exit(v, EXIT_IO, 1);
	CHECK_EQ(host_machine.stop, MACHINE_FAILED);
}

/* Every port with every size, twice over: nothing may break. */
TEST(machine_all_ports)
{
	setup();
	machine_add_serial(&host_machine, 0x3f8, 4);
	srand(4);
	for (u32 i = 0; i < 300000; i++) {
		u16 port = (u16)(rand() & 1 ? rand() : rand() % 0x500);
		u8 size = (u8)(1 << rand() % 3);

		if (rand() & 1)
			in(port, size);
		else
			out(port, size, (u32)rand());
		v->run->rflags &= ~(RFLAGS_TF | RFLAGS_RF);
		host_machine.stop = MACHINE_RUNS;
	}
}

TEST(machine_port_table)
{
	struct port_map map = {0};
	struct port_range r = {.first = 10, .count = 5};

	CHECK(port_add(&map, &r));
	CHECK(!port_add(&map, &r));
	r.first = 14;
	CHECK(!port_add(&map, &r));
	r.first = 15;
	CHECK(port_add(&map, &r));
	r = (struct port_range){.first = 0, .count = 10};
	CHECK(port_add(&map, &r));
	r = (struct port_range){.first = 0xffff, .count = 2};
	CHECK(!port_add(&map, &r));
	r.count = 0;
	CHECK(!port_add(&map, &r));
	r.count = 1;
	CHECK(port_add(&map, &r));
	CHECK_EQ(map.ranges, 4);
	port_remove(&map, 11);
	CHECK_EQ(map.ranges, 4);
	port_remove(&map, 10);
	CHECK_EQ(map.ranges, 3);
	CHECK_EQ(map.range[1].first, 15);
}

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
	memcpy(host_ram + CODE, "\xa4", 1);
	v->run->rip = CODE;
	v->run->gpr[RSI] = 0x8000000000;
	v->run->gpr[RDI] = 0xd0000000;
	v->run->exit.memory.gpa = 0xd0000000;
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

TEST(machine_control_registers)
{
	setup();
	memset(&v->run->exit, 0, sizeof(v->run->exit));
	v->run->exit.cr.number = 4;
	v->run->exit.cr.write = 1;
	v->run->exit.cr.value = CR4_PAE | BIT(13);
	host_exit(v, EXIT_CR, 3);
	CHECK(host_raised(v, VECTOR_GP));
	v->run->exit.cr.value = CR4_PAE | CR4_PGE;
	host_exit(v, EXIT_CR, 3);
	CHECK_EQ(v->run->cr4, CR4_PAE | CR4_PGE);
	CHECK(v->run->dirty & GROUP_CR);
	v->run->exit.cr.value = CR4_PGE; /* PAE in long mode */
	host_exit(v, EXIT_CR, 3);
	CHECK(host_raised(v, VECTOR_GP));
	v->run->exit.cr.number = 0;
	v->run->exit.cr.value = CR0_PE;
	host_exit(v, EXIT_CR, 3);
	CHECK(host_raised(v, VECTOR_GP));
	v->run->exit.cr.value = CR0_PG;
	host_exit(v, EXIT_CR, 3);
	CHECK(host_raised(v, VECTOR_GP));
	v->run->exit.cr.special = 2;
	v->run->exit.cr.value = CR0_TS;
	host_exit(v, EXIT_CR, 3);
	CHECK_EQ(v->run->cr0 & (CR0_PE | CR0_TS), CR0_PE | CR0_TS);
	v->run->exit.cr.special = 1;
	host_exit(v, EXIT_CR, 2);
	CHECK_EQ(v->run->cr0 & CR0_TS, 0);
	v->run->exit.cr.special = 0;
	v->run->exit.cr.number = 8;
	v->run->exit.cr.value = 9;
	host_exit(v, EXIT_CR, 3);
	CHECK_EQ(v->lapic->page->word[0x80 / 4], 0x90);
	v->run->exit.cr.write = 0;
	v->run->exit.cr.gpr = 15;
	host_exit(v, EXIT_CR, 3);
	CHECK_EQ(v->run->gpr[15], 9);
}

TEST(machine_xsetbv)
{
	setup();
	v->run->gpr[RCX] = 0;
	v->run->gpr[RDX] = 0;
	v->run->gpr[RAX] = 7;
	host_exit(v, EXIT_XSETBV, 3);
	CHECK(host_raised(v, VECTOR_UD)); /* OSXSAVE is off */
	v->run->cr4 |= CR4_OSXSAVE;
	host_exit(v, EXIT_XSETBV, 3);
	CHECK_EQ(v->run->xcr0, 7);
	CHECK(v->run->dirty & GROUP_XCR);
	for (u32 bad = 0; bad < 4; bad++) {
		static const u64 values[] = {6, 5, 0xe7, 7 | BIT(62)};

		v->run->gpr[RAX] = (u32)values[bad];
		v->run->gpr[RDX] = values[bad] >> 32;
		host_exit(v, EXIT_XSETBV, 3);
		CHECK(host_raised(v, VECTOR_GP));
	}
	v->run->gpr[RAX] = 7;
	v->run->gpr[RDX] = 0;
	v->run->gpr[RCX] = 1;
	host_exit(v, EXIT_XSETBV, 3);
	CHECK(host_raised(v, VECTOR_GP));
	CHECK_EQ(v->run->xcr0, 7);
}

TEST(machine_instructions)
{
	setup();
	v->run->gpr[RAX] = 5;
	host_exit(v, EXIT_HYPERCALL, 3);
	CHECK_EQ(v->run->gpr[RAX], (u64)-1000);
	v->run->exit.instruction.which = INSTR_VMX_SVM;
	host_exit(v, EXIT_INSTRUCTION, 3);
	CHECK(host_raised(v, VECTOR_UD));
	v->run->exit.instruction.which = INSTR_RDPMC;
	host_exit(v, EXIT_INSTRUCTION, 2);
	CHECK(host_raised(v, VECTOR_GP));
	v->run->exit.instruction.which = INSTR_RDTSC;
	v->run->rip = CODE;
	host_exit(v, EXIT_INSTRUCTION, 2);
	CHECK_EQ(v->run->rip, CODE + 2);
}

TEST(machine_shutdown)
{
	setup();
	host_exit(v, EXIT_SHUTDOWN, 0);
	CHECK_EQ(host_machine.stop, MACHINE_FAILED);
	CHECK(host_logged("triple fault"));
	CHECK(host_logged("cr3"));
	setup();
	host_exit(v, (enum exit_kind)4711 % EXIT_KIND_COUNT, 0);
	v->run->exit_kind = 4711; /* the kernel's word, but bounds cost nothing */
	exit_handle(v);
	CHECK_EQ(host_machine.stop, MACHINE_FAILED);
}

TEST(machine_power)
{
	setup();
	pci_configure(&host_machine, &host_machine.state->pci, PM_BASE_DEFAULT);
	machine_pm_bind(&host_machine);
	out(0x604, 2, 0x3400);
	CHECK_EQ(host_machine.stop, MACHINE_POWERED_OFF);
	setup();
	CHECK_EQ(in(0x604, 2) & 0xffff, 0xffff); /* not enabled */
	out(0xcf9, 1, 6);
	CHECK_EQ(host_machine.stop, MACHINE_RESET);
	setup();
	out(0x64, 1, 0xfe);
	CHECK_EQ(host_machine.stop, MACHINE_RESET);
}

/* The PIC's interrupt through LINT0: at once if the guest can take it, else with a window. */
TEST(machine_extint)
{
	setup();
	lapic_virtual_wire(v->lapic);
	out(0x20, 1, 0x11);
	out(0x21, 1, 0x30);
	out(0x21, 1, 4);
	out(0x21, 1, 1);
	out(0x21, 1, 0);
	v->run->rflags &= ~RFLAGS_IF;
	machine_line(&host_machine, 4, true);
	host_exit(v, EXIT_PAUSE, 0);
	CHECK(!(v->run->inject & INJECT_VALID));
	CHECK(v->run->flags & RUN_WINDOW);
	CHECK(v->run->dirty & GROUP_CONTROL);
	v->run->rflags |= RFLAGS_IF;
	v->run->activity = ACTIVITY_HLT;
	host_exit(v, EXIT_WINDOW, 0);
	CHECK_EQ(v->run->inject, INJECT_VALID | INJECT_TYPE_INTR | 0x34);
	CHECK_EQ(v->run->activity, ACTIVITY_ACTIVE);
	CHECK(!(v->run->flags & RUN_WINDOW));
	host_exit(v, EXIT_PAUSE, 0); /* in service: no second one */
	CHECK(!(v->run->inject & INJECT_VALID));
}

/* Level interrupt through the I/O APIC, and its EOI. */
TEST(machine_ioapic_level)
{
	struct machine *m = &host_machine;

	setup();
	lapic_write(m, v->lapic, LAPIC_SVR, 4, 0x1ff);
	ioapic_write(m, &m->state->ioapic, IOAPIC_SELECT, 4, IOAPIC_REG_REDIRECTION + 2 * 9);
	ioapic_write(m, &m->state->ioapic, IOAPIC_DATA, 4, 0x59 | 1 << 15);
	machine_line(m, 9, true);
	CHECK_EQ(v->run->pending.vector[1], BIT(0x59 - 64));
	v->run->pending.vector[1] = 0; /* delivered: in service */
	v->lapic->page->word[(LAPIC_ISR + 0x20) / 4] = 1u << (0x59 - 64);
	v->run->gpr[RDX] = LAPIC + LAPIC_EOI;
	MEMORY_EXIT("\xc7\x02\x00\x00\x00\x00", LAPIC + LAPIC_EOI, EXIT_ACCESS_WRITE);
	CHECK(v->run->dirty & GROUP_APIC);
	CHECK_EQ(v->run->pending.vector[1], BIT(0x59 - 64)); /* still asserted */
	machine_line(m, 9, false);
	v->run->pending.vector[1] = 0;
	v->lapic->page->word[(LAPIC_ISR + 0x20) / 4] = 1u << (0x59 - 64);
	MEMORY_EXIT("\xc7\x02\x00\x00\x00\x00", LAPIC + LAPIC_EOI, EXIT_ACCESS_WRITE);
	CHECK_EQ(v->run->pending.vector[1], 0);
}

TEST(machine_nmi)
{
	struct machine *m = &host_machine;

	setup();
	lapic_got_nmi(m, v->lapic->state);
	lapic_got_nmi(m, v->lapic->state);
	lapic_got_nmi(m, v->lapic->state);
	host_exit(v, EXIT_PAUSE, 0);
	CHECK_EQ(v->run->inject, INJECT_VALID | INJECT_TYPE_NMI | 2);
	CHECK(v->run->flags & RUN_NMI_WINDOW);
	v->run->shadow = SHADOW_NMI;
	host_exit(v, EXIT_PAUSE, 0);
	CHECK(!(v->run->inject & INJECT_VALID));
	v->run->shadow = 0;
	host_exit(v, EXIT_WINDOW, 0);
	CHECK_EQ(v->run->inject, INJECT_VALID | INJECT_TYPE_NMI | 2);
	CHECK(!(v->run->flags & RUN_NMI_WINDOW));
	host_exit(v, EXIT_WINDOW, 0);
	CHECK(!(v->run->inject & INJECT_VALID)); /* the third was merged */
}

TEST(machine_timers)
{
	struct machine *m = &host_machine;
	u64 now;

	setup();
	now = machine_now(m);
	CHECK_EQ(m->deadline, TIME_NEVER);
	machine_arm(m, MACHINE_TIMER_PIT, now + 1000000);
	machine_arm(m, MACHINE_TIMER_PM, now + 500000);
	machine_settle(v);
	CHECK(m->deadline >= m->clock.start + now + 500000);
	CHECK(m->deadline < m->clock.start + now + 500010);
	machine_arm(m, MACHINE_TIMER_PM, MACHINE_NEVER);
	machine_settle(v);
	CHECK(m->deadline >= m->clock.start + now + 1000000);
	while (tsc_now() < m->deadline)
		;
	machine_timers(m);
	machine_settle(v);
	CHECK_EQ(m->state->timer[MACHINE_TIMER_PIT], MACHINE_NEVER);
}

/* A periodic LAPIC timer comes back to the VMM each time it has fired. */
TEST(machine_periodic_timer)
{
	struct machine *m = &host_machine;

	setup();
	lapic_write(m, v->lapic, LAPIC_SVR, 4, 0x1ff);
	lapic_write(m, v->lapic, LAPIC_TIMER_DIVIDE, 4, 0xb);
	lapic_write(m, v->lapic, LAPIC_LVT_TIMER, 4, LAPIC_LVT_PERIODIC | 0x66);
	lapic_write(m, v->lapic, LAPIC_TIMER_INITIAL, 4, 1000000);
	machine_settle(v);
	CHECK_EQ(v->run->timer_vector, 0x66);
	CHECK(v->run->timer > m->clock.start);
	CHECK_EQ(m->deadline, v->run->timer);
	while (tsc_now() < m->deadline)
		;
	v->run->timer = 0;
	machine_timers(m);
	machine_settle(v);
	CHECK(v->run->timer > m->clock.start);
	CHECK_EQ(m->deadline, v->run->timer);
}

TEST(machine_console)
{
	static struct console_session session;
	struct machine *m = &host_machine;
	char taken[CONSOLE_RING_SIZE];
	u32 count;

	setup();
	memset(&session, 0, sizeof(session));
	m->console.session = &session;
	m->console.peer_bits = BIT(3);
	CHECK(machine_add_serial(m, 0x3f8, 4));
	CHECK(!machine_add_serial(m, 0x2f8, 3));
	out(0x3f8, 1, 'x');
	CHECK_EQ(host.signals, 0); /* not yet */
	CHECK(m->deadline < TIME_NEVER);
	while (tsc_now() < m->deadline)
		;
	machine_timers(m);
	machine_settle(v);
	CHECK_EQ(host.signals, BIT(3));
	CHECK_EQ(m->deadline, TIME_NEVER);
	CHECK_EQ(ring_read(&session.to_server.ring, CONSOLE_RING_SIZE, taken, 2), 1);
	/* more than the ring holds: the port shows that it is not ready, and nothing is lost */
	for (count = 0; count < 2 * CONSOLE_RING_SIZE; count++) {
		if (!(in(0x3fd, 1) & 0x20))
			break;
		out(0x3f8, 1, count);
	}
	CHECK(count >= CONSOLE_RING_SIZE && count <= CONSOLE_RING_SIZE + 16);
	CHECK_EQ(ring_read(&session.to_server.ring, CONSOLE_RING_SIZE, taken, CONSOLE_RING_SIZE),
		CONSOLE_RING_SIZE);
	console_event(m);
	count -= CONSOLE_RING_SIZE;
	CHECK_EQ(ring_read(&session.to_server.ring, CONSOLE_RING_SIZE, taken, CONSOLE_RING_SIZE), count);
	CHECK_EQ((u8)taken[count - 1], (u8)(CONSOLE_RING_SIZE + count - 1));
	/* input: as much as the FIFO takes, the rest as it is read */
	out(0x3fa, 1, 1);
	for (u32 i = 0; i < 100; i++) {
		u8 byte = (u8)i;

		ring_write(&session.to_client.ring, CONSOLE_RING_SIZE, &byte, 1);
	}
	console_event(m);
	for (u32 i = 0; i < 100; i++) {
		CHECK_EQ(in(0x3fd, 1) & 1, 1);
		CHECK_EQ(in(0x3f8, 1) & 0xff, i);
	}
	CHECK_EQ(in(0x3fd, 1) & 1, 0);
	/* a broken ring gives nothing and takes nothing */
	session.to_client.ring.head += 0x100000;
	session.to_server.ring.tail += 5;
	console_event(m);
	out(0x3f8, 1, 'y');
	CHECK_EQ(m->stop, MACHINE_RUNS);
}

/* Random registers, code and exits: the guest may die, the VMM may not. */
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
