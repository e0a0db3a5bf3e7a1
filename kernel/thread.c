/* Threads: making, stopping, resuming, inspecting, killing; ports and events that belong to them.
 */
#include "kernel/kernel.h"
#include "kernel/mem.h"

#define RFLAGS_USER                                                                                \
	(BIT(0) | BIT(2) | BIT(4) | BIT(6) | BIT(7) | RFLAGS_TF | RFLAGS_DF | BIT(11) |            \
		RFLAGS_AC | BIT(21))

status_t thread_init(struct thread *t, struct domain *d, const struct msg_create_thread *m)
{
	status_t s;

	t->message = pool_frame_alloc(&d->pool);
	if (!t->message)
		return STATUS_NO_MEMORY;
	if (m->flags & THREAD_FPU) {
		t->fpu.area = pool_alloc(&d->pool, FPU_AREA_SIZE);
		if (!t->fpu.area) {
			s = STATUS_NO_MEMORY;
			goto fail;
		}
		fpu_area_init(t->fpu.area);
		t->fpu.xcr0 = features.xcr0_saved;
	}
	t->lean = !(m->flags & THREAD_FPU);
	s = domain_map_frame(d, m->message, t->message, PTABLE_READ | PTABLE_WRITE);
	if (s != STATUS_OK)
		goto fail;
	t->message_va = m->message;
	t->domain = d;
	t->cpu = m->cpu;
	t->regs.fs_base = m->fs_base;
	t->regs.rip = m->entry;
	t->regs.gpr[RSP] = m->stack;
	t->regs.gpr[RDI] = m->arg;
	t->regs.rflags = RFLAGS_FIXED | RFLAGS_IF;
	t->resume = RESUME_IRET;
	t->state = THREAD_STOPPED;
	list_init(&t->callers);
	list_init(&t->caller_link);
	sched_init_thread(t);
	sched_set(t, m->priority, m->budget, m->period);
	t->timeout.expire = event_timeout;
	kobj_init(&t->obj, KIND_THREAD, d, 0);
	kobj_init(&t->event_obj, KIND_EVENT, NULL, 0);
	return STATUS_OK;
fail:
	pool_frame_free(&d->pool, t->message);
	pool_free(&d->pool, t->fpu.area, FPU_AREA_SIZE);
	return s;
}

static bool canonical_user(u64 va)
{
	return va < ABI_USER_END;
}

status_t thread_create(struct thread *t, struct domain *payer, struct kobj **out)
{
	struct msg_create_thread m = *(const struct msg_create_thread *)t->message;
	struct thread *n;
	status_t s;

	if (m.cpu >= cpu_count || !sched_valid(m.priority, m.budget, m.period) ||
		!canonical_user(m.entry) || !canonical_user(m.fs_base) || (m.flags & ~THREAD_FPU))
		return STATUS_BAD_ARG;
	n = pool_alloc(&payer->pool, sizeof(*n));
	if (!n)
		return STATUS_NO_MEMORY;
	s = thread_init(n, payer, &m);
	if (s != STATUS_OK) {
		pool_free(&payer->pool, n, sizeof(*n));
		return s;
	}
	*out = &n->obj;
	return STATUS_OK;
}

status_t port_create(struct thread *t, struct domain *payer, struct kobj **out)
{
	struct msg_create_port m = *(const struct msg_create_port *)t->message;
	struct cap server;
	struct port *p;
	status_t s = cap_lookup(t->domain, m.thread, KIND_THREAD, RIGHT_CTL, &server);

	if (s != STATUS_OK)
		return s;
	p = pool_alloc(&payer->pool, sizeof(*p));
	if (!p)
		return STATUS_NO_MEMORY;
	p->server = container_of(server.obj, struct thread, obj);
	p->badge = m.badge;
	kobj_init(&p->obj, KIND_PORT, payer, sizeof(*p));
	/* An embedded capability makes the port follow its server's death. */
	*out = &p->obj;
	if (!slot_set(&p->to_server, &p->server->obj, KIND_THREAD, 0, 0))
		return STATUS_GONE;
	__atomic_add_fetch(&p->server->ports, 1, __ATOMIC_RELAXED);
	return STATUS_OK;
}

status_t event_create(struct thread *t, struct domain *payer, struct kobj **out)
{
	struct msg_create_event m = *(const struct msg_create_event *)t->message;
	struct cap target;
	status_t s = cap_lookup(t->domain, m.thread, KIND_THREAD, RIGHT_CTL, &target);

	(void)payer;
	(void)out;
	if (s != STATUS_OK)
		return s;
	return domain_cap_set(t->domain, arg(t, RDX),
		&container_of(target.obj, struct thread, obj)->event_obj, KIND_EVENT, RIGHT_ALL,
		m.mask);
}

void thread_fault(struct thread *t, u32 kind, u32 vector, u64 error, u64 address)
{
	t->regs.fault = kind;
	t->regs.vector = vector;
	t->regs.error = error;
	t->regs.address = address;
	thread_block(t, THREAD_STOPPED);
	if (t->domain == &root_domain && kind != FAULT_NONE)
		panic("root stopped: fault %u vector %u error %lx address %lx rip %lx rsp %lx",
			kind, vector, error, address, t->regs.rip, t->regs.gpr[RSP]);
	if (kind != FAULT_NONE)
		event_set_slot(&t->domain->supervisor, ~0ull);
}

