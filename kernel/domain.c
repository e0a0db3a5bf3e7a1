/* Domains: making them, filling their tables, switching to them. */
#include "kernel/kernel.h"
#include "kernel/mem.h"
#include "mm/ptable_share.h"

#define UPPER_FIRST 256
#define UPPER_LAST  511
#define PCIDS       4096
#define CR3_NOFLUSH BIT(63)

static u64 pcid_used[PCIDS / 64] = {1}; /* 0 is the kernel's */
static struct spinlock pcid_lock;

static u32 pcid_alloc(void)
{
	u32 pcid = 0;

	if (!features.pcid)
		return 0;
	spin_lock(&pcid_lock);
	for (u32 i = 1; i < PCIDS && !pcid; i++) {
		if (!(pcid_used[i / 64] & BIT(i % 64))) {
			pcid_used[i / 64] |= BIT(i % 64);
			pcid = i;
		}
	}
	spin_unlock(&pcid_lock);
	return pcid; /* 0 when all are taken: such a domain is flushed at each switch */
}

static void pcid_free(u32 pcid)
{
	spin_lock(&pcid_lock);
	if (pcid)
		pcid_used[pcid / 64] &= ~BIT(pcid % 64);
	spin_unlock(&pcid_lock);
}

extern char stub_page[];

status_t domain_init(struct domain *d, struct domain *payer, const char *name)
{
	status_t s;

	list_init(&d->objects);
	list_init(&d->ended);
	list_init(&d->vcpu_maps);
	memcpy(d->name, name, DOMAIN_NAME_SIZE - 1);
	d->slots = pool_frame_alloc(&d->pool);
	if (!d->slots)
		return STATUS_NO_MEMORY;
	s = space_init(&d->space, PTABLE_HOST, &d->pool);
	if (s != STATUS_OK)
		return s;
	ptable_share(&d->space.ptable, &kernel_ptable, UPPER_FIRST, UPPER_LAST);
	s = ptable_map(&d->space.ptable, ABI_STUB, image_pa(stub_page), PAGE_SIZE,
		PTABLE_READ | PTABLE_EXEC | PTABLE_USER, MEM_CACHE_WB);
	if (s != STATUS_OK)
		return s;
	d->pcid = pcid_alloc();
	d->cr3 = d->space.ptable.root | d->pcid | (d->pcid ? CR3_NOFLUSH : 0);
	kobj_init(&d->obj, KIND_DOMAIN, payer, sizeof(*d));
	return STATUS_OK;
}

bool domain_above(const struct domain *a, const struct domain *d)
{
	for (d = d->obj.payer; d; d = d->obj.payer)
		if (d == a)
			return true;
	return false;
}

void domain_release(struct domain *d)
{
	pcid_free(d->pcid);
}

status_t domain_slot(struct domain *d, u64 cap, struct slot **out)
{
	struct slot **page;

	if (cap == CAP_NULL || cap >= CAP_MAX)
		return STATUS_BAD_CAP;
	page = &d->slots[cap / SLOTS_PER_FRAME];
	if (!*page) {
		void *frame = pool_frame_alloc(&d->pool);

		if (!frame)
			return STATUS_NO_MEMORY;
		__atomic_store_n(page, frame, __ATOMIC_RELEASE);
	}
	*out = &(*page)[cap % SLOTS_PER_FRAME];
	return STATUS_OK;
}

status_t domain_cap_set(
	struct domain *d, u64 cap, struct kobj *o, enum kind kind, u32 rights, u64 data)
{
	struct slot *slot;
	status_t s;

	spin_lock(&d->space.lock);
	s = d->obj.dying ? STATUS_GONE : domain_slot(d, cap, &slot);
	if (s == STATUS_OK && (slot->obj || slot->kind == KIND_SYS))
		s = STATUS_EXISTS;
	if (s == STATUS_OK && !slot_set(slot, o, kind, rights, data))
		s = STATUS_GONE;
	spin_unlock(&d->space.lock);
	return s;
}

status_t domain_map_frame(struct domain *d, u64 va, void *frame, u64 flags)
{
	status_t s;

	if (!IS_ALIGNED(va, PAGE_SIZE) || va < ABI_USER_MIN || va >= ABI_USER_END)
		return STATUS_BAD_ARG;
	spin_lock(&d->space.lock);
	s = ptable_map(&d->space.ptable, va, window_pa(frame), PAGE_SIZE, flags | PTABLE_USER,
		MEM_CACHE_WB);
	spin_unlock(&d->space.lock);
	return s;
}

/* Makes the bitmap of a domain that has none, under its lock. */
static status_t make_ports(struct domain *d)
{
	u8 *low = pool_frame_alloc(&d->pool);
	u8 *high = pool_frame_alloc(&d->pool);

	if (!low || !high) {
		pool_frame_free(&d->pool, low);
		pool_frame_free(&d->pool, high);
		return STATUS_NO_MEMORY;
	}
	memset(low, 0xff, PAGE_SIZE);
	memset(high, 0xff, PAGE_SIZE);
	d->ports_high = high;
	__atomic_store_n(&d->ports, low, __ATOMIC_RELEASE);
	return STATUS_OK;
}

status_t domain_ports(struct domain *d, u32 first, u32 count)
{
	status_t s;

	spin_lock(&d->space.lock);
	s = d->ports ? STATUS_OK : make_ports(d);
	for (u32 p = first; s == STATUS_OK && p < first + count; p++) {
		u8 *map = p < 0x8000 ? d->ports : d->ports_high;

		map[p % 0x8000 / 8] &= (u8) ~(1u << p % 8);
	}
	spin_unlock(&d->space.lock);
	if (cpu_self()->domain == d) {
		cpu_self()->ports_of = NULL;
		domain_switch_ports(cpu_self(), d);
	}
	return s;
}

/* Ports are rare: the bitmap is copied when a domain that has one follows another that has one. */
void domain_switch_ports(struct cpu *c, struct domain *d)
{
	struct tss *tss = c->tss;

	c->ports_on = d->ports != NULL;
	tss->io_base = d->ports ? offsetof(struct tss, io_bitmap) : sizeof(*tss) + 1;
	if (d->ports && c->ports_of != d) {
		memcpy(tss->io_bitmap, d->ports, PAGE_SIZE);
		memcpy(tss->io_bitmap + PAGE_SIZE, d->ports_high, PAGE_SIZE);
		c->ports_of = d;
	}
}

void domain_leave(struct cpu *c)
{
	c->domain = NULL;
	write_cr3(kernel_ptable.root);
}

/* Brings the translations of the loaded space up to date. */
void domain_flush(struct cpu *c, struct domain *d)
{
	if (tlb_catch_up(&d->space.tlb, c->index))
		write_cr3(d->cr3 & ~CR3_NOFLUSH);
}

void tlb_service(struct cpu *c)
{
	if (c->domain)
		domain_flush(c, c->domain);
	if (c->loaded)
		vcpu_flush_stale(c->loaded);
}
