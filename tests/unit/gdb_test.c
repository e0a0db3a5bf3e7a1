/* The debugger: packets to answers, memory, registers, threads, attaching and detaching, on a fake
 * host. */
#include "guests/vmm/debug/debug.h"
#include "guests/vmm/debug/gdb.h"
#include "guests/vmm/smp.h"
#include "tests/unit/debug_line.h"

#define CODE  0x10000u
#define OTHER (&host_machine.vcpu[1])

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

TEST(gdb_attaches_with_its_first_packet)
{
	v = line_setup(1);
	line_send("\x03+-garbage$?#00", 15); /* no attached debugger, and a wrong checksum */
	gdb_attend(&host_machine);
	CHECK(strcmp(line_answer(), "-") == 0);
	CHECK(!v->pause && !host_machine.debug.hold && !host_machine.debug.attached);
	line_packet("?");
	gdb_attend(&host_machine);
	CHECK(v->pause && host_machine.debug.hold);
	CHECK(strcmp(line_answer(), "+") == 0); /* not before the vCPUs are held */
	debug_park(v);
	gdb_attend(&host_machine);
	SAID("T02thread:1;");
	CHECK(host_logged("a debugger attached"));
}

TEST(gdb_sends_again)
{
	setup();
	ASK("qC", "QC1");
	line_send("-", 1);
	gdb_attend(&host_machine);
	SAID("QC1");
}

TEST(gdb_registers)
{
	char *at;

	setup();
	v->run->gpr[RBX] = 0x1122334455667788;
	v->run->rip = 0xffffffff81000000;
	v->run->rflags = 0x246;
	v->run->cs.selector = 8;
	v->run->cr3 = 0x1000;
	ASK("p1", "8877665544332211");
	ASK("p10", "00000081ffffffff");
	ASK("p11", "46020000");
	ASK("p12", "08000000");
	ASK("p3e", "0010000000000000");
	ASK("p42", "E16");
	ASK("pffffffffffffffff", "E16");
	ASK("p", "E16");
	at = line_ask("g");
	CHECK_EQ(strlen(at), 2 * (16 * 8 + 8 + 4 + 6 * 4 + 8 * 10 + 8 * 4 + 16 * 16 + 4 + 9 * 8));
	CHECK(strncmp(at + 16, "8877665544332211", 16) == 0);
	ASK("P1=0100000000000000", "OK");
	CHECK_EQ(v->run->gpr[RBX], 1);
	v->run->dirty = 0;
	ASK("P10=0000020000000000", "OK");
	CHECK_EQ(v->run->rip, 0x20000);
	CHECK_EQ(v->run->dirty, GROUP_RIP);
	ASK("P3a=0000000000800000", "OK");
	CHECK_EQ(v->run->gs.base, 0x800000000000);
	CHECK(v->run->dirty & GROUP_SEG);
	ASK("P12=10000000", "E16"); /* a selector without its descriptor */
	ASK("P12=08000000", "OK");
	ASK("P3c=0000000000000000", "E16");
	ASK("P1=01", "E16");
	ASK("P1", "E16");
}

TEST(gdb_writes_all_registers)
{
	static char packet[2048] = "G";

	setup();
	v->run->gpr[RCX] = 7;
	strcat(packet, line_ask("g"));
	packet[1 + 2 * 16] = 'a'; /* RCX is the third */
	ASK(packet, "OK");
	CHECK_EQ(v->run->gpr[RCX], 0xa7);
	ASK("G00", "E16");
}

TEST(gdb_fpu_registers)
{
	u64 one = 1;

	v = line_setup(1);
	memcpy(host.fpu + 160, "abcdefghijklmnop", 16);
	memcpy(host.fpu + 512, &one, sizeof(one)); /* XSTATE_BV: SSE is in its initial state */
	host.fpu[4] = 0x80;                        /* R7 is not empty; TOP is 0 */
	CHECK(line_attach());
	ASK("p28", "00000000000000000000000000000000");
	ASK("p38", "801f0000");
	ASK("p22", "ff7f0000");
	ASK("P29=000102030405060708090a0b0c0d0e0f", "OK");
	ASK("P22=00000000", "E16");
	ASK("vCont;c", "");
	line_leave(v);
	CHECK_EQ(host.fpu[176 + 15], 15);
	CHECK_EQ(host.fpu[512], 3);
}

