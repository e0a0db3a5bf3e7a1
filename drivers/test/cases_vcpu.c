/* Cases: a small real-mode guest, to see each kind of exit, an interrupt, a timer and a doorbell.
 */
#include "drivers/test/guest.h"

#define RUN_PAGE 0x640000000ull
#define CODE     0x1000u
#define DOORBELL 0x90u

struct run_page *const run = (struct run_page *)RUN_PAGE;
u32 *const apic = (u32 *)(RUN_PAGE + PAGE_SIZE);
u8 *guest_ram;
cap_t guest_vcpu;
static cap_t vm;

static void set_segment(struct run_segment *s, u16 attributes)
{
	*s = (struct run_segment){.attributes = attributes, .limit = 0xffff};
}

/* The state of a CPU after reset (SDM vol. 3, table 10-1), but at CODE. */
static void reset_state(void)
{
	run->rip = CODE;
	run->rflags = 2;
	run->shadow = 0;
	run->activity = ACTIVITY_ACTIVE;
	run->cr0 = 0x60000010;
	run->cr2 = 0;
	run->cr3 = 0;
	run->cr4 = 0;
	run->efer = 0;
	set_segment(&run->cs, 0x9b);
	set_segment(&run->ds, 0x93);
	run->es = run->ss = run->fs = run->gs = run->ds;
	set_segment(&run->ldtr, 0x82);
	set_segment(&run->tr, 0x8b);
	set_segment(&run->gdtr, 0);
	set_segment(&run->idtr, 0);
	run->dr6 = 0xffff0ff0;
	run->dr7 = 0x400;
	run->pat = 0x0007040600070406ull;
	run->xcr0 = 1;
	run->gpr[4] = 0x7000; /* SP */
	run->dirty = GROUP_ALL_REG | GROUP_CONTROL;
}

bool guest_begin(const void *code, size_t size)
{
	struct msg_create_vcpu m = {.thread = START_CAP_THREAD};
	cap_t mem = make_mem(GUEST_RAM, PAGE_SIZE);

	guest_ram = map_mem(mem, GUEST_RAM, MAP_READ | MAP_WRITE);
	vm = make(KIND_VM, START_CAP_DOMAIN, NULL, 0);
	m.vm = vm;
	guest_vcpu = make(KIND_VCPU, START_CAP_DOMAIN, &m, sizeof(m));
	if (case_failed())
		return false;
	want_status(sys_mem_map(vm, mem, 0, 0, GUEST_RAM, MAP_READ | MAP_WRITE | MAP_EXEC), OK);
	want_status(sys_vcpu_ctl(guest_vcpu, VCPU_CTL_MAP, RUN_PAGE, 0, NULL), OK);
	if (case_failed())
		return false;
	memcpy(guest_ram + CODE, code, size);
	for (u32 i = 0; i < EXIT_KIND_COUNT; i++)
		run->export[i] = GROUP_RIP;
	reset_state();
	return true;
}

/* Runs to the next exit, which must be of that kind. */
static bool expect(enum exit_kind kind)
{
	u64 bits;
	status_t s = sys_vcpu_run(guest_vcpu, 0, tsc_now() + info->tsc_hz, &bits);

	want_status(s, OK);
	if (s == STATUS_OK && run->exit_kind != kind)
		log_line("exit %u (reason %#lx) at rip %#lx, not %u", run->exit_kind,
			run->exit.failed.reason, run->rip, kind);
	want(s == STATUS_OK && run->exit_kind == kind);
	return !case_failed();
}

void guest_skip(u64 length)
{
	run->rip += length;
	run->dirty |= GROUP_RIP;
}

