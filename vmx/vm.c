/* The VT-x parts of a virtual machine: bitmaps of ports and MSRs, nested translations. */
#include "kernel/domain.h"
#include "vmx/bitmap.h"
#include "vmx/vmx.h"

const struct vcpu_ops vmx_ops = {
	.name = "VT-x",
	.format = PTABLE_EPT,
	.probe = vmx_probe,
	.enable = vmx_enable,
	.vm_init = vmx_vm_init,
	.vm_free = vmx_vm_free,
	.vcpu_init = vmx_vcpu_init,
	.vcpu_free = vmx_vcpu_free,
	.load = vmx_load,
	.unload = vmx_unload,
	.import = vmx_import,
	.export = vmx_export,
	.can_take = vmx_can_take,
	.inject = vmx_inject,
	.uninject = vmx_uninject,
	.window = vmx_window,
	.nmi_window = vmx_nmi_window,
	.enter = vmx_enter_guest,
	.exit = vmx_exit,
	.skip = vmx_skip,
	.trap_ports = vmx_trap_ports,
	.trap_msr = vmx_trap_msr,
	.flush = vmx_flush,
};

status_t vmx_vm_init(struct vm *vm)
{
	struct pool *pool = &vm->obj.payer->pool;
	void *b = pool_frame_alloc(pool);

	vm->io_bitmap = pool_frame_alloc(pool);
	vm->msr_bitmap = pool_frame_alloc(pool);
	vm->backend[VM_IO_BITMAP_B] = (u64)b;
	if (!b || !vm->io_bitmap || !vm->msr_bitmap) {
		vmx_vm_free(vm);
		return STATUS_NO_MEMORY;
	}
	memset(vm->io_bitmap, 0xff, PAGE_SIZE);
	memset(b, 0xff, PAGE_SIZE);
	memset(vm->msr_bitmap, 0xff, PAGE_SIZE);
	vm->backend[VM_EPTP] = vm->ptable.root | EPTP_WALK_4 | EPTP_WB;
	return STATUS_OK;
}

void vmx_vm_free(struct vm *vm)
{
	struct pool *pool = &vm->obj.payer->pool;

	pool_frame_free(pool, vm->io_bitmap);
	pool_frame_free(pool, (void *)vm->backend[VM_IO_BITMAP_B]);
	pool_frame_free(pool, vm->msr_bitmap);
	vm->io_bitmap = NULL;
	vm->backend[VM_IO_BITMAP_B] = 0;
	vm->msr_bitmap = NULL;
}

status_t vmx_trap_ports(struct vm *vm, u32 first, u32 count, bool trap)
{
	bool done = port_bitmaps_fill(
		vm->io_bitmap, (u8 *)vm->backend[VM_IO_BITMAP_B], first, count, trap);

	return done ? STATUS_OK : STATUS_BAD_ARG;
}

/*
 * An MSR that the guest may use without an exit is one that an entry loads and an exit saves.
 * IA32_EFER is not among them: the processor would take values that the VMM's CPUID does not offer.
 * CSTAR exits, for it is not in the lists.
 */
status_t vmx_trap_msr(struct vm *vm, u32 msr, bool trap)
{
	switch (msr) {
	case MSR_FS_BASE:
	case MSR_GS_BASE:
	case MSR_KERNEL_GS_BASE:
	case MSR_SYSENTER_CS:
	case MSR_SYSENTER_ESP:
	case MSR_SYSENTER_EIP:
	case MSR_STAR:
	case MSR_LSTAR:
	case MSR_SFMASK:
	case MSR_TSC_AUX:
	case MSR_PAT:
		msr_bitmap_set(vm->msr_bitmap, msr, trap);
		return STATUS_OK;
	}
	return trap ? STATUS_OK : STATUS_NOT_SUPPORTED;
}

/*
 * Drops the guest-physical and the combined translations of the VM's tables on this CPU, whatever
 * their VPID (SDM vol. 3C, 29.4.3.1); with EPT on, a guest has no others.
 */
void vmx_flush(struct vcpu *v)
{
	bool single = vmx_machine.ept_vpid & CAP_INVEPT_SINGLE;

	invept(single ? INVALIDATE_SINGLE : INVALIDATE_ALL, single ? v->vm->backend[VM_EPTP] : 0);
}
