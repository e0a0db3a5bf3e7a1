/* Capability slots: setting, looking up, revoking. */
#include "kernel/domain.h"

void kobj_init(struct kobj *o, enum kind kind, struct domain *payer, size_t bytes)
{
	o->kind = (u8)kind;
	o->bytes = (u16)bytes;
	o->payer = payer;
	list_init(&o->slots);
	list_init(&o->charged);
	if (payer) {
		spin_lock(&payer->space.lock);
		list_add(&payer->objects, &o->charged);
		spin_unlock(&payer->space.lock);
	}
}

bool slot_set(struct slot *s, struct kobj *o, enum kind kind, u32 rights, u64 data)
{
	bool alive = true;

	__atomic_add_fetch(&s->version, 1, __ATOMIC_SEQ_CST);
	s->rights = rights;
	s->data = data;
	__atomic_store_n(&s->kind, (u8)kind, __ATOMIC_RELEASE);
	if (!o)
		return kind == KIND_SYS;
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
	__atomic_store_n(&s->kind, KIND_NONE, __ATOMIC_SEQ_CST);
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

bool kobj_claim(struct kobj *o)
{
	bool first;

	spin_lock(&o->lock);
	first = !o->dying;
	o->dying = 1;
	spin_unlock(&o->lock);
	return first;
}

/* Emptying leaves rights and data as they are, and slot_set raises the version before it changes
 * them, and writes the kind and the object last. */
void slot_copy(const struct slot *s, struct cap *out)
{
	u32 version;

	do {
		version = __atomic_load_n(&s->version, __ATOMIC_ACQUIRE);
		out->obj = __atomic_load_n(&s->obj, __ATOMIC_ACQUIRE);
		out->kind = __atomic_load_n(&s->kind, __ATOMIC_ACQUIRE);
		out->rights = __atomic_load_n(&s->rights, __ATOMIC_ACQUIRE);
		out->data = __atomic_load_n(&s->data, __ATOMIC_ACQUIRE);
	} while (unlikely(__atomic_load_n(&s->version, __ATOMIC_RELAXED) != version));
}

status_t cap_lookup(struct domain *d, u64 cap, enum kind kind, u32 rights, struct cap *out)
{
	struct slot *page;

	if (cap >= CAP_MAX)
		return STATUS_BAD_CAP;
	page = __atomic_load_n(&d->slots[cap / SLOTS_PER_FRAME], __ATOMIC_ACQUIRE);
	if (!page)
		return STATUS_BAD_CAP;
	slot_copy(&page[cap % SLOTS_PER_FRAME], out);
	if (out->kind == KIND_NONE)
		return STATUS_BAD_CAP;
	if (out->kind != kind && kind != KIND_NONE)
		return STATUS_BAD_KIND;
	if (!out->obj && out->kind != KIND_SYS)
		return STATUS_GONE;
	if ((out->rights & rights) != rights)
		return STATUS_DENIED;
	return STATUS_OK;
}