static void io(void)
{
	static const u8 code[] = {
		0xb0, 0x5a,       /* mov al, 0x5a */
		0xe6, 0x80,       /* out 0x80, al */
		0xe4, 0x71,       /* in al, 0x71 */
		0xa2, 0x00, 0x20, /* mov [0x2000], al */
		0xba, 0xfc, 0x0c, /* mov dx, 0xcfc */
		0xef,             /* out dx, ax */
		0xf4,             /* hlt */
	};

	if (!guest_begin(code, sizeof(code)) || !expect(EXIT_IO))
		return;
	want(run->exit.io.port == 0x80 && run->exit.io.size == 1 && run->exit.io.flags == 0);
	want((run->gpr[0] & 0xff) == 0x5a && run->rip == CODE + 2 && run->exit_length == 2);
	guest_skip(2);
	if (!expect(EXIT_IO))
		return;
	want(run->exit.io.port == 0x71 && run->exit.io.flags == EXIT_IO_IN);
	run->gpr[0] = 0x99;
	guest_skip(2);
	if (!expect(EXIT_IO))
		return;
	want(guest_ram[0x2000] == 0x99);
	want(run->exit.io.port == 0xcfc && run->exit.io.size == 2);
	guest_skip(1);
	expect(EXIT_HLT);
}

static void instructions(void)
{
	static const u8 code[] = {
		0x66, 0xb8, 0x00, 0x00, 0x00, 0x80, /* mov eax, 0x80000000 */
		0x0f, 0xa2,                         /* cpuid */
		0x66, 0xb9, 0x1b, 0x00, 0x00, 0x00, /* mov ecx, 0x1b */
		0x0f, 0x32,                         /* rdmsr */
		0x0f, 0x30,                         /* wrmsr */
		0xf4,                               /* hlt */
	};

	if (!guest_begin(code, sizeof(code)) || !expect(EXIT_CPUID))
		return;
	want((u32)run->gpr[0] == 0x80000000u);
	want(run->exit_length == 2);
	guest_skip(2);
	if (!expect(EXIT_RDMSR))
		return;
	want((u32)run->gpr[1] == 0x1b);
	guest_skip(2);
	if (!expect(EXIT_WRMSR))
		return;
	guest_skip(2);
	expect(EXIT_HLT);
}

static void memory(void)
{
	static const u8 code[] = {
		0xa0, 0x00, 0x90, /* mov al, [0x9000] */
		0xa2, 0x10, 0x90, /* mov [0x9010], al */
		0xf4,             /* hlt */
	};

	if (!guest_begin(code, sizeof(code)) || !expect(EXIT_MEMORY))
		return;
	want(run->exit.memory.gpa == 0x9000);
	want((run->exit.memory.access & (EXIT_ACCESS_READ | EXIT_ACCESS_WRITE)) ==
		EXIT_ACCESS_READ);
	guest_skip(3);
	if (!expect(EXIT_MEMORY))
		return;
	want(run->exit.memory.gpa == 0x9010);
	want(run->exit.memory.access & EXIT_ACCESS_WRITE);
	guest_skip(3);
	expect(EXIT_HLT);
}

static void hypercall(void)
{
	u8 code[] = {0x0f, 0x01, 0xc1, 0xf4}; /* vmcall; hlt */
	const struct msg_machine *m = thread_message();

	sys_sys_ctl(CAP_NULL, SYS_CTL_MACHINE, 0, 0, 0, NULL);
	if (m->features.amd)
		code[2] = 0xd9; /* vmmcall */
	if (!guest_begin(code, sizeof(code)) || !expect(EXIT_HYPERCALL))
		return;
	guest_skip(3);
	expect(EXIT_HLT);
}

static void shutdown(void)
{
	static const u8 code[] = {0x0f, 0x0b}; /* ud2, and no IDT */

	if (!guest_begin(code, sizeof(code)))
		return;
	run->idtr.limit = 0;
	expect(EXIT_SHUTDOWN);
}

