/* The driver of AMD-Vi units; chapters of amdvi.h's source. */
#include "kernel/iommu.h"
#include "kernel/kernel.h"
#include "kernel/pci.h"
#include "svm/amdvi.h"

#define BUS_FUNCTIONS 256

static void amdvi_wait(u64 entry[2], paddr_t pa, u32 value)
{
	entry[0] = AMDVI_WAIT(pa);
	entry[1] = value;
}

static const char *amdvi_probe(struct iommu *u, bool *intremap)
{
	(void)intremap; /* each unit can */
	if (!(*iommu_reg64(u, AMDVI_FEATURES) & AMDVI_FEATURE_IA))
		return "a unit is too old: it cannot forget everything at once";
	u->levels = 4; /* each unit has them (3.4.2.6, HATS) */
	u->domains = IOMMU_DOMAINS;
	u->flush_map = true;
	return NULL;
}

static u64 *entry_of(const struct iommu *u, u32 function)
{
	return &u->table[(u64)(u16)function * AMDVI_ENTRY_WORDS];
}

/* The table reaches to the end of the last bus that the firmware puts under the unit; the IDs
 * behind are refused. At boot the pool gives frames in a row. */
static bool table_make(struct iommu *u, bool intremap)
{
	u32 frames = 0;
	char *last = NULL;

	for (u32 i = 0; i < u->boot->scopes; i++) {
		u32 end = (u->boot->scope[i].last_bdf | (BUS_FUNCTIONS - 1)) + 1u;
		u32 alias = ((u16)u->boot->scope[i].type_id | (BUS_FUNCTIONS - 1)) + 1u;

		u->functions = end > u->functions ? end : u->functions;
		if (u->boot->scope[i].type_id >> 16 == BOOT_SCOPE_ALIAS && alias > u->functions)
			u->functions = alias;
	}
	while (frames * PAGE_SIZE < u->functions * AMDVI_ENTRY_WORDS * sizeof(u64)) {
		char *frame = pool_frame_alloc(&boot_pool);

		if (!frame)
			return false;
		if (!frames || frame != last + PAGE_SIZE) {
			u->table = (u64 *)frame;
			frames = 0;
		}
		frames++;
		last = frame;
	}
	for (u32 i = 0; i < u->functions; i++) {
		entry_of(u, i)[0] = AMDVI_DTE_BLOCKED;
		entry_of(u, i)[2] = intremap ? AMDVI_DTE_NO_IRQ : 0;
	}
	return frames > 0;
}

/* The unit's own message about events. */
static void event_message(const struct iommu *u)
{
	u32 function = (u32)u->boot->segment << 16 | u->boot->bdf;
	u32 at = pci_capability(function, PCI_CAP_MSI);

	if (at)
		pci_message(function, at, MSI_ADDRESS | iommu_apic_id << 12, VECTOR_IOMMU, false);
}

static void log_start(struct iommu *u)
{
	u64 control = *iommu_reg64(u, AMDVI_CONTROL);

	*iommu_reg64(u, AMDVI_CONTROL) = control & ~AMDVI_LOG_ENABLE;
	iommu_wait(iommu_reg32(u, AMDVI_STATUS), (u32)AMDVI_LOG_RUNS, 0);
	*iommu_reg64(u, AMDVI_EVENTS) = window_pa(u->records) | AMDVI_256_ENTRIES;
	*iommu_reg64(u, AMDVI_EVENT_HEAD) = 0;
	*iommu_reg64(u, AMDVI_EVENT_TAIL) = 0;
	*iommu_reg64(u, AMDVI_STATUS) = AMDVI_LOG_OVERFLOW | AMDVI_LOG_INTERRUPTS;
	*iommu_reg64(u, AMDVI_CONTROL) = control | AMDVI_LOG_ENABLE | AMDVI_LOG_INTERRUPT;
}

static const char *amdvi_start(struct iommu *u, bool intremap)
{
	static const u64 forget[][2] = {{AMDVI_INV_ALL}};

	u->records = pool_frame_alloc(&boot_pool);
	if (!u->records || !table_make(u, intremap))
		return "no memory";
	*iommu_reg64(u, AMDVI_CONTROL) = 0;
	*iommu_reg64(u, AMDVI_EXCLUSION) = 0;
	*iommu_reg64(u, AMDVI_DEVICE_TABLE) =
		window_pa(u->table) |
		(u->functions * AMDVI_ENTRY_WORDS * sizeof(u64) / PAGE_SIZE - 1);
	*iommu_reg64(u, AMDVI_COMMANDS) = window_pa(u->queue) | AMDVI_256_ENTRIES;
	*iommu_reg64(u, AMDVI_COMMAND_HEAD) = 0;
	*iommu_reg64(u, AMDVI_COMMAND_TAIL) = 0;
	*iommu_reg64(u, AMDVI_CONTROL) = AMDVI_ENABLE | AMDVI_QUEUE_ENABLE | AMDVI_COHERENT;
	iommu_submit(u, forget, 1);
	event_message(u);
	log_start(u);
	return NULL;
}

