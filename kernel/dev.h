/* dev objects: PCI functions given to drivers. */
#pragma once

#include "kernel/space.h"

status_t dev_create(struct thread *t, struct domain *payer, struct kobj **out);
void dev_stop(struct kobj *o);
void dev_free(struct kobj *o, struct pool *pool);
status_t sys_dev_ctl(struct thread *t, const struct cap *cap);

/* The memory that the dev `o` can reach: without an IOMMU it has no page tables. */
struct space *dev_space(struct kobj *o);

/* Memory that was attached goes to somebody else: without an IOMMU the device is quiesced. */
void dev_lost(struct space *s);

/* Has message `index` of the dev `o` come as `vector` at the CPU `apic_id`; false: it cannot. */
bool dev_message(struct kobj *o, u32 index, u32 apic_id, u32 vector, bool masked);
