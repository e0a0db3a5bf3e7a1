/* Hardware task switches on the fake host: both sizes of TSS, each source, links and busy bits,
 * every check and its fault, paging, and hostile memory. */
#include <stdlib.h>
#include "tests/unit/machine_host.h"

#define GDT  0x40000u
#define LDT  0x41000u
#define IDT  0x42000u
#define OLD  0x43000u
#define NEW  0x44000u
#define NEW2 0x45000u /* 16-bit */
#define CODE 0x10000u

enum { /* selectors */
	CODE0 = 0x08,
	DATA0 = 0x10,
	CODE3 = 0x18,
	DATA3 = 0x20,
	TSS_OLD = 0x28,
	TSS_NEW = 0x30,
	TSS_NEW16 = 0x38,
	LDT_NEW = 0x40,
	CONFORMING3 = 0x48,
	READONLY = 0x50,
	EXECUTE = 0x58,
	ABSENT = 0x60,
	CODE_ABSENT = 0x68,
	STACK_ABSENT = 0x70,
	TSS_ABSENT = 0x78,
	TSS_SHORT = 0x80,
	SMALL_STACK = 0x88,
	GDT_SIZE = 0x90,
	IN_LDT = 0x04, /* the LDT's first entry */
};

#define RW_TYPE   0x92u
#define CODE_TYPE 0x9au
#define DPL3      0x60u
#define FLAT      0xc /* G, D */

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

static void put_descriptor(u32 table, u32 selector, u32 base, u32 limit, u32 type, u32 flags)
{
	put(table + (selector & ~7u),
		(limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)type << 40 |
			(u64)(limit >> 16 & 15) << 48 | (u64)flags << 52 | (u64)(base >> 24) << 56,
		8);
}

static u32 type_of(u32 selector)
{
	return (u32)get(GDT + selector + 5, 1);
}

static void put_tables(void)
{
	put_descriptor(GDT, CODE0, 0, 0xfffff, CODE_TYPE, FLAT);
	put_descriptor(GDT, DATA0, 0, 0xfffff, RW_TYPE, FLAT);
	put_descriptor(GDT, CODE3, 0, 0xfffff, CODE_TYPE | DPL3, FLAT);
	put_descriptor(GDT, DATA3, 0, 0xfffff, RW_TYPE | DPL3, FLAT);
	put_descriptor(GDT, TSS_OLD, OLD, 0x67, 0x8b, 0);
	put_descriptor(GDT, TSS_NEW, NEW, 0x67, 0x89, 0);
	put_descriptor(GDT, TSS_NEW16, NEW2, 0x2b, 0x81, 0);
	put_descriptor(GDT, LDT_NEW, LDT, 0xf, 0x82, 0);
	put_descriptor(GDT, CONFORMING3, 0, 0xfffff, 0x9e | DPL3, FLAT);
	put_descriptor(GDT, READONLY, 0, 0xfffff, 0x90, FLAT);
	put_descriptor(GDT, EXECUTE, 0, 0xfffff, 0x98, FLAT);
	put_descriptor(GDT, ABSENT, 0, 0xfffff, RW_TYPE & 0x7f, FLAT);
	put_descriptor(GDT, CODE_ABSENT, 0, 0xfffff, CODE_TYPE & 0x7f, FLAT);
	put_descriptor(GDT, STACK_ABSENT, 0, 0xfffff, RW_TYPE & 0x7f, FLAT);
	put_descriptor(GDT, TSS_ABSENT, NEW, 0x67, 0x09, 0);
	put_descriptor(GDT, TSS_SHORT, NEW, 0x66, 0x89, 0);
	put_descriptor(GDT, SMALL_STACK, 0x50000, 0x0f, RW_TYPE, 0);
	put_descriptor(LDT, IN_LDT, 0x1000, 0xff, RW_TYPE, 4);
}

static void put_new(u32 offset, u32 value)
{
	put(NEW + offset, value, 4);
}

