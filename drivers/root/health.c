/* The heartbeat of domains, what their deaths cost, and the faults that the operator injects. */
#include "drivers/root/operator.h"
#include "drivers/root/resources.h"

#define say       operator_printf
#define RAISED_US 2000ull /* for which a program that may be starved has a high priority */

static cycles_t period_of(const struct member *m)
{
	return tsc_from_us(boot->tsc_hz, m->node->heartbeat_ms * 1000ull);
}

bool health_add(struct member *m, struct start_info *info)
{
	struct process *p = &m->process;
	struct memory *memory = &p->mem[p->mems];
	vaddr_t address = ROOT_PULSE + m->index * PAGE_SIZE;
	struct start_resource *r = resource_add(m, info, START_PULSE);

	if (!r || p->mems == PROCESS_MEMS ||
		!member_ok(m, memory_new(p->domain, PAGE_SIZE, memory), "heartbeat"))
		return false;
	p->mems++;
	p->frames += memory->size;
	if (!resource_map(m, r, memory->cap, memory->base, PAGE_SIZE, MAP_READ | MAP_WRITE) ||
		!member_ok(m,
			sys_mem_map(ROOT_CAP_DOMAIN, memory->cap, address, 0, PAGE_SIZE,
				MAP_READ | MAP_WRITE),
			"heartbeat"))
		return false;
	p->pulse = (struct pulse *)address; /* until process_end destroys the mem */
	p->pulse_bit = r->bit = resource_bit(m);
	r->value = description.fault_injection ? PULSE_INJECT : 0;
	m->health = (struct health){0};
	m->health_at = tsc_now() + period_of(m);
	return true;
}

static bool is_watched(const struct member *m)
{
	return m->state == MEMBER_RUNNING && m->process.pulse && m->node->heartbeat_ms;
}

cycles_t health_deadline(void)
{
	cycles_t next = TIME_NEVER;

	for (u32 i = 0; i < members; i++) {
		if (is_watched(&member[i]) && member[i].health_at < next)
			next = member[i].health_at;
	}
	return next;
}

/* Notes the time until the program served again, if it does. It may say what it likes of that. */
static void collect(struct member *m)
{
	struct recovery *r = &m->recovery;
	u64 served =
		m->process.pulse ? __atomic_load_n(&m->process.pulse->served, __ATOMIC_RELAXED) : 0;

	if (!r->noticed || served <= r->noticed || served > tsc_now())
		return;
	watch_kind_add(&r->time, served - r->noticed, 1);
	log_line("%s serves again, %lu us after its end", m->node->name,
		(served - r->noticed) / (boot->tsc_hz / 1000000 ? boot->tsc_hz / 1000000 : 1));
	r->noticed = 0;
}

/* Gives the program's loop a priority above all others but root's, or its own again. */
static void set_priority(struct member *m, u32 priority)
{
	const struct domain_node *n = m->node;

	sys_thread_ctl(m->process.thread[0], THREAD_CTL_SCHED, priority,
		tsc_from_us(boot->tsc_hz, n->budget_us), tsc_from_us(boot->tsc_hz, n->period_us));
}

static void starved(struct member *m)
{
	if (!m->health.starved)
		log_line("%s gets no time on its CPU: what has a higher priority uses it, or its "
			 "budget is too small",
			m->node->name);
	m->health.starved = true;
}

static void judge(struct member *m)
{
	const struct msg_thread_stats *t = message;

	if (sys_thread_ctl(m->process.thread[0], THREAD_CTL_STATS, 0, 0, 0) != STATUS_OK)
		return;
	switch (health_judge(&m->health, t->run_time, period_of(m))) {
	case HEALTH_HUNG:
		supervise_end(m, "hangs: it runs and does not answer");
		break;
	case HEALTH_STUCK:
		supervise_end(m, "hangs: it sleeps and does not answer");
		break;
	case HEALTH_DOUBT:
		set_priority(m, PRIORITY_MAX + 1);
		m->health_at = tsc_now() +
			       tsc_from_us(boot->tsc_hz, RAISED_US + 2ull * m->node->period_us);
		break;
	case HEALTH_STARVED:
		starved(m);
		break;
	default:
		break;
	}
}

