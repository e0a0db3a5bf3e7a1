/* How interrupts reach the vCPUs: PIC, I/O APIC, LAPICs, their timers, NMIs. */
#pragma once

#include "guests/vmm/machine.h"

/*
 * Opens the vCPU's mail, programs its timer, hands the PIC's interrupts and NMIs to it or asks for
 * an exit when it can take them, and computes the machine's deadline anew.
 */
void interrupt_settle(struct vcpu *v);

/*
 * Acts on what exits and device models left to do before the vCPU is entered again. Called on its
 * thread after every exit but the quickest; mostly finds nothing. Then the exit is handled for
 * good.
 */
static inline void machine_settle(struct vcpu *v)
{
	const struct run_page *run = v->run;

	/* the kernel zeroes the timer when it has fired */
	if (unlikely(v->state->timer_set != run->timer ||
		     (run->flags & (RUN_WINDOW | RUN_NMI_WINDOW)) | v->lapic->state->todo |
			     __atomic_load_n(&v->post->mail, __ATOMIC_RELAXED)))
		interrupt_settle(v);
	journal_commit(v);
}