static void put_new_task(void)
{
	put_new(0x20, 0x12345678);
	put_new(0x24, 0xffc08203); /* reserved bits, bit 1 clear */
	for (u32 i = 0; i < 8; i++)
		put_new(0x28 + 4 * i, 0x1000000 * (i + 1));
	put_new(0x28 + 16, 0x60000); /* ESP */
	put_new(0x48, DATA0);
	put_new(0x4c, CODE0);
	put_new(0x50, DATA0);
	put_new(0x54, DATA0);
	put_new(0x58, 0);
	put_new(0x5c, IN_LDT);
	put_new(0x60, LDT_NEW);
}

static void put_new16(void)
{
	put(NEW2 + 0x0e, 0xabcd, 2);
	put(NEW2 + 0x10, 0x0202, 2);
	for (u32 i = 0; i < 8; i++)
		put(NEW2 + 0x12 + 2 * i, 0x1111 * (i + 1), 2);
	put(NEW2 + 0x22, DATA0, 2);
	put(NEW2 + 0x24, CODE0, 2);
	put(NEW2 + 0x26, DATA0, 2);
	put(NEW2 + 0x28, DATA0, 2);
	put(NEW2 + 0x2a, 0, 2);
}

static struct run_segment flat(u16 selector, u16 type)
{
	return (struct run_segment){selector, (u16)(type | 1 | FLAT << 8), UINT32_MAX, 0};
}

static void setup(void)
{
	struct run_page *run;

	v = host_setup(false);
	run = v->run;
	put_tables();
	put_new_task();
	put_new16();
	run->cr0 = CR0_PE | CR0_ET;
	run->cr4 = run->efer = 0;
	run->cs = flat(CODE0, CODE_TYPE);
	run->ss = run->ds = run->es = flat(DATA0, RW_TYPE);
	run->fs = flat(DATA3, RW_TYPE | DPL3);
	run->gs = (struct run_segment){0};
	run->tr = (struct run_segment){TSS_OLD, 0x8b, 0x67, OLD};
	run->ldtr = (struct run_segment){0};
	run->gdtr = (struct run_segment){.base = GDT, .limit = GDT_SIZE - 1};
	run->idtr = (struct run_segment){.base = IDT, .limit = 0x7ff};
	run->rflags = RFLAGS_FIXED | RFLAGS_IF;
	run->dr7 = DR7_FIXED | 0x1ff;
	run->rip = CODE;
	for (u32 i = 0; i < 8; i++)
		run->gpr[i] = 0xaa00 + i;
}

static void task_exit_of(u16 selector, enum exit_task_source source, u32 length)
{
	memset(&v->run->exit, 0, sizeof(v->run->exit));
	v->run->exit.task.selector = selector;
	v->run->exit.task.source = (u8)source;
	host_exit(v, EXIT_TASK_SWITCH, length);
}

static void task_event(u16 selector, u64 event, bool soft, u32 length)
{
	memset(&v->run->exit, 0, sizeof(v->run->exit));
	v->run->exit.task.selector = selector;
	v->run->exit.task.source = TASK_EVENT;
	v->run->exit.task.event = event;
	v->run->exit.task.soft = soft;
	v->run->exit.task.error_valid = !!(event & INJECT_ERROR);
	v->run->exit.task.error = (u32)(event >> 32);
	host_exit(v, EXIT_TASK_SWITCH, length);
}

#define EVENT_PF                                                                                   \
	(INJECT_VALID | INJECT_TYPE_EXCEPT | INJECT_ERROR | INJECT_VECTOR(VECTOR_PF) | 6ull << 32)
#define EVENT_IRQ INJECT_VALID | INJECT_TYPE_INTR | INJECT_VECTOR(0x30)

static bool raised(u8 vector, u32 error)
{
	return host_raised(v, vector) && (v->run->inject & INJECT_ERROR) &&
	       v->run->inject >> 32 == error;
}

/* Nothing of the old task has changed. */
static bool in_old_task(void)
{
	return v->run->tr.selector == TSS_OLD && v->run->rip == CODE && get(OLD + 0x20, 4) == 0 &&
	       type_of(TSS_OLD) == 0x8b && !(v->run->cr0 & CR0_TS);
}