/* A state that no CPU can be in is refused, and the host does not mind. */
static void bad_state(void)
{
	static const u8 code[] = {0xf4};

	if (!guest_begin(code, sizeof(code)))
		return;
	/* Paging without protection (VT-x refuses that), and NW without CD (AMD-V). */
	run->cr0 = 0xa0000010;
	run->dirty |= GROUP_CR;
	expect(EXIT_ENTRY_FAILED);
}

void guest_handler(u8 port)
{
	static const u8 handler[] = {0xe6, 0x00, 0xcf}; /* out PORT, al; iret */

	memcpy(guest_ram + GUEST_HANDLER, handler, sizeof(handler));
	guest_ram[GUEST_HANDLER + 1] = port;
	guest_ram[GUEST_VECTOR * 4] = (u8)GUEST_HANDLER;
	guest_ram[GUEST_VECTOR * 4 + 1] = (u8)(GUEST_HANDLER >> 8);
}

/* HLT waits in the kernel until the run page's timer makes its vector pending. */
static void timer(void)
{
	static const u8 code[] = {
		0xfb,       /* sti */
		0xf4,       /* hlt */
		0xe6, 0x82, /* out 0x82, al */
	};
	cycles_t when;

	if (!guest_begin(code, sizeof(code)))
		return;
	guest_handler(0x81);
	when = tsc_now() + tsc_from_us(info->tsc_hz, 2000);
	run->flags = RUN_HLT_WAIT;
	run->timer_vector = GUEST_VECTOR;
	run->timer = when;
	run->dirty |= GROUP_CONTROL;
	if (!expect(EXIT_IO))
		return;
	want(run->exit.io.port == 0x81);
	want(tsc_now() >= when);
	want(run->timer == 0);
	guest_skip(2);
	if (!expect(EXIT_IO))
		return;
	want(run->exit.io.port == 0x82);
}

static void request(void)
{
	__atomic_fetch_or(
		&run->pending.vector[GUEST_VECTOR / 64], BIT(GUEST_VECTOR % 64), __ATOMIC_SEQ_CST);
	run->pending.control = 1;
}

/* A vector in the pending word is delivered when the guest lets interrupts in, not before. */
static void interrupt(void)
{
	static const u8 code[] = {
		0xe6, 0x80, /* out 0x80, al */
		0xfb,       /* sti */
		0x90,       /* nop */
		0xe6, 0x82, /* out 0x82, al */
	};

	if (!guest_begin(code, sizeof(code)))
		return;
	guest_handler(0x81);
	request();
	if (!expect(EXIT_IO))
		return;
	want(run->exit.io.port == 0x80);
	guest_skip(2);
	if (!expect(EXIT_IO))
		return;
	want(run->exit.io.port == 0x81);
	guest_skip(2);
	if (!expect(EXIT_IO))
		return;
	want(run->exit.io.port == 0x82);
}

static void set_in_service(u32 vector, bool on)
{
	u32 *isr = (u32 *)(RUN_PAGE + PAGE_SIZE + 0x100 + vector / 32 * 16);

	*isr = on ? *isr | 1u << vector % 32 : *isr & ~(1u << vector % 32);
	run->dirty |= GROUP_APIC;
}

/* With RUN_EOI_SKIP nothing is delivered, and nothing held back, for what is in service. */
static void skipped_end(void)
{
	static const u8 code[] = {
		0xfb,       /* sti */
		0x90,       /* nop */
		0xe6, 0x82, /* out 0x82, al */
		0xe6, 0x83, /* out 0x83, al */
	};

	const struct msg_machine *machine = thread_message();

	want_status(sys_sys_ctl(CAP_NULL, SYS_CTL_MACHINE, 0, 0, 0, NULL), OK);
	if (machine->delivery) /* the kernel does not deliver anything there */
		return;
	if (!guest_begin(code, sizeof(code)))
		return;
	guest_handler(0x81);
	run->flags = RUN_EOI_SKIP;
	set_in_service(GUEST_VECTOR + 0x20, true);
	request();
	if (!expect(EXIT_WINDOW))
		return;
	want(run->rip > CODE && run->rip <= CODE + 2);
	set_in_service(GUEST_VECTOR + 0x20, false);
	if (!expect(EXIT_IO)) /* none in service: delivered at once */
		return;
	want(run->exit.io.port == 0x81);
	guest_skip(2);
	if (!expect(EXIT_IO))
		return;
	want(run->exit.io.port == 0x82);
	guest_skip(2);
	request(); /* while the one before is in service as far as the kernel knows */
	if (!expect(EXIT_WINDOW))
		return;
	run->flags = 0;
	run->dirty |= GROUP_FLUSH;
	if (!expect(EXIT_IO)) /* it is held back now */
		return;
	want(run->exit.io.port == 0x83);
	want(run->dirty == 0);
}

