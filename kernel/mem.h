/* mem objects: ranges of physical memory, their parts and attachments. */
#pragma once

#include "kernel/domain.h"
#include "kernel/vcpu.h"

enum mem_flags {
	MEM_DEVICE = 1, /* never zeroed; the root device mem makes parts outside RAM only */
	MEM_KEEP = 2,   /* boot file: keeps its contents */
};

struct mem {
	struct kobj obj;
	struct spinlock lock; /* parts, attaches */
	paddr_t base;
	u64 size;
	u8 cache;   /* enum mem_cache */
	u8 flags;   /* enum mem_flags */
	bool stale; /* was a pool, or a part of it was: holds what the kernel left there */
	struct mem *parent;
	struct list parts;
	struct list part_link; /* in parent->parts */
	struct list attaches;
	struct domain *pool_of; /* whose pool it has become */
	struct list pool_link;
	u64 zeroed;           /* bytes from base that were cleared so far */
	struct thread *maker; /* while its creation is under way */
};

/* A mapping of a mem in a domain or a vm. Paid for by the space's pool. */
struct attach {
	struct list mem_link;
	struct list space_link;
	struct mem *mem;
	struct space *space;
	u64 address, size;
	struct work work; /* its removal */
	struct thread *waiter;
	u32 waiter_cpu, next_cpu;
};

/* False for memory that no domain may have as a device's: the kernel's own registers, all RAM. */
bool device_allowed(paddr_t base, u64 size);

/* Unmaps everything from a domain or a vm that dies; TLBs are the caller's affair afterwards. */
void attach_remove_all(struct space *space);

/* Unmaps `m` everywhere; likewise. */
void mem_detach(struct mem *m);

/* Gives the range of `m` back to its parent; parts of it that live on become the parent's. */
void mem_return(struct mem *m);

/* Makes `m` the pool of `d`: zeroing is done already. NO_MEMORY: the kernel's own pool for window
 * tables is empty. */
status_t mem_to_pool(struct mem *m, struct domain *d);

/* Takes the frames of a dead domain's pool out of the window. */
void mem_from_pool(struct mem *m);

/* Makes a mem of zeroed memory; the rest of its fields are the caller's. */
void mem_init(struct mem *m, paddr_t base, u64 size, u8 flags);

status_t mem_create(struct thread *t, struct domain *payer, struct kobj **out);
status_t mem_create_continue(struct thread *t);

/* Gives up the creation that `t` is at, if it is; on its CPU. */
void mem_create_abort(struct thread *t);
