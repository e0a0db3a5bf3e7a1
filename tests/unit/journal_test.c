/*
 * Deaths of a VMM at every store that it makes: each exit is handled once undisturbed, and then
 * once for every store, up to that one, and to the end by a fresh process, which may die too. What
 * comes out must be the same. The compiler's announcements are the places to die at; here those of
 * the journal's own stores are among them.
 */
#include <stdlib.h>
#include "guests/vmm/console.h"
#include "guests/vmm/lock.h"
#include "guests/vmm/smp.h"
#include "tests/unit/journal_deaths.h"
#include "tests/unit/machine_host.h"

#define VCPUS     2
#define COM1      0x3f8
#define CODE      0x10000u
#define DATA      0x11000u
#define KEPT      0x2000u /* bytes of RAM from CODE on that exits may change */
#define LAPIC     0xfee00000u
#define EXITS     400
#define SCRAMBLED 0x5a
#define SLOW      1000000ull

/* --- the kernel's side of a vCPU: register groups that it has, and the page shows when asked ---
 */

struct field {
	u64 group;
	u64 first;
	u64 end;
};
#define FIELD(group, first, last)                                                                  \
	{                                                                                          \
		group, offsetof(struct run_page, first),                                           \
			offsetof(struct run_page, last) + sizeof(((struct run_page *)0)->last)     \
	}
static const struct field fields[] = {
	FIELD(GROUP_RIP, rip, activity),
	FIELD(GROUP_CR, cr0, efer),
	FIELD(GROUP_SEG, es, gs),
	FIELD(GROUP_SYS, ldtr, idtr),
	FIELD(GROUP_DR, dr, dr7),
	FIELD(GROUP_MSR, star, spec_ctrl),
	FIELD(GROUP_TSC, tsc_offset, tsc_offset),
	FIELD(GROUP_XCR, xcr0, xcr0),
};

static struct run_page kernel[VCPUS];

static void copy_groups(struct run_page *to, const struct run_page *from, u64 groups)
{
	for (u32 i = 0; i < ARRAY_SIZE(fields); i++) {
		const struct field *f = &fields[i];

		if (groups & f->group)
			real_memcpy((u8 *)to + f->first, (const u8 *)from + f->first,
				f->end - f->first);
	}
}

static void import(struct vcpu *v)
{
	copy_groups(&kernel[v->index], v->run, v->run->dirty);
	v->run->dirty = 0;
}

static void fetch(struct vcpu *v, u64 groups)
{
	import(v);
	copy_groups(v->run, &kernel[v->index], groups);
	v->run->valid = groups;
}

/* The guest ran and left; what the page does not show is not what it was. */
static void leave_guest(struct vcpu *v, enum exit_kind kind)
{
	struct run_page *run = v->run;
	u64 groups = run->export[kind];

	import(v);
	run->inject = 0;
	for (u32 i = 0; i < ARRAY_SIZE(fields); i++)
		real_memset(
			(u8 *)run + fields[i].first, SCRAMBLED, fields[i].end - fields[i].first);
	copy_groups(run, &kernel[v->index], groups);
	run->valid = groups;
	run->exit_kind = kind;
	run->sequence++;
}

/* --- all that outlives a process --- */

struct world {
	struct machine_state state;
	struct journal_log log[VCPUS];
	struct run_page run[VCPUS];
	struct run_page kernel[VCPUS];
	struct lapic_page page[VCPUS];
	struct console_session session;
	u8 ram[KEPT];
};

static struct console_session session;
static struct journal_log *logs[VCPUS];
static struct machine *m = &host_machine;
static struct vcpu *v;
static struct world before;
static struct world after;

static void world_save(struct world *w)
{
	w->state = *m->state;
	for (u32 i = 0; i < VCPUS; i++) {
		w->log[i] = *logs[i];
		w->run[i] = *m->vcpu[i].run;
		w->page[i] = *m->lapic[i].page;
		w->kernel[i] = kernel[i];
	}
	w->session = session;
	real_memcpy(w->ram, host_ram + CODE, KEPT);
}