TEST(task_jmp)
{
	setup();
	task_exit_of(TSS_NEW, TASK_JMP, 7);
	CHECK(!(v->run->inject & INJECT_VALID));
	CHECK_EQ(host_machine.stop, MACHINE_RUNS);
	/* saved: general registers, flags, EIP behind the instruction, selectors */
	CHECK_EQ(get(OLD + 0x20, 4), CODE + 7);
	CHECK_EQ(get(OLD + 0x24, 4), RFLAGS_FIXED | RFLAGS_IF);
	for (u32 i = 0; i < 8; i++)
		CHECK_EQ(get(OLD + 0x28 + 4 * i, 4), 0xaa00 + i);
	CHECK_EQ(get(OLD + 0x48, 4), DATA0);
	CHECK_EQ(get(OLD + 0x4c, 4), CODE0);
	CHECK_EQ(get(OLD + 0x58, 4), DATA3);
	CHECK_EQ(get(OLD, 4), 0);
	CHECK_EQ(get(NEW, 4), 0);
	CHECK_EQ(type_of(TSS_OLD), 0x89);
	CHECK_EQ(type_of(TSS_NEW), 0x8b);
	/* loaded */
	CHECK_EQ(v->run->rip, 0x12345678);
	CHECK_EQ(v->run->rflags, 0x203);
	CHECK_EQ(v->run->gpr[RCX], 0x2000000);
	CHECK_EQ(v->run->gpr[RDI], 0x8000000);
	CHECK_EQ(v->run->gpr[RSP], 0x60000);
	CHECK_EQ(v->run->tr.selector, TSS_NEW);
	CHECK_EQ(v->run->tr.base, NEW);
	CHECK_EQ(v->run->tr.limit, 0x67);
	CHECK_EQ(v->run->tr.attributes, 0x8b);
	CHECK_EQ(v->run->ldtr.base, LDT);
	CHECK_EQ(v->run->cs.limit, UINT32_MAX);
	CHECK_EQ(v->run->cs.attributes, CODE_TYPE | 1 | FLAT << 8);
	CHECK_EQ(v->run->fs.attributes, 0); /* null */
	CHECK_EQ(v->run->gs.base, 0x1000);
	CHECK_EQ(v->run->gs.selector, IN_LDT);
	CHECK_EQ(get(LDT + 5, 1), RW_TYPE | 1); /* accessed */
	CHECK_EQ(type_of(CODE0), CODE_TYPE | 1);
	CHECK(v->run->cr0 & CR0_TS);
	CHECK_EQ(v->run->dr7, DR7_FIXED | 0xaa);
	CHECK_EQ(v->run->dirty & GROUP_ALL_REG,
		GROUP_RIP | GROUP_CR | GROUP_SEG | GROUP_SYS | GROUP_DR);
}

TEST(task_call_and_iret)
{
	setup();
	task_exit_of(TSS_NEW, TASK_CALL, 7);
	CHECK(!(v->run->inject & INJECT_VALID));
	CHECK_EQ(get(NEW, 2), TSS_OLD);
	CHECK_EQ(type_of(TSS_OLD), 0x8b);
	CHECK_EQ(type_of(TSS_NEW), 0x8b);
	CHECK(v->run->rflags & BIT(14));
	CHECK_EQ(get(NEW + 0x24, 4), 0xffc08203); /* NT is not stored */
	v->run->gpr[RAX] = 77;
	v->run->shadow = SHADOW_NMI;
	task_exit_of(TSS_OLD, TASK_IRET, 1);
	CHECK(!(v->run->inject & INJECT_VALID));
	CHECK_EQ(v->run->tr.selector, TSS_OLD);
	CHECK_EQ(v->run->rip, CODE + 7);
	CHECK_EQ(v->run->gpr[RAX], 0xaa00);
	CHECK_EQ(v->run->rflags, RFLAGS_FIXED | RFLAGS_IF);
	CHECK_EQ(v->run->shadow, 0);
	CHECK_EQ(v->run->fs.attributes, (RW_TYPE | DPL3 | 1) | FLAT << 8);
	CHECK_EQ(type_of(TSS_NEW), 0x89);
	CHECK_EQ(type_of(TSS_OLD), 0x8b);
	CHECK_EQ(get(NEW + 0x20, 4), 0x12345679);
	CHECK_EQ(get(NEW + 0x24, 4) & BIT(14), 0);
	CHECK_EQ(get(NEW + 0x28, 4), 77);
	/* back to a task that is not busy */
	task_exit_of(TSS_NEW, TASK_IRET, 1);
	CHECK(raised(VECTOR_TS, TSS_NEW));
}

