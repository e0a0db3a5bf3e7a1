/* What VT-d and AMD-Vi have in common: see iommu.h. */
#include "kernel/iommu.h"
#include "kernel/kernel.h"

static const struct iommu_ops *ops; /* NULL: no unit is in use */
static struct iommu units[BOOT_MAX_IOMMUS];
static u32 count;
static bool intremap;
u32 iommu_apic_id;
struct iommu_source iommu_ioapics[BOOT_MAX_IOAPICS];

bool iommu_wait(const volatile u32 *word, u32 mask, u32 value)
{
	u64 end = rdtsc() + boot->tsc_hz;

	while ((*word & mask) != value) {
		if (rdtsc() > end)
			return false;
		cpu_pause();
	}
	return true;
}

/* The queue is empty whenever this begins, for it ends with a wait. */
void iommu_submit(struct iommu *u, const u64 command[][2], u32 n)
{
	u->batch++;
	for (u32 i = 0; i <= n; i++) {
		u64 *entry = u->queue[u->tail];

		if (i == n)
			ops->wait(entry, window_pa(u->done), u->batch);
		else
			memcpy(entry, command[i], sizeof(u->queue[0]));
		u->tail = (u->tail + 1) % IOMMU_ENTRIES;
	}
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	*iommu_reg64(u, ops->tail_register) = u->tail * sizeof(u->queue[0]);
	/* Without an answer no frame could be given to anybody else any more. */
	if (!iommu_wait((const volatile u32 *)u->done, ~0u, u->batch))
		panic("%s at %lx does not answer", ops->name, u->boot->base);
}

static bool scope_has(const struct boot_iommu_scope *s, u32 requester)
{
	u32 type = s->type_id >> 16;

	if (type == BOOT_SCOPE_ALIAS && (u16)s->type_id == (u16)requester)
		return true;
	return type != BOOT_SCOPE_IOAPIC && type != BOOT_SCOPE_HPET &&
	       type != BOOT_SCOPE_NAMESPACE && (u16)requester >= s->first_bdf &&
	       (u16)requester <= s->last_bdf;
}

/* The unit that sees requests with that ID: one that names it, else the one for all others. */
static struct iommu *unit_of(u32 requester)
{
	struct iommu *others = NULL;

	for (u32 i = 0; i < count; i++) {
		const struct boot_iommu *b = units[i].boot;

		if (b->segment != requester >> 16)
			continue;
		for (u32 k = 0; k < b->scopes; k++)
			if (scope_has(&b->scope[k], requester))
				return &units[i];
		if (b->flags & BOOT_IOMMU_INCLUDE_ALL)
			others = &units[i];
	}
	return others;
}

/* Finds by which ID the unit knows I/O APIC `i`; false: none does. */
static bool ioapic_find(u32 i)
{
	for (u32 u = 0; u < count; u++) {
		const struct boot_iommu *b = units[u].boot;

		for (u32 k = 0; k < b->scopes; k++) {
			if (b->scope[k].type_id != (BOOT_SCOPE_IOAPIC << 16 | boot->ioapic[i].id))
				continue;
			iommu_ioapics[i].unit = &units[u];
			iommu_ioapics[i].requester = (u32)b->segment << 16 | b->scope[k].first_bdf;
			return true;
		}
	}
	return false;
}

static const char *unit_make(struct iommu *u)
{
	u->registers = device_map(u->boot->base, IOMMU_SIZE, MEM_CACHE_UC);
	u->queue = pool_frame_alloc(&boot_pool);
	u->done = pool_alloc(&boot_pool, sizeof(*u->done));
	return u->queue && u->done ? ops->probe(u, &intremap) : "no memory";
}

/* All units, or none: a part would be hard to tell from the whole. */
static const char *units_start(void)
{
	const char *problem = NULL;

	count = 0;
	intremap = true;
	ptable_features.iommu_2m = ptable_features.iommu_1g = true;
	ptable_features.iommu_snoop = ptable_features.iommu_coherent = true;
	for (u32 i = 0; i < boot->iommus && !problem; i++) {
		if (boot->iommu[i].type != boot->iommu[0].type)
			return "the firmware tells of units of two makers";
		units[i] = (struct iommu){.boot = &boot->iommu[i]};
		intremap &= (boot->iommu[i].flags & BOOT_IOMMU_INTREMAP) != 0;
		problem = unit_make(&units[i]);
	}
	if (problem)
		return problem;
	count = boot->iommus;
	for (u32 i = 0; i < boot->ioapics; i++)
		intremap &= ioapic_find(i);
	for (u32 i = 0; i < count && !problem; i++)
		problem = ops->start(&units[i], intremap);
	for (u32 i = 0; i < boot->ioapics && intremap && !problem; i++)
		if (ops->open(&iommu_ioapics[i], &boot_pool) != STATUS_OK)
			problem = "no memory for the I/O APICs' interrupts";
	return problem;
}

