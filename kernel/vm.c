/* Virtual machines: nested address space, dispositions of ports and MSRs, doorbells; making vcpus. */
#include "kernel/kernel.h"
#include "kernel/virq.h"

static unsigned bell_hash(u16 port)
{
	return (port * 167u >> 3) & 255;
}

/* The doorbell of `port`, or NULL. Read while other CPUs add: entries are published last and freed with the vm only. */
struct doorbell *doorbell_find(struct vm *vm, u16 port)
{
	unsigned first = vm->doorbell_hash[bell_hash(port)];

	for (unsigned i = first; i && i <= VM_MAX_DOORBELLS && vm->doorbells[i - 1]; i++)
		if (vm->doorbells[i - 1]->port == port)
			return vm->doorbells[i - 1];
	return NULL;
}

status_t vm_create(struct thread *t, struct domain *payer, u64 slot)
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
	list_init(&vm->attaches);
	tlb_init(&vm->tlb);
	vm->obj.payer = payer;
	s = ptable_init(&vm->ptable, vcpu_ops->format, 4, &payer->pool);
	if (s == STATUS_OK) {
		s = vcpu_ops->vm_init(vm);
		if (s != STATUS_OK)
			ptable_free(&vm->ptable, 0, 511, true);
	}
	if (s != STATUS_OK) {
		pool_free(&payer->pool, vm, sizeof(*vm));
		return s;
	}
	kobj_init(&vm->obj, KIND_VM, payer);
	s = domain_cap_set(t->domain, slot, &vm->obj, KIND_VM, RIGHT_ALL, 0);
	if (s != STATUS_OK)
		destroy_start(&vm->obj, NULL);
	return s;
}

/* Sets or takes away one doorbell; the vm's lock is held. */
static status_t set_bell(struct vm *vm, u16 port, struct slot *event)
{
	struct doorbell *b = doorbell_find(vm, port);
	unsigned i;

	if (b)
		slot_clear(&b->slot);
	if (!event)
		return STATUS_OK;
	if (!b) {
		for (i = 0; i < VM_MAX_DOORBELLS && vm->doorbells[i]; i++)
			if (!vm->doorbells[i]->slot.obj && vm->doorbells[i]->port == port)
				break;
		if (i == VM_MAX_DOORBELLS)
			return STATUS_NO_SPACE;
		b = pool_alloc(&vm->obj.payer->pool, sizeof(*b));
		if (!b)
			return STATUS_NO_MEMORY;
		b->port = port;
		vm->doorbells[i] = b;
		/* Candidates run from the first one of the same hash: the lowest index counts. */
		if (!vm->doorbell_hash[bell_hash(port)])
			vm->doorbell_hash[bell_hash(port)] = (u8)(i + 1);
	}
	return slot_set(&b->slot, event->obj, KIND_EVENT, 0, event->data) ? STATUS_OK : STATUS_GONE;
}

static status_t trap_ports(struct thread *t, struct vm *vm)
{
	u64 first = arg(t, RDX), count = arg(t, R8), how = arg(t, R9);
	struct slot *event = NULL;
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
	spin_lock(&vm->lock);
	for (u64 p = first; p < first + count && s == STATUS_OK; p++)
		s = set_bell(vm, (u16)p, event);
	spin_unlock(&vm->lock);
	return s;
}

static status_t trap(struct thread *t)
{
	struct slot *slot;
	struct vm *vm;
	status_t s = cap_lookup(t->domain, arg(t, RDI), KIND_VM, RIGHT_CTL, &slot);

	if (s != STATUS_OK)
		return s;
	vm = container_of(slot->obj, struct vm, obj);
	if (arg(t, RSI) == TRAP_PORT)
		return trap_ports(t, vm);
	if (arg(t, RSI) != TRAP_MSR || arg(t, R8) > 0x2000 || arg(t, RDX) > ~0u - arg(t, R8))
		return STATUS_BAD_ARG;
	if (arg(t, R9) == TRAP_EVENT || arg(t, R9) > TRAP_DIRECT)
		return STATUS_NOT_SUPPORTED;
	spin_lock(&vm->lock);
	for (u64 m = arg(t, RDX); m < arg(t, RDX) + arg(t, R8) && s == STATUS_OK; m++)
		s = vcpu_ops->trap_msr(vm, (u32)m, arg(t, R9) != TRAP_DIRECT);
	spin_unlock(&vm->lock);
	return s;
}

void sys_vm_trap(struct thread *t)
{
	t->regs.gpr[RAX] = trap(t);
}
