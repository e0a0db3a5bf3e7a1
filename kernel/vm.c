/* Virtual machines: nested address space, dispositions of ports and MSRs. */
#include "kernel/doorbell.h"
#include "kernel/kernel.h"

status_t vm_create(struct thread *t, struct domain *payer, struct kobj **out)
{
	struct vm *vm;
	status_t s;

	if (!vcpu_ops)
		return STATUS_NOT_SUPPORTED;
	if (((const struct msg_create_vm *)t->message)->flags)
		return STATUS_BAD_ARG;
	static_assert(sizeof(struct vm) <= PAGE_SIZE);
	vm = pool_alloc(&payer->pool, sizeof(*vm));
	if (!vm)
		return STATUS_NO_MEMORY;
	vm->obj.payer = payer;
	s = space_init(&vm->space, vcpu_ops->format, &payer->pool);
	if (s == STATUS_OK) {
		s = vcpu_ops->vm_init(vm);
		if (s != STATUS_OK)
			ptable_free(&vm->space.ptable, 0, 511, true);
	}
	if (s != STATUS_OK) {
		pool_free(&payer->pool, vm, sizeof(*vm));
		return s;
	}
	kobj_init(&vm->obj, KIND_VM, payer);
	*out = &vm->obj;
	return STATUS_OK;
}

static status_t trap_ports(struct thread *t, struct vm *vm)
{
	u64 first = arg(t, RDX), count = arg(t, R8), how = arg(t, R9);
	struct cap event = {0};
	status_t s = STATUS_OK;

	if (first > 0xffff || !count || count > 0x10000 - first || how > TRAP_DIRECT)
		return STATUS_BAD_ARG;
	if (how == TRAP_DIRECT)
		return STATUS_NOT_SUPPORTED; /* comes with whole devices for guests */
	if (how == TRAP_EVENT) {
		s = cap_lookup(t->domain, arg(t, R10), KIND_EVENT, 0, &event);
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

static bool msr_switched(u32 msr)
{
	const u32 *list = vcpu_ops->msrs_switched;

	while (*list && *list != msr)
		list++;
	return *list;
}

status_t sys_vm_trap(struct thread *t)
{
	u64 first = arg(t, RDX), end = first + arg(t, R8);
	bool direct = arg(t, R9) == TRAP_DIRECT;
	struct cap slot;
	struct vm *vm;
	status_t s = cap_lookup(t->domain, arg(t, RDI), KIND_VM, RIGHT_CTL, &slot);

	if (s != STATUS_OK)
		return s;
	vm = container_of(slot.obj, struct vm, obj);
	if (arg(t, RSI) == TRAP_PORT)
		return trap_ports(t, vm);
	if (arg(t, RSI) != TRAP_MSR || arg(t, R8) > 0x2000 || first > ~0u - arg(t, R8))
		return STATUS_BAD_ARG;
	if (arg(t, R9) == TRAP_EVENT || arg(t, R9) > TRAP_DIRECT)
		return STATUS_NOT_SUPPORTED;
	for (u64 m = first; m < end && direct; m++)
		if (!msr_switched((u32)m))
			return STATUS_NOT_SUPPORTED;
	spin_lock(&vm->space.lock);
	for (u64 m = first; m < end; m++)
		vcpu_ops->trap_msr(vm, (u32)m, !direct);
	spin_unlock(&vm->space.lock);
	return STATUS_OK;
}
