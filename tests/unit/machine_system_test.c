/* LGDT, LLDT, LTR and their kin with operands in emulated memory; MOV to CR that must be decoded.
 */
#include "tests/unit/machine_host.h"

#define CODE    0x10000u
#define OPERAND 0x30000u /* of the instruction under test; RDX points there */
#define GDT     0x40000u
#define NOWHERE 0xd0000000u

enum { /* selectors of 16-byte descriptors */
	TSS = 0x10,
	TSS_BUSY = 0x20,
	LDT = 0x30,
	TSS_ABSENT = 0x40,
	TSS_BAD_BASE = 0x50,
	GDT_SIZE = 0x60,
};

static struct vcpu *v;

static void put(u32 at, u64 value, u32 size)
{
	memcpy(host_ram + at, &value, size);
}

static u64 get(u32 at, u32 size)
{
	u64 value = 0;

	memcpy(&value, host_ram + at, size);
	return value;
}

static void put_descriptor(u32 selector, u64 base, u32 type)
{
	put(GDT + selector,
		0x67 | (base & 0xffffff) << 16 | (u64)type << 40 | (base >> 24 & 0xff) << 56, 8);
	put(GDT + selector + 8, base >> 32, 8);
}

static void setup(void)
{
	v = host_setup(true);
	put_descriptor(TSS, 0x7fff12345678, 0x89);
	put_descriptor(TSS_BUSY, 0x1000, 0x8b);
	put_descriptor(LDT, 0x2000, 0x82);
	put_descriptor(TSS_ABSENT, 0x1000, 0x09);
	put_descriptor(TSS_BAD_BASE, 0x800000000000, 0x89);
	v->run->gdtr = (struct run_segment){.base = GDT, .limit = GDT_SIZE - 1};
	v->run->gpr[RDX] = OPERAND;
}

/* Executes code as after an access to where nothing is. */
static void system_exit(const char *code, u32 size)
{
	memcpy(host_ram + CODE, code, size);
	v->run->rip = CODE;
	v->run->inject = 0;
	memset(&v->run->exit, 0, sizeof(v->run->exit));
	v->run->exit.memory.gpa = NOWHERE;
	host_exit(v, EXIT_MEMORY, 0);
}
#define SYSTEM_EXIT(code) system_exit(code, sizeof(code) - 1)
#define LLDT              "\x0f\x00\x12"
#define LTR               "\x0f\x00\x1a"
#define LGDT              "\x0f\x01\x12"
#define LIDT              "\x0f\x01\x1a"

static bool faults(const char *code, u32 size, u8 vector, u32 error)
{
	system_exit(code, size);
	return host_raised(v, vector) && v->run->inject >> 32 == error && v->run->rip == CODE;
}
#define FAULTS(code, vector, error) faults(code, sizeof(code) - 1, vector, error)

TEST(system_ltr)
{
	setup();
	put(OPERAND, TSS, 2);
	SYSTEM_EXIT(LTR);
	CHECK_EQ(v->run->rip, CODE + 3);
	CHECK_EQ(v->run->tr.selector, TSS);
	CHECK_EQ(v->run->tr.base, 0x7fff12345678);
	CHECK_EQ(v->run->tr.limit, 0x67);
	CHECK_EQ(v->run->tr.attributes, 0x8b);
	CHECK(v->run->dirty & GROUP_SYS);
	CHECK_EQ(get(GDT + TSS + 5, 1), 0x8b);

	CHECK(FAULTS(LTR, VECTOR_GP, TSS)); /* it is busy now */
	put(OPERAND, TSS_BUSY | 3, 2);
	CHECK(FAULTS(LTR, VECTOR_GP, TSS_BUSY));
	put(OPERAND, LDT, 2);
	CHECK(FAULTS(LTR, VECTOR_GP, LDT));
	put(OPERAND, 3, 2);
	CHECK(FAULTS(LTR, VECTOR_GP, 0));
	put(OPERAND, TSS_ABSENT, 2);
	CHECK(FAULTS(LTR, VECTOR_NP, TSS_ABSENT));
	put(OPERAND, TSS_BAD_BASE, 2);
	CHECK(FAULTS(LTR, VECTOR_GP, TSS_BAD_BASE));
	put(OPERAND, GDT_SIZE - 8, 2); /* its second half lies beyond the limit */
	CHECK(FAULTS(LTR, VECTOR_GP, GDT_SIZE - 8));
	put(OPERAND, TSS | 4, 2); /* in the LDT */
	CHECK(FAULTS(LTR, VECTOR_GP, TSS | 4));
	CHECK_EQ(v->run->tr.base, 0x7fff12345678);
}

