/* Kernel objects and the capability slots that name them. */
#pragma once

#include "kernel/abi/syscall.h"
#include "kernel/list.h"
#include "mm/lock.h"
#include "mm/pool.h"

struct cpu;
struct domain;
struct thread;

/* A job that a CPU does between two programs; a job may post itself on to another CPU. */
struct work {
	struct work *next;
	void (*run)(struct work *w);
};

/* The common head of every object. */
struct kobj {
	u8 kind;   /* enum kind */
	u8 dying;  /* set once, by whoever destroys it */
	u16 bytes; /* of the object, whose beginning this is, to be freed with it; 0: otherwise */
	struct spinlock lock; /* of `slots` */
	struct domain *payer;
	struct list charged;   /* in payer->objects */
	struct list slots;     /* struct slot.link */
	struct work work;      /* of its destruction */
	struct thread *waiter; /* the thread whose obj_destroy it is, or NULL */
	u32 waiter_cpu;
	u32 step; /* of its destruction */
};

/* A capability. Written under the domain's lock and the object's; read without either. */
struct slot {
	struct kobj *obj; /* NULL: empty, or emptied by a destruction */
	struct list link;
	u64 data;   /* event: mask of bits */
	u32 rights; /* RIGHT_* */
	u8 kind;    /* enum kind; KIND_SYS has no object; kept when emptied, so that GONE is told */
	u8 pad[3];
	u32 version; /* raised before each filling */
	u32 reserved[5];
};
static_assert(sizeof(struct slot) == 64);

/* What a slot held when it was looked up: another CPU may empty the slot at any time. */
struct cap {
	struct kobj *obj; /* not NULL, but for KIND_SYS */
	u64 data;
	u32 rights;
	u8 kind;
};

#define SLOTS_PER_FRAME (PAGE_SIZE / sizeof(struct slot))

void kobj_init(struct kobj *o, enum kind kind, struct domain *payer, size_t bytes);

/* Makes an empty slot name `o`; false when `o` is dying. For slots in objects the holder's own
 * rules serialise writers. */
bool slot_set(struct slot *s, struct kobj *o, enum kind kind, u32 rights, u64 data);

/* Empties a slot, whatever it holds. */
void slot_clear(struct slot *s);

/* A copy of what `s` held at one time. Any CPU, without a lock. */
void slot_copy(const struct slot *s, struct cap *out);

/* Empties all slots that name `o`. */
void kobj_revoke(struct kobj *o);

/*
 * Looks up capability `cap` of domain `d`: checks kind and rights. OK and a copy in *out (obj,
 * kind, rights, data), or BAD_CAP, GONE, BAD_KIND, DENIED. A copy, for other CPUs may empty the
 * slot and fill it anew at any time. The object stays allocated until this CPU leaves the kernel.
 */
status_t cap_lookup(struct domain *d, u64 cap, enum kind kind, u32 rights, struct cap *out);

/* Claims the destruction of `o`: true for the first who asks, who then must see to it. */
bool kobj_claim(struct kobj *o);

/*
 * The same for the fast paths, which need the slot table of a domain: the object, or NULL on any
 * error, whose status cap_lookup tells. `slots` is domain->slots. The kind is asked of the object,
 * which stays what it is. Rights and data may be those of what takes the object's place just then:
 * who fills a table decides on both.
 */
static inline struct kobj *cap_find(
	struct slot **slots, u64 cap, enum kind kind, u32 rights, struct slot **out)
{
	struct slot *page;
	struct slot *s;
	struct kobj *o;

	if (unlikely(cap >= CAP_MAX))
		return NULL;
	page = __atomic_load_n(&slots[cap / SLOTS_PER_FRAME], __ATOMIC_ACQUIRE);
	if (unlikely(!page))
		return NULL;
	s = &page[cap % SLOTS_PER_FRAME];
	o = __atomic_load_n(&s->obj, __ATOMIC_ACQUIRE);
	if (unlikely(!o || o->kind != kind || (s->rights & rights) != rights))
		return NULL;
	*out = s;
	return o;
}