static void injection(void)
{
	static const u8 code[] = {0xf4};

	if (!guest_begin(code, sizeof(code)))
		return;
	guest_handler(0x81);
	run->inject = INJECT_VECTOR(GUEST_VECTOR) | INJECT_TYPE_INTR | INJECT_VALID;
	run->rflags = 0x202;
	run->dirty |= GROUP_INJECT | GROUP_RIP;
	if (!expect(EXIT_IO))
		return;
	want(run->exit.io.port == 0x81);
	want(!(run->inject & INJECT_VALID));
}

static void doorbell(void)
{
	static const u8 code[] = {
		0xe6, DOORBELL, /* out DOORBELL, al */
		0xe6, DOORBELL, /* and again */
		0xf4,           /* hlt */
	};
	cap_t event = make_event(BIT(33));

	if (!guest_begin(code, sizeof(code)))
		return;
	want_status(sys_vm_trap(vm, DOORBELL, 1, TRAP_EVENT, event), OK);
	if (!expect(EXIT_HLT))
		return;
	want(wait_bits(BIT(33), 0) == BIT(33));
	want_status(sys_vcpu_ctl(guest_vcpu, VCPU_CTL_STATS, 0, 0, NULL), OK);
	want(((struct msg_vcpu_stats *)thread_message())->doorbells == 2);
	want(((struct msg_vcpu_stats *)thread_message())->exits[EXIT_HLT] == 1);
}

static const u8 loop[] = {0xeb, 0xfe}; /* jmp $ */

/* An endless guest, with interrupts off or on, leaves at the deadline and at an event. */
static void endless_with(u64 rflags)
{
	cap_t event = make_event(BIT(33));
	cycles_t until;
	u64 bits = 0;
	u64 self;

	if (!guest_begin(loop, sizeof(loop)))
		return;
	run->rflags = rflags;
	until = tsc_now() + tsc_from_us(info->tsc_hz, 3000);
	want_status(sys_vcpu_run(guest_vcpu, BIT(33), until, &bits), TIMEOUT);
	/* The guest's run has changed FS and GS; without a switch to another thread none is loaded.
	 */
	__asm__ volatile("mov %%fs:0, %0" : "=r"(self));
	want(self == info->first.self);
	want(tsc_now() >= until && tsc_now() < until + info->tsc_hz / 20);
	want_status(sys_event_signal(event, BIT(33)), OK);
	want_status(sys_vcpu_run(guest_vcpu, BIT(33), TIME_NEVER, &bits), EVENT);
	want(bits == BIT(33));
}

static void endless(void)
{
	endless_with(0x2);
}

static void endless_open(void)
{
	endless_with(0x202);
}

