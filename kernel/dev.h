/* dev objects: PCI functions given to drivers. */
#pragma once

#include "kernel/object.h"

status_t dev_create(struct thread *t, struct domain *payer, struct kobj **out);
void dev_stop(struct kobj *o);
void dev_free(struct kobj *o, struct pool *pool);
status_t sys_dev_ctl(struct thread *t);

/* Has message `index` of the dev `o` come as `vector` at the CPU `apic_id`; false: it cannot. */
bool dev_message(struct kobj *o, u32 index, u32 apic_id, u32 vector, bool masked);
