/*
 * A guest that tries what it must not: each try prints PASS or FAIL with what was expected. Words
 * of the command line choose more: `control` (undefined values that a processor refuses and QEMU
 * 7.2 does not), and endings that the guest does not survive: `triple` (a triple fault), `nowhere`
 * (a jump to where nothing is without a way to handle the fault), `loop` (never ends, for whoever
 * wants to stop it).
 */
#include "small.h"

#define UD 6u
#define GP 13u
#define PF 14u

#define NOTHING        0xd0000000u /* guest-physical: no RAM, no device */
#define NOTHING_PORT   0xb000u
#define LAPIC          0xfee00000u
#define NON_CANONICAL  0x8000000000000000ull
#define MSR_UNKNOWN    0x12345u
#define MSR_PAT        0x277u
#define MSR_EFER       0xc0000080u
#define MSR_APIC_BASE  0x1bu
#define MSR_MTRR_DEF   0x2ffu
#define MSR_KVM_CLOCK  0x4b564d01u
#define MSR_X2APIC_TPR 0x808u
#define MSR_LSTAR      0xc0000082u
#define EFER_RESERVED  BIT(63)
#define EFER_LME       BIT(8)
#define EFER_SVME      BIT(12)
#define CR4_PAE        BIT(5)
#define CR4_PGE        BIT(7)
#define CR4_VMXE       BIT(13)
#define CR4_RESERVED   BIT(31)
#define CR0_PG         BIT(31)
#define CR0_NW         BIT(29)
#define PAT_BAD        0x0202020202020202ull
#define PAGE_ENTRIES   512u
#define PF_RESERVED    BIT(3)

static void verdict(const char *name, bool good)
{
	put_verdict(good);
	put_text(name);
}

/* Checks the fault of the last TRY. */
static void expect(const char *name, u64 vector)
{
	verdict(name, fault.vector == vector);
	if (fault.vector != vector) {
		put_text(": expected exception ");
		put_number(vector);
		put_text(", got ");
		put_number(fault.vector);
	}
	put_text("\n");
}

static void expect_value(const char *name, u64 value, u64 wanted)
{
	verdict(name, value == wanted);
	if (value != wanted) {
		put_text(": expected ");
		put_hex(wanted);
		put_text(", got ");
		put_hex(value);
	}
	put_text("\n");
}

static void try_wrmsr(const char *name, u32 msr, u64 value, u64 vector)
{
	u64 copy = value;

	TRY("mov %0, %%ecx\n\tmov %1, %%eax\n\tmov %2, %%edx\n\twrmsr",
		"m"(msr)COMMA "m"(*(u32 *)&copy)COMMA "m"(*((u32 *)&copy + 1)), "rcx", "rdx");
	expect(name, vector);
}

static void try_instructions(void)
{
	TRY("xor %%eax, %%eax\n\tvmrun %%rax", NO_INPUTS);
	expect("vmrun", UD);
	TRY("xor %%eax, %%eax\n\tvmload %%rax", NO_INPUTS);
	expect("vmload", UD);
	TRY("xor %%eax, %%eax\n\tvmsave %%rax", NO_INPUTS);
	expect("vmsave", UD);
	TRY("stgi", NO_INPUTS);
	expect("stgi", UD);
	TRY("clgi", NO_INPUTS);
	expect("clgi", UD);
	TRY("vmxoff", NO_INPUTS);
	expect("vmxoff", UD);
	TRY("vmread %%rax, %%rax", NO_INPUTS);
	expect("vmread", UD);
	TRY("vmlaunch", NO_INPUTS);
	expect("vmlaunch", UD);
	TRY("xor %%ecx, %%ecx\n\txor %%edx, %%edx\n\tmov %%rsp, %%rax\n\tmonitor", NO_INPUTS, "rcx",
		"rdx");
	expect("monitor", UD);
	TRY("xor %%ecx, %%ecx\n\txor %%eax, %%eax\n\tmwait", NO_INPUTS, "rcx");
	expect("mwait", UD);
	TRY("xor %%ecx, %%ecx\n\trdpmc", NO_INPUTS, "rcx", "rdx");
	expect("rdpmc", GP);
	TRY("wbinvd", NO_INPUTS);
	expect("wbinvd", NO_FAULT);
}

