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
	MSR_SYSENTER_ESP, MSR_SYSENTER_EIP, MSR_STAR, MSR_LSTAR, MSR_SFMASK, MSR_TSC_AUX, MSR_PAT};

const struct vcpu_ops vmx_ops = {
	.name = "VT-x",
	.format = PTABLE_EPT,
	.probe = vmx_probe,
	.enable = vmx_enable,
	.vcpu_init = vmx_vcpu_init,
	.vcpu_free = vmx_vcpu_free,
	.load = vmx_load,
	.unload = vmx_unload,
	.import = vmx_import,
	.export = vmx_export,
	.sync_apic = vmx_sync_apic,
	.post = vmx_post,
	.can_take = vmx_can_take,
	.inject = vmx_inject,
	.uninject = vmx_uninject,
	.window = vmx_window,
	.nmi_window = vmx_nmi_window,
	.enter = vmx_enter_guest,
	.exit = vmx_exit,
	.skip = vmx_skip,
	.flush = vmx_flush,
};

u8 vmx_msr_bitmaps[2][PAGE_SIZE] __attribute__((aligned(PAGE_SIZE)));

void vmx_fill_bitmaps(void)
{
	memset(vmx_msr_bitmaps, 0xff, sizeof(vmx_msr_bitmaps));
	for (unsigned i = 0; i < ARRAY_SIZE(msrs_switched); i++)
		msr_bitmap_open(vmx_msr_bitmaps[0], msrs_switched[i]);
	memcpy(vmx_msr_bitmaps[1], vmx_msr_bitmaps[0], PAGE_SIZE);
	msr_bitmap_open_x2apic(vmx_msr_bitmaps[1]);
}

/*
 * Drops the guest-physical and the combined translations of the VM's tables on this CPU, whatever
 * their VPID (SDM vol. 3C, 29.4.3.1); with EPT on, a guest has no others.
 */
void vmx_flush(struct vcpu *v)
{
	bool single = vmx_machine.ept_vpid & CAP_INVEPT_SINGLE;

	invept(single ? INVALIDATE_SINGLE : INVALIDATE_ALL, single ? vmx_eptp(v->vm) : 0);
}
