/* Cases: threads, their faults, and thread_ctl. */
#include "drivers/test/test.h"

#define VECTOR_DIVIDE     0
#define VECTOR_BREAKPOINT 3
#define VECTOR_OPCODE     6
#define VECTOR_NO_FPU     7
#define VECTOR_GP         13
#define VECTOR_PAGE       14

#define PF_WRITE BIT(1)
#define PF_USER  BIT(2)
#define PF_FETCH BIT(4)

struct fault {
	const char *entry;
	u64 arg;
	u32 vector;
	u64 address; /* of a page fault; ~0: whatever */
	u64 error;   /* bits that must be set */
};

/* Runs one child to its fault; each fault in a domain of its own. */
static void faults(const struct fault *f, u32 count)
{
	for (u32 i = 0; i < count; i++, f++) {
		cap_t domain = child_make(CHILD_POOL);
		cap_t thread = child_thread(domain, f->entry, f->arg, info->cpu, 0);
		struct msg_thread state;

		if (case_failed() || !child_run(thread, &state)) {
			want(false);
			return;
		}
		if (state.fault != FAULT_EXCEPTION || state.vector != f->vector)
			log_line("fault %u: kind %u, vector %u, error %#lx", i, state.fault,
				state.vector, state.error);
		want(state.fault == FAULT_EXCEPTION);
		want(state.vector == f->vector);
		want((state.error & f->error) == f->error);
		want(f->vector != VECTOR_PAGE || f->address == ~0ull ||
			state.address == f->address);
		want_status(sys_obj_destroy(domain), OK);
	}
}

static void exceptions(void)
{
	static const struct fault list[] = {
		{child_invalid_opcode, 0, VECTOR_OPCODE, 0, 0},
		{child_divide, 0, VECTOR_DIVIDE, 0, 0},
		{child_breakpoint, 0, VECTOR_BREAKPOINT, 0, 0},
		{child_interrupt, 0, VECTOR_GP, 0, 0},
		{child_hlt, 0, VECTOR_GP, 0, 0},
		{child_cli, 0, VECTOR_GP, 0, 0},
		{child_rdmsr, 0, VECTOR_GP, 0, 0},
		{child_port, 0, VECTOR_GP, 0, 0},
		{child_fpu, 0, VECTOR_NO_FPU, 0, 0},
		{child_read, BIT(63), VECTOR_GP, 0, 0},
	};

	faults(list, ARRAY_SIZE(list));
}

/* What a program leaves in its segment bases is gone when it, or another, returns from the kernel.
 */
static void bases(void)
{
	u32 a = 7, b, c = 0, d;
	u64 gs = 0x1234567890;

	__asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	if (!(b & BIT(0))) /* FSGSBASE */
		return;
	__asm__ volatile("wrgsbase %0" : : "r"(gs));
	sys_sys_ctl(CAP_NULL, SYS_CTL_NOP, 0, 0, 0, NULL);
	__asm__ volatile("rdgsbase %0" : "=r"(gs));
	want(gs == 0);
}

static void page_faults(void)
{
	static const struct fault list[] = {
		{child_read, 0, VECTOR_PAGE, 0, PF_USER},
		{child_read, 0x20000, VECTOR_PAGE, 0x20000, PF_USER},
		{child_read, 0xffffffff80000000ull, VECTOR_PAGE, 0xffffffff80000000ull, PF_USER},
		{child_read, 0xffff800000000000ull, VECTOR_PAGE, 0xffff800000000000ull, PF_USER},
		{child_write, (u64)child_page, VECTOR_PAGE, (u64)child_page, PF_USER | PF_WRITE},
		{child_write, ABI_STUB, VECTOR_PAGE, ABI_STUB, PF_USER | PF_WRITE},
		{child_jump, CHILD_STACK - 64, VECTOR_PAGE, CHILD_STACK - 64, PF_USER | PF_FETCH},
		{child_jump, 0, VECTOR_PAGE, 0, PF_USER},
		{child_stack, 0, VECTOR_PAGE, ~0ull, PF_USER | PF_WRITE},
	};

	faults(list, ARRAY_SIZE(list));
}

static void exit_code(void)
{
	cap_t domain = child_make(CHILD_POOL);
	cap_t thread = child_thread(domain, child_exit, 42, info->cpu, 0);
	struct msg_thread state;

	want(child_run(thread, &state));
	want(state.fault == FAULT_EXIT && state.error == 42);
}

