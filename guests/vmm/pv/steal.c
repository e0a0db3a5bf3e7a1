/* Writes KVM's steal time into the guest's memory. */
#include "steal.h"
#include "guests/vmm/host.h"

#define RESERVED 0x3eull /* of the MSR */

static struct steal_area *area_of(struct vcpu *v)
{
	u64 msr = v->state->steal_msr;

	if (!(msr & STEAL_ENABLE))
		return NULL;
	return gmem_at(&v->machine->memory, msr & ~STEAL_ENABLE, sizeof(struct steal_area));
}

static void publish(struct vcpu *v, struct steal_area *area)
{
	u32 version = __atomic_load_n(&area->version, __ATOMIC_RELAXED) | 1;

	__atomic_store_n(&area->version, version, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	area->steal = clock_ns(&v->machine->clock, v->state->stolen);
	area->flags = 0;
	__atomic_store_n(&area->version, version + 1, __ATOMIC_RELEASE);
}

bool steal_enable(struct vcpu *v, u64 value)
{
	struct steal_area *area;

	if (value & RESERVED)
		return false;
	if ((value & STEAL_ENABLE) &&
		!gmem_at(&v->machine->memory, value & ~STEAL_ENABLE, sizeof(struct steal_area)))
		return false;
	v->state->steal_msr = value;
	v->steal_next = 0;
	area = area_of(v);
	if (area)
		publish(v, area);
	return true;
}

void steal_update(struct vcpu *v)
{
	struct steal_area *area = area_of(v);
	cycles_t now = tsc_now();
	cycles_t waited;

	if (!area || now < v->steal_next)
		return;
	v->steal_next = now + tsc_from_us(v->machine->clock.hz, STEAL_PERIOD_US);
	waited = host_waited(v);
	if (waited == v->steal_seen)
		return;
	v->state->stolen += waited - v->steal_seen;
	v->steal_seen = waited;
	publish(v, area);
}

void steal_leave(struct vcpu *v)
{
	struct steal_area *area = area_of(v);

	if (area)
		__atomic_store_n(&area->preempted, STEAL_PREEMPTED, __ATOMIC_SEQ_CST);
}

void steal_return(struct vcpu *v)
{
	struct steal_area *area = area_of(v);

	/* Whoever finds it set asks by an atomic exchange, which comes before this one or fails. */
	if (area && __atomic_exchange_n(&area->preempted, 0, __ATOMIC_SEQ_CST) & STEAL_FLUSH_TLB)
		v->run->dirty |= GROUP_FLUSH;
}
