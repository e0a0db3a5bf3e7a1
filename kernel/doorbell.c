/* The table of a VM's doorbells. */
#include "kernel/doorbell.h"
#include "kernel/domain.h"

static_assert(VM_MAX_DOORBELLS < 256, "index + 1 of an entry is a byte");

static u8 *hash_entry(struct vm *vm, u16 port)
{
	return &vm->doorbell_hash[(port * 167u >> 3) % ARRAY_SIZE(vm->doorbell_hash)];
}

struct doorbell *doorbell_find(struct vm *vm, u16 port)
{
	unsigned first = *hash_entry(vm, port);

	for (unsigned i = first; i && i <= VM_MAX_DOORBELLS; i++) {
		struct doorbell *b = __atomic_load_n(&vm->doorbells[i - 1], __ATOMIC_ACQUIRE);

		if (!b)
			break;
		if (b->port == port)
			return b;
	}
	return NULL;
}

static bool in_use(const struct doorbell *b)
{
	return __atomic_load_n(&b->slot.obj, __ATOMIC_ACQUIRE) != NULL;
}

/*
 * An entry for `port`, which has none: the first that is out of use, else a new one. NULL, and
 * *status says why, otherwise.
 */
static struct doorbell *entry_make(struct vm *vm, u16 port, status_t *status)
{
	u8 *hash = hash_entry(vm, port);
	struct doorbell *b;
	unsigned i = 0;

	while (i < VM_MAX_DOORBELLS && vm->doorbells[i] && in_use(vm->doorbells[i]))
		i++;
	*status = i < VM_MAX_DOORBELLS ? STATUS_NO_MEMORY : STATUS_NO_SPACE;
	if (i == VM_MAX_DOORBELLS)
		return NULL;
	b = vm->doorbells[i] ? vm->doorbells[i] : pool_alloc(&vm->obj.payer->pool, sizeof(*b));
	if (!b)
		return NULL;
	b->port = port;
	__atomic_store_n(&vm->doorbells[i], b, __ATOMIC_RELEASE);
	/* Candidates are all entries from this one on, so none of this hash may be before it. */
	if (!*hash || *hash > i + 1)
		__atomic_store_n(hash, (u8)(i + 1), __ATOMIC_RELEASE);
	return b;
}

status_t doorbell_set(struct vm *vm, u16 port, const struct cap *event)
{
	struct kobj *target = __atomic_load_n(&event->obj, __ATOMIC_ACQUIRE);
	struct doorbell *b = doorbell_find(vm, port);
	status_t s = STATUS_OK;
	bool dying;

	if (b)
		slot_clear(&b->slot);
	else
		b = entry_make(vm, port, &s);
	if (!b)
		return s;
	if (!target || !slot_set(&b->slot, target, KIND_EVENT, 0, event->data))
		return STATUS_GONE;
	/*
	 * The VM's destruction sets `dying` under the object's lock and then empties the doorbells
	 * that it finds: either it finds this one, or it is seen here. A slot left behind would
	 * stay in the event's list when the entry is freed.
	 */
	spin_lock(&vm->obj.lock);
	dying = vm->obj.dying;
	spin_unlock(&vm->obj.lock);
	if (!dying)
		return STATUS_OK;
	slot_clear(&b->slot);
	return STATUS_GONE;
}

void doorbell_clear(struct vm *vm, u32 first, u32 count)
{
	for (unsigned i = 0; i < VM_MAX_DOORBELLS && vm->doorbells[i]; i++)
		if (vm->doorbells[i]->port - first < count)
			slot_clear(&vm->doorbells[i]->slot);
}
