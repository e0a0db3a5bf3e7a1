/*
 * Destruction. An object first loses all capabilities to it; then a job visits every CPU in rounds.
 * In the first each CPU stops what of it is its own (threads, vcpus) and, being between two
 * programs, holds no pointer into it any more; then its translations are removed; in the second
 * each CPU flushes them, and in the third, jobs that were under way have come home. Then the memory
 * is freed. CPUs pay nothing on their normal paths for this; a destruction costs each an IPI a
 * round.
 */
#include "kernel/dev.h"
#include "kernel/doorbell.h"
#include "kernel/kernel.h"
#include "kernel/mem.h"

#define ROUNDS 3

void thread_park(struct thread *t)
{
	t->resume = RESUME_SYSRET;
	thread_block(t, THREAD_PARKED);
}

void thread_unpark(struct thread *t, status_t s)
{
	t->regs.gpr[RAX] = s;
	t->op_arg[3] = 0;
	thread_ready(t);
	thread_stop_pending(t);
}

static struct thread *as_thread(struct kobj *o)
{
	return container_of(o, struct thread, obj);
}

static void unmap_message(struct thread *t)
{
	struct domain *d = t->domain;

	spin_lock(&d->space.lock);
	if (t->message_va) {
		space_unmap(&d->space, t->message_va, PAGE_SIZE);
		t->message_va = 0;
	}
	spin_unlock(&d->space.lock);
}

/*
 * Nobody finds `o` from now on: capabilities, translations, doorbells, its interrupt. Done twice:
 * at once, and when each CPU has been between two programs, for what a call that had found `o`
 * before made of it.
 */
static void detach(struct kobj *o)
{
	struct vm *vm;

	kobj_revoke(o);
	switch (o->kind) {
	case KIND_THREAD:
		kobj_revoke(&as_thread(o)->event_obj);
		unmap_message(as_thread(o));
		break;
	case KIND_PORT:
		slot_clear(&container_of(o, struct port, obj)->to_server);
		break;
	case KIND_IRQ:
		irq_stop(o);
		break;
	case KIND_DEV:
		dev_stop(o);
		break;
	case KIND_VCPU:
		vcpu_unmap(container_of(o, struct vcpu, obj));
		break;
	case KIND_VM:
		vm = container_of(o, struct vm, obj);
		spin_lock(&vm->space.lock);
		doorbell_clear(vm, 0, 0x10000);
		spin_unlock(&vm->space.lock);
		attach_remove_all(&vm->space);
		break;
	case KIND_MEM:
		mem_detach(container_of(o, struct mem, obj));
		break;
	}
}

/* On every CPU: stops what of `o` belongs to it. */
static void stop_here(struct kobj *o, struct cpu *c)
{
	if (o->kind == KIND_THREAD && as_thread(o)->cpu == c->index)
		thread_kill(as_thread(o));
	if (o->kind == KIND_VCPU && container_of(o, struct vcpu, obj)->cpu == c->index)
		vcpu_stop(container_of(o, struct vcpu, obj));
}

static void free_thread(struct thread *t, struct pool *pool)
{
	pool_frame_free(pool, t->message);
	pool_free(pool, t->fpu.area, FPU_AREA_SIZE);
	pool_free(pool, t, sizeof(*t));
}

static void free_vm(struct vm *vm, struct pool *pool)
{
	for (unsigned i = 0; i < VM_MAX_DOORBELLS; i++)
		pool_free(pool, vm->doorbells[i], sizeof(struct doorbell));
	ptable_free(&vm->space.ptable);
}