TEST(task_16_bit)
{
	setup();
	task_exit_of(TSS_NEW16, TASK_CALL, 7);
	CHECK(!(v->run->inject & INJECT_VALID));
	CHECK_EQ(get(NEW2, 2), TSS_OLD);
	CHECK_EQ(type_of(TSS_NEW16), 0x83);
	CHECK_EQ(v->run->rip, 0xabcd);
	CHECK_EQ(v->run->rflags, 0x0202 | BIT(14));
	CHECK_EQ(v->run->gpr[RBX], 0x4444);
	CHECK_EQ(v->run->ldtr.attributes, 0);
	CHECK_EQ(v->run->gs.attributes, 0);
	v->run->gpr[RBX] = 0x99999;
	task_exit_of(TSS_OLD, TASK_IRET, 1);
	CHECK_EQ(get(NEW2 + 0x0e, 2), 0xabce);
	CHECK_EQ(get(NEW2 + 0x10, 2), 0x0202);
	CHECK_EQ(get(NEW2 + 0x12 + 6, 2), 0x9999);
	CHECK_EQ(get(NEW2 + 0x2a, 2), 0);
	CHECK_EQ(v->run->rip, CODE + 7);
	CHECK_EQ(type_of(TSS_NEW16), 0x81);
}

/* An event by a task gate: RIP stays, and the error code is pushed in the size of the TSS. */
TEST(task_events)
{
	setup();
	v->run->activity = ACTIVITY_HLT;
	task_event(TSS_NEW, EVENT_PF, false, 0);
	CHECK(!(v->run->inject & INJECT_VALID));
	CHECK_EQ(get(OLD + 0x20, 4), CODE);
	CHECK_EQ(get(OLD + 0x24, 4), RFLAGS_FIXED | RFLAGS_IF | RFLAGS_RF);
	CHECK_EQ(v->run->gpr[RSP], 0x5fffc);
	CHECK_EQ(get(0x5fffc, 4), 6);
	CHECK_EQ(v->run->activity, ACTIVITY_ACTIVE);
	CHECK_EQ(get(NEW, 2), TSS_OLD);
	setup();
	task_event(TSS_NEW16, EVENT_PF, false, 0);
	CHECK_EQ(v->run->gpr[RSP], 0x5555 - 2);
	CHECK_EQ(get(0x5553, 2), 6);
	setup();
	task_event(TSS_NEW, EVENT_IRQ, false, 0);
	CHECK_EQ(v->run->gpr[RSP], 0x60000);
	CHECK_EQ(get(OLD + 0x24, 4), RFLAGS_FIXED | RFLAGS_IF);
	CHECK_EQ(v->run->shadow, 0);
	setup();
	task_event(TSS_NEW, INJECT_VALID | INJECT_TYPE_NMI | 2, false, 0);
	CHECK_EQ(v->run->shadow, SHADOW_NMI);
	/* INT3, whose length the hardware told, and INT n, whose it did not */
	setup();
	put(IDT + 8 * 3, 0xe500ull << 32, 8);
	task_event(TSS_NEW, INJECT_VALID | INJECT_TYPE_EXCEPT | 3, true, 1);
	CHECK_EQ(get(OLD + 0x20, 4), CODE + 1);
	CHECK_EQ(get(OLD + 0x24, 4) & RFLAGS_RF, 0);
	setup();
	put(CODE, 0x40cd, 2);
	put(IDT + 8 * 0x40, 0xe500ull << 32, 8);
	task_event(TSS_NEW, INJECT_VALID | INJECT_TYPE_SOFT | 0x40, true, 0);
	CHECK_EQ(get(OLD + 0x20, 4), CODE + 2);
	/* the stack has no room for the error code: in the new task */
	setup();
	put_new(0x50, SMALL_STACK);
	put_new(0x28 + 16, 0x12);
	task_event(TSS_NEW, EVENT_PF, false, 0);
	CHECK_EQ(v->run->tr.selector, TSS_NEW);
	CHECK(raised(VECTOR_DF, 0)); /* #SS while delivering #PF */
	setup();
	put_new(0x50, SMALL_STACK);
	put_new(0x28 + 16, 0x10);
	task_event(TSS_NEW, EVENT_PF, false, 0);
	CHECK_EQ(get(0x5000c, 4), 6);
	CHECK_EQ(v->run->gpr[RSP], 0xc);
}

