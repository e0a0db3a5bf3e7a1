/* Address spaces into which mems are attached: a domain's, and a VM's nested one. */
#pragma once

#include "kernel/object.h"
#include "mm/ptable.h"
#include "mm/tlb.h"

struct iommu_source;

struct space {
	struct spinlock lock; /* what is below, and more of whoever has the space */
	struct ptable ptable; /* its pool pays for attachments too */
	struct tlb_space tlb;
	struct list attaches;
	struct iommu_source *source; /* of a dev; else NULL */
};

/* Makes an empty space; tables come from `pool`. NO_MEMORY. */
status_t space_init(struct space *s, enum ptable_format format, struct pool *pool);

/* Unmaps [va, va + size); TLBs are the caller's affair afterwards. The lock is held. */
void space_unmap(struct space *s, u64 va, u64 size);
