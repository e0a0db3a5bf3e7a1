/* The debugger's traps: breakpoints, watchpoints and steps, and those that are the guest's own. */
#include "guests/vmm/debug/debug.h"
#include "guests/vmm/debug/gdb.h"
#include "tests/unit/debug_line.h"

#define CODE  0x10000u
#define STACK 0x20000u

static struct vcpu *v;

static void setup(void)
{
	v = line_setup(1);
	CHECK_EQ(line_attach(), true);
}

/* An exception exits; `address` is what a run page has there. */
static void trap(struct vcpu *of, u32 vector, u64 address, u32 length)
{
	of->run->exit.exception.vector = vector;
	of->run->exit.exception.error = 0;
	of->run->exit.exception.address = address;
	host_exit(of, EXIT_EXCEPTION, length);
}

TEST(gdb_software_breakpoint)
{
	setup();
	memcpy(host_ram + CODE, "\x90\x91\x92\x93", 4);
	ASK("Z0,10001,1", "OK");
	ASK("Z0,10001,1", "OK");
	CHECK_EQ(host_ram[CODE + 1], 0xf4);
	ASK("m10000,4", "90919293");
	ASK("M10000,3:a0a1a2", "OK");
	CHECK(memcmp(host_ram + CODE, "\xa0\xf4\xa2\x93", 4) == 0);
	ASK("m10000,3", "a0a1a2");
	ASK("vCont;c", "");
	line_leave(v);
	CHECK_EQ(v->run->exceptions, BIT(1) | BIT(13));
	CHECK(!(v->run->flags & RUN_HLT_WAIT));
	v->run->rip = CODE + 1;
	host_exit(v, EXIT_HLT, 1);
	CHECK(v->pause && host_machine.debug.hold);
	CHECK(!(v->run->inject & INJECT_VALID));
	CHECK_EQ(v->run->rip, CODE + 1);
	EXPECT("T05swbreak:;thread:1;");
	ASK("vCont;c", "");
	line_leave(v);
	v->run->ss.attributes |= 3 << 5; /* ring 3: there HLT faults */
	trap(v, 13, 0, 0);
	EXPECT("T05swbreak:;thread:1;");
	CHECK(v->run->flags & RUN_HLT_WAIT);
	ASK("z0,10001,1", "OK");
	ASK("z0,10001,1", "OK");
	CHECK_EQ(host_ram[CODE + 1], 0xa1);
	ASK("Z0,200000,1", "E0e");
	ASK("Z3,1000,1", "");
	ASK("Z5,1000,1", "");
	ASK("Z0", "E16");
}

/* What the guest wrote over a breakpoint stays. */
TEST(gdb_breakpoint_overwritten)
{
	setup();
	ASK("Z0,10000,1", "OK");
	host_ram[CODE] = 0x77;
	ASK("m10000,1", "77");
	ASK("z0,10000,1", "OK");
	CHECK_EQ(host_ram[CODE], 0x77);
}

TEST(gdb_breakpoints_are_bounded)
{
	char text[32];

	setup();
	for (u32 i = 0; i < DEBUG_SOFT_MAX; i++) {
		snprintf(text, sizeof(text), "Z0,%x,1", CODE + i);
		ASK(text, "OK");
	}
	ASK("Z0,10100,1", "E0e");
	CHECK_EQ(host_ram[CODE + 0x100], 0);
	ASK("D", "OK");
	for (u32 i = 0; i < DEBUG_SOFT_MAX; i++)
		CHECK_EQ(host_ram[CODE + i], 0);
}

/* A VMM that died has left some. */
TEST(gdb_open_removes_what_is_left)
{
	setup();
	host_ram[CODE] = 0x55;
	ASK("Z0,10000,1", "OK");
	CHECK_EQ(host_ram[CODE], 0xf4);
	line_open();
	CHECK_EQ(host_ram[CODE], 0x55);
	CHECK_EQ(host_machine.state->debug.soft[0].used, 0);
}

