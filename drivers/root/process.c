/* A member's process: its domain, threads, memory and start page. */
#include "drivers/root/member.h"

#define PROCESS_POOL        (192ull << 10)
#define PROCESS_POOL_VMM    (256ull << 10)
#define PROCESS_POOL_THREAD (16ull << 10) /* for each thread of a VMM */

static struct start_info info;

static bool make_domain(struct member *m)
{
	const struct domain_node *n = m->node;
	struct msg_create_domain *c = message;
	u64 size = (u64)n->pool_kib << 10;
	u32 bit = ROOT_BIT_SUPERVISE + m->index % ROOT_SUPERVISE_BITS;

	if (size == 0 && n->class == NODE_PARTITION)
		size = PROCESS_POOL_VMM + n->cpus * PROCESS_POOL_THREAD + sessions_tables(m);
	else if (size == 0)
		size = PROCESS_POOL + sessions_tables(m);
	if (!member_ok(m, memory_new(ROOT_CAP_DOMAIN, size, &m->process.pool), "pool"))
		return false;
	*c = (struct msg_create_domain){
		.pool = m->process.pool.cap,
		.supervisor = main_event,
		.supervisor_bits = BIT(bit),
	};
	string_copy(c->name, sizeof(c->name), n->name);
	return member_ok(m, object_new(KIND_DOMAIN, ROOT_CAP_DOMAIN, &m->process.domain), "domain");
}

bool process_memory(struct member *m, vaddr_t address, u64 size, u64 flags, const void *fill,
	u64 fill_size, const char *what)
{
	struct process *p = &m->process;
	struct memory *memory = &p->mem[p->mems];

	if (p->mems == PROCESS_MEMS)
		return member_ok(m, STATUS_NO_SPACE, what);
	if (!member_ok(m, memory_new(p->domain, size, memory), what))
		return false;
	p->mems++;
	p->frames += memory->size;
	if (fill_size > 0) {
		void *to = memory_open(memory);

		if (!to)
			return false;
		memcpy(to, fill, fill_size);
		memory_close();
	}
	return member_ok(
		m, sys_mem_map(p->domain, memory->cap, address, 0, memory->size, flags), what);
}

/* The stacks of the threads, each with nothing mapped below it. */
static bool make_stacks(struct member *m)
{
	struct process *p = &m->process;
	struct memory *others;
	u64 flags = MAP_READ | MAP_WRITE;
	u32 cpus = m->node->cpus;

	static_assert(START_MESSAGES + NODE_CPUS * PAGE_SIZE <= START_STACKS);
	static_assert(START_STACKS + NODE_CPUS * (START_STACK_GUARD + START_STACK_OTHER) <=
		      START_STACK_TOP - START_STACK_SIZE);
	if (!process_memory(m, START_STACK_TOP - START_STACK_SIZE, START_STACK_SIZE, flags, NULL, 0,
		    "stack"))
		return false;
	if (cpus == 1)
		return true;
	others = &p->mem[p->mems];
	if (p->mems == PROCESS_MEMS ||
		!member_ok(
			m, memory_new(p->domain, (cpus - 1) * START_STACK_OTHER, others), "stacks"))
		return false;
	p->mems++;
	p->frames += others->size;
	for (u32 i = 1; i < cpus; i++) {
		if (!member_ok(m,
			    sys_mem_map(p->domain, others->cap,
				    start_stack_top(i) - START_STACK_OTHER,
				    (i - 1) * START_STACK_OTHER, START_STACK_OTHER, flags),
			    "stack"))
			return false;
	}
	return true;
}

static bool make_thread(struct member *m, u32 i)
{
	const struct domain_node *n = m->node;
	struct process *p = &m->process;
	struct msg_create_thread *c = message;

	*c = (struct msg_create_thread){
		.cpu = n->cpu[i],
		.priority = n->priority,
		.budget = tsc_from_us(boot->tsc_hz, n->budget_us),
		.period = tsc_from_us(boot->tsc_hz, n->period_us),
		.entry = p->entry,
		.stack = START_STACK_TOP,
		.arg = START_INFO,
		.fs_base = START_INFO + offsetof(struct start_info, first),
		.message = i == 0 ? START_MESSAGE : START_MESSAGES + (i - 1) * PAGE_SIZE,
		.flags = n->fpu ? THREAD_FPU : 0,
	};
	if (!member_ok(m, object_new(KIND_THREAD, p->domain, &p->thread[i]), "thread"))
		return false;
	p->threads++;
	return true;
}

