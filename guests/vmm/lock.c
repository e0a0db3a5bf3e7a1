/* The machine's lock when two threads meet at it. */
#include "lock.h"
#include "host.h"

#define SPINS                                                                                      \
	200 /* the lock is held for some hundred instructions, unless its holder was preempted */

/*
 * A thread that waits says so in `waiters` and then in the word; the one that unlocks takes the
 * word first and then the waiters. So either this one finds the lock open, or it is among those
 * woken.
 */
static void lock_wait(struct vcpu *v)
{
	struct machine_lock *lock = &v->machine->lock;
	cycles_t start;

	for (u32 i = 0; i < SPINS; i++) {
		u32 open = LOCK_OPEN;

		if (__atomic_compare_exchange_n(&lock->word, &open, LOCK_HELD, false,
			    __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return;
		__builtin_ia32_pause();
	}
	start = tsc_now();
	for (;;) {
		__atomic_fetch_or(&lock->waiters, BIT(v->index), __ATOMIC_SEQ_CST);
		if (__atomic_exchange_n(&lock->word, LOCK_WANTED, __ATOMIC_SEQ_CST) == LOCK_OPEN)
			break;
		host_wait(BIT(VCPU_BIT_LOCK), TIME_NEVER);
	}
	v->watch->waited += tsc_now() - start;
}

void machine_lock(struct vcpu *v)
{
	u32 open = LOCK_OPEN;

	if (v->locked)
		return;
	if (v->machine->vcpus > 1 &&
		unlikely(!__atomic_compare_exchange_n(&v->machine->lock.word, &open, LOCK_HELD,
			false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)))
		lock_wait(v);
	v->locked = true;
}

void lock_wake(struct machine *m)
{
	u64 waiters = __atomic_exchange_n(&m->lock.waiters, 0, __ATOMIC_SEQ_CST);

	for (; waiters; waiters &= waiters - 1)
		host_signal(m->vcpu[__builtin_ctzl(waiters)].event, BIT(VCPU_BIT_LOCK));
}