static void world_load(const struct world *w)
{
	*m->state = w->state;
	for (u32 i = 0; i < VCPUS; i++) {
		*logs[i] = w->log[i];
		*m->vcpu[i].run = w->run[i];
		*m->lapic[i].page = w->page[i];
		kernel[i] = w->kernel[i];
	}
	session = w->session;
	real_memcpy(host_ram + CODE, w->ram, KEPT);
}

/* --- processes --- */

static struct journal journal[VCPUS];

static void attach_console(void)
{
	const struct start_resource r = {.address = (u64)&session, .size = sizeof(session)};

	console_open(m, &r);
}

/* Everything that a process has of its own is new; what it finds is kept. */
static void process_begin(void)
{
	static struct machine fresh;

	real_memset(&fresh, 0, sizeof(fresh));
	fresh.state = m->state;
	fresh.vcpus = VCPUS;
	fresh.memory = m->memory;
	fresh.clock = m->clock;
	fresh.cpuid = m->cpuid;
	fresh.fpu_size = m->fpu_size;
	for (u32 i = 0; i < VCPUS; i++) {
		fresh.vcpu[i].index = i;
		fresh.vcpu[i].run = m->vcpu[i].run;
		fresh.vcpu[i].event = i + 1;
		fresh.lapic[i].page = m->lapic[i].page;
	}
	real_memcpy(m, &fresh, sizeof(fresh));
	for (u32 i = 0; i < VCPUS; i++)
		machine_journal(m, i, &journal[i], logs[i]);
}

static void thread_begin(struct vcpu *of)
{
	exit_export(of->run);
	journal_begin(of);
}

/* Takes over as main and run_guest do. True: it died too. */
static bool take_over(u64 store)
{
	journal_tested = NULL;
	life_begin(store);
	if (setjmp(death))
		return true;
	process_begin();
	CHECK(machine_resume(m));
	attach_console();
	for (u32 i = 0; i < VCPUS; i++) {
		struct vcpu *one = &m->vcpu[i];

		thread_begin(one);
		exit_take_over(one);
		machine_settle(one);
	}
	life_begin(0);
	return false;
}

static void setup(void)
{
	life_begin(0);
	journal_tested = NULL;
	v = host_setup_smp(false, VCPUS);
	host.fetch = fetch;
	/* a nanosecond of the guest's takes SLOW cycles: none passes, so that all runs are alike */
	m->clock.ns_per_cycle = (1ull << CLOCK_NS_SHIFT) / SLOW;
	m->clock.cycles_per_ns = SLOW << CLOCK_CYCLES_SHIFT;
	memset(&session, 0, sizeof(session));
	for (u32 i = 0; i < VCPUS; i++) {
		struct vcpu *one = &m->vcpu[i];

		logs[i] = one->log;
		one->run->dirty = GROUP_ALL_REG;
		one->post->mail = 0;
		one->state->wait_startup = 0;
		import(one);
		lapic_write(m, &m->lapic[i], LAPIC_SVR, 4, 0x1ff);
		machine_journal(m, i, &journal[i], logs[i]);
	}
	CHECK(machine_add_serial(m, COM1, 4));
	attach_console();
	m->state->ready = 1;
	for (u32 i = 0; i < VCPUS; i++) {
		thread_begin(&m->vcpu[i]);
		machine_settle(&m->vcpu[i]);
	}
	journal_tested = v->journal;
}

/* --- what must come out --- */

