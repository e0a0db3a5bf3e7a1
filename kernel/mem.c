/* mem objects: cutting, clearing, mapping, unmapping. */
#include "kernel/dev.h"
#include "kernel/kernel.h"
#include "kernel/mem.h"

#define ZERO_STEP  0x200000ull
#define LARGE      0x200000ull /* covered by a large leaf */
#define MAX_LEAVES 32768ull    /* of a mapping: interrupts are off while they are written */

/* Protects which mem is part of which; taken before the locks of mems. */
static struct spinlock tree;

bool device_allowed(paddr_t base, u64 size)
{
	return base + size >= base && base + size <= BIT(features.paddr_bits) &&
	       ranges_only(base, size, BIT(BOOT_RANGE_DEVICE));
}

void mem_init(struct mem *m, paddr_t base, u64 size, u8 flags)
{
	m->base = base;
	m->size = size;
	m->flags = flags;
	list_init(&m->parts);
	list_init(&m->part_link);
	list_init(&m->attaches);
	list_init(&m->pool_link);
}

/* Continues to clear a new mem; true when done, false when interrupts should be let in first. */
static bool zero_step(struct mem *m)
{
	paddr_t at = m->base + m->zeroed;
	u64 n = ZERO_STEP - (at & (ZERO_STEP - 1));

	if (m->flags)
		return true;
	if (n > m->size - m->zeroed)
		n = m->size - m->zeroed;
	if (n)
		temp_clear(at, n);
	m->zeroed += n;
	return m->zeroed == m->size;
}

/* Is [base, base + size) free of the parts of `p`? Under p->lock. */
static bool parts_clear(struct mem *p, paddr_t base, u64 size)
{
	list_for_each(l, &p->parts)
	{
		struct mem *m = container_of(l, struct mem, part_link);

		if (overlaps(base, size, m->base, m->size))
			return false;
	}
	return true;
}

/*
 * Clearing takes long, so the call is restarted after each step with the object kept in the thread
 * (op_arg[0]): interrupts and more urgent threads come in between.
 */
status_t mem_create(struct thread *t, struct domain *payer, struct kobj **out)
{
	struct msg_create_mem a = *(const struct msg_create_mem *)t->message;
	struct cap ps;
	struct mem *p;
	struct mem *m;
	status_t s = cap_lookup(t->domain, a.parent, KIND_MEM, RIGHT_CREATE, &ps);

	if (s != STATUS_OK)
		return s;
	p = container_of(ps.obj, struct mem, obj);
	if (!IS_ALIGNED(a.offset | a.size, PAGE_SIZE) || !a.size || a.offset > p->size ||
		a.size > p->size - a.offset || a.cache > MEM_CACHE_WT ||
		(a.cache != MEM_CACHE_WB && !(p->flags & MEM_DEVICE)))
		return STATUS_BAD_ARG;
	if ((p->flags & MEM_DEVICE) && !p->parent && !device_allowed(p->base + a.offset, a.size))
		return STATUS_DENIED;
	m = pool_alloc(&payer->pool, sizeof(*m));
	if (!m)
		return STATUS_NO_MEMORY;
	mem_init(m, p->base + a.offset, a.size, p->flags);
	m->cache = (u8)a.cache;
	m->parent = p;
	spin_lock(&tree);
	spin_lock(&p->lock);
	if (p->obj.dying)
		s = STATUS_GONE;
	else if (!list_empty(&p->attaches) || p->pool_of)
		s = STATUS_BUSY;
	else if (!parts_clear(p, m->base, m->size))
		s = STATUS_OVERLAP;
	else
		list_add(&p->parts, &m->part_link);
	spin_unlock(&p->lock);
	spin_unlock(&tree);
	if (s != STATUS_OK) {
		pool_free(&payer->pool, m, sizeof(*m));
		return s;
	}
	(void)out; /* a capability is made when all is clear */
	m->maker = t;
	kobj_init(&m->obj, KIND_MEM, payer, sizeof(*m));
	t->op_arg[0] = (u64)m;
	return mem_create_continue(t);
}