/* What the unit keeps of the source. */
static void forget_source(struct iommu_source *s)
{
	const u64 forget[][2] = {
		{AMDVI_INV_DEVICE(s->requester)},
		{AMDVI_INV_INTERRUPTS(s->requester)},
		{AMDVI_INV_PAGES(s->domain), AMDVI_ALL_PAGES},
	};

	iommu_submit(s->unit, forget, ARRAY_SIZE(forget));
}

static status_t amdvi_open(struct iommu_source *s, struct pool *pool)
{
	u64 *entry = entry_of(s->unit, s->requester);

	if ((u16)s->requester >= s->unit->functions)
		return STATUS_NOT_SUPPORTED;
	s->irtes = pool_frame_alloc(pool);
	if (!s->irtes)
		return STATUS_NO_MEMORY;
	if (entry[2]) /* interrupts are remapped */
		__atomic_store_n(&entry[2], AMDVI_DTE_IRQ(window_pa(s->irtes)), __ATOMIC_RELEASE);
	forget_source(s);
	return STATUS_OK;
}

static void amdvi_attach(struct iommu_source *s, const struct ptable *t)
{
	u64 *entry = entry_of(s->unit, s->requester);
	u64 low = t ? amdvi_dte_translate(t->levels, t->root) : AMDVI_DTE_BLOCKED;

	entry[1] = s->domain;
	__atomic_store_n(&entry[0], low, __ATOMIC_RELEASE);
	forget_source(s);
}

static void amdvi_close(struct iommu_source *s)
{
	u64 *entry = entry_of(s->unit, s->requester);

	if (!s->irtes)
		return; /* it was not opened */
	if (entry[2])
		__atomic_store_n(&entry[2], AMDVI_DTE_NO_IRQ, __ATOMIC_RELEASE);
	amdvi_attach(s, NULL);
}

static void amdvi_flush(struct iommu_source *s)
{
	const u64 forget[][2] = {{AMDVI_INV_PAGES(s->domain), AMDVI_ALL_PAGES}};

	iommu_submit(s->unit, forget, 1);
}

/* The index of an interrupt is what would be its vector, so that a local APIC's end of interrupt
 * finds the line (2.2.5.1). */
static u32 amdvi_route(struct iommu_source *s, u32 vector, u32 apic_id, bool level, bool on)
{
	const u64 forget[][2] = {{AMDVI_INV_INTERRUPTS(s->requester)}};
	u32 entry = on ? amdvi_irte(vector, apic_id) : 0;

	(void)level; /* the line's own entry says */
	if (apic_id > 0xff)
		return IOMMU_NO_WAY;
	if (s->irtes[vector] != entry) {
		__atomic_store_n(&s->irtes[vector], entry, __ATOMIC_RELEASE);
		iommu_submit(s->unit, forget, 1);
	}
	return 0;
}

static bool amdvi_fault(struct iommu *u, struct msg_dma_fault *f)
{
	u64 head = *iommu_reg64(u, AMDVI_EVENT_HEAD);
	u64 *event = u->records[head / sizeof(u->records[0]) % IOMMU_ENTRIES];
	u32 code = AMDVI_EVENT_CODE(event[0]);

	if (head == *iommu_reg64(u, AMDVI_EVENT_TAIL) || !code) {
		if (*iommu_reg64(u, AMDVI_STATUS) & AMDVI_LOG_OVERFLOW)
			log_start(u);
		*iommu_reg64(u, AMDVI_STATUS) = AMDVI_LOG_INTERRUPTS;
		return false;
	}
	*f = (struct msg_dma_fault){
		.function = (u16)event[0],
		.kind = code != AMDVI_EVENT_PAGE_FAULT     ? DMA_FAULT_OTHER
			: event[0] & AMDVI_EVENT_INTERRUPT ? DMA_FAULT_INTERRUPT
							   : DMA_FAULT_ADDRESS,
		.address = event[1],
		.reason = code,
		.write = (event[0] & AMDVI_EVENT_WRITE) != 0,
	};
	event[0] = 0; /* the tail may move before the unit has written all (2.5) */
	*iommu_reg64(u, AMDVI_EVENT_HEAD) = (head + sizeof(u->records[0])) % PAGE_SIZE;
	return true;
}

const struct iommu_ops amdvi_ops = {
	.name = "AMD-Vi",
	.format = PTABLE_AMDVI,
	.tail_register = AMDVI_COMMAND_TAIL,
	.wait = amdvi_wait,
	.probe = amdvi_probe,
	.start = amdvi_start,
	.open = amdvi_open,
	.close = amdvi_close,
	.attach = amdvi_attach,
	.flush = amdvi_flush,
	.route = amdvi_route,
	.fault = amdvi_fault,
};
