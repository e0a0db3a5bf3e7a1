/* When an interrupt may end without an exit, and whether one has. */
#include "guests/vmm/cpu/cpuid_bits.h"
#include "pveoi.h"

static u32 *word_of(struct vcpu *v)
{
	u64 msr = v->state->eoi_msr;

	if (!(msr & PVEOI_ENABLE))
		return NULL;
	return gmem_at(&v->machine->memory, msr & ~PVEOI_ENABLE, sizeof(u32));
}

static void disarm(struct vcpu *v)
{
	v->run->flags &= ~RUN_EOI_SKIP;
	v->state->eoi_armed = 0;
}

/* From now on the guest ends interrupts by exits; what it has ended so far is ended. */
static void take_back(struct vcpu *v)
{
	u32 *word = word_of(v);

	pveoi_sync(v);
	if (!v->state->eoi_armed)
		return;
	if (word)
		__atomic_fetch_and(word, ~PVEOI_SKIP, __ATOMIC_SEQ_CST);
	disarm(v);
}

bool pveoi_enable(struct vcpu *v, u64 value)
{
	const struct cpuid_entry *offers = cpuid_find(v->cpuid, CPUID_HYPERVISOR + 1);

	if (value & 2 || !(offers->regs.eax & CPUID_KVM_PV_EOI))
		return false;
	if ((value & PVEOI_ENABLE) &&
		!gmem_at(&v->machine->memory, value & ~PVEOI_ENABLE, sizeof(u32)))
		return false;
	take_back(v);
	v->state->eoi_msr = value;
	v->lapic->state->todo |= LAPIC_TODO_DELIVER; /* settle anew */
	return true;
}

/*
 * The guest does not run while an exit is handled, so one look is enough. What was seen is kept
 * until the commit, for what is done then sets the bit anew or clears it: should this process die
 * and be rolled back, the next one knows, and makes the bit what it was.
 */
void pveoi_take(struct vcpu *v)
{
	u32 *word = word_of(v);
	u64 *seen = &v->post->eoi_seen;

	if (v->eoi_looked)
		return;
	v->eoi_looked = true;
	if (!*seen)
		*seen = word && (__atomic_load_n(word, __ATOMIC_SEQ_CST) & PVEOI_SKIP)
				? PVEOI_RUNS
				: PVEOI_ENDED;
	if (*seen == PVEOI_RUNS) {
		if (word)
			__atomic_fetch_or(word, PVEOI_SKIP, __ATOMIC_SEQ_CST);
		return;
	}
	lapic_eoi(v->machine, v->lapic);
	if (word)
		__atomic_fetch_and(word, ~PVEOI_SKIP, __ATOMIC_SEQ_CST);
	disarm(v);
}

void pveoi_settle(struct vcpu *v)
{
	u32 *word = word_of(v);

	if (!word)
		return;
	pveoi_sync(v);
	/* The kernel says when it is not to last. */
	if (v->state->eoi_armed && v->run->exit_kind != EXIT_WINDOW)
		return;
	if (!lapic_may_skip_eoi(v->lapic)) {
		take_back(v);
	} else if (!v->state->eoi_armed) {
		v->state->eoi_armed = 1;
		v->run->flags |= RUN_EOI_SKIP;
		__atomic_fetch_or(word, PVEOI_SKIP, __ATOMIC_SEQ_CST);
	}
}

void pveoi_resume(struct vcpu *v)
{
	u32 *word = word_of(v);

	if (word && !v->state->eoi_armed)
		__atomic_fetch_and(word, ~PVEOI_SKIP, __ATOMIC_SEQ_CST);
}