/* While there is more to clear, the thread's system call is set to be made again. */
status_t mem_create_continue(struct thread *t)
{
	struct mem *m = (struct mem *)t->op_arg[0];
	status_t s;

	if (!zero_step(m)) {
		t->regs.rip -= 2; /* SYSCALL again */
		return STATUS_LATER;
	}
	m->maker = NULL;
	t->op_arg[0] = 0;
	s = domain_cap_set(t->domain, arg(t, RDX), &m->obj, KIND_MEM, RIGHT_ALL, 0);
	if (s != STATUS_OK && kobj_claim(&m->obj))
		destroy_start(&m->obj, NULL);
	return s;
}

void mem_create_abort(struct thread *t)
{
	struct mem *m = (struct mem *)__atomic_exchange_n(&t->op_arg[0], 0, __ATOMIC_SEQ_CST);

	if (!m)
		return;
	m->maker = NULL;
	if (kobj_claim(&m->obj))
		destroy_start(&m->obj, NULL);
}

/* Was `m` charged so that it lives longer than `d`, whose objects are to lie in it? Root does not
 * die. */
static bool outlives(const struct mem *m, const struct domain *d)
{
	return domain_above(m->obj.payer, d) || (d == &root_domain && m->obj.payer == d);
}

status_t mem_to_pool(struct mem *m, struct domain *d)
{
	status_t s = STATUS_OK;

	if (!outlives(m, d))
		return STATUS_BAD_ARG;
	spin_lock(&m->lock);
	if (m->obj.dying)
		s = STATUS_GONE;
	else if (m->pool_of || !list_empty(&m->attaches) || !list_empty(&m->parts) || m->flags)
		s = STATUS_BUSY;
	else
		m->pool_of = d;
	spin_unlock(&m->lock);
	if (s != STATUS_OK)
		return s;
	s = window_map(m->base, m->size);
	if (s != STATUS_OK) {
		m->pool_of = NULL;
		return s;
	}
	pool_add(&d->pool, m->base, m->size);
	spin_lock(&d->space.lock);
	list_add(&d->pool_mems, &m->pool_link);
	spin_unlock(&d->space.lock);
	return STATUS_OK;
}

void mem_from_pool(struct mem *m)
{
	window_unmap(m->base, m->size);
	list_remove(&m->pool_link);
	spin_lock(&m->lock);
	m->stale = true;
	m->pool_of = NULL;
	spin_unlock(&m->lock);
}

status_t space_init(struct space *s, enum ptable_format format, struct pool *pool)
{
	list_init(&s->attaches);
	tlb_init(&s->tlb);
	return ptable_init(&s->ptable, format, 4, pool);
}

static bool is_dev(const struct space *s)
{
	return s->source != NULL;
}

void space_unmap(struct space *s, u64 va, u64 size)
{
	if (!s->ptable.root)
		return; /* a dev without an IOMMU: nothing holds it back */
	ptable_unmap(&s->ptable, va, size);
	if (is_dev(s))
		iommu_unmapped(s->source);
	else
		tlb_invalidate(&s->tlb);
}

static bool is_host(const struct space *s)
{
	return !is_dev(s) && s->ptable.format == PTABLE_HOST;
}

/* The first argument of mem_map and mem_unmap: a domain, a vm or a dev. */
static status_t space_arg(const struct cap *cap, struct space **out)
{
	if (cap->kind == KIND_DOMAIN)
		*out = &container_of(cap->obj, struct domain, obj)->space;
	else if (cap->kind == KIND_VM)
		*out = &container_of(cap->obj, struct vm, obj)->space;
	else if (cap->kind == KIND_DEV)
		*out = &container_of(cap->obj, struct dev, obj)->space;
	else
		return STATUS_BAD_KIND;
	return cap->rights & (cap->kind == KIND_DOMAIN ? RIGHT_FILL : RIGHT_CTL) ? STATUS_OK
										 : STATUS_DENIED;
}

static status_t map_pool(struct thread *t, struct space *space)
{
	struct cap slot;
	status_t s = cap_lookup(t->domain, arg(t, RSI), KIND_MEM, RIGHT_CREATE, &slot);

	if (s != STATUS_OK)
		return s;
	if (!is_host(space))
		return STATUS_BAD_KIND;
	return mem_to_pool(
		container_of(slot.obj, struct mem, obj), container_of(space, struct domain, space));
}

