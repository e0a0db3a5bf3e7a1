/* Cases: domains, their pools, and their ends. */
#include "drivers/test/test.h"

static void destroy(void)
{
	cap_t domain = child_make(CHILD_POOL);
	cap_t thread = child_thread(domain, child_loop, 0, info->cpu, 0);
	struct msg_create_event m = {.thread = thread, .mask = 1};
	cap_t event = make(KIND_EVENT, START_CAP_DOMAIN, &m, sizeof(m));

	want_status(sys_thread_ctl(thread, THREAD_CTL_SCHED, 1, 0, 0), OK);
	want_status(sys_thread_ctl(thread, THREAD_CTL_RESUME, 0, 0, 0), OK);
	wait_bits(BIT(35), 2000);
	want_status(sys_obj_destroy(domain), OK);
	want_status(sys_obj_destroy(domain), GONE);
	want_status(sys_thread_ctl(thread, THREAD_CTL_STOP, 0, 0, 0), GONE);
	want_status(sys_event_signal(event, 1), GONE);
	want_status(sys_cap_grant(domain, 20, START_CAP_THREAD, RIGHT_ALL, 0), GONE);
}

/* Can `mem`, which was a pool, be used again? It then has a part. */
static bool part_maps(cap_t mem)
{
	struct msg_create_mem part = {.parent = mem, .size = PAGE_SIZE};

	return map_mem(make(KIND_MEM, START_CAP_DOMAIN, &part, sizeof(part)), PAGE_SIZE, MAP_READ);
}

/* The pool comes back whole, so that it can be used again and again. */
static void pool_comes_back(void)
{
	cap_t pool = make_mem(CHILD_POOL, PAGE_SIZE);

	for (int i = 0; i < 5 && !case_failed(); i++) {
		struct msg_create_domain m = {.pool = pool, .name = "again"};
		cap_t domain = make(KIND_DOMAIN, START_CAP_DOMAIN, &m, sizeof(m));

		want_status(sys_obj_destroy(pool), BUSY);
		want_status(
			sys_mem_map(START_CAP_DOMAIN, pool, 0x600000000, 0, PAGE_SIZE, MAP_READ),
			BUSY);
		want_status(sys_obj_destroy(domain), OK);
	}
	want(part_maps(pool));
}

static void pool_empty(void)
{
	cap_t domain = child_make(0x18000);
	struct syscall_out before = {0};
	struct syscall_out after = {0};
	status_t s = STATUS_OK;
	u32 made = 0;

	sys_sys_ctl(CAP_NULL, SYS_CTL_POOL, START_CAP_DOMAIN, 0, 0, &before);
	for (u32 i = 0; i < 1000 && s == STATUS_OK && !case_failed(); i++) {
		*(struct msg_create_thread *)thread_message() = (struct msg_create_thread){
			.cpu = info->cpu,
			.priority = 1,
			.entry = (u64)child_exit,
			.message = 0x10000000ull + i * PAGE_SIZE,
		};
		s = sys_obj_create(KIND_THREAD, domain, slot_next());
		made += s == STATUS_OK;
	}
	want_status(s, NO_MEMORY);
	want(made > 0);
	want_status(sys_sys_ctl(CAP_NULL, SYS_CTL_POOL, domain, 0, 0, &after), OK);
	want(after.rdi < 0x4000);
	want_status(sys_obj_destroy(domain), OK);
	sys_sys_ctl(CAP_NULL, SYS_CTL_POOL, START_CAP_DOMAIN, 0, 0, &after);
	/* Slots that were filled keep their table pages; nothing else of this domain's pool may be
	 * lost. */
	want(after.rdi + 0x8000 >= before.rdi);
}

/* A pool can grow. */
static void pool_grows(void)
{
	cap_t domain = child_make(CHILD_POOL);
	cap_t more = make_mem(0x10000, PAGE_SIZE);
	struct syscall_out before = {0};
	struct syscall_out after = {0};

	want_status(sys_sys_ctl(CAP_NULL, SYS_CTL_POOL, domain, 0, 0, &before), OK);
	want_status(sys_mem_map(domain, more, 0, 0, 0, MAP_POOL), OK);
	want_status(sys_sys_ctl(CAP_NULL, SYS_CTL_POOL, domain, 0, 0, &after), OK);
	want(after.rsi == before.rsi + 0x10000 && after.rdi == before.rdi + 0x10000);
	want_status(sys_mem_map(domain, more, 0, 0, 0, MAP_POOL), BUSY);
	want_status(sys_obj_destroy(more), BUSY);
	want_status(sys_obj_destroy(domain), OK);
}