static bool compare(const struct world *a, const struct world *b, const char *what, u64 at)
{
	const struct {
		const char *name;
		const void *a;
		const void *b;
		size_t size;
	} parts[] = {
#define PART(field) {#field, &a->field, &b->field, sizeof(a->field)}
		PART(state.stop),
		PART(state.bytes),
		PART(state.vcpu[0]),
		PART(state.lapic[0]),
		PART(state.lapic[1]),
		PART(state.ioapic),
		PART(state.pic),
		PART(state.uart),
		PART(state.i8042),
		PART(state.pci),
		PART(run[0].gpr),
		PART(run[0].inject),
		PART(run[0].flags),
		PART(run[0].pending),
		PART(run[1].pending),
		PART(page),
		PART(session),
		PART(ram),
	};

	for (u32 i = 0; i < ARRAY_SIZE(parts); i++) {
		if (memcmp(parts[i].a, parts[i].b, parts[i].size) == 0)
			continue;
		test_fail(__FILE__, __LINE__, "%s, killed at store %llu: %s differs", what,
			(unsigned long long)at, parts[i].name);
		return false;
	}
	for (u32 i = 0; i < ARRAY_SIZE(fields); i++) {
		const struct field *f = &fields[i];

		if (f->group == GROUP_XCR ||
			memcmp((const u8 *)&a->kernel[0] + f->first,
				(const u8 *)&b->kernel[0] + f->first, f->end - f->first) == 0)
			continue;
		test_fail(__FILE__, __LINE__, "%s, killed at store %llu: group %llx differs", what,
			(unsigned long long)at, (unsigned long long)f->group);
		return false;
	}
	return true;
}

/* Time goes on, so no timer may come due in one run and not in another. */
static void no_timers(void)
{
	for (u32 i = 0; i < MACHINE_TIMER_COUNT; i++)
		m->state->timer[i] = MACHINE_NEVER;
}

/* What follows the handling: the guest is entered. */
static void finish(struct world *w)
{
	life_begin(0);
	machine_lock(v); /* a fresh process looks for input */
	console_event(m);
	machine_settle(v);
	no_timers();
	import(&m->vcpu[0]);
	world_save(w);
}

/* Handles the exit in `before`; ends in longjmp at the store. */
static void handle(u64 store)
{
	const struct cpuid_entry *e = cpuid_find(v->cpuid, (u32)v->run->gpr[RAX]);

	life_begin(store);
	life_unnoted(v->run->exit_kind == EXIT_CPUID && e && cpuid_plain(e));
	exit_handle(v);
	life_unnoted(false);
}

/* A living process as it was when `before` was saved: its port table and such may have changed. */
static void process_again(void)
{
	journal_tested = NULL;
	world_load(&before);
	process_begin();
	CHECK(machine_resume(m)); /* nothing is open, so that sets up the process only */
	attach_console();
	m->resumed = false;
	world_load(&before);
	no_timers();
	m->vcpu[0].again = false;
	m->console.unpublished = false;
	journal_begin(v);
}

/* The exit in the run page, undisturbed and killed at each store. Returns the number of stores. */
static u64 try_all(const char *what, u64 step)
{
	u64 total;
	static struct world killed;

	world_save(&before);
	process_again();
	handle(0); /* once before, as it sets accessed bits in the guest's page tables */
	process_again();
	handle(0);
	total = life_stores();
	finish(&after);
	for (u64 at = 1; at <= total; at += step) {
		process_again();
		if (!setjmp(death)) {
			handle(at);
			test_fail(__FILE__, __LINE__, "%s: it did not die", what);
		}
		if (rand() % 4 == 0)
			take_over(1 + (u64)rand() % 600);
		if (take_over(0))
			test_fail(__FILE__, __LINE__, "%s: it died again", what);
		finish(&killed);
		if (!compare(&after, &killed, what, at))
			break;
	}
	world_load(&after);
	process_again();
	world_load(&after);
	return total;
}

/* --- exits --- */

static void io_exit(u16 port, u8 size, u8 flags, u32 value)
{
	memset(&v->run->exit, 0, sizeof(v->run->exit));
	v->run->exit.io.port = port;
	v->run->exit.io.size = size;
	v->run->exit.io.flags = flags;
	v->run->gpr[RAX] = 0xaaaaaaaa00000000ull | value;
	leave_guest(v, EXIT_IO);
	v->run->exit_length = 1;
}

