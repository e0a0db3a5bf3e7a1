/* Task switches that fault, in the old task or in the new one; paging; hostile memory. */
#include <stdlib.h>
#include "tests/unit/task_machine.h"

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