/* It died in the middle of a step, with a breakpoint in a debug register. */
TEST(gdb_take_over)
{
	setup();
	v->run->rflags = 2;
	v->run->dr[3] = 0x1111;
	v->run->dr7 = 0x4c0;
	ASK("Z0,10000,1", "OK");
	ASK("Z1,12345,1", "OK");
	ASK("vCont;s:1", "");
	line_leave(v);
	CHECK(v->run->dr7 != 0x4c0 && v->run->rflags & BIT(8));
	CHECK(!(v->run->flags & RUN_HLT_WAIT));
	host_machine.debug = (struct debug){0};
	v->run->dirty = 0;
	debug_take_over(&host_machine);
	CHECK_EQ(v->run->dr[3], 0x1111);
	CHECK_EQ(v->run->dr7, 0x4c0);
	CHECK_EQ(v->run->rflags, 2);
	CHECK_EQ(v->run->exceptions, 0);
	CHECK(v->run->flags & RUN_HLT_WAIT);
	CHECK((v->run->dirty & (GROUP_RIP | GROUP_DR | GROUP_CONTROL)) ==
		(GROUP_RIP | GROUP_DR | GROUP_CONTROL));
	CHECK_EQ(host_ram[CODE], 0);
	v->run->dirty = 0;
	debug_take_over(&host_machine);
	CHECK_EQ(v->run->dirty, 0);
}

/* The guest's own HLT, #GP and #DB. */
TEST(gdb_reflects_the_guests_traps)
{
	setup();
	ASK("Z0,10100,1", "OK");
	ASK("vCont;c", "");
	line_leave(v);
	v->run->rip = CODE;
	host_exit(v, EXIT_HLT, 1);
	CHECK_EQ(v->run->rip, CODE + 1);
	CHECK_EQ(v->run->activity, ACTIVITY_HLT);
	CHECK(!(v->run->flags & RUN_HLT_WAIT));
	v->run->exit.exception.error = 8;
	v->run->exit.exception.vector = 13;
	host_exit(v, EXIT_EXCEPTION, 0);
	CHECK(host_raised(v, 13));
	CHECK_EQ(v->run->inject >> 32, 8);
	v->run->dr6 = 0xffff0ff1;
	v->run->dr7 = BIT(13) | 0x400;
	trap(v, 1, BIT(13) | BIT(14) | 2, 0);
	CHECK(host_raised(v, 1));
	CHECK_EQ(v->run->dr6, 0xffff0ff0 | BIT(13) | BIT(14) | 2);
	CHECK_EQ(v->run->dr7, 0x400);
	trap(v, 14, 0x1234, 0);
	CHECK(host_raised(v, 14));
	CHECK_EQ(v->run->cr2, 0x1234);
	CHECK(!v->pause);
}

/* Begins a step of one instruction, `code`, at CODE. */
static void step_at(const char *code, u32 size)
{
	memcpy(host_ram + CODE, code, size);
	v->run->rip = CODE;
	ASK("vCont;s:1", "");
	line_leave(v);
	CHECK(v->run->rflags & RFLAGS_TF);
}

static void stepped(u64 rip)
{
	v->run->rip = rip;
	v->run->dr6 |= DR6_BS; /* as AMD-V does */
	trap(v, 1, DR6_BS, 0);
	EXPECT("T05thread:1;");
	CHECK(!(v->run->inject & INJECT_VALID));
	CHECK(!(v->run->dr6 & DR6_BS));
}

TEST(gdb_step)
{
	setup();
	v->run->rflags = RFLAGS_FIXED | RFLAGS_IF;
	v->run->shadow = SHADOW_STI | SHADOW_NMI;
	v->lapic->page->word[(0x200 + 0x20) / 4] = BIT(0x51 - 64);
	v->run->pending.vector[3] = BIT(60);
	step_at("\x90", 1);
	CHECK_EQ(v->run->shadow, SHADOW_NMI);
	CHECK_EQ(v->lapic->page->word[(0x200 + 0x20) / 4], 0);
	CHECK(!v->run->pending.vector[1] && !v->run->pending.vector[3]);
	CHECK(!(v->run->flags & RUN_HLT_WAIT));
	CHECK(v->run->dirty & GROUP_APIC);
	stepped(CODE + 1);
	CHECK_EQ(v->run->rflags, RFLAGS_FIXED | RFLAGS_IF);
	CHECK_EQ(v->run->pending.vector[1], BIT(0x51 - 64));
	CHECK_EQ(v->run->pending.vector[3], BIT(60));
	CHECK_EQ(v->run->pending.control, 1);
	CHECK(v->run->flags & RUN_HLT_WAIT);
}

