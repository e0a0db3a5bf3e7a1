/* The VT-x parts of a virtual machine: bitmap of MSRs, nested translations. All ports exit:
 * doorbells are found by the kernel. */
#include "kernel/domain.h"
#include "vmx/bitmap.h"
#include "vmx/vmx.h"

/*
 * An MSR that the guest may use without an exit is one that an entry loads and an exit saves.
 * IA32_EFER is not among them: the processor would take values that the VMM's CPUID does not offer.
 * CSTAR exits, for it is not in the lists.
 */
static const u32 msrs_switched[] = {MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE, MSR_SYSENTER_CS,
	MSR_SYSENTER_ESP, MSR_SYSENTER_EIP, MSR_STAR, MSR_LSTAR, MSR_SFMASK, MSR_TSC_AUX, MSR_PAT,
	0};

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
	.msrs_switched = msrs_switched,
	.trap_msr = vmx_trap_msr,
	.flush = vmx_flush,
};

status_t vmx_vm_init(struct vm *vm)
{
	vm->msr_bitmap = pool_frame_alloc(&vm->obj.payer->pool);
	if (!vm->msr_bitmap)
		return STATUS_NO_MEMORY;
	memset(vm->msr_bitmap, 0xff, PAGE_SIZE);
	vm->backend[VM_EPTP] = vm->space.ptable.root | EPTP_WALK_4 | EPTP_WB;
	return STATUS_OK;
}

void vmx_vm_free(struct vm *vm)
{
	pool_frame_free(&vm->obj.payer->pool, vm->msr_bitmap);
}

void vmx_trap_msr(struct vm *vm, u32 msr, bool trap)
{
	msr_bitmap_set(vm->msr_bitmap, msr, trap);
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
