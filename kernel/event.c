/* Events: sticky bits that belong to a thread, set from any CPU. */
#include "kernel/kernel.h"
#include "kernel/vcpu.h"

/* On the thread's CPU: ends its wait if its bits are set. */
static inline void event_deliver(struct thread *t)
{
	u64 bits;

	if (unlikely(t->vcpu && (t->state == THREAD_HALTED || t->resume == RESUME_GUEST))) {
		vcpu_wake(t->vcpu);
		return;
	}
	bits = t->event & t->wait_mask;
	if (!bits || (t->state != THREAD_WAIT_EVENT && t->state != THREAD_WAIT_CALL))
		return;
	__atomic_and_fetch(&t->event, ~bits, __ATOMIC_SEQ_CST);
	t->regs.gpr[RAX] = STATUS_EVENT;
	t->regs.gpr[RDI] = bits;
	thread_ready(t);
}

static void event_wake_work(struct work *w)
{
	struct thread *t = container_of(w, struct thread, wake);

	/* Cleared before the bits are looked at: a signal that comes now posts again. */
	__atomic_store_n(&t->wake_posted, 0, __ATOMIC_SEQ_CST);
	event_deliver(t);
}

void event_set(struct thread *t, u64 bits)
{
	u64 old;

	if (likely(t->cpu == cpu_self()->index)) {
		__atomic_or_fetch(&t->event, bits, __ATOMIC_SEQ_CST);
		event_deliver(t);
		return;
	}
	old = __atomic_fetch_or(&t->event, bits, __ATOMIC_SEQ_CST);
	/*
	 * Another CPU's thread. It publishes what it waits for and then reads its event; here the
	 * event was set first: so either it sees the bits, or this sees the wait. A guest that runs
	 * is always told, for the bits may be vectors.
	 */
	if ((old & bits) == bits && !t->vcpu)
		return;
	if (!(__atomic_load_n(&t->wait_mask, __ATOMIC_SEQ_CST) & bits)) {
		struct vcpu *v = __atomic_load_n(&t->vcpu, __ATOMIC_RELAXED);

		if (!v || (vcpu_ops->post && t->state != THREAD_HALTED && vcpu_ops->post(v)))
			return;
	}
	if (__atomic_exchange_n(&t->wake_posted, 1, __ATOMIC_SEQ_CST) == 0) {
		t->wake.run = event_wake_work;
		cpu_post(cpus[t->cpu], &t->wake);
	}
}

void event_set_slot(const struct slot *s, u64 bits)
{
	struct cap event;

	slot_copy(s, &event);
	if (event.obj)
		event_set(container_of(event.obj, struct thread, event_obj), bits & event.data);
}

static __attribute__((noinline)) void signal_slow(u64 cap)
{
	struct thread *t = cpu_self()->current;
	struct cap s;
	status_t status = cap_lookup(t->domain, cap, KIND_EVENT, 0, &s);

	/* Between the two looks the capability may have come to life, but the caller could not
	 * know. */
	t->regs.gpr[RAX] = status == STATUS_OK ? STATUS_DENIED : status;
}

void sys_event_signal(u64 cap, u64 bits)
{
	struct thread *t = cpu_self()->current;
	struct slot *s;
	struct kobj *o = cap_find(t->domain->slots, cap, KIND_EVENT, 0, &s);

	if (unlikely(!o || bits & ~s->data))
		return signal_slow(cap);
	t->regs.gpr[RAX] = STATUS_OK;
	event_set(container_of(o, struct thread, event_obj), bits);
}

void event_timeout(struct timer *timer)
{
	struct thread *t = container_of(timer, struct thread, timeout);

	if (t->state == THREAD_WAIT_EVENT || t->state == THREAD_WAIT_CALL) {
		t->regs.gpr[RAX] = STATUS_TIMEOUT;
		thread_ready(t);
	}
}

void sys_event_wait(u64 mask, u64 deadline)
{
	struct cpu *c = cpu_self();
	struct thread *t = c->current;
	u64 bits;

	__atomic_store_n(&t->wait_mask, mask, __ATOMIC_SEQ_CST);
	bits = t->event & mask;
	if (bits) {
		__atomic_and_fetch(&t->event, ~bits, __ATOMIC_SEQ_CST);
		t->regs.gpr[RAX] = STATUS_EVENT;
		t->regs.gpr[RDI] = bits;
		t->wait_mask = 0;
		return;
	}
	if (deadline != TIME_NEVER) {
		if (deadline <= rdtsc()) {
			t->regs.gpr[RAX] = STATUS_TIMEOUT;
			t->wait_mask = 0;
			return;
		}
		timer_arm(&t->timeout, deadline);
	}
	thread_block_switch(c, t, THREAD_WAIT_EVENT);
}
