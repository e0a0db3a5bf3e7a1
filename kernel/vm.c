/* Virtual machines: nested address space, dispositions of ports. */
#include "kernel/doorbell.h"
#include "kernel/kernel.h"

status_t vm_create(struct thread *t, struct domain *payer, struct kobj **out)
{
	struct vm *vm;
	status_t s;

	(void)t;
	if (!vcpu_ops)
		return STATUS_NOT_SUPPORTED;
	static_assert(sizeof(struct vm) <= PAGE_SIZE);
	vm = pool_alloc(&payer->pool, sizeof(*vm));
	if (!vm)
		return STATUS_NO_MEMORY;
	vm->obj.payer = payer;
	s = space_init(&vm->space, vcpu_ops->format, &payer->pool);
	if (s != STATUS_OK) {
		pool_free(&payer->pool, vm, sizeof(*vm));
		return s;
	}
	kobj_init(&vm->obj, KIND_VM, payer, sizeof(*vm));
	*out = &vm->obj;
	return STATUS_OK;
}

status_t sys_vm_trap(struct thread *t, const struct cap *cap)
{
	u64 first = arg(t, RSI), count = arg(t, RDX), how = arg(t, R8);
	struct vm *vm = container_of(cap->obj, struct vm, obj);
	struct cap event = {0};
	status_t s = STATUS_OK;

	if (first > 0xffff || !count || count > 0x10000 - first || how > TRAP_EVENT)
		return STATUS_BAD_ARG;
	if (how == TRAP_EVENT) {
		s = cap_lookup(t->domain, arg(t, R9), KIND_EVENT, 0, &event);
		if (s != STATUS_OK)
			return s;
		if (count > VM_MAX_DOORBELLS)
			return STATUS_NO_SPACE;
	}
	spin_lock(&vm->space.lock);
	if (how == TRAP_EXIT)
		doorbell_clear(vm, (u32)first, (u32)count);
	for (u64 p = first; how == TRAP_EVENT && p < first + count && s == STATUS_OK; p++)
		s = doorbell_set(vm, (u16)p, &event);
	if (s != STATUS_OK)
		doorbell_clear(vm, (u32)first, (u32)count);
	spin_unlock(&vm->space.lock);
	return s;
}
