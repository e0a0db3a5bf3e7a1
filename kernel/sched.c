/*
 * The scheduler: fixed priorities, budgets with periods, one run queue for each CPU; and per-CPU
 * timers.
 *
 * A scheduling context is queued while the thread that runs on it (`active`) can run. The one that
 * runs stays at the head of its queue. There is no tick: a timer is set for the end of the budget,
 * and, only while another context of the same priority waits, for the end of a time slice.
 */
#include "kernel/kernel.h"
#include "kernel/vcpu.h"

#define SLICE_US 10000

static cycles_t slice;

inline void sched_charge(struct cpu *c)
{
	cycles_t now = rdtsc();
	struct thread *sc = c->sc;

	if (sc) {
		cycles_t used = now - c->sc_start;

		sc->run_time += used;
		if (sc->budget) {
			sc->debt += used > sc->left ? used - sc->left : 0;
			sc->left -= used > sc->left ? sc->left : used;
		}
	}
	c->sc_start = now;
}

cycles_t sched_run_time(struct cpu *c)
{
	sched_charge(c);
	return c->sc->run_time;
}

static void ready_add(struct cpu *c, struct thread *sc)
{
	list_add(&c->ready[sc->effective], &sc->ready_link);
	c->ready_mask |= BIT(sc->effective);
}

static void ready_remove(struct cpu *c, struct thread *sc)
{
	list_remove(&sc->ready_link);
	if (list_empty(&c->ready[sc->effective]))
		c->ready_mask &= ~BIT(sc->effective);
}

static void new_period(struct thread *sc, cycles_t now)
{
	cycles_t paid = sc->debt < sc->budget ? sc->debt : sc->budget;

	sc->period_start = now;
	sc->left = sc->budget - paid;
	sc->debt -= paid;
}

/* Starts a new period if the old one is over. */
static void refill(struct thread *sc)
{
	cycles_t now = rdtsc();

	if (now - sc->period_start >= sc->period)
		new_period(sc, now);
}

inline void sched_enqueue(struct cpu *c, struct thread *sc)
{
	if (sc->queued)
		return;
	sc->queued = 1;
	sc->ready_at = rdtsc();
	if (unlikely(sc->budget)) {
		refill(sc);
		if (sc->depleted)
			return;
	}
	ready_add(c, sc);
	if (!c->sc || sc->effective > c->sc->effective)
		c->resched = 1;
	else if (sc->effective == c->sc->effective && !c->budget_end.queued)
		timer_arm(&c->budget_end, rdtsc() + slice);
}

inline void sched_dequeue(struct cpu *c, struct thread *sc)
{
	if (!sc->queued)
		return;
	sc->queued = 0;
	if (!sc->depleted)
		ready_remove(c, sc);
	if (c->sc == sc)
		c->resched = 1;
}

void sched_boost(struct thread *sc, u8 priority)
{
	struct cpu *c = cpu_self();
	bool listed = sc->queued && !sc->depleted;

	if (sc->effective == priority)
		return;
	if (listed)
		ready_remove(c, sc);
	sc->effective = priority;
	if (listed)
		ready_add(c, sc);
	c->resched = 1;
}

static void replenish(struct timer *t)
{
	struct thread *sc = container_of(t, struct thread, replenish);

	sc->depleted = 0;
	new_period(sc, rdtsc());
	if (sc->queued) {
		cycles_t since = sc->ready_at;

		sc->queued = 0;
		sched_enqueue(cpu_self(), sc);
		sc->ready_at = since;
	}
}

/*
 * Makes sure that budget_end runs by the end of the running context's budget, or of a time slice
 * when others of its priority wait. An earlier alarm stays, for it sets the next one itself: so a
 * switch rarely touches the timers.
 */
static void limit_run(struct cpu *c, struct thread *sc, bool shared)
{
	cycles_t end = shared ? rdtsc() + slice : TIME_NEVER;

	if (sc->budget && c->sc_start + sc->left < end)
		end = c->sc_start + sc->left;
	if (!c->budget_end.queued || end < c->budget_end.deadline)
		timer_arm(&c->budget_end, end);
}

static bool is_shared(struct cpu *c, struct thread *sc)
{
	struct list *head = &c->ready[sc->effective];

	return head->next != head->prev;
}

/* The end of a budget or of a time slice, or sooner. */
static void budget_end(struct timer *t)
{
	struct cpu *c = container_of(t, struct cpu, budget_end);
	struct thread *sc = c->sc;

	if (!sc || !sc->queued || sc->depleted)
		return;
	sched_charge(c);
	/*
	 * In the middle of a call the server finishes first, as a debt of the next period: it is
	 * not kept from its other callers for one that has run out. The reply then takes the slow
	 * way, which looks at the budget.
	 */
	if (sc->budget && !sc->left && sc->active != sc)
		sc->stop_pending |= STOP_OVERDRAWN;
	if (sc->budget && !sc->left && sc->active == sc) {
		ready_remove(c, sc);
		sc->depleted = 1;
		timer_arm(&sc->replenish, sc->period_start + sc->period);
		c->resched = 1;
	} else if (is_shared(c, sc)) {
		ready_remove(c, sc);
		ready_add(c, sc);
		c->resched = 1;
	} else if (sc->budget) {
		timer_arm(&c->budget_end, c->sc_start + (sc->left ? sc->left : slice));
	}
}