void iommu_init(u32 apic_id)
{
	const char *problem;

	iommu_apic_id = apic_id;
	if (!boot->iommus) {
		log_line("no IOMMU: nothing holds back the DMA of devices");
		return;
	}
	ops = boot->iommu[0].type == BOOT_IOMMU_VTD ? &vtd_ops : &amdvi_ops;
	problem = units_start();
	if (problem && count)
		panic("%s could not be started: %s", ops->name, problem);
	if (problem)
		log_line("%s is not used, nothing holds back the DMA of devices: %s", ops->name,
			problem);
	else
		log_line("%s: devices reach only the memory that they are given, and %s", ops->name,
			intremap ? "send only their own interrupts" : "can forge interrupts");
}

u32 iommu_fence(u32 requester)
{
	if (!unit_of(requester))
		return 0;
	return FENCE_DMA | (intremap ? FENCE_INTERRUPTS : 0);
}

/* Regions may overlap: then what is left is mapped page by page. */
static status_t reserved_map(struct ptable *t, const struct boot_dma_reserved *r)
{
	u64 flags = PTABLE_READ | PTABLE_WRITE;
	status_t s = ptable_map(t, r->base, r->base, r->size, flags, MEM_CACHE_WB);

	for (u64 at = 0; s == STATUS_EXISTS && at < r->size; at += PAGE_SIZE) {
		s = ptable_map(t, r->base + at, r->base + at, PAGE_SIZE, flags, MEM_CACHE_WB);
		if (s == STATUS_OK)
			s = STATUS_EXISTS;
	}
	return s == STATUS_EXISTS ? STATUS_OK : s;
}

status_t iommu_open(struct iommu_source *s, struct ptable *t, struct pool *pool)
{
	const u64 firmware = BIT(BOOT_RANGE_RESERVED) | BIT(BOOT_RANGE_DEVICE);
	u16 id = (u16)s->requester;
	struct iommu *u = unit_of(s->requester);
	status_t status;

	if (!u)
		return STATUS_OK;
	status = ptable_init(t, ops->format, u->levels, pool);
	if (status == STATUS_OK)
		s->ptable = t;
	for (u32 i = 0; i < boot->dma_reserved_count && status == STATUS_OK; i++) {
		const struct boot_dma_reserved *r = &boot->dma_reserved[i];

		if (r->segment != s->requester >> 16 || id < r->first_bdf || id > r->last_bdf)
			continue;
		/* Only what is the firmware's, or no memory at all, may stay open for its sake. */
		status = ranges_only(r->base, r->size, firmware) ? reserved_map(t, r)
								 : STATUS_DENIED;
	}
	if (status != STATUS_OK)
		return status;
	s->unit = u;
	spin_lock(&u->lock);
	status = ops->open(s, pool);
	spin_unlock(&u->lock);
	return status;
}

void iommu_close(struct iommu_source *s)
{
	if (!s->unit)
		return;
	spin_lock(&s->unit->lock);
	ops->close(s);
	spin_unlock(&s->unit->lock);
}

void iommu_free(struct iommu_source *s, struct pool *pool)
{
	pool_frame_free(pool, s->irtes);
	if (s->ptable)
		ptable_free(s->ptable);
}

void iommu_attach(struct iommu_source *s, bool on)
{
	if (!s->unit)
		return;
	spin_lock(&s->unit->lock);
	ops->attach(s, on ? s->ptable : NULL);
	spin_unlock(&s->unit->lock);
}

void iommu_unmapped(struct iommu_source *s)
{
	spin_lock(&s->unit->lock);
	ops->flush(s);
	spin_unlock(&s->unit->lock);
}

void iommu_mapped(struct iommu_source *s)
{
	if (s->unit->flush_map)
		iommu_unmapped(s);
}

u32 iommu_route(struct iommu_source *s, u32 vector, u32 apic_id, bool level, bool on)
{
	u32 way;

	if (!intremap || !s->unit)
		return apic_id > 0xff ? IOMMU_NO_WAY : apic_id << 8;
	spin_lock(&s->unit->lock);
	way = ops->route(s, vector, apic_id, level, on);
	spin_unlock(&s->unit->lock);
	return way;
}

bool iommu_fault(struct msg_dma_fault *f)
{
	bool found = false;

	for (u32 i = 0; i < count && !found; i++) {
		spin_lock(&units[i].lock);
		found = ops->fault(&units[i], f);
		spin_unlock(&units[i].lock);
		f->function |= (u32)units[i].boot->segment << 16;
	}
	return found;
}
