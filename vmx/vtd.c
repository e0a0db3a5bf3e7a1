/* The driver of VT-d units, in legacy mode with second-level tables; chapters of vtd.h's source. */
#include "kernel/iommu.h"
#include "kernel/kernel.h"
#include "vmx/vtd.h"

static bool eim; /* interrupt entries have room for 32 bits of an APIC ID */

static void put(u64 *word, u64 value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
	ptable_write_back(word, sizeof(*word));
}

/* Commands are given one at a time, with those of before repeated (11.4.4.1). */
static bool command(struct iommu *u, u32 bit, bool on)
{
	u32 kept = *iommu_reg32(u, VTD_GSTS) & VTD_GSTS_KEPT & ~bit;

	*iommu_reg32(u, VTD_GCMD) = kept | (on ? bit : 0);
	return iommu_wait(iommu_reg32(u, VTD_GSTS), bit, on ? bit : 0);
}

static void vtd_wait(u64 entry[2], paddr_t pa, u32 value)
{
	entry[0] = VTD_INV_WAIT(value);
	entry[1] = pa;
}

static const char *vtd_probe(struct iommu *u, bool *intremap)
{
	u64 cap = *iommu_reg64(u, VTD_CAP);
	u64 ecap = *iommu_reg64(u, VTD_ECAP);

	if (!(ecap & VTD_ECAP_QI))
		return "a unit has no queued invalidation";
	if (!(cap & (VTD_CAP_39BIT | VTD_CAP_48BIT)))
		return "a unit has neither 39-bit nor 48-bit page tables";
	u->levels = cap & VTD_CAP_48BIT ? 4 : 3;
	u->domains = (u32)VTD_CAP_DOMAINS(cap);
	u->flush_map = cap & (VTD_CAP_CM | VTD_CAP_RWBF);
	ptable_features.iommu_2m &= (cap & VTD_CAP_2M) != 0;
	ptable_features.iommu_1g &= (cap & VTD_CAP_1G) != 0;
	ptable_features.iommu_snoop &= (ecap & VTD_ECAP_SC) != 0;
	ptable_features.iommu_coherent &= (ecap & VTD_ECAP_C) != 0;
	*intremap &= (ecap & VTD_ECAP_IR) != 0;
	eim = features.x2apic && (ecap & VTD_ECAP_EIM) && (eim || u->boot == &boot->iommu[0]);
	return NULL;
}

/* The unit's own message about faults, which is not remapped (7.3). */
static void fault_message(struct iommu *u)
{
	*iommu_reg32(u, VTD_FEDATA) = VECTOR_IOMMU;
	*iommu_reg32(u, VTD_FEADDR) = MSI_ADDRESS | (iommu_apic_id & 0xff) << 12;
	*iommu_reg32(u, VTD_FEUADDR) = eim ? iommu_apic_id & ~0xffu : 0;
	*iommu_reg32(u, VTD_FECTL) = 0;
}

/* The firmware may have left the unit running: tables are replaced under it, for between off and on
 * DMA would be free. */
static const char *vtd_start(struct iommu *u, bool intremap)
{
	static const u64 forget[][2] = {{VTD_INV_CONTEXT}, {VTD_INV_IOTLB}, {VTD_INV_INTERRUPTS}};
	bool ok = command(u, (u32)VTD_QIE, false);

	u->table = pool_frame_alloc(&boot_pool);
	u->records = pool_frame_alloc(&boot_pool);
	if (!u->table || !u->records)
		return "no memory";
	ptable_write_back(u->table, PAGE_SIZE);
	ptable_write_back(u->records, PAGE_SIZE);
	*iommu_reg64(u, VTD_IQT) = 0;
	*iommu_reg64(u, VTD_IQA) = window_pa(u->queue);
	ok = ok && command(u, (u32)VTD_QIE, true);
	*iommu_reg64(u, VTD_RTADDR) = window_pa(u->table);
	ok = ok && command(u, (u32)VTD_SRTP, true);
	*iommu_reg64(u, VTD_IRTA) =
		window_pa(u->records) | VTD_IRTA_SIZE | (eim ? VTD_IRTA_EIME : 0);
	ok = ok && (!intremap || command(u, (u32)VTD_SIRTP, true));
	if (!ok)
		return "a command was not taken";
	iommu_submit(u, forget, intremap ? 3 : 2);
	fault_message(u);
	/* Without the compatibility format, messages that name a CPU are refused (5.1.4). */
	if ((intremap && !command(u, (u32)VTD_CFI, false)) || !command(u, (u32)VTD_IRE, intremap) ||
		!command(u, (u32)VTD_TE, true))
		return "a command was not taken";
	if (*iommu_reg64(u, VTD_CAP) & VTD_CAP_PMR) {
		*iommu_reg32(u, VTD_PMEN) = 0;
		iommu_wait(iommu_reg32(u, VTD_PMEN), (u32)VTD_PMEN_PRS, 0);
	}
	return NULL;
}