/* An instruction that the VMM completes, and HLT. */
/* Bochs with AMD-V leaves DR6 as it was; so does the guest's own INT1. */
TEST(gdb_step_without_status)
{
	setup();
	step_at("\x90", 1);
	v->run->rip = CODE + 1;
	trap(v, 1, 0xffff0ff0, 0);
	EXPECT("T05thread:1;");
	CHECK(!(v->run->inject & INJECT_VALID));
	step_at("\xf1", 1);
	v->run->rip = CODE + 1;
	trap(v, 1, 0xffff0ff0, 0);
	CHECK(host_raised(v, VECTOR_DB));
}

TEST(gdb_step_over_exits)
{
	setup();
	step_at("\x0f\xa2", 2);
	host_exit(v, EXIT_CPUID, 2);
	EXPECT("T05thread:1;");
	CHECK_EQ(v->run->rip, CODE + 2);
	CHECK(!(v->run->rflags & RFLAGS_TF) && !(v->run->inject & INJECT_VALID));
	step_at("\xf4", 1);
	host_exit(v, EXIT_HLT, 1);
	EXPECT("T05thread:1;");
	CHECK_EQ(v->run->rip, CODE + 1);
	CHECK_EQ(v->run->activity, ACTIVITY_HLT);
	/* One that is halted needs its interrupts. */
	v->run->pending.vector[1] = 1;
	ASK("vCont;s:1", "");
	line_leave(v);
	CHECK_EQ(v->run->pending.vector[1], 1);
}

/* What PUSHF, POPF, IRET and SYSCALL do with TF. */
TEST(gdb_step_hides_tf)
{
	u64 flags = RFLAGS_FIXED | RFLAGS_TF;

	setup();
	step_at("\x66\x9c", 2);
	v->run->gpr[RSP] = STACK;
	memcpy(host_ram + STACK, &flags, sizeof(flags));
	stepped(CODE + 2);
	CHECK_EQ(host_ram[STACK + 1], 0);
	step_at("\x9d", 1);
	v->run->rflags = RFLAGS_FIXED; /* what it popped */
	stepped(CODE + 1);
	CHECK_EQ(v->run->rflags, RFLAGS_FIXED);
	step_at("\x48\xcf", 2);
	v->run->rflags = RFLAGS_FIXED | RFLAGS_TF; /* the guest wants to step what it goes to */
	stepped(STACK);
	CHECK_EQ(v->run->rflags, RFLAGS_FIXED | RFLAGS_TF);
	v->run->rflags = RFLAGS_FIXED;
	step_at("\x0f\x05", 2);
	v->run->gpr[11] = RFLAGS_FIXED | RFLAGS_TF;
	stepped(STACK);
	CHECK_EQ(v->run->gpr[11], RFLAGS_FIXED);
}

/* A guest that steps itself gets its trap, too. */
TEST(gdb_step_of_a_stepping_guest)
{
	setup();
	v->run->rflags = RFLAGS_FIXED | RFLAGS_TF;
	step_at("\x90", 1);
	v->run->rip = CODE + 1;
	trap(v, 1, DR6_BS, 0);
	EXPECT("T05thread:1;");
	CHECK(host_raised(v, 1));
	CHECK(v->run->dr6 & DR6_BS);
	CHECK_EQ(v->run->rflags, RFLAGS_FIXED | RFLAGS_TF);
}