/* Unmapped memory is gone for the guest at once. */
static void unmap(void)
{
	static const u8 code[] = {
		0xa0, 0x00, 0x30, /* mov al, [0x3000] */
		0xe6, 0x80,       /* out 0x80, al */
		0xa0, 0x00, 0x30, /* mov al, [0x3000] */
		0xf4,             /* hlt */
	};
	cap_t extra = make_mem(PAGE_SIZE, PAGE_SIZE);
	u8 *at;

	if (!guest_begin(code, sizeof(code)))
		return;
	/* The guest's memory again, with a page of its own at 0x3000 above the rest. */
	at = map_mem(extra, PAGE_SIZE, MAP_READ | MAP_WRITE);
	want_status(sys_mem_map(vm, extra, 0x9000, 0, PAGE_SIZE, MAP_READ), OK);
	if (case_failed())
		return;
	at[0] = 0x77;
	guest_ram[CODE + 2] = 0x90; /* both loads from 0x9000 */
	guest_ram[CODE + 7] = 0x90;
	if (!expect(EXIT_IO))
		return;
	want((run->gpr[0] & 0xff) == 0x77);
	guest_skip(2);
	want_status(sys_mem_unmap(vm, 0x9000), OK);
	if (!expect(EXIT_MEMORY))
		return;
	want(run->exit.memory.gpa == 0x9000);
}

#define VECTOR_OPCODE 6
#define VECTOR_NO_FPU 7

/* A thread with THREAD_FPU has its registers again after a run that ended without an exit. */
static void fpu_of_thread(void)
{
	cap_t domain = child_make(CHILD_POOL);
	cap_t thread = child_thread_with(domain, child_fpu_run, 20, info->cpu, 0, THREAD_FPU);
	struct msg_thread state;

	if (!guest_begin(loop, sizeof(loop)))
		return;
	want_status(sys_vcpu_ctl(guest_vcpu, VCPU_CTL_THREAD, thread, 0, NULL), OK);
	want_status(sys_cap_grant(domain, 20, guest_vcpu, RIGHT_RUN, 0), OK);
	want(child_run(thread, &state));
	want(state.fault == FAULT_EXCEPTION && state.vector == VECTOR_OPCODE);
}

/* When another CPU ends a vCPU whose FPU registers are here, the program that runs cannot read
 * them. */
static void fpu_of_guest(void)
{
	cap_t domain = child_make(CHILD_POOL);
	cap_t reader = child_thread(domain, child_fpu_late, 4000000, info->cpu, 0);
	cap_t killer = child_thread(domain, child_destroy_late, 400000, other_cpu(), 1);
	struct msg_thread state;
	u64 bits;

	if (other_cpu() == info->cpu || !guest_begin(loop, sizeof(loop)))
		return;
	want_status(sys_cap_grant(domain, 20, guest_vcpu, RIGHT_DESTROY, 0), OK);
	want_status(sys_vcpu_run(guest_vcpu, 0, tsc_now() + info->tsc_hz / 1000, &bits), TIMEOUT);
	want_status(sys_thread_ctl(killer, THREAD_CTL_RESUME, 0, 0, 0), OK);
	want(child_run(reader, &state));
	want(state.fault == FAULT_EXCEPTION && state.vector == VECTOR_NO_FPU);
	want_status(sys_vcpu_ctl(guest_vcpu, VCPU_CTL_STATS, 0, 0, NULL), GONE);
	wait_bits(BIT(35), 10000); /* until its VM has none */
}

const struct test_case vcpu_cases[] = {
	{"vcpu_io", io},
	{"vcpu_instructions", instructions},
	{"vcpu_memory", memory},
	{"vcpu_hypercall", hypercall},
	{"vcpu_shutdown", shutdown},
	{"vcpu_bad_state", bad_state},
	{"vcpu_injection", injection},
	{"vcpu_interrupt", interrupt},
	{"vcpu_skipped_end", skipped_end},
	{"vcpu_timer", timer},
	{"vcpu_doorbell", doorbell},
	{"vcpu_endless", endless},
	{"vcpu_endless_open", endless_open},
	{"vcpu_unmap", unmap},
	{"vcpu_fpu_of_thread", fpu_of_thread},
	{"vcpu_fpu_of_guest", fpu_of_guest},
	{NULL, NULL},
};