/* Instructions whose length the hardware does not tell. */
TEST(task_lengths)
{
	static const struct {
		const char *code;
		u32 length;
		enum exit_task_source source;
	} cases[] = {
		{"\xea\x00\x00\x00\x00\x30\x00", 7, TASK_JMP},
		{"\x66\xea\x00\x00\x30\x00", 6, TASK_JMP},
		{"\x9a\x00\x00\x00\x00\x30\x00", 7, TASK_CALL},
		{"\xff\x2d\x00\x00\x01\x00", 6, TASK_JMP},
		{"\x2e\xff\x1c\x85\x00\x00\x01\x00", 8, TASK_CALL},
		{"\x67\xff\x2f", 3, TASK_JMP},
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		setup();
		memcpy(host_ram + CODE, cases[i].code, cases[i].length);
		task_exit_of(TSS_NEW, cases[i].source, 0);
		CHECK_EQ(get(OLD + 0x20, 4), CODE + cases[i].length);
	}
	setup();
	memcpy(host_ram + CODE, "\xff\xe0", 2); /* a near jump */
	task_exit_of(TSS_NEW, TASK_JMP, 0);
	CHECK_EQ(host_machine.stop, MACHINE_FAILED);
}

TEST(task_checks_before)
{
	static const struct {
		u16 selector;
		enum exit_task_source source;
		u8 vector;
		u16 error;
	} cases[] = {
		{0, TASK_JMP, VECTOR_GP, 0},
		{3, TASK_CALL, VECTOR_GP, 0},
		{TSS_NEW | 4, TASK_JMP, VECTOR_GP, TSS_NEW | 4},
		{GDT_SIZE, TASK_CALL, VECTOR_GP, GDT_SIZE},
		{GDT_SIZE, TASK_IRET, VECTOR_TS, GDT_SIZE},
		{DATA0, TASK_JMP, VECTOR_GP, DATA0},
		{LDT_NEW, TASK_JMP, VECTOR_GP, LDT_NEW},
		{TSS_OLD, TASK_JMP, VECTOR_GP, TSS_OLD},      /* busy */
		{TSS_NEW | 3, TASK_IRET, VECTOR_TS, TSS_NEW}, /* not busy */
		{TSS_ABSENT, TASK_JMP, VECTOR_NP, TSS_ABSENT},
		{TSS_SHORT, TASK_JMP, VECTOR_TS, TSS_SHORT},
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		setup();
		task_exit_of(cases[i].selector, cases[i].source, 7);
		if (!raised(cases[i].vector, cases[i].error) || !in_old_task())
			test_fail(__FILE__, __LINE__, "case %u", i);
	}
	/* external events: EXT, and a double fault after a contributory exception */
	setup();
	task_event(TSS_ABSENT, EVENT_IRQ, false, 0);
	CHECK(raised(VECTOR_NP, TSS_ABSENT | 1));
	task_event(TSS_ABSENT, EVENT_PF, false, 0);
	CHECK(raised(VECTOR_DF, 0));
	CHECK(in_old_task());
	task_event(
		TSS_ABSENT, INJECT_VALID | INJECT_TYPE_EXCEPT | INJECT_ERROR | VECTOR_DF, false, 0);
	CHECK_EQ(host_machine.stop, MACHINE_FAILED);
	CHECK(host_logged("triple fault"));
	/* a gate that ring 3 may not use */
	setup();
	v->run->ss.attributes |= DPL3;
	v->run->cs.attributes |= DPL3;
	put(IDT + 8 * 0x40, 0x8500ull << 32, 8);
	task_event(TSS_NEW, INJECT_VALID | INJECT_TYPE_SOFT | 0x40, true, 2);
	CHECK(raised(VECTOR_GP, 0x40 * 8 + 2));
	CHECK(in_old_task());
	v->run->idtr.limit = 0x40 * 8 + 6;
	task_event(TSS_NEW, INJECT_VALID | INJECT_TYPE_SOFT | 0x40, true, 2);
	CHECK(raised(VECTOR_GP, 0x40 * 8 + 2));
	/* the old TSS is too small to be saved to */
	setup();
	v->run->tr.limit = 0x5e;
	task_exit_of(TSS_NEW, TASK_JMP, 7);
	CHECK(raised(VECTOR_TS, TSS_OLD));
	v->run->tr.limit = 0x5f;
	task_exit_of(TSS_NEW, TASK_JMP, 7);
	CHECK_EQ(v->run->tr.selector, TSS_NEW);
}

