/*
 * Hypercalls. Spinlocks of Linux halt a vCPU that waits long, and whoever unlocks kicks it: so
 * vCPUs that share a CPU do not spin against one another. An IPI to many costs one exit.
 */
#include "hypercall.h"
#include "guests/vmm/debug/debug.h"
#include "guests/vmm/smp.h"
#include "guests/vmm/vcpu.h"

#define ICR_ALLOWED (LAPIC_ICR_VECTOR | LAPIC_ICR_DELIVERY)
#define HALF_BITS   64u

static bool in_64_bit_mode(struct vcpu *v)
{
	vcpu_need(v, GROUP_CR | GROUP_SEG);
	return (v->run->efer & EFER_LMA) && (v->run->cs.attributes & SEGMENT_L);
}

static s64 kick(struct vcpu *v, u32 id)
{
	struct machine *m = v->machine;

	for (u32 i = 0; i < m->vcpus; i++) {
		if (m->state->lapic[i].id == id)
			vcpu_post(&m->vcpu[i], MAIL_UNHALT);
	}
	return 0;
}

/* Sends to the APIC IDs `first` + each bit that is set; returns how many there are. */
static s64 send(struct vcpu *v, const u64 bits[2], u32 width, u32 first, u32 icr)
{
	struct lapic_ipi ipi = {
		.vector = (u8)(icr & LAPIC_ICR_VECTOR),
		.delivery = (u8)((icr & LAPIC_ICR_DELIVERY) >> LAPIC_ICR_DELIVERY_SHIFT),
		.shorthand = LAPIC_TO_DESTINATION,
		.assert = true,
	};
	struct machine *m = v->machine;
	s64 count = 0;

	if (icr & ~ICR_ALLOWED || (ipi.delivery != LAPIC_FIXED && ipi.delivery != LAPIC_NMI))
		return HYPERCALL_INVALID;
	for (u32 i = 0; i < 2 * width; i++) {
		ipi.destination = first + i;
		if (!(bits[i / width] >> i % width & 1) || ipi.destination < first)
			continue;
		for (u32 k = 0; k < m->vcpus; k++)
			count += m->state->lapic[k].id == ipi.destination;
		lapic_route(m, m->lapic, m->vcpus, v->index, &ipi);
	}
	return count;
}

void hypercall_exit(struct vcpu *v)
{
	struct run_page *run = v->run;
	bool wide = in_64_bit_mode(v);
	u64 mask = wide ? ~0ull : UINT32_MAX;
	const u64 bits[2] = {run->gpr[RBX] & mask, run->gpr[RCX] & mask};
	s64 result = HYPERCALL_NO_SYS;

	switch (run->gpr[RAX] & mask) {
	case HYPERCALL_KICK_CPU:
		result = vcpu_cpl(v) ? HYPERCALL_NO_PERM : kick(v, (u32)run->gpr[RCX]);
		break;
	case HYPERCALL_SEND_IPI:
		result = vcpu_cpl(v) ? HYPERCALL_NO_PERM
				     : send(v, bits, wide ? HALF_BITS : HALF_BITS / 2,
					       (u32)run->gpr[RDX], (u32)run->gpr[RSI]);
		break;
	}
	vcpu_answer(v, (u64)result & mask);
}

void hypercall_unhalt(struct vcpu *v)
{
	struct run_page *run = v->run;

	vcpu_need(v, GROUP_RIP);
	if (run->activity == ACTIVITY_HLT) {
		run->activity = ACTIVITY_ACTIVE;
		run->dirty |= GROUP_RIP;
		return;
	}
	v->state->unhalted = 1;
	run->flags &= ~RUN_HLT_WAIT;
	run->dirty |= GROUP_CONTROL;
}

void hypercall_hlt(struct vcpu *v)
{
	struct run_page *run = v->run;

	if (debug_hlt(v))
		return;
	vcpu_skip(v);
	debug_show_interrupts(v);
	if (!v->state->unhalted) {
		run->activity = ACTIVITY_HLT;
		run->dirty |= GROUP_RIP;
	}
	v->state->unhalted = 0;
	if (debug_wants_hlt(v))
		return;
	run->flags |= RUN_HLT_WAIT;
	run->dirty |= GROUP_CONTROL;
}
