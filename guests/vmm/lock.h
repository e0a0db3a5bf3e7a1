/*
 * The machine's lock: device models and what they share run on one vCPU's thread at a time. What
 * belongs to one vCPU (run page, APIC page, LAPIC and MSR state) needs none, and its own thread
 * touches it without; other threads leave it mail (smp.h) or vectors in the pending word.
 */
#pragma once

#include "guests/vmm/machine.h"

/* What a thread does when it finds the lock taken, and when it left others waiting. */
void lock_wait(struct vcpu *v);
void lock_wake(struct machine *m);

/*
 * Takes the lock of v's machine on v's own thread, if it does not hold it. It keeps it until it
 * commits the exit (journal.h): what it changed under the lock may be rolled back until then, so
 * nobody else may build on it.
 */
static inline void machine_lock(struct vcpu *v)
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

/* For journal_commit. */
static inline void machine_unlock(struct vcpu *v)
{
	v->locked = false;
	if (v->machine->vcpus > 1 && unlikely(__atomic_exchange_n(&v->machine->lock.word, LOCK_OPEN,
						      __ATOMIC_SEQ_CST) != LOCK_HELD))
		lock_wake(v->machine);
}