TEST(system_lldt)
{
	setup();
	put(OPERAND, LDT, 2);
	SYSTEM_EXIT(LLDT);
	CHECK_EQ(v->run->ldtr.base, 0x2000);
	CHECK_EQ(v->run->ldtr.attributes, 0x82);
	SYSTEM_EXIT("\x0f\x00\x42\x08"); /* sldt [rdx + 8] */
	CHECK_EQ(get(OPERAND + 8, 4), LDT);
	put(OPERAND, 0, 2);
	SYSTEM_EXIT(LLDT);
	CHECK_EQ(v->run->rip, CODE + 3);
	CHECK_EQ(v->run->ldtr.attributes, 0);
	put(OPERAND, TSS, 2);
	CHECK(FAULTS(LLDT, VECTOR_GP, TSS));
	v->run->cr0 &= ~CR0_PE;
	v->run->efer = 0;
	v->run->cs.attributes = (v->run->cs.attributes & ~SEGMENT_L) | SEGMENT_DB;
	v->run->cr0 &= ~CR0_PG;
	system_exit(LLDT, sizeof(LLDT) - 1);
	CHECK(host_raised(v, VECTOR_UD));
}

TEST(system_tables)
{
	setup();
	put(OPERAND, 0x1234, 2);
	put(OPERAND + 2, 0x7fffabcdef012345, 8);
	CHECK(FAULTS(LGDT, VECTOR_GP, 0)); /* not canonical */
	CHECK_EQ(v->run->gdtr.base, GDT);
	put(OPERAND + 2, 0xffffabcdef012345, 8);
	SYSTEM_EXIT(LGDT);
	CHECK_EQ(v->run->gdtr.base, 0xffffabcdef012345);
	CHECK_EQ(v->run->gdtr.limit, 0x1234);
	put(OPERAND, 0x4321, 2);
	SYSTEM_EXIT(LIDT);
	CHECK_EQ(v->run->idtr.limit, 0x4321);
	put(OPERAND, 0, 8);
	put(OPERAND + 8, ~0ull, 8);
	SYSTEM_EXIT("\x0f\x01\x02"); /* sgdt [rdx] */
	CHECK_EQ(get(OPERAND, 2), 0x1234);
	CHECK_EQ(get(OPERAND + 2, 8), 0xffffabcdef012345);
	CHECK_EQ(get(OPERAND + 10, 2), 0xffff);
	/* 32-bit code: 32 bits of the base, or 24 with an operand size of 16 */
	v->run->efer = 0;
	v->run->cr0 &= ~CR0_PG;
	v->run->cs.attributes = (v->run->cs.attributes & ~SEGMENT_L) | SEGMENT_DB;
	put(OPERAND, 0x12345678ff00, 8);
	SYSTEM_EXIT(LGDT);
	CHECK_EQ(v->run->gdtr.base, 0x12345678);
	CHECK_EQ(v->run->gdtr.limit, 0xff00);
	SYSTEM_EXIT("\x66" LGDT);
	CHECK_EQ(v->run->gdtr.base, 0x345678);
}

TEST(system_user)
{
	setup();
	/* user pages: an operand that ring 3 can read */
	for (u32 at = 0x6000; at < 0x9000; at += 0x1000)
		host_ram[at] |= 4;
	v->run->ss.attributes |= 3u << SEGMENT_DPL_SHIFT;
	put(OPERAND, TSS, 2);
	CHECK(FAULTS(LTR, VECTOR_GP, 0));
	CHECK(FAULTS(LGDT, VECTOR_GP, 0));
	SYSTEM_EXIT("\x0f\x00\x0a"); /* str [rdx] */
	CHECK_EQ(v->run->rip, CODE + 3);
	v->run->cr4 |= CR4_UMIP;
	CHECK(FAULTS("\x0f\x00\x0a", VECTOR_GP, 0));
}

