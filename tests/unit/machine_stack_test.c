/* Stacks and selectors in memory-mapped devices, on a whole machine. */
#include "tests/unit/machine_host.h"

#define CODE    0x10000u
#define GDT     0x40000u
#define STACK   0x50000u
#define LAPIC   0xfee00000u
#define NOWHERE 0xd0000000u
#define KERNEL  0x08u /* selectors */
#define DATA    0x10u
#define USER_CS 0x1bu
#define USER_DS 0x23u

static struct vcpu *v;

static void put(u32 at, u64 value)
{
	memcpy(host_ram + at, &value, sizeof(value));
}

static void setup(void)
{
	v = host_setup(true);
	put(GDT + 8, 0x00af9b000000ffff);
	put(GDT + 16, 0x00cf92000000ffff); /* not accessed yet */
	put(GDT + 24, 0x00affb000000ffff);
	put(GDT + 32, 0x00cff3000000ffff);
	v->run->gdtr = (struct run_segment){.base = GDT, .limit = 39};
	v->run->gpr[RSP] = STACK;
}

static void stack_exit(const char *code, u32 size)
{
	memcpy(host_ram + CODE, code, size);
	v->run->rip = CODE;
	memset(&v->run->exit, 0, sizeof(v->run->exit));
	v->run->exit.memory.gpa = NOWHERE;
	host_exit(v, EXIT_MEMORY, 0);
}
#define STACK_EXIT(code) stack_exit(code, sizeof(code) - 1)

static u32 tpr(void)
{
	return v->lapic->page->word[LAPIC_TPR / 4];
}

TEST(stack_in_device)
{
	setup();
	v->run->gpr[RSP] = LAPIC + LAPIC_TPR + 8;
	STACK_EXIT("\x6a\x40"); /* push 40h */
	CHECK_EQ(tpr(), 0x40);
	CHECK_EQ(v->run->gpr[RSP], LAPIC + LAPIC_TPR);
	CHECK_EQ(v->run->rip, CODE + 2);
	STACK_EXIT("\x59"); /* pop rcx */
	CHECK_EQ(v->run->gpr[RCX] & UINT32_MAX, 0x40);
	CHECK_EQ(v->run->gpr[RSP], LAPIC + LAPIC_TPR + 8);
	v->run->gpr[RBX] = 0x30;
	STACK_EXIT("\x53"); /* push rbx */
	CHECK_EQ(tpr(), 0x30);
	v->run->gpr[RSP] = LAPIC + LAPIC_TPR + 8;
	STACK_EXIT("\xe8\x0b\x00\x00\x00"); /* call: pushes an address */
	CHECK_EQ(tpr(), (CODE + 5) & 0xff);
	CHECK_EQ(v->run->rip, CODE + 16);
	v->run->gpr[RSP] = LAPIC + LAPIC_TPR + 8;
	v->run->gpr[RBP] = 0x50;
	STACK_EXIT("\xc8\x10\x00\x00"); /* enter 16, 0 */
	CHECK_EQ(tpr(), 0x50);
	CHECK_EQ(v->run->gpr[RBP], LAPIC + LAPIC_TPR);
	CHECK_EQ(v->run->gpr[RSP], LAPIC + LAPIC_TPR - 16);
	STACK_EXIT("\xc9"); /* leave */
	CHECK_EQ(v->run->gpr[RSP], LAPIC + LAPIC_TPR + 8);
	CHECK_EQ(v->run->gpr[RBP] & UINT32_MAX, 0x50);
	CHECK_EQ(host_machine.stop, MACHINE_RUNS);
}

TEST(stack_selectors)
{
	setup();
	put(STACK, DATA);
	v->run->gpr[RDX] = STACK;
	STACK_EXIT("\x8e\x12"); /* mov ss, [rdx] */
	CHECK_EQ(v->run->ss.selector, DATA);
	CHECK_EQ(v->run->ss.attributes, 0xc93);
	CHECK_EQ(host_ram[GDT + 16 + 5], 0x93); /* accessed */
	CHECK(v->run->dirty & GROUP_SEG);
	CHECK_EQ(v->run->shadow, SHADOW_MOV_SS);
	STACK_EXIT("\x8e\x1a"); /* mov ds, [rdx]: no interrupts are blocked */
	CHECK_EQ(v->run->shadow, 0);
	put(STACK, 0);
	STACK_EXIT("\x8e\x12");
	CHECK_EQ(v->run->ss.selector, 0);
	CHECK_EQ(v->run->ss.attributes, 0);
	put(STACK, USER_DS);
	STACK_EXIT("\x8e\x12");
	CHECK(host_raised(v, VECTOR_GP));
	CHECK_EQ(v->run->inject >> 32, USER_DS & ~3u);
	CHECK_EQ(v->run->ss.selector, 0);
	put(STACK, 0x28); /* beyond the table */
	STACK_EXIT("\x8e\x1a");
	CHECK(host_raised(v, VECTOR_GP));
	CHECK_EQ(v->run->inject >> 32, 0x28);
	put(STACK, 0xc); /* in an LDT that is not there */
	STACK_EXIT("\x8e\x1a");
	CHECK_EQ(v->run->inject >> 32, 0xc);
	v->run->gdtr.base = 0x8000000000; /* not mapped */
	put(STACK, DATA);
	STACK_EXIT("\x8e\x1a");
	CHECK(host_raised(v, VECTOR_PF));
	CHECK_EQ(v->run->cr2, 0x8000000010);
}