/* Undoes the last ties of `o`; its memory is freed unless it goes with the whole pool. */
static void release(struct kobj *o, bool memory)
{
	struct pool *pool = &o->payer->pool;
	size_t bytes = o->bytes;

	spin_lock(&o->payer->space.lock);
	list_remove(&o->charged);
	spin_unlock(&o->payer->space.lock);
	if (o->kind == KIND_MEM)
		mem_return(container_of(o, struct mem, obj));
	if (o->kind == KIND_VCPU)
		__atomic_sub_fetch(
			&container_of(o, struct vcpu, obj)->vm->vcpus, 1, __ATOMIC_RELAXED);
	if (!memory)
		return;
	switch (o->kind) {
	case KIND_THREAD:
		free_thread(as_thread(o), pool);
		break;
	case KIND_VM:
		free_vm(container_of(o, struct vm, obj), pool);
		break;
	case KIND_VCPU:
		vcpu_free(container_of(o, struct vcpu, obj));
		break;
	case KIND_DEV:
		iommu_free(&container_of(o, struct dev, obj)->iommu, pool);
		break;
	}
	if (bytes)
		pool_free(pool, o, bytes);
}

/* A domain that `d` pays for and that nobody destroys yet, claimed; or NULL. */
static struct domain *claim_inner(struct domain *d)
{
	struct domain *inner = NULL;

	spin_lock(&d->space.lock);
	list_for_each(l, &d->objects)
	{
		struct kobj *o = container_of(l, struct kobj, charged);

		if (o->kind == KIND_DOMAIN && kobj_claim(o)) {
			inner = container_of(o, struct domain, obj);
			break;
		}
	}
	spin_unlock(&d->space.lock);
	return inner;
}

/*
 * After the first round no thread of `d` runs, and nothing is added to its lists any more. What
 * somebody else destroys already stays in `objects` until it is gone.
 */
static void domain_detach(struct domain *d)
{
	spin_lock(&d->space.lock);
	list_for_each_safe(l, next, &d->objects)
	{
		if (kobj_claim(container_of(l, struct kobj, charged))) {
			list_remove(l);
			list_add(&d->ended, l);
		}
	}
	spin_unlock(&d->space.lock);
	list_for_each(l, &d->ended) detach(container_of(l, struct kobj, charged));
	for (u64 i = 0; i < CAP_MAX / SLOTS_PER_FRAME; i++)
		for (u64 j = 0; d->slots[i] && j < SLOTS_PER_FRAME; j++)
			slot_clear(&d->slots[i][j]);
	slot_clear(&d->supervisor);
	attach_remove_all(&d->space);
	while (!list_empty(&d->vcpu_maps))
		vcpu_unmap(container_of(d->vcpu_maps.next, struct vcpu, map_link));
}

static void domain_stop_here(struct domain *d, struct cpu *c)
{
	/* Under the lock, for other CPUs may take off what they have destroyed. */
	spin_lock(&d->space.lock);
	list_for_each(l, &d->objects) stop_here(container_of(l, struct kobj, charged), c);
	list_for_each(l, &d->ended) stop_here(container_of(l, struct kobj, charged), c);
	spin_unlock(&d->space.lock);
	if (c->domain == d)
		domain_leave(c);
	if (c->ports_of == d)
		c->ports_of = NULL;
}

/*
 * Everything of `d` lies in its pool, which goes back as a whole. The window's translations of the
 * pool need no flush: a frame has but one address there, so an old one is never wrong.
 */
static void domain_end(struct domain *d)
{
	while (!list_empty(&d->ended))
		release(container_of(d->ended.next, struct kobj, charged), false);
	domain_release(d);
	while (!list_empty(&d->pool_mems))
		mem_from_pool(container_of(d->pool_mems.next, struct mem, pool_link));
}

static void begin(struct kobj *o)
{
	struct domain *d = container_of(o, struct domain, obj);

	o->step = 0;
	if (o->kind == KIND_DOMAIN) {
		d->inner = d;
		kobj_revoke(o);
	} else {
		detach(o);
	}
}

/*
 * After each round of a domain `top`. The domains that it pays for are stopped after it and end
 * before it, one after the other, so that none of them can make more of them meanwhile. True: the
 * end.
 */