TEST(task_checks_after)
{
	static const struct {
		u32 offset, value; /* in the new TSS */
		u8 vector;
		u16 error;
	} cases[] = {
		{0x60, LDT_NEW | 4, VECTOR_TS, LDT_NEW | 4},
		{0x60, DATA0, VECTOR_TS, DATA0},
		{0x60, GDT_SIZE, VECTOR_TS, GDT_SIZE},
		{0x50, 0, VECTOR_TS, 0},
		{0x50, DATA0 | 3, VECTOR_TS, DATA0}, /* RPL */
		{0x50, DATA3, VECTOR_TS, DATA3},     /* DPL */
		{0x50, READONLY, VECTOR_TS, READONLY},
		{0x50, CODE0, VECTOR_TS, CODE0},
		{0x50, STACK_ABSENT, VECTOR_SS, STACK_ABSENT},
		{0x50, GDT_SIZE | 1, VECTOR_TS, GDT_SIZE},
		{0x4c, 0, VECTOR_TS, 0},
		{0x4c, DATA0, VECTOR_TS, DATA0},
		{0x4c, CODE3, VECTOR_TS, CODE3},
		{0x4c, CONFORMING3, VECTOR_TS, CONFORMING3}, /* DPL above RPL */
		{0x4c, CODE_ABSENT, VECTOR_NP, CODE_ABSENT},
		{0x48, ABSENT, VECTOR_NP, ABSENT},
		{0x48, EXECUTE, VECTOR_TS, EXECUTE},
		{0x48, LDT_NEW, VECTOR_TS, LDT_NEW},
		{0x54, DATA0 | 3, VECTOR_TS, DATA0}, /* RPL above DPL */
		{0x58, IN_LDT + 16, VECTOR_TS, IN_LDT + 16},
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		setup();
		put_new(cases[i].offset, cases[i].value);
		task_exit_of(TSS_NEW, TASK_JMP, 7);
		if (!raised(cases[i].vector, cases[i].error))
			test_fail(__FILE__, __LINE__, "case %u: %llx", i,
				(unsigned long long)v->run->inject);
		CHECK_EQ(v->run->tr.selector, TSS_NEW);
		CHECK_EQ(v->run->rip, 0x12345678);
		CHECK(v->run->cr0 & CR0_TS);
		CHECK_EQ(type_of(TSS_OLD), 0x89);
		CHECK_EQ(v->run->cs.selector, (u16)get(NEW + 0x4c, 2));
		CHECK(v->run->cs.attributes & SEGMENT_P);
	}
	/* a selector of the LDT without an LDT */
	setup();
	put_new(0x60, 0);
	task_exit_of(TSS_NEW, TASK_JMP, 7);
	CHECK(raised(VECTOR_TS, IN_LDT));
}

