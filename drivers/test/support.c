/* What the cases share: counting, objects, child domains. */
#include "drivers/test/test.h"

#define MAP_BASE 0x600000000ull

u32 cases_passed;
u32 cases_failed;

static bool failed;
static cap_t next_slot = START_CAP_OWN;
static u64 mem_used;
static vaddr_t next_map = MAP_BASE;

void want_at(int line, bool ok, const char *what)
{
	if (ok)
		return;
	if (!failed)
		log_line("line %d: %s does not hold", line, what);
	failed = true;
}

void want_status_at(int line, status_t got, status_t wanted, const char *what)
{
	if (got == wanted)
		return;
	if (!failed)
		log_line("line %d: %s: %s, not %s", line, what, status_text(got),
			status_text(wanted));
	failed = true;
}

bool case_failed(void)
{
	return failed;
}

/* Destroys what a case has made, the newest first. */
static void clean(cap_t from)
{
	while (next_slot > from) {
		status_t s = sys_obj_destroy(--next_slot);

		/* Events and empty slots name nothing that could be destroyed. */
		want_at(__LINE__, s != STATUS_BUSY && s != STATUS_BAD_ARG,
			"the end of the case's objects");
		sys_cap_grant(START_CAP_DOMAIN, next_slot, CAP_NULL, 0, 0);
	}
	mem_used = 0;
	next_map = MAP_BASE;
	wait_bits(EVENT_BITS | BIT(EVENT_CHILD), 0);
}

void cases_run(const struct test_case *list, const char *only)
{
	for (; list->name; list++) {
		cap_t from = next_slot;

		if (strncmp(list->name, only, strlen(only)) != 0)
			continue;
		failed = false;
		list->run();
		clean(from);
		log_line("%s %s", failed ? "FAIL" : "PASS", list->name);
		if (failed)
			cases_failed++;
		else
			cases_passed++;
	}
}

cap_t slot_next(void)
{
	return next_slot++;
}

cap_t make(enum kind kind, cap_t payer, const void *args, size_t size)
{
	cap_t slot = slot_next();
	status_t s;

	if (size)
		memcpy(thread_message(), args, size);
	s = sys_obj_create(kind, payer, slot);
	want_status_at(kind, s, STATUS_OK, "obj_create of the kind that the line number says");
	return s == STATUS_OK ? slot : CAP_NULL;
}

cap_t make_mem(u64 size, u64 align)
{
	const struct start_resource *all = start_find(info, START_MEM, 0);
	struct msg_create_mem m = {.size = size};

	want(all != NULL);
	if (!all)
		return CAP_NULL;
	m.parent = all->cap;
	m.offset = ALIGN_UP(mem_used, align);
	mem_used = m.offset + size;
	return make(KIND_MEM, START_CAP_DOMAIN, &m, sizeof(m));
}

void *map_mem(cap_t mem, u64 size, u64 flags)
{
	vaddr_t at = next_map;
	status_t s = sys_mem_map(START_CAP_DOMAIN, mem, at, 0, size, flags);

	want_status(s, OK);
	next_map += ALIGN_UP(size, PAGE_SIZE) + PAGE_SIZE;
	return s == STATUS_OK ? (void *)at : NULL;
}

cap_t make_event(u64 mask)
{
	struct msg_create_event m = {.thread = START_CAP_THREAD, .mask = mask};

	return make(KIND_EVENT, START_CAP_DOMAIN, &m, sizeof(m));
}

u64 wait_bits(u64 mask, u64 us)
{
	cycles_t deadline = us ? tsc_now() + tsc_from_us(info->tsc_hz, us) : 0;
	u64 bits = 0;

	return sys_event_wait(mask, deadline, &bits) == STATUS_EVENT ? bits : 0;
}

cap_t child_make(u64 pool)
{
	struct msg_create_domain m = {
		.supervisor_bits = BIT(EVENT_CHILD),
		.name = "child",
	};
	cap_t code = make_mem(PAGE_SIZE, PAGE_SIZE);
	cap_t stack = make_mem(PAGE_SIZE, PAGE_SIZE);
	void *to = map_mem(code, PAGE_SIZE, MAP_READ | MAP_WRITE);
	cap_t domain;

	if (case_failed())
		return CAP_NULL;
	memcpy(to, child_page, PAGE_SIZE);
	want_status(sys_mem_unmap(START_CAP_DOMAIN, (u64)to), OK);
	m.pool = make_mem(pool, PAGE_SIZE);
	m.supervisor = make_event(BIT(EVENT_CHILD));
	domain = make(KIND_DOMAIN, START_CAP_DOMAIN, &m, sizeof(m));
	if (case_failed())
		return CAP_NULL;
	want_status(
		sys_mem_map(domain, code, (u64)child_page, 0, PAGE_SIZE, MAP_READ | MAP_EXEC), OK);
	want_status(sys_mem_map(domain, stack, CHILD_STACK - PAGE_SIZE, 0, PAGE_SIZE,
			    MAP_READ | MAP_WRITE),
		OK);
	return domain;
}

cap_t child_thread_with(cap_t domain, const void *entry, u64 arg, u32 cpu, u32 n, u64 flags)
{
	struct msg_create_thread m = {
		.cpu = cpu,
		.priority = CHILD_PRIORITY,
		.entry = (u64)entry,
		.stack = CHILD_STACK,
		.arg = arg,
		.message = CHILD_MESSAGE + n * PAGE_SIZE,
		.flags = flags,
	};

	return make(KIND_THREAD, domain, &m, sizeof(m));
}

cap_t child_thread(cap_t domain, const void *entry, u64 arg, u32 cpu, u32 n)
{
	return child_thread_with(domain, entry, arg, cpu, n, 0);
}

bool child_run(cap_t thread, struct msg_thread *state)
{
	status_t s = sys_thread_ctl(thread, THREAD_CTL_RESUME, 0, 0, 0);

	memset(state, 0, sizeof(*state));
	want_status(s, OK);
	if (s != STATUS_OK || !wait_bits(BIT(EVENT_CHILD), 1000000))
		return false;
	s = sys_thread_ctl(thread, THREAD_CTL_GET, 0, 0, 0);
	want_status(s, OK);
	memcpy(state, thread_message(), sizeof(*state));
	return s == STATUS_OK;
}

cap_t make_port(cap_t server, u64 badge)
{
	struct msg_create_port m = {.thread = server, .badge = badge};

	return make(KIND_PORT, START_CAP_DOMAIN, &m, sizeof(m));
}

u32 other_cpu(void)
{
	const struct msg_machine *m = thread_message();

	sys_sys_ctl(CAP_NULL, SYS_CTL_MACHINE, 0, 0, 0, NULL);
	return m->cpus > 1 ? (info->cpu + 1) % m->cpus : info->cpu;
}