static bool domain_round_over(struct domain *top)
{
	struct kobj *o = &top->obj;

	for (;;) {
		struct domain *d = top->inner;
		struct domain *inner;

		if (o->step == cpu_count) {
			inner = claim_inner(d);
			if (inner) {
				kobj_revoke(&inner->obj);
				top->inner = inner;
				o->step = 0;
				return false;
			}
		}
		if (o->step == cpu_count || o->step == 2 * cpu_count)
			domain_detach(d);
		/* Destructions by others end first, for their jobs lie in the pool; the last round
		 * sees the last of them out. */
		if (o->step == 2 * cpu_count && !list_empty(&d->objects))
			o->step = cpu_count;
		if (o->step < ROUNDS * cpu_count)
			return false;
		domain_end(d);
		if (d == top)
			return true;
		top->inner = d->obj.payer;
		release(&d->obj, true);
		o->step = cpu_count;
	}
}

/* On the CPU that began, after each round. True: the end. */
static bool round_over(struct kobj *o)
{
	if (o->kind == KIND_DOMAIN)
		return domain_round_over(container_of(o, struct domain, obj));
	if (o->step == cpu_count)
		detach(o);
	return o->step == ROUNDS * cpu_count;
}

static void destroy_home(struct work *w);

static void destroy_visit(struct work *w)
{
	struct kobj *o = container_of(w, struct kobj, work);
	struct cpu *c = cpu_self();

	if (o->kind == KIND_DOMAIN)
		domain_stop_here(container_of(o, struct domain, obj)->inner, c);
	else
		stop_here(o, c);
	tlb_service(c);
	o->step++;
	if (o->step % cpu_count) {
		cpu_post(cpus[o->step % cpu_count], w);
	} else {
		w->run = destroy_home;
		cpu_post(cpus[o->waiter_cpu], w);
	}
}

static void destroy_home(struct work *w)
{
	struct kobj *o = container_of(w, struct kobj, work);

	if (round_over(o)) {
		struct thread *waiter = o->waiter;

		release(o, true);
		if (waiter)
			thread_unpark(waiter, STATUS_OK);
		return;
	}
	w->run = destroy_visit;
	cpu_post(cpus[0], w);
}

void destroy_start(struct kobj *o, struct thread *waiter)
{
	o->waiter = waiter;
	o->waiter_cpu = cpu_self()->index;
	if (waiter) {
		waiter->op_arg[3] = (u64)&o->waiter;
		thread_park(waiter);
	}
	begin(o);
	o->work.run = destroy_visit;
	cpu_post(cpus[0], &o->work);
}

/* Under the object's lock. */
static status_t check(struct thread *t, struct kobj *o)
{
	struct domain *d;
	struct mem *m;
	status_t s;

	switch (o->kind) {
	case KIND_DOMAIN:
		d = container_of(o, struct domain, obj);
		return d == t->domain || domain_above(d, t->domain) ? STATUS_BAD_ARG : STATUS_OK;
	case KIND_MEM:
		m = container_of(o, struct mem, obj);
		if (!m->parent)
			return STATUS_BAD_ARG;
		/* Under its own lock too, so that it becomes neither a parent nor a pool from then
		 * on. */
		spin_lock(&m->lock);
		s = !list_empty(&m->parts) || m->pool_of ? STATUS_BUSY : STATUS_OK;
		o->dying = s == STATUS_OK;
		spin_unlock(&m->lock);
		return s;
	case KIND_VM:
		return container_of(o, struct vm, obj)->vcpus ? STATUS_BUSY : STATUS_OK;
	case KIND_EVENT:
	case KIND_NONE:
		return STATUS_BAD_KIND;
	}
	return STATUS_OK;
}

status_t sys_obj_destroy(struct thread *t, const struct cap *cap)
{
	struct kobj *o = cap->obj;
	status_t s;

	if (!o)
		return STATUS_BAD_KIND;
	spin_lock(&o->lock);
	s = o->dying ? STATUS_GONE : check(t, o);
	if (s == STATUS_OK)
		o->dying = 1;
	spin_unlock(&o->lock);
	if (s != STATUS_OK)
		return s;
	destroy_start(o, t);
	return STATUS_LATER;
}