/* Ring 3, conforming code, and virtual-8086 mode. */
TEST(task_privileges)
{
	setup();
	put_new(0x4c, CODE3 | 3);
	put_new(0x50, DATA3 | 3);
	put_new(0x48, DATA3 | 3);
	put_new(0x54, CONFORMING3);
	put_new(0x5c, 0);
	task_exit_of(TSS_NEW, TASK_JMP, 7);
	CHECK(!(v->run->inject & INJECT_VALID));
	CHECK_EQ(vcpu_cpl(v), 3);
	setup();
	put_new(0x4c, CONFORMING3 | 3);
	put_new(0x50, DATA3 | 3);
	put_new(0x48, 0);
	put_new(0x54, DATA0); /* not for ring 3 */
	task_exit_of(TSS_NEW, TASK_JMP, 7);
	CHECK(raised(VECTOR_TS, DATA0));
	CHECK_EQ(vcpu_cpl(v), 3);
	setup();
	put_new(0x24, 0x20202);
	put_new(0x4c, 0x1234);
	put_new(0x50, 0xffff);
	task_exit_of(TSS_NEW, TASK_JMP, 7);
	CHECK(!(v->run->inject & INJECT_VALID));
	CHECK_EQ(v->run->cs.base, 0x12340);
	CHECK_EQ(v->run->cs.attributes, 0xf3);
	CHECK_EQ(v->run->ss.limit, 0xffff);
	CHECK_EQ(v->run->ss.base, 0xffff0);
	CHECK_EQ(v->run->ldtr.base, LDT);
	CHECK_EQ(vcpu_cpl(v), 3);
	setup();
	put(NEW2 + 0x10, 0xffff, 2); /* a 16-bit TSS cannot set VM */
	task_exit_of(TSS_NEW16, TASK_JMP, 7);
	CHECK_EQ(v->run->rflags, 0x7fd7);
}

TEST(task_debug_trap)
{
	setup();
	put_new(0x64, 1);
	task_exit_of(TSS_NEW, TASK_JMP, 7);
	CHECK(host_raised(v, VECTOR_DB));
	CHECK(v->run->dr6 & BIT(15));
	CHECK_EQ(v->run->rip, 0x12345678);
}

/* Paging: CR3 from a 32-bit TSS, what must be mapped, and by which tables. */
#define TABLES     0x80000u
#define TABLES_NEW 0x90000u

static void put_paging(u32 at, u32 top)
{
	for (u32 i = 0; i < 512; i++)
		put(at + 0x1000 + 4 * i, i * 0x1000 | 0x3, 4);
	put(at, (at + 0x1000) | 0x3, 4);
	put(at + 4 * top, (at + 0x1000) | 0x3, 4);
}

static void setup_paging(void)
{
	setup();
	put_paging(TABLES, 0);
	put_paging(TABLES_NEW, 1); /* 4 MiB on, there is the same once more */
	put_new(0x1c, TABLES_NEW);
	v->run->cr0 |= CR0_PG;
	v->run->cr3 = TABLES;
}