void thread_stop_pending(struct thread *t)
{
	u8 pending = t->stop_pending;

	t->stop_pending = 0;
	if (pending & STOP_ASKED)
		thread_fault(t, FAULT_NONE, 0, 0, 0);
}

void thread_kill(struct thread *t)
{
	struct cpu *c = cpu_self();

	/* Which parts the two; looked for again at each visit, for another CPU may have given it
	 * one late. */
	if (t->vcpu)
		vcpu_stop(t->vcpu);
	if (t->state == THREAD_DEAD)
		return;
	mem_create_abort(t);
	if (t->state == THREAD_PARKED && t->op_arg[3])
		*(struct thread **)t->op_arg[3] = NULL;
	ipc_abort(t);
	sched_dequeue(cpu_self(), t->sc);
	t->sc = t;
	timer_cancel(&t->timeout);
	timer_cancel(&t->replenish);
	fpu_evict(c, &t->fpu);
	t->state = THREAD_DEAD;
	if (c->sc == t)
		c->sc = NULL;
	if (c->current == t)
		c->current = NULL;
	c->resched = 1;
}

static status_t set_state(struct thread *t, const struct msg_thread *from)
{
	struct msg_thread m = *from;

	if (!canonical_user(m.rip) || !canonical_user(m.fs_base))
		return STATUS_BAD_ARG;
	memcpy(t->regs.gpr, m.gpr, sizeof(m.gpr));
	t->regs.rip = m.rip;
	t->regs.rflags = (m.rflags & RFLAGS_USER) | RFLAGS_FIXED | RFLAGS_IF;
	t->regs.fs_base = m.fs_base;
	t->resume = RESUME_IRET;
	mem_create_abort(t);
	return STATUS_OK;
}

static void stop(struct thread *t)
{
	switch (t->state) {
	case THREAD_STOPPED:
	case THREAD_DEAD:
		return;
	case THREAD_CALLING:
	case THREAD_QUEUED:
	case THREAD_PARKED:
		t->stop_pending |= STOP_ASKED; /* stops when that is over */
		return;
	case THREAD_WAIT_EVENT:
	case THREAD_WAIT_CALL:
		t->regs.gpr[RAX] = STATUS_TIMEOUT;
		timer_cancel(&t->timeout);
		break;
	}
	if (t->vcpu && (t->state == THREAD_HALTED || t->resume == RESUME_GUEST))
		vcpu_leave(t->vcpu, STATUS_TIMEOUT, 0);
	t->wait_mask = 0;
	thread_fault(t, FAULT_NONE, 0, 0, 0);
}

/* Does the operation on the CPU of `t`, with the message page of the caller. */
static status_t thread_op(struct thread *t, const struct thread *caller)
{
	const u64 *gpr = caller->regs.gpr;

	if (t->state == THREAD_DEAD)
		return STATUS_GONE;
	if (t->state != THREAD_STOPPED &&
		(gpr[RSI] == THREAD_CTL_RESUME || gpr[RSI] == THREAD_CTL_GET ||
			gpr[RSI] == THREAD_CTL_SET))
		return STATUS_BAD_STATE;
	switch (gpr[RSI]) {
	case THREAD_CTL_RESUME:
		t->regs.fault = FAULT_NONE;
		thread_ready(t);
		return STATUS_OK;
	case THREAD_CTL_STOP:
		stop(t);
		return STATUS_OK;
	case THREAD_CTL_GET:
		*(struct msg_thread *)caller->message = t->regs;
		return STATUS_OK;
	case THREAD_CTL_SET:
		return set_state(t, (const struct msg_thread *)caller->message);
	case THREAD_CTL_STATS:
		sched_charge(cpu_self());
		*(struct msg_thread_stats *)caller->message = (struct msg_thread_stats){
			.run_time = t->run_time,
			.calls = t->switches,
			.cpu = t->cpu,
			.priority = t->priority,
			.wait_time = t->wait_time,
		};
		return STATUS_OK;
	case THREAD_CTL_SCHED:
		if (!sched_valid(gpr[RDX], gpr[R8], gpr[R9]))
			return STATUS_BAD_ARG;
		sched_set(t, gpr[RDX], gpr[R8], gpr[R9]);
		return STATUS_OK;
	}
	return STATUS_BAD_CALL;
}

static void op_home(struct work *w)
{
	struct thread *caller = container_of(w, struct thread, op);

	if (caller->state == THREAD_PARKED)
		thread_unpark(caller, (status_t)caller->op_arg[1]);
}

static void op_remote(struct work *w)
{
	struct thread *caller = container_of(w, struct thread, op);
	struct thread *t = (struct thread *)caller->op_arg[2];

	caller->op_arg[1] = thread_op(t, caller);
	w->run = op_home;
	cpu_post(cpus[caller->cpu], w);
}

status_t sys_thread_ctl(struct thread *t, const struct cap *cap)
{
	struct thread *target = container_of(cap->obj, struct thread, obj);

	if (arg(t, RSI) == THREAD_CTL_SCHED && !(cap->rights & RIGHT_SCHED))
		return STATUS_DENIED;
	if (target->cpu == t->cpu)
		return thread_op(target, t);
	t->op_arg[2] = (u64)target;
	t->op_arg[3] = 0;
	t->op.run = op_remote;
	thread_park(t);
	cpu_post(cpus[target->cpu], &t->op);
	return STATUS_LATER;
}
