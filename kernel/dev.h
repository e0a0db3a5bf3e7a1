/* dev objects: PCI functions given to drivers. */
#pragma once

#include "kernel/iommu.h"
#include "kernel/space.h"

#define HEADER_WORDS 16

struct dev {
	struct kobj obj;
	struct space space; /* what it can reach: without an IOMMU a list only */
	struct iommu_source iommu;
	struct list link; /* in devs; empty: it was stopped */
	u32 function;
	bool reset;               /* and not started again */
	u32 header[HEADER_WORDS]; /* as it was before the reset */
};

status_t dev_create(struct thread *t, struct domain *payer, struct kobj **out);
void dev_stop(struct kobj *o);
status_t sys_dev_ctl(struct thread *t, const struct cap *cap);

/* Memory that was attached goes to somebody else: without an IOMMU the device is quiesced. */
void dev_lost(struct space *s);

/* Has message `index` of the dev `o` come as `vector` at the CPU `apic_id`; false: it cannot. */
bool dev_message(struct kobj *o, u32 index, u32 apic_id, u32 vector, bool masked);