static status_t map_check(
	const struct space *space, const struct mem *m, u64 va, u64 offset, u64 size, u64 flags)
{
	u64 end = is_host(space) ? ABI_USER_END
				 : BIT(features.paddr_bits < 47 ? features.paddr_bits : 47);
	bool large = !is_dev(space) || ptable_features.iommu_2m;
	u64 leaf = large && IS_ALIGNED(va - m->base - offset, LARGE) ? LARGE : PAGE_SIZE;

	if (!IS_ALIGNED(va | offset | size, PAGE_SIZE) || !size || size / leaf > MAX_LEAVES)
		return STATUS_BAD_ARG;
	if (offset > m->size || size > m->size - offset || va >= end || size > end - va)
		return STATUS_BAD_ARG;
	if (flags & ~(MAP_READ | MAP_WRITE | MAP_EXEC | MAP_AT) || !(flags & MAP_READ))
		return STATUS_BAD_ARG;
	if (flags & MAP_AT && (!is_dev(space) || !space->ptable.root))
		return is_dev(space) ? STATUS_NOT_SUPPORTED : STATUS_BAD_ARG;
	if (is_host(space) && (va < ABI_USER_MIN || (flags & MAP_WRITE && flags & MAP_EXEC)))
		return STATUS_BAD_ARG;
	return STATUS_OK;
}

status_t sys_mem_map(struct thread *t, const struct cap *cap)
{
	u64 va = arg(t, RDX), offset = arg(t, R8), size = arg(t, R9), flags = arg(t, R10);
	struct space *space;
	struct cap slot;
	struct attach *a;
	struct mem *m;
	u32 rights = 0;
	u64 access = flags & (MAP_READ | MAP_WRITE | MAP_EXEC);
	status_t s = space_arg(cap, &space);

	static_assert(
		PTABLE_READ == MAP_READ && PTABLE_WRITE == MAP_WRITE && PTABLE_EXEC == MAP_EXEC);
	if (s != STATUS_OK)
		return s;
	if (flags & MAP_POOL)
		return map_pool(t, space);
	rights |= flags & MAP_READ ? RIGHT_READ : 0;
	rights |= flags & MAP_WRITE ? RIGHT_WRITE : 0;
	rights |= flags & MAP_EXEC ? RIGHT_EXEC : 0;
	if (is_dev(space))
		rights = RIGHT_DMA;
	s = cap_lookup(t->domain, arg(t, RSI), KIND_MEM, rights, &slot);
	if (s != STATUS_OK)
		return s;
	m = container_of(slot.obj, struct mem, obj);
	if (is_dev(space) && !(flags & MAP_AT))
		t->regs.gpr[RDI] = va = m->base + offset;
	s = map_check(space, m, va, offset, size, flags);
	if (s != STATUS_OK)
		return s;
	a = pool_alloc(space->ptable.pool, sizeof(*a));
	if (!a)
		return STATUS_NO_MEMORY;
	a->mem = m;
	a->space = space;
	a->address = va;
	a->size = size;
	access |= is_host(space) ? PTABLE_USER : 0;
	spin_lock(&space->lock);
	spin_lock(&m->lock);
	if (m->obj.dying)
		s = STATUS_GONE;
	else if (!list_empty(&m->parts) || m->pool_of)
		s = STATUS_BUSY;
	else if (m->stale)
		s = STATUS_BAD_STATE;
	else if (space->ptable.root)
		s = ptable_map(&space->ptable, va, m->base + offset, size, access, m->cache);
	if (s == STATUS_OK && space->ptable.root && is_dev(space))
		iommu_mapped(space->source);
	if (s == STATUS_OK) {
		list_add(&space->attaches, &a->space_link);
		list_add(&m->attaches, &a->mem_link);
	}
	spin_unlock(&m->lock);
	spin_unlock(&space->lock);
	if (s != STATUS_OK)
		pool_free(space->ptable.pool, a, sizeof(*a));
	return s;
}