/* Interrupted within a handler: TF is in its frame, and its trap, later, is nobody's. */
TEST(gdb_step_given_up)
{
	setup();
	v->run->rflags = RFLAGS_FIXED;
	step_at("\x90", 1);
	v->run->rip = 0x30000;
	v->run->rflags = RFLAGS_FIXED;
	line_send("\x03", 1);
	gdb_attend(&host_machine);
	EXPECT("T02thread:1;");
	CHECK_EQ(host_machine.state->debug.strays, 1);
	ASK("D", "OK");
	line_leave(v);
	CHECK_EQ(v->run->exceptions, BIT(1));
	v->run->rflags = RFLAGS_FIXED | RFLAGS_TF;
	v->run->dr6 = 0xffff4ff0;
	trap(v, 1, DR6_BS, 0);
	CHECK(!(v->run->inject & INJECT_VALID) && !v->pause);
	CHECK_EQ(v->run->rflags, RFLAGS_FIXED);
	CHECK_EQ(v->run->dr6, 0xffff0ff0);
	/* The next is the guest's. */
	trap(v, 1, DR6_BS, 0);
	CHECK(host_raised(v, 1));
}

/* Hidden interrupts come back when the step takes long. */
TEST(gdb_step_that_needs_interrupts)
{
	setup();
	v->run->pending.vector[2] = 4;
	step_at("\x0f\x05", 2);
	CHECK_EQ(v->run->pending.vector[2], 0);
	v->lapic->state->todo |= LAPIC_TODO_TIMER;
	machine_settle(v);
	CHECK(v->deadline < tsc_now() + HOST_TSC_HZ);
	v->run->rflags = RFLAGS_FIXED;
	host_exit(v, EXIT_HLT, 1); /* of the handler */
	CHECK_EQ(v->run->pending.vector[2], 4);
	CHECK_EQ(v->run->activity, ACTIVITY_HLT);
	CHECK(!v->pause);
}

TEST(gdb_hardware_breakpoints)
{
	setup();
	v->run->dr[3] = 0x1111;
	v->run->dr7 = 0x4c0;
	ASK("Z1,ffffffff81000000,1", "OK");
	ASK("Z2,1004,8", "OK"); /* two aligned pieces */
	ASK("Z4,2000,1", "OK");
	ASK("Z2,3000,1", "E0e");
	ASK("Z2,1004,0", "E0e");
	ASK("Z2,1004,ffffffffffffffff", "E0e");
	ASK("vCont;c", "");
	line_leave(v);
	CHECK_EQ(v->run->dr[3], 0xffffffff81000000);
	CHECK_EQ(v->run->dr[2], 0x1004);
	CHECK_EQ(v->run->dr[1], 0x1008);
	CHECK_EQ(v->run->dr[0], 0x2000);
	/* LE GE, global, access of 1, write of 4, write of 4, execution */
	CHECK_EQ(v->run->dr7, 0x7aa | 0x3ull << 16 | 0xdull << 20 | 0xdull << 24);
	v->run->dr6 = 0xffff0ff2;
	trap(v, 1, 2, 0);
	EXPECT("T05watch:1008;thread:1;");
	CHECK_EQ(v->run->dr6, 0xffff0ff0);
	CHECK_EQ(v->run->dr[3], 0x1111);
	CHECK_EQ(v->run->dr7, 0x4c0);
	ASK("vCont;c", "");
	line_leave(v);
	trap(v, 1, 1, 0);
	EXPECT("T05awatch:2000;thread:1;");
	ASK("z2,1004,8", "OK");
	ASK("z4,2000,1", "OK");
	ASK("vCont;c", "");
	line_leave(v);
	CHECK_EQ(v->run->dr7, 0x780);
	v->run->dr[0] = 0x2222; /* the guest writes one that is free, and DR7 */
	trap(v, 1, 8, 0);
	EXPECT("T05hwbreak:;thread:1;");
	CHECK_EQ(v->run->dr[0], 0x2222);
	CHECK_EQ(v->run->dr[3], 0x1111);
	ASK("z1,ffffffff81000000,1", "OK");
	ASK("vCont;c", "");
	line_leave(v);
	CHECK_EQ(v->run->dr7, 0x4c0);
	CHECK_EQ(v->run->dr[3], 0x1111);
}