TEST(gdb_memory)
{
	setup();
	memcpy(host_ram + 0x1ffe, "\x12\x34\x56\x78", 4);
	ASK("m1ffe,4", "12345678");
	ASK("M1fff,2:abcd", "OK");
	CHECK(memcmp(host_ram + 0x1ffe, "\x12\xab\xcd\x78", 4) == 0);
	ASK("M1fff,2:ab", "E16");
	ASK("M1fff,2:abxy", "E16");
	ASK("m1ffe", "E16");
	ASK("X1ffe,3:}\x03}]", "E16"); /* four bytes on the line are two */
	ASK("X1ffe,2:}\x03}]", "OK");
	CHECK(memcmp(host_ram + 0x1ffe, "\x23\x7d", 2) == 0);
	ASK("X0,0:", "OK");
	/* The end of RAM; no RAM; not canonical; the local APIC must not be touched. */
	CHECK_EQ(strlen(line_ask("m1ffffc,10")), 8);
	ASK("m200000,4", "E0e");
	ASK("mfee00020,4", "E0e");
	ASK("m800000000000,4", "E0e");
	ASK("M200000,1:00", "E0e");
	ASK("mffffffffffffffff,2", "E0e");
}

TEST(gdb_time_stands_still)
{
	u64 offset, now, before;

	setup();
	before = machine_now(&host_machine);
	offset = v->state->tsc_offset;
	host_machine.debug.stopped_at = tsc_now() - HOST_TSC_HZ; /* for a second */
	ASK("vCont;c", "");
	now = machine_now(&host_machine);
	CHECK((s64)(now - before) < 0);
	CHECK(offset - v->state->tsc_offset >= HOST_TSC_HZ);
	CHECK(offset - v->state->tsc_offset < 2 * HOST_TSC_HZ);
	CHECK_EQ(v->run->tsc_offset, v->state->tsc_offset);
	CHECK(v->run->dirty & GROUP_TSC);
	CHECK(v->lapic->state->todo & LAPIC_TODO_TIMER);
	CHECK_EQ(host_machine.state->start_tsc, host_machine.clock.start);
}

TEST(gdb_interrupt_and_new_debugger)
{
	setup();
	ASK("c", "");
	line_leave(v);
	line_send("\x03", 1);
	gdb_attend(&host_machine);
	EXPECT("T02thread:1;");
	ASK("c", "");
	line_leave(v);
	/* The first has gone; another asks, and gets no stop reply that it does not expect. */
	line_packet("qAttached");
	gdb_attend(&host_machine);
	CHECK(strcmp(line_answer(), "+") == 0);
	line_hold();
	SAID("1");
	ASK("?", "T02thread:1;");
}

TEST(gdb_detach)
{
	setup();
	ASK("Z1,10000,1", "OK");
	ASK("D", "OK");
	line_leave(v);
	CHECK_EQ(v->run->exceptions, 0);
	CHECK(!host_machine.debug.attached && !host_machine.debug.hold);
	CHECK_EQ(v->run->dr7 & 0xff, 0);
	trap(v, 1, 1, 0);
	CHECK(host_raised(v, 1));
}

TEST(gdb_kill_and_end)
{
	setup();
	ASK("vKill;1", "OK");
	CHECK_EQ(host_machine.stop, MACHINE_POWERED_OFF);
	setup();
	ASK("c", "");
	line_leave(v);
	gdb_guest_ended(&host_machine, false);
	SAID("W00");
	gdb_guest_ended(&host_machine, false);
	CHECK(strcmp(line_answer(), "") == 0);
}

/* A triple fault can be looked at; resuming ends the guest. */
TEST(gdb_looks_at_a_failure)
{
	setup();
	ASK("c", "");
	line_leave(v);
	host_exit(v, EXIT_SHUTDOWN, 0);
	CHECK(host_logged("stopped: triple fault"));
	CHECK_EQ(host_machine.stop, MACHINE_RUNS);
	EXPECT("T06thread:1;");
	CHECK_EQ(strlen(line_ask("g")), 1216);
	ASK("c", "");
	CHECK_EQ(host_machine.stop, MACHINE_FAILED);
	gdb_guest_ended(&host_machine, true);
	SAID("X06");
	/* Without a debugger it ends at once. */
	v = line_setup(1);
	host_exit(v, EXIT_SHUTDOWN, 0);
	CHECK_EQ(host_machine.stop, MACHINE_FAILED);
}

TEST(gdb_waits_at_the_start)
{
	v = line_setup(2);
	line_open_waiting();
	CHECK(v->pause && OTHER->pause && debug_wanted(v));
	CHECK(host_logged("waits for a debugger"));
}

static void setup_two(void)
{
	v = line_setup(2);
	OTHER->state->wait_startup = 0;
	line_packet("?");
	gdb_attend(&host_machine);
	CHECK_EQ(host.signals_to[2] & BIT(VCPU_BIT_MAIL), BIT(VCPU_BIT_MAIL));
	debug_park(v);
	gdb_attend(&host_machine);
	CHECK(strcmp(line_answer(), "+") == 0); /* the other still runs */
	vcpu_open_mail(OTHER);
	CHECK(OTHER->pause);
	debug_park(OTHER);
	gdb_attend(&host_machine);
	SAID("T02thread:1;");
}