/* To ring 3 and with NMIs let in, TF too; the flags that IRET found decide about a trap. */
TEST(stack_iret)
{
	setup();
	put(STACK, 0x12345);
	put(STACK + 8, USER_CS);
	put(STACK + 16, 0x10302 | RFLAGS_TF);
	put(STACK + 24, 0x7000);
	put(STACK + 32, USER_DS);
	v->run->shadow = SHADOW_NMI;
	v->run->ds = (struct run_segment){DATA, 0xc93, UINT32_MAX, 0};
	v->run->gs = (struct run_segment){DATA, 0xc93, UINT32_MAX, 0x1234};
	STACK_EXIT("\x48\xcf");
	CHECK_EQ(v->run->rip, 0x12345);
	CHECK_EQ(v->run->gpr[RSP], 0x7000);
	CHECK_EQ(v->run->rflags, 0x10302);
	CHECK_EQ(v->run->shadow, 0);
	CHECK_EQ(vcpu_cpl(v), 3);
	CHECK_EQ(v->run->cs.selector, USER_CS);
	CHECK_EQ(v->run->ss.selector, USER_DS);
	CHECK_EQ(v->run->ds.selector, 0);
	CHECK(!(v->run->ds.attributes & SEGMENT_P));
	CHECK_EQ(v->run->gs.base, 0x1234);
	CHECK_EQ(v->run->inject, 0);

	setup();
	put(STACK, 0x2);
	v->run->rflags |= RFLAGS_TF;
	STACK_EXIT("\x9d"); /* popf */
	CHECK(host_raised(v, VECTOR_DB));
	CHECK_EQ(v->run->rflags & RFLAGS_TF, 0);
}

TEST(stack_mmx)
{
	static const u16 top = 3 << 11;
	u64 value;

	setup();
	memcpy(host.fpu + 2, &top, 2);
	host.fpu[512] = 1;
	for (u32 i = 0; i < 8; i++)
		host.fpu[32 + 16 * i] = (u8)(0xa0 + i); /* ST(i) */
	v->run->gpr[RDX] = STACK;
	STACK_EXIT("\x0f\x7f\x2a"); /* movq [rdx], mm5: ST(2) */
	memcpy(&value, host_ram + STACK, 8);
	CHECK_EQ(value, 0xa2);
	CHECK_EQ(host.fpu[32 + 16 * 5], 0xa2);
	CHECK_EQ(host.fpu[3], 0);
	CHECK_EQ(host.fpu[4], 0xff);
	put(STACK, 0x1122334455667788);
	STACK_EXIT("\x0f\x6f\x0a"); /* movq mm1, [rdx] */
	memcpy(&value, host.fpu + 32 + 16, 8);
	CHECK_EQ(value, 0x1122334455667788);
	CHECK_EQ(host.fpu[32 + 16 + 9], 0xff);
	STACK_EXIT("\x0f\x6e\x0a"); /* movd mm1, [rdx] */
	memcpy(&value, host.fpu + 32 + 16, 8);
	CHECK_EQ(value, 0x55667788);

	setup();
	host.fpu[32] = 0x55; /* no x87 state: not looked at */
	v->run->gpr[RDX] = STACK;
	STACK_EXIT("\x0f\x7f\x02");
	CHECK_EQ(host_ram[STACK], 0);
	CHECK_EQ(host.fpu[0], 0x7f);
	CHECK_EQ(host.fpu[512], 1);
}

/* A far branch of 32-bit code, whose descriptors lie above 4 GiB for all it knows. */
TEST(stack_far_jump)
{
	setup();
	put(STACK, (u64)KERNEL << 32 | 0x4321);
	v->run->gpr[RDX] = STACK;
	STACK_EXIT("\xff\x2a"); /* jmp far [rdx] */
	CHECK_EQ(v->run->rip, 0x4321);
	CHECK_EQ(v->run->cs.selector, KERNEL);
	put(STACK, (u64)DATA << 32 | 0x4321);
	STACK_EXIT("\xff\x2a");
	CHECK(host_raised(v, VECTOR_GP));
	CHECK_EQ(v->run->inject >> 32, DATA);
	put(STACK, (u64)USER_CS << 32 | 0x4321);
	STACK_EXIT("\xff\x2a");
	CHECK_EQ(v->run->inject >> 32, USER_CS & ~3u);
	put(GDT + 8, 0x00208900000000ff); /* a task */
	put(STACK, (u64)KERNEL << 32);
	STACK_EXIT("\xff\x2a");
	CHECK_EQ(host_machine.stop, MACHINE_FAILED);
}