/* An instruction of two or three bytes at RIP with a memory operand at [rbx]. */
static void memory_exit(const char *code, u32 size, gpa_t gpa, u64 access)
{
	memcpy(host_ram + CODE, code, size);
	kernel[0].rip = CODE;
	memset(&v->run->exit, 0, sizeof(v->run->exit));
	v->run->exit.memory.gpa = gpa;
	v->run->exit.memory.access = access;
	v->run->gpr[RBX] = gpa;
	leave_guest(v, EXIT_MEMORY);
	v->run->exit_length = 0;
}

static void plain_exit(enum exit_kind kind, u32 length)
{
	memset(&v->run->exit, 0, sizeof(v->run->exit));
	kernel[0].rip = CODE;
	leave_guest(v, kind);
	v->run->exit_length = length;
}

static void random_port(void)
{
	static const u16 ports[] = {COM1, COM1, COM1, COM1 + 1, COM1 + 2, COM1 + 3, COM1 + 4,
		COM1 + 5, COM1 + 6, COM1 + 7, 0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x60, 0x64, 0x70, 0x71,
		0xcf8, 0xcfc, 0xb000};
	u16 port = ports[(u32)rand() % ARRAY_SIZE(ports)];
	u32 value = (u32)rand();

	if (port == 0x70)
		value = 0x40; /* no clock register: time is not the same */
	if (port == 0x64)
		value = value % 2 ? 0x20 : 0x60; /* no reset */
	if (port == 0xcf8)
		value = 0x80000000 | (value & 0xff) | (value % 3) << 11;
	io_exit(port, port == 0xcf8 || port == 0xcfc ? 4 : 1, rand() % 2 ? EXIT_IO_IN : 0, value);
}

static void random_exit(void)
{
	static const u32 leaves[] = {0, 1, 4, 7, 0xd, 0x40000000, 0x80000001, 0x12345};
	static const u16 registers[] = {LAPIC_TPR, LAPIC_EOI, LAPIC_LDR, LAPIC_LVT_LINT0,
		LAPIC_LVT_ERROR, LAPIC_ESR, LAPIC_SVR, LAPIC_ICR};
	u32 offset;

	switch (rand() % 6) {
	case 0:
		v->run->gpr[RAX] = leaves[(u32)rand() % ARRAY_SIZE(leaves)];
		v->run->gpr[RCX] = (u32)rand() % 3;
		plain_exit(EXIT_CPUID, 2);
		break;
	case 1:
		offset = registers[(u32)rand() % ARRAY_SIZE(registers)];
		v->run->gpr[RCX] = (u32)rand();
		if (offset == LAPIC_ICR) /* a fixed vector to the other processor */
			v->run->gpr[RCX] = 0xc4031 + (v->run->gpr[RCX] & 0x7f);
		if (offset == LAPIC_SVR)
			v->run->gpr[RCX] = 0x1ff;
		memory_exit("\x89\x0b", 2, LAPIC + offset, EXIT_ACCESS_WRITE); /* mov [rbx], ecx */
		break;
	case 2:
		memory_exit("\x8b\x0b", 2, LAPIC + 0x100 + ((u32)rand() % 64) * 16,
			EXIT_ACCESS_READ); /* mov ecx, [rbx] */
		break;
	case 3:
		v->run->gpr[RCX] = rand() % 2 ? 0x277 : 0x1a0;
		v->run->gpr[RAX] = v->run->gpr[RCX] == 0x277 ? 0x06060606 : 1;
		v->run->gpr[RDX] = 0;
		plain_exit(rand() % 2 ? EXIT_WRMSR : EXIT_RDMSR, 2);
		break;
	default:
		random_port();
	}
}