static void create_wrong(void)
{
	cap_t pool = make_mem(CHILD_POOL, PAGE_SIZE);
	cap_t small = make_mem(PAGE_SIZE, PAGE_SIZE);
	cap_t event = make_event(BIT(33));
	struct msg_create_domain *m = thread_message();
	cap_t slot = slot_next();

	*m = (struct msg_create_domain){.pool = START_CAP_THREAD};
	want_status(sys_obj_create(KIND_DOMAIN, START_CAP_DOMAIN, slot), BAD_KIND);
	*m = (struct msg_create_domain){.pool = pool, .supervisor = START_CAP_THREAD};
	want_status(sys_obj_create(KIND_DOMAIN, START_CAP_DOMAIN, slot), BAD_KIND);
	*m = (struct msg_create_domain){
		.pool = pool, .supervisor = event, .supervisor_bits = BIT(34)};
	want_status(sys_obj_create(KIND_DOMAIN, START_CAP_DOMAIN, slot), DENIED);
	*m = (struct msg_create_domain){.pool = small};
	want_status(sys_obj_create(KIND_DOMAIN, START_CAP_DOMAIN, slot), NO_MEMORY);
	want(part_maps(small));
	*m = (struct msg_create_domain){.pool = small};
	want_status(sys_obj_create(KIND_DOMAIN, START_CAP_DOMAIN, slot), BUSY);
}

/* A mem that does not outlive a domain is no pool for it. */
static void pool_short_lived(void)
{
	cap_t child = child_make(CHILD_POOL);
	struct msg_create_mem part = {
		.parent = make_mem(CHILD_POOL, PAGE_SIZE), .size = CHILD_POOL};
	cap_t pool = make(KIND_MEM, child, &part, sizeof(part));
	struct msg_create_domain *m = thread_message();

	*m = (struct msg_create_domain){.pool = pool};
	want_status(sys_obj_create(KIND_DOMAIN, START_CAP_DOMAIN, slot_next()), BAD_ARG);
	want_status(sys_mem_map(child, pool, 0, 0, 0, MAP_POOL), BAD_ARG);
	want_status(sys_obj_destroy(child), OK);
	want_status(sys_obj_destroy(pool), GONE);
}

/* A domain is destroyed while it is itself at a destruction, on another CPU. */
static void busy(void)
{
	for (u32 i = 0; i < 60 && !case_failed(); i++) {
		cap_t domain = child_make(CHILD_POOL);
		cap_t thread = child_thread(
			domain, child_churn, i & 1 ? other_cpu() : info->cpu, other_cpu(), 0);

		/* On one CPU it would keep this program from running. */
		want_status(sys_thread_ctl(thread, THREAD_CTL_SCHED, 1, 0, 0), OK);
		want_status(sys_cap_grant(domain, 21, domain, RIGHT_CREATE | RIGHT_SCHED, 0), OK);
		want_status(sys_thread_ctl(thread, THREAD_CTL_RESUME, 0, 0, 0), OK);
		wait_bits(BIT(35), 300 + i * 37);
		want_status(sys_obj_destroy(domain), OK);
	}
}

/* A domain that a child pays for dies with it. */
static void nested(void)
{
	cap_t outer = child_make(CHILD_POOL);
	struct msg_create_domain m = {.pool = make_mem(CHILD_POOL, PAGE_SIZE), .name = "inner"};
	cap_t inner = make(KIND_DOMAIN, outer, &m, sizeof(m));

	want_status(sys_obj_destroy(outer), OK);
	want_status(sys_obj_destroy(inner), GONE);
	want(part_maps(m.pool));
}

/* Many domains, one after another: what is destroyed leaves nothing behind. */
static void churn(void)
{
	for (int i = 0; i < 20 && !case_failed(); i++) {
		struct msg_thread state;
		cap_t thread;
		cap_t domain = child_make(CHILD_POOL);

		thread = child_thread(domain, child_exit, (u64)i, info->cpu, 0);
		want(child_run(thread, &state));
		want(state.error == (u64)i);
		want_status(sys_obj_destroy(domain), OK);
	}
}

const struct test_case domain_cases[] = {
	{"domain_destroy", destroy},
	{"domain_pool_comes_back", pool_comes_back},
	{"domain_pool_empty", pool_empty},
	{"domain_pool_grows", pool_grows},
	{"domain_create_wrong", create_wrong},
	{"domain_pool_short_lived", pool_short_lived},
	{"domain_busy", busy},
	{"domain_nested", nested},
	{"domain_churn", churn},
	{NULL, NULL},
};