/* True if an earlier thread runs on the CPU of thread `i`. */
static bool cpu_seen(const struct domain_node *n, u32 i)
{
	for (u32 k = 0; k < i; k++) {
		if (n->cpu[k] == n->cpu[i])
			return true;
	}
	return false;
}

static bool make_ports(struct member *m)
{
	const struct domain_node *n = m->node;
	struct process *p = &m->process;
	u32 badge = BADGE(m);

	for (u32 i = 0; i < n->cpus; i++) {
		if (cpu_seen(n, i))
			continue;
		if (!member_ok(m, service_port(p->domain, n->cpu[i], badge, &p->port[p->ports]),
			    "service port"))
			return false;
		p->ports++;
	}
	return true;
}

/* Capabilities that every program has. */
static bool grant_own(struct member *m)
{
	struct process *p = &m->process;
	u64 domain = RIGHT_CREATE;

	if (m->node->test_authority)
		domain |= RIGHT_FILL | RIGHT_GRANT | RIGHT_SCHED;
	return member_ok(m, sys_cap_grant(p->domain, START_CAP_DOMAIN, p->domain, domain, 0),
		       "own domain") &&
	       member_ok(m,
		       sys_cap_grant(p->domain, START_CAP_THREAD, p->thread[0],
			       RIGHT_CTL | RIGHT_GRANT, 0),
		       "own thread") &&
	       member_ok(m, sys_cap_grant(p->domain, START_CAP_ROOT, p->port[0], RIGHT_CALL, 0),
		       "root's port");
}

bool process_make(struct member *m)
{
	struct process *p = &m->process;

	*p = (struct process){
		.next_address = START_RESOURCES,
		.next_cap = START_CAP_FIRST,
		.next_bit = m->session_bits,
	};
	m->starts++;
	if (!make_domain(m) || !loader_load(m) || !make_stacks(m))
		return false;
	for (u32 i = 0; i < m->node->cpus; i++) {
		if (!make_thread(m, i))
			return false;
	}
	return member_ok(m, event_new(p->domain, p->thread[0], ~0ull, &p->event), "event") &&
	       make_ports(m) && grant_own(m);
}

static void fill_info(const struct member *m)
{
	memset(&info, 0, sizeof(info));
	info.abi = BULKHEAD_ABI;
	info.cpu = m->node->cpu[0];
	info.restart = m->restarts;
	info.tsc_hz = boot->tsc_hz;
	info.wall_clock = boot->wall_clock;
	info.wall_tsc = boot->wall_tsc;
	string_copy(info.name, sizeof(info.name), m->node->name);
	seed_make(info.seed);
	info.first.self = START_INFO + offsetof(struct start_info, first);
	info.first.message = START_MESSAGE;
	info.first.root_port = START_CAP_ROOT;
	info.first.cpu = info.cpu;
	/* A zero byte at its lowest address keeps string functions from reading or writing across
	 * it. */
	info.first.canary = info.seed[3] & ~0xffull;
	info.seed[3] = info.seed[3] << 32 | (u32)tsc_now();
}

bool process_run(struct member *m)
{
	struct process *p = &m->process;
	u64 size;

	fill_info(m);
	if (!resources_make(m, &info) || !sessions_add(m, &info))
		return false;
	size = offsetof(struct start_info, resource) +
	       info.resources * sizeof(struct start_resource);
	if (!process_memory(m, START_INFO, size, MAP_READ, &info, size, "start page"))
		return false;
	sessions_connect(m);
	return member_ok(
		m, sys_thread_ctl(p->thread[0], THREAD_CTL_RESUME, 0, 0, 0), "start of its thread");
}

void process_end(struct member *m)
{
	struct process *p = &m->process;

	sessions_disconnect(m);
	/* The domain takes with it all that it pays for; what follows frees root's slots and
	 * memory. */
	object_end(&p->domain);
	for (u32 i = 0; i < p->threads; i++)
		slot_free(&p->thread[i]);
	for (u32 i = 0; i < p->ports; i++)
		slot_free(&p->port[i]);
	for (u32 i = 0; i < p->irqs; i++)
		slot_free(&p->irq[i]);
	for (u32 i = 0; i < p->windows; i++)
		object_end(&p->window[i]);
	slot_free(&p->event);
	for (u32 i = 0; i < p->mems; i++)
		memory_end(&p->mem[i]);
	memory_end(&p->pool);
	*p = (struct process){0};
}