void thread_switch_slow(struct cpu *c, struct thread *t)
{
	struct domain *d = t->domain;

	domain_flush(c, d);
	if (d->ports || c->ports_on)
		domain_switch_ports(c, d);
	fpu_switch(c, t);
	fs_load(t);
}

static void schedule(struct cpu *c)
{
	struct list *head;
	struct thread *sc;

	c->resched = 0;
	if (!c->ready_mask) {
		sched_charge(c);
		c->sc = NULL;
		c->current = NULL;
		domain_leave(c);
		return;
	}
	head = &c->ready[63 - __builtin_clzl(c->ready_mask)];
	sc = container_of(head->next, struct thread, ready_link);
	if (sc != c->sc || sc->budget) {
		sched_charge(c);
		if (c->sc)
			c->sc->ready_at = c->sc_start; /* if it is still queued */
		sc->wait_time += c->sc_start - sc->ready_at;
		sc->switches++;
		c->sc = sc;
	}
	if (unlikely(sc->budget || head->next != head->prev))
		limit_run(c, sc, head->next != head->prev);
	thread_switch(c, sc->active);
}

void cpu_resume(void)
{
	struct cpu *c = cpu_self();

	for (;;) {
		if (c->works)
			cpu_run_works();
		if (c->resched)
			schedule(c);
		if (c->works || c->resched)
			continue;
		if (!c->current) {
			lapic_refresh();
			idle_wait();
		}
		if (c->current->resume == RESUME_GUEST)
			vcpu_continue(c->current->vcpu);
		return_to(c->current);
	}
}

void thread_ready(struct thread *t)
{
	t->state = THREAD_READY;
	t->wait_mask = 0;
	if (t->timeout.queued)
		timer_cancel(&t->timeout);
	sched_enqueue(cpu_self(), t->sc);
}

void thread_block(struct thread *t, u8 state)
{
	t->state = state;
	sched_dequeue(cpu_self(), t->sc);
}

/* The common case of cpu_resume at once: nothing posted, and the next thread is in a system call
 * too. */
void thread_block_switch(struct cpu *c, struct thread *t, u8 state)
{
	t->state = state;
	sched_dequeue(c, t->sc);
	if (unlikely(c->works))
		return;
	schedule(c);
	if (unlikely(!c->current || c->current->resume != RESUME_SYSRET))
		c->resched = 1;
}

void sched_init_cpu(struct cpu *c)
{
	for (unsigned i = 0; i < CPU_PRIORITIES; i++)
		list_init(&c->ready[i]);
	slice = boot->tsc_hz / 1000000 * SLICE_US;
	c->budget_end.expire = budget_end;
	c->resched = 1;
}

bool sched_valid(u64 priority, u64 budget, u64 period)
{
	return priority >= 1 && priority < CPU_PRIORITIES &&
	       (!budget || (budget >= boot->tsc_hz / 100000 && budget <= period &&
				   period <= THREAD_PERIOD_MAX));
}

void sched_set(struct thread *t, u64 priority, u64 budget, u64 period)
{
	bool queued = t->queued;

	if (queued)
		sched_dequeue(cpu_self(), t);
	timer_cancel(&t->replenish);
	t->depleted = 0;
	t->priority = (u8)priority;
	t->effective = (u8)priority;
	t->budget = budget;
	t->period = period;
	t->left = budget;
	t->debt = 0;
	t->period_start = rdtsc();
	if (queued)
		sched_enqueue(cpu_self(), t);
}

void sched_init_thread(struct thread *t)
{
	t->sc = t;
	t->active = t;
	t->replenish.expire = replenish;
	list_init(&t->ready_link);
}

static void timer_program(struct cpu *c)
{
	cycles_t next = c->timers.root ? c->timers.root->deadline : TIME_NEVER;

	if (next != c->armed) {
		c->armed = next;
		lapic_timer_arm(next);
	}
}

void timer_arm(struct timer *t, cycles_t deadline)
{
	struct cpu *c = cpu_self();

	if (t->queued)
		timer_remove(&c->timers, t);
	t->deadline = deadline;
	if (deadline != TIME_NEVER)
		timer_insert(&c->timers, t);
	/* A later first deadline is left to the interrupt, which finds nothing due: cheaper than
	 * programming now. */
	if (c->timers.root && c->timers.root->deadline < c->armed)
		timer_program(c);
}

void timer_cancel(struct timer *t)
{
	if (t->queued)
		timer_remove(&cpu_self()->timers, t);
}

void timer_interrupt(void)
{
	struct cpu *c = cpu_self();

	c->armed = TIME_NEVER;
	while (c->timers.root && c->timers.root->deadline <= rdtsc()) {
		struct timer *t = c->timers.root;

		timer_remove(&c->timers, t);
		t->expire(t);
	}
	timer_program(c);
}