/* A stopped thread is given new registers and goes on. */
static void resume(void)
{
	cap_t domain = child_make(CHILD_POOL);
	cap_t thread = child_thread(domain, child_invalid_opcode, 0, info->cpu, 0);
	struct msg_thread *m = thread_message();
	struct msg_thread state;

	if (!child_run(thread, &state))
		return;
	want(state.rip == (u64)child_invalid_opcode);
	memcpy(m, &state, sizeof(state));
	m->rip = (u64)child_exit;
	m->gpr[7] = 7;
	want_status(sys_thread_ctl(thread, THREAD_CTL_SET, 0, 0, 0), OK);
	want(child_run(thread, &state));
	want(state.fault == FAULT_EXIT && state.error == 7);
	memcpy(m, &state, sizeof(state));
	m->rip = 0xffff800000000000ull;
	want_status(sys_thread_ctl(thread, THREAD_CTL_SET, 0, 0, 0), BAD_ARG);
	m->rip = state.rip;
	m->fs_base = BIT(63);
	want_status(sys_thread_ctl(thread, THREAD_CTL_SET, 0, 0, 0), BAD_ARG);
}

static void stop_on(u32 cpu)
{
	cap_t domain = child_make(CHILD_POOL);
	cap_t thread = child_thread(domain, child_loop, 0, cpu, 0);
	const struct msg_thread *m = thread_message();
	const struct msg_thread_stats *stats = thread_message();
	u64 count;

	/* On this CPU the child must not be more urgent than this program, or it would never come
	 * back. */
	want_status(sys_thread_ctl(thread, THREAD_CTL_SCHED, 1, 0, 0), OK);
	want_status(sys_thread_ctl(thread, THREAD_CTL_RESUME, 0, 0, 0), OK);
	if (case_failed())
		return;
	want_status(sys_thread_ctl(thread, THREAD_CTL_RESUME, 0, 0, 0), BAD_STATE);
	want_status(sys_thread_ctl(thread, THREAD_CTL_GET, 0, 0, 0), BAD_STATE);
	want_status(sys_thread_ctl(thread, THREAD_CTL_SET, 0, 0, 0), BAD_STATE);
	wait_bits(BIT(35), 5000);
	want_status(sys_thread_ctl(thread, THREAD_CTL_STOP, 0, 0, 0), OK);
	want_status(sys_thread_ctl(thread, THREAD_CTL_GET, 0, 0, 0), OK);
	count = m->gpr[3];
	want(m->fault == FAULT_NONE && count > 0);
	want_status(sys_thread_ctl(thread, THREAD_CTL_STATS, 0, 0, 0), OK);
	want(stats->run_time > 0 && stats->cpu == cpu && stats->priority == 1);
	want_status(sys_thread_ctl(thread, THREAD_CTL_RESUME, 0, 0, 0), OK);
	wait_bits(BIT(35), 5000);
	want_status(sys_thread_ctl(thread, THREAD_CTL_STOP, 0, 0, 0), OK);
	want_status(sys_thread_ctl(thread, THREAD_CTL_GET, 0, 0, 0), OK);
	want(m->gpr[3] > count);
	want_status(sys_thread_ctl(thread, THREAD_CTL_STOP, 0, 0, 0), OK);
}

static void stop(void)
{
	stop_on(info->cpu);
}

static void stop_remote(void)
{
	u32 cpu = other_cpu();

	if (cpu != info->cpu)
		stop_on(cpu);
}

/* A RIP that no IRET takes: however often the thread is let go on, the fault is its own. */
static void resume_wrong(void)
{
	cap_t domain = child_make(CHILD_POOL);
	cap_t thread = child_thread(domain, child_jump, BIT(63), info->cpu, 0);
	struct msg_thread state;

	for (int i = 0; i < 3; i++) {
		want(child_run(thread, &state));
		want(state.fault == FAULT_EXCEPTION && state.vector == VECTOR_GP);
	}
}

/* Time is given by whoever may. */
static void sched_denied(void)
{
	cap_t domain = child_make(CHILD_POOL);
	cap_t thread = child_thread(domain, child_exit, 0, info->cpu, 0);
	cap_t weak = slot_next();
	cap_t payer = slot_next();
	struct msg_create_thread *m = thread_message();

	want_status(sys_cap_grant(START_CAP_DOMAIN, weak, thread, RIGHT_CTL, 0), OK);
	want_status(sys_thread_ctl(weak, THREAD_CTL_SCHED, 63, 0, 0), DENIED);
	want_status(sys_thread_ctl(weak, THREAD_CTL_STOP, 0, 0, 0), OK);
	want_status(sys_cap_grant(START_CAP_DOMAIN, payer, domain, RIGHT_CREATE, 0), OK);
	*m = (struct msg_create_thread){
		.cpu = info->cpu, .priority = 63, .message = 0x700000000ull};
	want_status(sys_obj_create(KIND_THREAD, payer, slot_next()), DENIED);
	want_status(sys_obj_create(KIND_DOMAIN, payer, slot_next()), DENIED);
}