TEST(system_lmsw)
{
	setup();
	put(OPERAND, 0xfff8, 2); /* TS; PE cannot be cleared, the rest is not LMSW's */
	v->run->cr0 |= CR0_MP;
	SYSTEM_EXIT("\x0f\x01\x32");
	CHECK_EQ(v->run->rip, CODE + 3);
	CHECK_EQ(v->run->cr0, CR0_PG | CR0_PE | CR0_ET | CR0_TS);
	CHECK(v->run->dirty & GROUP_CR);
}

/* An exit that says no more than which register is written. */
static void mov_cr_exit(u8 number, const char *code, u32 size)
{
	memcpy(host_ram + CODE, code, size);
	v->run->rip = CODE;
	v->run->inject = 0;
	v->run->dirty = 0;
	memset(&v->run->exit, 0, sizeof(v->run->exit));
	v->run->exit.cr.number = number;
	v->run->exit.cr.special = EXIT_CR_DECODE;
	host_exit(v, EXIT_CR, 0);
}
#define MOV_CR4_EXIT(code) mov_cr_exit(4, code, sizeof(code) - 1)

TEST(system_mov_cr)
{
	setup();
	v->run->gpr[RCX] = CR4_PAE | CR4_PGE;
	MOV_CR4_EXIT("\x0f\x22\xe1"); /* mov cr4, rcx */
	CHECK_EQ(v->run->rip, CODE + 3);
	CHECK_EQ(v->run->cr4, CR4_PAE | CR4_PGE);
	CHECK(v->run->dirty & GROUP_CR);
	v->run->gpr[9] = CR4_PAE;
	MOV_CR4_EXIT("\x41\x0f\x22\xe1"); /* mov cr4, r9 */
	CHECK_EQ(v->run->rip, CODE + 4);
	CHECK_EQ(v->run->cr4, CR4_PAE);
	v->run->gpr[RCX] = CR4_PAE | BIT(31); /* reserved */
	MOV_CR4_EXIT("\x0f\x22\xe1");
	CHECK(host_raised(v, VECTOR_GP));
	CHECK_EQ(v->run->rip, CODE);
	CHECK_EQ(v->run->cr4, CR4_PAE);
	v->run->gpr[RCX] = 0; /* PAE in long mode */
	MOV_CR4_EXIT("\x0f\x22\xe1");
	CHECK(host_raised(v, VECTOR_GP));
	/* the code is another one by now: executed anew */
	v->run->gpr[RCX] = CR4_PAE | CR4_PGE;
	MOV_CR4_EXIT("\x0f\x22\xd9"); /* mov cr3, rcx */
	CHECK(!v->run->inject);
	CHECK_EQ(v->run->rip, CODE);
	CHECK_EQ(v->run->cr4, CR4_PAE);
	/* CR8 in its two ways */
	v->run->gpr[RCX] = 5;
	mov_cr_exit(8, "\x44\x0f\x22\xc1", 4);
	CHECK_EQ(v->run->rip, CODE + 4);
	CHECK_EQ(v->lapic->page->word[LAPIC_TPR / 4], 0x50);
	CHECK(v->run->dirty & GROUP_APIC);
	v->run->gpr[RCX] = 6;
	mov_cr_exit(8, "\xf0\x0f\x22\xc1", 4);
	CHECK_EQ(v->lapic->page->word[LAPIC_TPR / 4], 0x60);
	/* outside 64-bit mode the upper half of the register does not count */
	v->run->cs.attributes &= ~SEGMENT_L;
	v->run->cs.attributes |= SEGMENT_DB;
	v->run->gpr[RCX] = 0xffffffff00000000 | CR4_PAE | CR4_PGE;
	MOV_CR4_EXIT("\x0f\x22\xe1");
	CHECK_EQ(v->run->cr4, CR4_PAE | CR4_PGE);
	CHECK_EQ(host_machine.stop, MACHINE_RUNS);
}