TEST(gdb_threads)
{
	setup_two();
	ASK("qfThreadInfo", "m1,2");
	ASK("qsThreadInfo", "l");
	OTHER->run->activity = ACTIVITY_HLT;
	ASK("qThreadExtraInfo,2", "7663707520312c2068616c746564");
	ASK("qThreadExtraInfo,3", "E16");
	ASK("T2", "OK");
	ASK("T3", "E16");
	OTHER->run->gpr[RAX] = 0x99;
	ASK("Hg2", "OK");
	ASK("p0", "9900000000000000");
	ASK("qC", "QC2");
	ASK("Hg0", "OK");
	ASK("qC", "QC2");
	ASK("Hg3", "E16");
	ASK("Hx1", "E16");
	ASK("Hc-1", "OK");
}

/* One runs, the other stays held. */
TEST(gdb_resumes_one)
{
	setup_two();
	ASK("vCont;c:2", "");
	CHECK_EQ(v->debug.action, DEBUG_STAY);
	CHECK_EQ(OTHER->debug.action, DEBUG_CONTINUE);
	CHECK_EQ(host_machine.debug.held, 1);
	debug_leave(OTHER);
	trap(OTHER, 1, DR6_BS, 0); /* the guest's own */
	CHECK(host_raised(OTHER, 1));
	host_ram[CODE] = 0x90;
	OTHER->run->inject = 0;
	line_send("\x03", 1);
	gdb_attend(&host_machine);
	CHECK(debug_wanted(OTHER));
	debug_park(OTHER);
	EXPECT("T02thread:1;");
	/* The leftmost action that fits counts. */
	ASK("vCont;s:2;c", "");
	CHECK_EQ(v->debug.action, DEBUG_CONTINUE);
	CHECK_EQ(OTHER->debug.action, DEBUG_STEP);
}

/* Two watchpoints at once: the second is told before anything runs on. */
TEST(gdb_news_of_two)
{
	setup_two();
	ASK("Z2,1000,4", "OK");
	ASK("vCont;c", "");
	debug_leave(v);
	debug_leave(OTHER);
	trap(OTHER, 1, 8, 0);
	trap(v, 1, 8, 0);
	debug_park(v);
	debug_park(OTHER);
	EXPECT("T05watch:1000;thread:1;");
	line_packet("vCont;c");
	gdb_attend(&host_machine);
	SAID("T05watch:1000;thread:2;");
	CHECK_EQ(host_machine.debug.held, 3);
	ASK("vCont;c", "");
	CHECK_EQ(host_machine.debug.held, 0);
}

/* INIT leaves the debugger's settings. */
TEST(gdb_init_signal)
{
	setup_two();
	ASK("Z1,10000,1", "OK");
	ASK("vCont;c", "");
	debug_leave(OTHER);
	vcpu_post(OTHER, MAIL_INIT);
	vcpu_open_mail(OTHER);
	CHECK_EQ(OTHER->run->dr[3], 0x10000);
	CHECK_EQ(OTHER->run->dr7 & 0xff, 0x80);
	CHECK_EQ(OTHER->run->exceptions, BIT(1));
	debug_park(OTHER);
	CHECK_EQ(OTHER->run->dr7, 0x400);
	CHECK_EQ(OTHER->run->dr[3], 0);
}

TEST(gdb_features)
{
	char ask[64];
	static char all[8192];
	u32 size = 0;

	setup();
	CHECK(strstr(line_ask("qSupported:swbreak+"), "qXfer:features:read+"));
	for (;;) {
		char *part;

		snprintf(ask, sizeof(ask), "qXfer:features:read:target.xml:%x,3fb", size);
		part = line_ask(ask);
		CHECK(*part == 'm' || *part == 'l');
		strcpy(all + size, part + 1);
		size += (u32)strlen(part + 1);
		if (*part != 'm')
			break;
	}
	CHECK(strcmp(all, gdb_target_xml) == 0);
	ASK("qXfer:features:read:other.xml:0,10", "E00");
	ASK("qXfer:features:read:target.xml:ffffffff,10", "l");
	ASK("vMustReplyEmpty", "");
	ASK("qCRC:0,10", "");
	ASK("vCont?", "vCont;c;C;s;S");
	ASK("vCont;x", "E16");
	ASK("vCont", "E16");
	ASK("vCont;s:2", "E16");
}

/* A ring whose indices make no sense has nothing in it. */
TEST(gdb_broken_ring)
{
	setup();
	line_session.to_client.ring.head += 1u << 20;
	gdb_attend(&host_machine);
	CHECK(strcmp(line_answer(), "") == 0);
}