TEST(any_exit_at_any_store)
{
	u64 total = 0;

	setup();
	srand(7);
	for (u32 i = 0; i < 200; i++) {
		u8 byte = (u8)i;

		ring_write(&session.to_client.ring, CONSOLE_RING_SIZE, &byte, 1);
	}
	for (u32 i = 0; i < EXITS; i++) {
		char what[64];

		random_exit();
		snprintf(what, sizeof(what), "exit %u, kind %u, port %x", i, v->run->exit_kind,
			v->run->exit.io.port);
		total += try_all(what, 1);
		m->stop = MACHINE_RUNS;
		m->state->stop = 0;
	}
	CHECK(total > 10 * EXITS);
}

/* 100 bytes in one exit: none may be there twice, and their number is large. */
TEST(string_output)
{
	setup();
	for (u32 i = 0; i < 100; i++)
		host_ram[DATA + i] = (u8)i;
	memcpy(host_ram + CODE, "\xf3\x6e", 2); /* rep outsb */
	kernel[0].rip = CODE;
	v->run->gpr[RSI] = DATA;
	v->run->gpr[RCX] = 100;
	v->run->gpr[RDX] = COM1;
	io_exit(COM1, 1, EXIT_IO_STRING | EXIT_IO_REP, 0);
	v->run->exit.io.address_size = 8;
	v->run->exit.io.segment = 3;
	try_all("rep outsb", 7);
	CHECK_EQ(session.to_server.ring.head, 100);
	for (u32 i = 0; i < 100; i++)
		CHECK_EQ(session.to_server.ring.data[i], i);
}

/* Input is taken from the ring once. */
TEST(string_input)
{
	setup();
	for (u32 i = 0; i < 100; i++) {
		u8 byte = (u8)(i + 1);

		ring_write(&session.to_client.ring, CONSOLE_RING_SIZE, &byte, 1);
	}
	memcpy(host_ram + CODE, "\xf3\x6c", 2); /* rep insb */
	kernel[0].rip = CODE;
	v->run->gpr[RDI] = DATA;
	v->run->gpr[RCX] = 40;
	v->run->gpr[RDX] = COM1;
	machine_lock(v);
	console_event(m);
	machine_settle(v);
	io_exit(COM1, 1, EXIT_IO_STRING | EXIT_IO_REP | EXIT_IO_IN, 0);
	v->run->exit.io.address_size = 8;
	try_all("rep insb", 3);
	for (u32 i = 0; i < 40; i++)
		CHECK_EQ(host_ram[DATA + i], i + 1);
}

/* A console's event is no exit; what it began is undone, and begun again. */
TEST(death_between_exits)
{
	u64 total;

	setup();
	ring_write(&session.to_client.ring, CONSOLE_RING_SIZE, "abc", 3);
	world_save(&before);
	process_again();
	machine_lock(v);
	console_event(m);
	machine_settle(v);
	total = life_stores();
	finish(&after);
	CHECK(total > 3);
	for (u64 at = 1; at <= total; at++) {
		static struct world killed;

		process_again();
		life_begin(at);
		if (!setjmp(death)) {
			machine_lock(v);
			console_event(m);
			machine_settle(v);
		}
		CHECK(!take_over(0));
		finish(&killed);
		CHECK(compare(&after, &killed, "event", at));
	}
}

/* Mail that a thread had taken out is acted upon by the next. */
TEST(mail_is_not_lost)
{
	setup();
	world_save(&before);
	for (u64 at = 1; at < 400; at++) {
		process_again();
		vcpu_post(v, MAIL_UNHALT);
		v->run->valid = 0;
		life_begin(at);
		if (!setjmp(death))
			machine_settle(v);
		CHECK(!take_over(0));
		CHECK_EQ(v->state->unhalted, 1);
		CHECK_EQ(v->post->mail & MAIL_UNHALT, 0);
		CHECK_EQ(v->post->taken, 0);
	}
}

TEST(what_does_not_fit_is_refused)
{
	setup();
	v->log->word |= JOURNAL_FULL;
	process_begin();
	CHECK(!machine_resume(m));
	CHECK(host_logged("changed too much"));
	v->log->word = 0;
	m->state->header.version++;
	CHECK(!machine_resume(m));
	CHECK(host_logged("of another version"));
}
