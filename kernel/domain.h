/* Domains: capability table, address space, I/O ports, pool. */
#pragma once

#include "kernel/space.h"

#define DOMAIN_NAME_SIZE 16

struct mem;

struct domain {
	struct kobj obj;
	struct space space;  /* its lock: slots and lists below too */
	struct slot **slots; /* frame: pointers to frames of slots */
	u64 cr3;             /* as loaded when no flush is needed */
	u32 pcid;
	u8 *ports; /* two frames, bit set: denied; NULL: none allowed */
	u8 *ports_high;
	struct list objects;  /* charged to it */
	struct list ended;    /* likewise, once its destruction has taken them over */
	struct domain *inner; /* of the domains charged to it, directly or not, the one whose turn
				 it is to end; or itself */
	struct list vcpu_maps;
	struct list pool_mems; /* struct mem.pool_link */
	struct pool pool;
	struct slot supervisor; /* event */
	char name[DOMAIN_NAME_SIZE];
};

extern struct domain root_domain;

/*
 * Makes the parts of a domain that come from its pool, which holds frames already. NO_MEMORY.
 */
status_t domain_init(struct domain *d, struct domain *payer, const char *name);

/* Does `a` pay for `d`, directly or not? Then it lives longer. */
bool domain_above(const struct domain *a, const struct domain *d);

/* Finds or makes the slot `cap` of `d`, under d->space.lock. BAD_CAP, NO_MEMORY. */
status_t domain_slot(struct domain *d, u64 cap, struct slot **out);

/* Puts a capability into an empty slot. EXISTS, BAD_CAP, NO_MEMORY, GONE. */
status_t domain_cap_set(
	struct domain *d, u64 cap, struct kobj *o, enum kind kind, u32 rights, u64 data);

/* Maps one kernel-owned frame for ring 3 at `va` of `d`. EXISTS, NO_MEMORY, BAD_ARG. */
status_t domain_map_frame(struct domain *d, u64 va, void *frame, u64 flags);

/* Allows ports [first, first + count): to a thread that runs on another CPU from its next switch
 * on. NO_MEMORY. */
status_t domain_ports(struct domain *d, u32 first, u32 count);

/* The rarer parts of domain_switch: I/O permissions, and stale translations. */
void domain_switch_ports(struct cpu *c, struct domain *d);
void domain_flush(struct cpu *c, struct domain *d);

/* Loads the kernel's own tables: nothing runs. */
void domain_leave(struct cpu *c);

/* On the shoot-down IPI: flushes this CPU's current spaces if they are behind. */
void tlb_service(struct cpu *c);

/* Frees the top-level parts after everything else of the domain is gone; does not touch its pool's
 * frames. */
void domain_release(struct domain *d);