static void try_msrs(void)
{
	try_wrmsr("efer reserved bit", MSR_EFER, rdmsr(MSR_EFER) | EFER_RESERVED, GP);
	try_wrmsr("efer.svme", MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME, GP);
	try_wrmsr("efer.lme cleared with paging", MSR_EFER, rdmsr(MSR_EFER) & ~EFER_LME, GP);
	try_wrmsr("unknown msr written", MSR_UNKNOWN, 0, GP);
	TRY("mov %0, %%ecx\n\trdmsr", "i"(MSR_UNKNOWN), "rcx", "rdx");
	expect("unknown msr read", GP);
	try_wrmsr("mtrr default type undefined", MSR_MTRR_DEF, 2, GP);
	try_wrmsr("apic base reserved bit", MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | BIT(62), GP);
	try_wrmsr("x2apic register in xapic mode", MSR_X2APIC_TPR, 0, GP);
	try_wrmsr("kvmclock where no memory is", MSR_KVM_CLOCK, NOTHING | 1, GP);
	try_wrmsr("kvmclock beyond all memory", MSR_KVM_CLOCK, 0xffffffffffffff01ull, GP);
	TRY("mov %0, %%ecx\n\txor %%edx, %%edx\n\tmov $7, %%eax\n\txsetbv", "i"(5), "rcx", "rdx");
	verdict("xsetbv of xcr5", fault.vector == UD || fault.vector == GP);
	put_text("\n");
}

static void try_cr4(void)
{
	u64 cr4;

	__asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
	TRY("mov %0, %%cr4", "r"(cr4 | CR4_RESERVED));
	expect("cr4 reserved bit", GP);
	TRY("mov %0, %%cr4", "r"(cr4 | CR4_VMXE));
	expect("cr4.vmxe", GP);
	TRY("mov %0, %%cr4", "r"(cr4 & ~CR4_PAE));
	expect("cr4.pae cleared in 64-bit mode", GP);
	TRY("mov %0, %%r9\n\tmov %%r9, %%cr4", "r"(cr4 | CR4_PGE), "r9");
	expect("cr4.pge", NO_FAULT);
	__asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
	expect_value("... is set", cr4 & CR4_PGE, CR4_PGE);
}

static void try_control_registers(void)
{
	u64 cr0;

	try_wrmsr("pat with an undefined type", MSR_PAT, PAT_BAD, GP);
	__asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
	TRY("mov %0, %%cr0", "r"(cr0 | BIT(40)));
	expect("cr0 upper half", GP);
	TRY("mov %0, %%cr0", "r"(cr0 | CR0_NW));
	expect("cr0.nw without cd", GP);
	TRY("mov %0, %%cr0", "r"(cr0 & ~CR0_PG));
	expect("cr0.pg cleared in 64-bit mode", GP);
}

static void try_memory(void)
{
	volatile u64 *nothing = (volatile u64 *)NOTHING;
	u64 value;

	expect_value("unbacked memory reads ones", *nothing, ~0ull);
	*nothing = 0;
	expect_value("unbacked memory ignores writes", *nothing, ~0ull);
	expect_value("unaligned unbacked memory", *(volatile u32 *)(NOTHING + 0xffe), 0xffffffffu);
	__asm__ volatile("lock; orl $1, %0" : : "m"(*nothing) : "cc", "memory");
	__asm__ volatile("mov $8, %%ecx; mov %1, %%esi; lea %0, %%rdi; rep movsb"
			 : "=m"(value)
			 : "i"(NOTHING)
			 : "rcx", "rsi", "rdi", "memory");
	expect_value("string copy out of nowhere", value, ~0ull);
	__asm__ volatile("mov $64, %%ecx; mov %0, %%edi; xor %%eax, %%eax; rep stosq"
			 :
			 : "i"(LAPIC + 0xe00)
			 : "rax", "rcx", "rdi", "memory");
	expect_value("lapic id, byte by byte", *(volatile u8 *)(LAPIC + 0x23), 0);
	(void)*(volatile u64 *)(LAPIC + 0x1e);
	verdict("unaligned access to the lapic", true);
	put_text("\n");
	TRY("mov %0, %%eax\n\tjmp *%%rax", "i"(NOTHING));
	expect("jump to where nothing is", UD);
	TRY("mov %0, %%rax\n\tmov (%%rax), %%rax", "i"(NON_CANONICAL));
	expect("non-canonical read", GP);
}

