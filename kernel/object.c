/* Capability slots: setting, looking up, revoking. */
#include "kernel/domain.h"

void kobj_init(struct kobj *o, enum kind kind, struct domain *payer)
{
	o->kind = (u8)kind;
	o->payer = payer;
	list_init(&o->slots);
	list_init(&o->charged);
	if (payer) {
		spin_lock(&payer->lock);
		list_add(&payer->objects, &o->charged);
		spin_unlock(&payer->lock);
	}
}

bool slot_set(struct slot *s, struct kobj *o, enum kind kind, u32 rights, u64 data)
{
	bool alive = true;

	s->rights = rights;
	s->data = data;
	s->kind = (u8)kind;
	if (!o)
		return true;
	spin_lock(&o->lock);
	if (o->dying) {
		alive = false;
	} else {
		list_add(&o->slots, &s->link);
		__atomic_store_n(&s->obj, o, __ATOMIC_RELEASE);
	}
	spin_unlock(&o->lock);
	return alive;
}

void slot_clear(struct slot *s)
{
	struct kobj *o = __atomic_load_n(&s->obj, __ATOMIC_ACQUIRE);

	if (o) {
		spin_lock(&o->lock);
		if (s->obj) {
			list_remove(&s->link);
			__atomic_store_n(&s->obj, NULL, __ATOMIC_RELEASE);
		}
		spin_unlock(&o->lock);
	}
	s->kind = KIND_NONE;
	s->rights = 0;
	s->data = 0;
}

void kobj_revoke(struct kobj *o)
{
	spin_lock(&o->lock);
	o->dying = 1;
	while (!list_empty(&o->slots)) {
		struct slot *s = container_of(o->slots.next, struct slot, link);

		list_remove(&s->link);
		__atomic_store_n(&s->obj, NULL, __ATOMIC_RELEASE);
	}
	spin_unlock(&o->lock);
}

status_t cap_lookup(struct domain *d, u64 cap, enum kind kind, u32 rights, struct slot **out)
{
	struct slot *page;
	struct slot *s;

	if (unlikely(cap >= CAP_MAX))
		return STATUS_BAD_CAP;
	page = __atomic_load_n(&d->slots[cap / SLOTS_PER_FRAME], __ATOMIC_ACQUIRE);
	if (unlikely(!page))
		return STATUS_BAD_CAP;
	s = &page[cap % SLOTS_PER_FRAME];
	if (unlikely(s->kind != kind && kind != KIND_NONE))
		return s->kind == KIND_NONE ? STATUS_BAD_CAP : STATUS_BAD_KIND;
	if (unlikely(s->kind == KIND_NONE))
		return STATUS_BAD_CAP;
	if (unlikely(!s->obj && s->kind != KIND_SYS))
		return STATUS_GONE;
	if (unlikely((s->rights & rights) != rights))
		return STATUS_DENIED;
	*out = s;
	return STATUS_OK;
}