static void ask(struct member *m)
{
	struct pulse *p = m->process.pulse;

	collect(m);
	if (!m->node->heartbeat_set && !__atomic_load_n(&p->opened, __ATOMIC_ACQUIRE))
		return;
	if (m->health.raised)
		set_priority(m, m->node->priority);
	switch (health_look(&m->health, __atomic_load_n(&p->answered, __ATOMIC_ACQUIRE))) {
	case HEALTH_STARVED:
		starved(m);
		break;
	case HEALTH_LATE:
		judge(m);
		return;
	default:
		break;
	}
	__atomic_store_n(&p->asked, m->health.asked, __ATOMIC_RELEASE);
	sys_event_signal(m->process.event, BIT(m->process.pulse_bit));
}

void health_run(void)
{
	cycles_t now = tsc_now();

	for (u32 i = 0; i < members; i++) {
		struct member *m = &member[i];

		if (!is_watched(m) || m->health_at > now)
			continue;
		m->health_at = now + period_of(m);
		ask(m);
	}
}

void health_died(struct member *m)
{
	u32 requests = sessions_under_way(m);

	collect(m);
	m->recovery.deaths++;
	m->recovery.busy += requests > 0;
	m->recovery.requests += requests;
	m->recovery.noticed = tsc_now();
}

void health_show(struct member *m)
{
	const struct watch_kind *t = &m->recovery.time;

	collect(m);
	if (!m->recovery.deaths)
		return;
	say("deaths: %u, %u of them with requests under way, %lu in all\n", m->recovery.deaths,
		m->recovery.busy, m->recovery.requests);
	say("recoveries: %lu; cycles: median %lu, 90 %% %lu, 99 %% %lu, most %lu\n", watch_count(t),
		watch_quantile(t, 500), watch_quantile(t, 900), watch_quantile(t, 990), t->max);
}

static const char *const fault_name[PULSE_FAULTS] = {
	"kill", "hang", "wild-write", "bad-ring", "wild-dma", "stale-ring"};

void health_inject(struct member *m, const char *fault)
{
	struct pulse *p = m->process.pulse;
	const char *name = m->node->name;
	u32 i = 0;

	while (i < PULSE_FAULTS && strcmp(fault_name[i], fault) != 0)
		i++;
	if (!description.fault_injection) {
		say("not allowed: it needs \"fault-injection;\" in /domains of the description\n");
	} else if (i == PULSE_FAULTS) {
		say("usage: inject NAME kill|hang|wild-write|bad-ring|stale-ring|wild-dma\n");
	} else if (m->node->class != NODE_DOMAIN || m->state != MEMBER_RUNNING) {
		say("%s is no domain that runs\n", name);
	} else if (i == PULSE_NONE) {
		supervise_end(m, "is killed by the operator");
	} else if (!p) {
		say("not supported: %s has no heartbeat\n", name);
	} else if (i == PULSE_WILD_DMA && __atomic_load_n(&p->opened, __ATOMIC_ACQUIRE) &&
		   !(__atomic_load_n(&p->can, __ATOMIC_RELAXED) & PULSE_CAN_DMA)) {
		say("not supported: %s has no device that does DMA\n", name);
	} else if ((i == PULSE_BAD_RING || i == PULSE_STALE_RING) && !sessions_have_rings(m)) {
		say("not supported: %s has no session with queues or rings\n", name);
	} else {
		/* It stays there until the program's loop comes round. */
		log_line("%s: the operator injects %s", name, fault);
		__atomic_store_n(&p->inject, ++m->injections << 8 | i, __ATOMIC_RELEASE);
		sys_event_signal(m->process.event, BIT(m->process.pulse_bit));
	}
}