/* The context entry of the source; NULL: its bus has no table yet. */
static u64 *context(const struct iommu_source *s)
{
	u64 root = s->unit->table[(s->requester >> 8 & 0xff) * 2];
	u64 *table = window_va(root & ~(u64)(PAGE_SIZE - 1));

	return root & VTD_PRESENT ? table + (s->requester & 0xff) * 2 : NULL;
}

static status_t vtd_open(struct iommu_source *s, struct pool *pool)
{
	void *table;

	(void)pool;
	if (s->domain >= s->unit->domains)
		return STATUS_NO_SPACE;
	if (context(s))
		return STATUS_OK;
	table = pool_frame_alloc(&boot_pool); /* functions of a bus share it */
	if (!table)
		return STATUS_NO_MEMORY;
	ptable_write_back(table, PAGE_SIZE);
	put(&s->unit->table[(s->requester >> 8 & 0xff) * 2], window_pa(table) | VTD_PRESENT);
	return STATUS_OK;
}

/* All contexts, for an absent one may be kept under domain 0. */
static void forget_source(struct iommu_source *s)
{
	const u64 forget[][2] = {{VTD_INV_CONTEXT}, {VTD_INV_DOMAIN(s->domain)}};

	iommu_submit(s->unit, forget, 2);
}

static void vtd_attach(struct iommu_source *s, const struct ptable *t)
{
	u64 *entry = context(s);

	if (!entry)
		return;
	put(&entry[0], 0);
	if (t) {
		forget_source(s);
		put(&entry[1], vtd_context_high(t->levels, s->domain));
		put(&entry[0], t->root | VTD_PRESENT);
	}
	forget_source(s);
}

static void vtd_flush(struct iommu_source *s)
{
	const u64 forget[][2] = {{VTD_INV_DOMAIN(s->domain)}};

	iommu_submit(s->unit, forget, 1);
}

/* An interrupt that comes while its entry changes would be lost: only if it must change. */
static void irte_set(struct iommu *u, u32 vector, u64 low, u64 high)
{
	static const u64 forget[][2] = {{VTD_INV_INTERRUPTS}};
	u64 *entry = u->records[vector];

	if (entry[0] == low && (entry[1] == high || !low))
		return;
	put(&entry[0], 0);
	put(&entry[1], high);
	put(&entry[0], low);
	iommu_submit(u, forget, 1);
}

static u32 vtd_route(struct iommu_source *s, u32 vector, u32 apic_id, bool level, bool on)
{
	if (!eim && apic_id > 0xff)
		return IOMMU_NO_WAY;
	irte_set(s->unit, vector, on ? vtd_irte_low(vector, apic_id, level, eim) : 0,
		vtd_irte_high(s->requester));
	return vtd_handle(vector);
}

static void vtd_close(struct iommu_source *s)
{
	vtd_attach(s, NULL);
	for (u32 i = 0; i < IOMMU_ENTRIES; i++)
		if (s->unit->records[i][1] == vtd_irte_high(s->requester))
			irte_set(s->unit, i, 0, 0);
}

static u32 kind_of(u32 reason)
{
	if (reason == VTD_REASON_ROOT || reason == VTD_REASON_CONTEXT)
		return DMA_FAULT_BLOCKED;
	if (reason == VTD_REASON_WRITE || reason == VTD_REASON_READ)
		return DMA_FAULT_ADDRESS;
	return reason >= VTD_REASON_INTERRUPT && reason <= VTD_REASON_LAST ? DMA_FAULT_INTERRUPT
									   : DMA_FAULT_OTHER;
}

static bool vtd_fault(struct iommu *u, struct msg_dma_fault *f)
{
	u64 cap = *iommu_reg64(u, VTD_CAP);

	for (u32 i = 0; i < VTD_CAP_FAULTS(cap); i++) {
		u32 at = VTD_CAP_FRO(cap) + i * 16;
		u64 high = *iommu_reg64(u, at + 8);

		if (!(high & VTD_FAULT_SET))
			continue;
		*f = (struct msg_dma_fault){
			.function = (u16)high,
			.kind = kind_of(VTD_FAULT_REASON(high)),
			.address = *iommu_reg64(u, at),
			.reason = VTD_FAULT_REASON(high),
			.write = !(high & VTD_FAULT_READ),
		};
		*iommu_reg32(u, at + 12) = (u32)(VTD_FAULT_SET >> 32);
		return true;
	}
	*iommu_reg32(u, VTD_FSTS) = (u32)VTD_FSTS_PFO;
	return false;
}

const struct iommu_ops vtd_ops = {
	.name = "VT-d",
	.format = PTABLE_VTD,
	.tail_register = VTD_IQT,
	.wait = vtd_wait,
	.probe = vtd_probe,
	.start = vtd_start,
	.open = vtd_open,
	.close = vtd_close,
	.attach = vtd_attach,
	.flush = vtd_flush,
	.route = vtd_route,
	.fault = vtd_fault,
};
