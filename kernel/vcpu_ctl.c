/* vcpu_ctl: what a VMM does to a vCPU besides running it. */
#include "kernel/kernel.h"
#include "kernel/vcpu.h"

void vcpu_unmap(struct vcpu *v)
{
	struct domain *d = v->map_domain;

	if (!d)
		return;
	spin_lock(&d->space.lock);
	/* Its destruction on another CPU may have been first, or map_pages there. */
	if (v->map_domain == d) {
		space_unmap(&d->space, v->map_va, 2 * PAGE_SIZE);
		list_remove(&v->map_link);
		v->map_domain = NULL;
	}
	spin_unlock(&d->space.lock);
}

static status_t map_pages(struct thread *t, struct vcpu *v, u64 va)
{
	struct domain *d = t->domain;
	status_t s;

	vcpu_unmap(v);
	tlb_service(cpu_self());
	s = domain_map_frame(d, va, v->run, PTABLE_READ | PTABLE_WRITE);
	if (s != STATUS_OK)
		return s;
	s = domain_map_frame(d, va + PAGE_SIZE, v->apic, PTABLE_READ | PTABLE_WRITE);
	spin_lock(&d->space.lock);
	if (s != STATUS_OK) {
		/*
		 * Other threads may have used it meanwhile: it must leave their TLBs before the
		 * frame is freed.
		 */
		space_unmap(&d->space, va, PAGE_SIZE);
	} else {
		v->map_domain = d;
		v->map_va = va;
		list_add(&d->vcpu_maps, &v->map_link);
	}
	spin_unlock(&d->space.lock);
	return s;
}

static status_t fpu_copy(struct thread *t, struct vcpu *v, u64 offset, bool set)
{
	u8 *area = v->fpu.area;
	u64 n = PAGE_SIZE;

	t->regs.gpr[RDI] = FPU_AREA_SIZE;
	if (!IS_ALIGNED(offset, PAGE_SIZE) || offset >= FPU_AREA_SIZE)
		return STATUS_BAD_ARG;
	if (n > FPU_AREA_SIZE - offset)
		n = FPU_AREA_SIZE - offset;
	fpu_evict(cpu_self(), &v->fpu);
	if (!set) {
		memcpy(t->message, area + offset, n);
		return STATUS_OK;
	}
	memcpy(area + offset, t->message, n);
	return fpu_area_check(area) ? STATUS_OK : STATUS_DAMAGED;
}

static status_t bind(struct vcpu *v, u64 bits, u64 vector)
{
	if (vector > 255 || (vector && vector < 16))
		return STATUS_BAD_ARG;
	for (u64 b = bits; b; b &= b - 1)
		v->bound[__builtin_ctzl(b)] = (u8)vector;
	if (vector)
		v->bound_mask |= bits;
	else
		v->bound_mask &= ~bits;
	return STATUS_OK;
}

static status_t set_thread(struct thread *t, struct vcpu *v, u64 cap)
{
	struct cap slot;
	struct thread *n;
	status_t s = cap_lookup(t->domain, cap, KIND_THREAD, RIGHT_CTL, &slot);

	if (s != STATUS_OK)
		return s;
	n = container_of(slot.obj, struct thread, obj);
	if (n->cpu != v->cpu)
		return STATUS_BAD_CPU;
	return vcpu_tie(v, n);
}

status_t sys_vcpu_ctl(struct thread *t, const struct cap *cap)
{
	struct vcpu *v = container_of(cap->obj, struct vcpu, obj);

	if (arg(t, RSI) == VCPU_CTL_STATS) {
		*(struct msg_vcpu_stats *)t->message = v->stats;
		return STATUS_OK;
	}
	if (v->cpu != t->cpu)
		return STATUS_BAD_CPU;
	if (v->thread && v->thread != t &&
		(v->thread->state == THREAD_HALTED || v->thread->resume == RESUME_GUEST))
		return STATUS_BUSY;
	switch (arg(t, RSI)) {
	case VCPU_CTL_MAP:
		return map_pages(t, v, arg(t, RDX));
	case VCPU_CTL_FETCH:
		vcpu_fetch(v, arg(t, RDX) & GROUP_ALL_REG);
		return STATUS_OK;
	case VCPU_CTL_BIND:
		return bind(v, arg(t, RDX), arg(t, R8));
	case VCPU_CTL_FPU_GET:
		return fpu_copy(t, v, arg(t, RDX), false);
	case VCPU_CTL_FPU_SET:
		return fpu_copy(t, v, arg(t, RDX), true);
	case VCPU_CTL_THREAD:
		return set_thread(t, v, arg(t, RDX));
	}
	return STATUS_BAD_CALL;
}