/* A thread with a budget gets that much and no more. */
static void budget(void)
{
	cap_t domain = child_make(CHILD_POOL);
	cap_t thread = child_thread(domain, child_loop, 0, info->cpu, 0);
	const struct msg_thread_stats *stats = thread_message();
	cycles_t ms = tsc_from_us(info->tsc_hz, 1000);
	cycles_t from;
	cycles_t took;

	/* More urgent than this program: only the budget lets this program run. */
	want_status(sys_thread_ctl(thread, THREAD_CTL_SCHED, 40, 2 * ms, 10 * ms), OK);
	from = tsc_now();
	want_status(sys_thread_ctl(thread, THREAD_CTL_RESUME, 0, 0, 0), OK);
	wait_bits(BIT(35), 100000);
	want_status(sys_thread_ctl(thread, THREAD_CTL_STATS, 0, 0, 0), OK);
	took = tsc_now() - from;
	if (stats->run_time <= took / 10 || stats->run_time >= took / 3)
		log_line("a budget of a fifth gave %lu of %lu cycles", stats->run_time, took);
	want(stats->run_time > took / 10);
	want(stats->run_time < took / 3);
}

static void create_wrong(void)
{
	struct msg_create_thread good = {
		.cpu = info->cpu,
		.priority = 10,
		.entry = (u64)child_exit,
		.stack = CHILD_STACK,
		.message = 0x700000000ull,
	};
	struct msg_create_thread *m = thread_message();
	cap_t slot = slot_next();

#define WRONG(field, value, status)                                                                \
	do {                                                                                       \
		*m = good;                                                                         \
		m->field = (value);                                                                \
		want_status(sys_obj_create(KIND_THREAD, START_CAP_DOMAIN, slot), status);          \
	} while (0)

	WRONG(cpu, 256, BAD_ARG);
	WRONG(cpu, ~0u, BAD_ARG);
	WRONG(priority, 0, BAD_ARG);
	WRONG(priority, 64, BAD_ARG);
	WRONG(entry, BIT(63), BAD_ARG);
	WRONG(fs_base, BIT(63), BAD_ARG);
	WRONG(message, 0x700000001ull, BAD_ARG);
	WRONG(message, BIT(63), BAD_ARG);
	WRONG(message, START_MESSAGE, EXISTS);
	WRONG(flags, BIT(40), BAD_ARG);
	WRONG(budget, 1, BAD_ARG);
#undef WRONG
	*m = good;
	want_status(sys_obj_create(KIND_THREAD, START_CAP_DOMAIN, slot), OK);
	want_status(sys_thread_ctl(slot, (enum thread_ctl_op)99, 0, 0, 0), BAD_CALL);
	want_status(sys_thread_ctl(slot, THREAD_CTL_SCHED, 0, 0, 0), BAD_ARG);
	want_status(sys_thread_ctl(slot, THREAD_CTL_SCHED, 64, 0, 0), BAD_ARG);
	want_status(sys_thread_ctl(slot, THREAD_CTL_SCHED, 10, info->tsc_hz, 1), BAD_ARG);
	/* A budget that ends beyond the end of time. */
	want_status(sys_thread_ctl(slot, THREAD_CTL_SCHED, 10, ~0ull, ~0ull), BAD_ARG);
	want_status(sys_obj_destroy(slot), OK);
	want_status(sys_thread_ctl(slot, THREAD_CTL_GET, 0, 0, 0), GONE);
	want_status(sys_thread_ctl(START_CAP_DOMAIN, THREAD_CTL_GET, 0, 0, 0), BAD_KIND);
}

/* The memory of a destroyed thread's message page is free again. */
static void message_page(void)
{
	for (int i = 0; i < 3; i++) {
		struct msg_create_thread m = {
			.cpu = info->cpu,
			.priority = 10,
			.entry = (u64)child_exit,
			.message = 0x700000000ull,
		};
		cap_t thread = make(KIND_THREAD, START_CAP_DOMAIN, &m, sizeof(m));

		want(*(volatile u64 *)0x700000000ull == 0);
		*(volatile u64 *)0x700000000ull = 1;
		want_status(sys_obj_destroy(thread), OK);
		if (case_failed())
			return;
	}
}

const struct test_case thread_cases[] = {
	{"thread_bases", bases},
	{"thread_exceptions", exceptions},
	{"thread_page_faults", page_faults},
	{"thread_exit", exit_code},
	{"thread_resume", resume},
	{"thread_stop", stop},
	{"thread_stop_remote", stop_remote},
	{"thread_resume_wrong", resume_wrong},
	{"thread_sched_denied", sched_denied},
	{"thread_budget", budget},
	{"thread_create_wrong", create_wrong},
	{"thread_message_page", message_page},
	{NULL, NULL},
};
