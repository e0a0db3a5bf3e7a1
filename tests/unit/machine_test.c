/* Exits handled by a whole machine: ports, memory-mapped devices, interrupts, the console, faults,
 * hostile state. */
#include <stdlib.h>
#include "guests/vmm/console.h"
#include "guests/vmm/lock.h"
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
	static struct port_map map;
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
	port_remove(&map, 11);
	CHECK(map.at[10] && map.at[14] == map.at[10] && map.at[9] != map.at[10]);
	port_remove(&map, 10);
	CHECK(!map.at[10] && !map.at[14] && map.at[9] && map.at[15] && map.at[0xffff]);
	r = (struct port_range){.first = 9, .count = 3};
	CHECK(!port_add(&map, &r));
	r.first = 10;
	for (u32 i = 0; i < PORT_RANGES - 3; i++, r.first += 4) {
		if (r.first == 14)
			r.first = 20;
		CHECK(port_add(&map, &r));
	}
	CHECK(!port_add(&map, &r));
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
	v->run->gpr[RAX] = 100; /* none that there is */
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
	CHECK_EQ(v->run->pending.level[1], BIT(0x59 - 64));
	v->run->pending.level[1] = 0; /* delivered: in service */
	v->lapic->page->word[(LAPIC_TMR + 0x20) / 4] = 1u << (0x59 - 64);
	v->lapic->page->word[(LAPIC_ISR + 0x20) / 4] = 1u << (0x59 - 64);
	v->run->gpr[RDX] = LAPIC + LAPIC_EOI;
	MEMORY_EXIT("\xc7\x02\x00\x00\x00\x00", LAPIC + LAPIC_EOI, EXIT_ACCESS_WRITE);
	CHECK(v->run->dirty & GROUP_APIC);
	CHECK_EQ(v->run->pending.level[1], BIT(0x59 - 64)); /* still asserted */
	machine_line(m, 9, false);
	v->run->pending.level[1] = 0;
	v->lapic->page->word[(LAPIC_ISR + 0x20) / 4] = 1u << (0x59 - 64);
	MEMORY_EXIT("\xc7\x02\x00\x00\x00\x00", LAPIC + LAPIC_EOI, EXIT_ACCESS_WRITE);
	CHECK_EQ(v->run->pending.level[1], 0);
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
	CHECK_EQ(v->deadline, v->run->timer);
	while (tsc_now() < v->deadline)
		;
	v->run->timer = 0;
	machine_timers(m);
	machine_settle(v);
	CHECK(v->run->timer > m->clock.start);
	CHECK_EQ(v->deadline, v->run->timer);
}

/* The console's event, committed. */
static void event(struct machine *m)
{
	machine_lock(v);
	console_event(m);
	machine_settle(v);
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
	event(m);
	count -= CONSOLE_RING_SIZE;
	CHECK_EQ(ring_read(&session.to_server.ring, CONSOLE_RING_SIZE, taken, CONSOLE_RING_SIZE),
		count);
	/* NOLINTNEXTLINE(clang-analyzer-core.uninitialized.Assign): ring_read filled it */
	CHECK_EQ((u8)taken[count - 1], (u8)(CONSOLE_RING_SIZE + count - 1));
	/* input: as much as the FIFO takes, the rest as it is read */
	out(0x3fa, 1, 1);
	for (u32 i = 0; i < 100; i++) {
		u8 byte = (u8)i;

		ring_write(&session.to_client.ring, CONSOLE_RING_SIZE, &byte, 1);
	}
	event(m);
	for (u32 i = 0; i < 100; i++) {
		CHECK_EQ(in(0x3fd, 1) & 1, 1);
		CHECK_EQ(in(0x3f8, 1) & 0xff, i);
	}
	CHECK_EQ(in(0x3fd, 1) & 1, 0);
	/* a broken ring gives nothing and takes nothing */
	session.to_client.ring.head += 0x100000;
	session.to_server.ring.tail += 5;
	CHECK_EQ(host.broken, 0);
	event(m);
	out(0x3f8, 1, 'y');
	event(m);
	CHECK_EQ(host.broken, 1); /* told once */
	CHECK_EQ(m->stop, MACHINE_RUNS);
	/* a server that is gone does not hold the guest up: what it writes is dropped */
	session.gone = 1;
	event(m);
	for (count = 0; count < 2 * CONSOLE_RING_SIZE; count++) {
		CHECK(in(0x3fd, 1) & 0x20);
		out(0x3f8, 1, count);
	}
}

/* Random registers, code and exits: the guest may die, the VMM may not. */
