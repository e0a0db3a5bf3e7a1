/*
 * The machine's lock: device models and what they share run on one vCPU's thread at a time. What
 * belongs to one vCPU (run page, APIC page, LAPIC and MSR state) needs none, and its own thread
 * touches it without; other threads leave it mail (smp.h) or vectors in the pending word.
 */
#pragma once

#include "guests/vmm/machine.h"

/* When the lock was open for a moment only: wakes who waited. */
void lock_wake(struct machine *m);

/*
 * Takes the lock of v's machine on v's own thread, if it does not hold it. It keeps it until it
 * commits the exit (journal.h): what it changed under the lock may be rolled back until then, so
 * nobody else may build on it.
 */
void machine_lock(struct vcpu *v);

/* For journal_commit. */
static inline void machine_unlock(struct vcpu *v)
{
	v->locked = false;
	if (v->machine->vcpus > 1 && unlikely(__atomic_exchange_n(&v->machine->lock.word, LOCK_OPEN,
						      __ATOMIC_SEQ_CST) != LOCK_HELD))
		lock_wake(v->machine);
}