TEST(task_paging)
{
	setup_paging();
	/* the LDT is seen through the new tables only */
	put_descriptor(GDT, LDT_NEW, LDT + 0x400000, 0xf, 0x82, 0);
	task_exit_of(TSS_NEW, TASK_JMP, 7);
	CHECK(!(v->run->inject & INJECT_VALID));
	CHECK_EQ(v->run->cr3, TABLES_NEW);
	CHECK_EQ(v->run->gs.base, 0x1000);
	setup_paging();
	task_exit_of(TSS_NEW16, TASK_JMP, 7);
	CHECK_EQ(v->run->cr3, TABLES);
	/* what is not mapped before the switch */
	for (u32 page = 0; page < 3; page++) {
		static const u32 pages[] = {GDT, OLD, NEW};

		setup_paging();
		put(TABLES + 0x1000 + (pages[page] >> 12) * 4, 0, 4);
		task_exit_of(TSS_NEW, TASK_CALL, 7);
		CHECK(host_raised(v, VECTOR_PF));
		CHECK_EQ(v->run->cr2 & ~0xfffull, pages[page]);
		CHECK(in_old_task());
		CHECK_EQ(type_of(TSS_NEW), 0x89);
		/* or not writable, with WP */
		setup_paging();
		v->run->cr0 |= CR0_WP;
		put(TABLES + 0x1000 + (pages[page] >> 12) * 4, pages[page] | 1, 4);
		task_exit_of(TSS_NEW, TASK_CALL, 7);
		CHECK(host_raised(v, VECTOR_PF));
		CHECK_EQ(v->run->inject >> 32, PF_PRESENT | PF_WRITE);
		CHECK(in_old_task());
	}
	/* a TSS over two pages */
	setup_paging();
	put_descriptor(GDT, TSS_NEW, NEW + 0xfe0, 0x67, 0x89, 0);
	memmove(host_ram + NEW + 0xfe0, host_ram + NEW, 0x68);
	task_exit_of(TSS_NEW, TASK_JMP, 7);
	CHECK_EQ(v->run->rip, 0x12345678);
	CHECK_EQ(v->run->gs.base, 0x1000);
	setup_paging();
	put_descriptor(GDT, TSS_NEW, NEW + 0xfe0, 0x67, 0x89, 0);
	put(TABLES + 0x1000 + (NEW2 >> 12) * 4, 0, 4);
	task_exit_of(TSS_NEW, TASK_JMP, 7);
	CHECK(host_raised(v, VECTOR_PF));
	CHECK_EQ(v->run->cr2, NEW2);
	CHECK(in_old_task());
	/* after it: in the new task */
	setup_paging();
	put(TABLES_NEW + 0x1000 + (GDT >> 12) * 4, 0, 4);
	task_exit_of(TSS_NEW, TASK_JMP, 7);
	CHECK(host_raised(v, VECTOR_PF));
	CHECK_EQ(v->run->cr2, GDT + LDT_NEW);
	CHECK_EQ(v->run->tr.selector, TSS_NEW);
	/* the stack of the error code, in ring 3 on a page of ring 0 */
	setup_paging();
	put_new(0x4c, CODE3 | 3);
	put_new(0x50, DATA3 | 3);
	put_new(0x48, 0);
	put_new(0x54, 0);
	put_new(0x5c, 0);
	task_event(TSS_NEW, INJECT_VALID | INJECT_TYPE_EXCEPT | INJECT_ERROR | 17, false, 0);
	CHECK(host_raised(v, VECTOR_PF));
	CHECK_EQ(v->run->inject >> 32, PF_PRESENT | PF_WRITE | PF_USER);
}

/* Tables where no RAM is, long mode, and any bytes at all. */
TEST(task_hostile)
{
	srand(7);
	setup();
	v->run->gdtr.base = 0xd0000000;
	task_exit_of(TSS_NEW, TASK_JMP, 7);
	CHECK(raised(VECTOR_GP, TSS_NEW));
	setup();
	v->run->efer = EFER_LME | EFER_LMA;
	task_exit_of(TSS_NEW, TASK_JMP, 7);
	CHECK_EQ(host_machine.stop, MACHINE_FAILED);
	for (u32 i = 0; i < 100000; i++) {
		if (i % 16 == 0)
			setup();
		for (u32 k = (u32)rand() % 8; k--;)
			host_ram[GDT + (u32)rand() % GDT_SIZE] = (u8)rand();
		for (u32 k = (u32)rand() % 8; k--;)
			host_ram[NEW + (u32)rand() % 0x68] = (u8)rand();
		if (rand() % 4 == 0)
			v->run->cr0 ^= CR0_PG;
		if (rand() % 16 == 0)
			v->run->tr.base = (u32)rand() << 1;
		if (rand() % 16 == 0)
			v->run->tr.limit = (u32)rand() % 0x80;
		if (rand() & 1)
			task_event((u16)(rand() % 0x100),
				(u64)rand() << 33 ^ (u64)rand() ^ (rand() & 1 ? INJECT_VALID : 0),
				rand() & 1, (u32)rand() % 4);
		else
			task_exit_of((u16)(rand() % 0x100), (enum exit_task_source)(rand() % 5),
				(u32)rand() % 4);
		host_machine.stop = MACHINE_RUNS;
		host.log[0] = 0;
		v->run->efer = 0;
		v->run->cr0 |= CR0_PE;
	}
}