/* A page-directory pointer that leads to where no memory is: entries read as ones. */
static void try_tables(void)
{
	u64 cr3;
	u64 *pml4, *pdpt;

	__asm__ volatile("mov %%cr3, %0" : "=r"(cr3));
	pml4 = (u64 *)cr3;
	pdpt = (u64 *)(pml4[0] & ~0xfffull);
	pdpt[PAGE_ENTRIES - 1] = NOTHING | 3;
	TRY("mov %0, %%rax\n\tmov (%%rax), %%rax", "i"(0x7fc0000000ull));
	expect("page tables where no memory is", PF);
	expect_value("... with the reserved bit", fault.error & PF_RESERVED, PF_RESERVED);
	pdpt[PAGE_ENTRIES - 1] = 0;
	__asm__ volatile("mov %0, %%cr3" : : "r"(cr3) : "memory");
}

static void try_ports(void)
{
	expect_value("unbacked port, 1 byte", in8(NOTHING_PORT), 0xff);
	expect_value("unbacked port, 2 bytes", in16(NOTHING_PORT), 0xffff);
	expect_value("unbacked port, 4 bytes", in32(NOTHING_PORT), 0xffffffffu);
	out32(NOTHING_PORT, 0);
	out32(0xffff, 0);
	(void)in32(0x60); /* wide accesses to byte-wide devices */
	(void)in32(0x3f9);
	(void)in16(0x71);
	TRY("mov $4, %%ecx\n\tmov %0, %%edx\n\tmov %1, %%edi\n\trep insb",
		"i"(NOTHING_PORT)COMMA "i"(NOTHING), "rcx", "rdx", "rdi");
	expect("string input to nowhere", NO_FAULT);
	TRY("mov $4, %%ecx\n\tmov %0, %%edx\n\tmov %1, %%rdi\n\trep insb",
		"i"(NOTHING_PORT)COMMA "i"(0x7f00000000ull), "rcx", "rdx", "rdi");
	expect("string input to an unmapped page", PF);
	TRY("mov $4, %%ecx\n\tmov %0, %%edx\n\tmov %1, %%rsi\n\trep outsb",
		"i"(NOTHING_PORT)COMMA "i"(0x7f00000000ull), "rcx", "rdx", "rsi");
	expect("string output from an unmapped page", PF);
}

/* An empty IDT makes any exception a triple fault. */
static void drop_idt(void)
{
	static const struct __attribute__((packed)) {
		u16 limit;
		u64 base;
	} empty = {0, 0};

	__asm__ volatile("lidt %0" : : "m"(empty));
}

void small_main(const char *cmdline)
{
	try_instructions();
	try_msrs();
	try_cr4();
	try_memory();
	try_tables();
	try_ports();
	put_sum("hostile");
	if (has_word(cmdline, "control"))
		try_control_registers();
	if (has_word(cmdline, "triple")) {
		drop_idt();
		__asm__ volatile("ud2");
	}
	if (has_word(cmdline, "nowhere")) {
		drop_idt();
		__asm__ volatile("jmp *%0" : : "r"((u64)NOTHING));
	}
	while (has_word(cmdline, "loop"))
		;
}