/* Removes `a` from its space and its mem; both locks are held. */
static void attach_unlink(struct space *space, struct attach *a)
{
	space_unmap(space, a->address, a->size);
	list_remove(&a->space_link);
	list_remove(&a->mem_link);
}

void attach_remove_all(struct space *space)
{
	spin_lock(&space->lock);
	while (!list_empty(&space->attaches)) {
		struct attach *a = container_of(space->attaches.next, struct attach, space_link);
		struct mem *m = a->mem;

		spin_lock(&m->lock);
		attach_unlink(space, a);
		spin_unlock(&m->lock);
		pool_free(space->ptable.pool, a, sizeof(*a));
	}
	spin_unlock(&space->lock);
}

/*
 * The order of locks is space before mem, so the first attachment is found under the mem's lock,
 * then looked for again under both. Its space lives at least until this CPU leaves the kernel.
 */
static bool detach_first(struct mem *m)
{
	struct attach *a = NULL;
	struct space *space = NULL;
	bool any;

	spin_lock(&m->lock);
	any = !list_empty(&m->attaches);
	if (any) {
		a = container_of(m->attaches.next, struct attach, mem_link);
		space = a->space;
	}
	spin_unlock(&m->lock);
	if (!any)
		return false;
	spin_lock(&space->lock);
	spin_lock(&m->lock);
	any = m->attaches.next == &a->mem_link;
	if (any)
		attach_unlink(space, a);
	if (is_dev(space))
		dev_lost(space);
	spin_unlock(&m->lock);
	spin_unlock(&space->lock);
	if (any)
		pool_free(space->ptable.pool, a, sizeof(*a));
	return true;
}

void mem_detach(struct mem *m)
{
	struct thread *maker = __atomic_load_n(&m->maker, __ATOMIC_ACQUIRE);
	u64 mine = (u64)m;

	/* Its payer dies before it is all clear: the thread that makes it starts anew, and is told
	 * GONE. */
	if (maker)
		__atomic_compare_exchange_n(
			&maker->op_arg[0], &mine, 0, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
	while (detach_first(m))
		;
}

void mem_return(struct mem *m)
{
	struct mem *p;

	spin_lock(&tree);
	p = m->parent;
	spin_lock(&p->lock);
	while (!list_empty(&m->parts)) {
		struct mem *part = container_of(m->parts.next, struct mem, part_link);

		list_remove(&part->part_link);
		part->parent = p;
		list_add(&p->parts, &part->part_link);
	}
	list_remove(&m->part_link);
	p->stale |= m->stale;
	spin_unlock(&p->lock);
	spin_unlock(&tree);
}

/* Visits each CPU in turn to flush, then comes home. */
static void unmap_hop(struct work *w)
{
	struct attach *a = container_of(w, struct attach, work);
	struct cpu *c = cpu_self();

	tlb_service(c);
	a->next_cpu++;
	if (a->next_cpu < cpu_count) {
		cpu_post(cpus[a->next_cpu], w);
	} else if (c->index != a->waiter_cpu) {
		cpu_post(cpus[a->waiter_cpu], w);
	} else {
		struct thread *waiter = a->waiter;

		pool_free(a->space->ptable.pool, a, sizeof(*a));
		if (waiter)
			thread_unpark(waiter, STATUS_OK);
	}
}

status_t sys_mem_unmap(struct thread *t, const struct cap *cap)
{
	struct attach *found = NULL;
	struct space *space;
	status_t s = space_arg(cap, &space);

	if (s != STATUS_OK)
		return s;
	spin_lock(&space->lock);
	list_for_each(l, &space->attaches)
	{
		struct attach *a = container_of(l, struct attach, space_link);

		if (a->address == arg(t, RSI)) {
			found = a;
			spin_lock(&a->mem->lock);
			attach_unlink(space, a);
			spin_unlock(&a->mem->lock);
			break;
		}
	}
	spin_unlock(&space->lock);
	if (!found)
		return STATUS_NOT_FOUND;
	found->waiter = t;
	found->waiter_cpu = t->cpu;
	found->next_cpu = 0;
	found->work.run = unmap_hop;
	t->op_arg[3] = (u64)&found->waiter;
	thread_park(t);
	cpu_post(cpus[0], &found->work);
	return STATUS_LATER;
}
