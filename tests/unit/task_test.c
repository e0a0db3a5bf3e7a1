/* Hardware task switches on the fake host: both sizes of TSS, each source, links and busy bits. */
#include "tests/unit/task_machine.h"

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
