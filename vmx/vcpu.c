/* A vCPU's VMCS: its making, the host's half of it, making it current, entering. */
#include "kernel/kernel.h"
#include "kernel/domain.h"
#include "vmx/vmx.h"

#define RUN_LIMIT_HZ    100
#define PAUSE_GAP       128  /* cycles between two PAUSEs of one loop, at most */
#define PAUSE_WINDOW    4096 /* cycles that a loop may last */
#define NO_LINKED_VMCS  (~0ull)
#define GUEST_LIST_SIZE (sizeof(struct msr_entry) * SWITCHED_COUNT)

status_t vmx_vcpu_init(struct vcpu *v)
{
	struct pool *pool = &v->obj.payer->pool;
	struct vmx_vcpu *x = vmx_of(v);
	u32 *vmcs = pool_frame_alloc(pool);

	v->hw = vmcs;
	x->guest = pool_alloc(pool, GUEST_LIST_SIZE);
	if (!vmcs || !x->guest)
		return STATUS_NO_MEMORY;
	*vmcs = vmx_machine.basic & BASIC_REVISION;
	v->hw_pa = window_pa(vmcs);
	return STATUS_OK;
}

void vmx_vcpu_free(struct vcpu *v)
{
	struct pool *pool = &v->obj.payer->pool;

	pool_frame_free(pool, v->hw);
	pool_free(pool, vmx_of(v)->guest, GUEST_LIST_SIZE);
}

/*
 * Fields that are 0. With the first two, bit 14 of the exception bitmap alone decides on page
 * faults (26.2). The host has null data segments, as the kernel and ring 3 do: none with DPL 0 may
 * be left to ring 3; and SYSENTER in ring 3 is a #GP.
 */
static const u16 zero_fields[] = {PAGE_FAULT_MASK, PAGE_FAULT_MATCH, CR3_TARGET_COUNT,
	TPR_THRESHOLD, ENTRY_INFO, ENTRY_ERROR, ENTRY_LENGTH, GUEST_DEBUGCTL, GUEST_ACTIVITY,
	GUEST_PENDING_DEBUG, GUEST_SMBASE, GUEST_RSP, GUEST_PDPTE, GUEST_PDPTE + 2, GUEST_PDPTE + 4,
	GUEST_PDPTE + 6, HOST_DS, HOST_ES, HOST_FS, HOST_GS, HOST_SYSENTER_CS, HOST_SYSENTER_ESP,
	HOST_SYSENTER_EIP};

/* What every vCPU has alike, and what no register group covers. */
static void init_controls(struct vcpu *v)
{
	struct vmx_vcpu *x = vmx_of(v);

	for (unsigned i = 0; i < ARRAY_SIZE(zero_fields); i++)
		vmwrite(zero_fields[i], 0);
	x->proc = vmx_machine.proc;
	vmwrite(PIN_CONTROLS, vmx_machine.pin);
	/*
	 * A run without an exit ends after this time. Interrupts end it too, whatever RFLAGS.IF is;
	 * but Bochs 2.7 keeps them masked in a guest that was entered with IF clear, and only this
	 * timer gets it out. Counted anew at each entry, so it costs nothing while there are other
	 * exits (SDM vol. 3C, 26.5.1).
	 */
	if (vmx_machine.pin & PIN_PREEMPTION_TIMER)
		vmwrite(PREEMPTION_TIMER,
			(boot->tsc_hz / RUN_LIMIT_HZ) >> (read_msr(MSR_VMX_MISC) & 31));
	if (vmx_machine.pin & PIN_POSTED) {
		vmwrite(POSTED_VECTOR, VECTOR_POSTED);
		vmwrite(POSTED_DESCRIPTOR, window_pa(v->run) + offsetof(struct run_page, pending));
	}
	vmwrite(PROC_CONTROLS, x->proc);
	if (vmx_machine.proc2 & PROC2_PAUSE_LOOP) {
		vmwrite(PLE_GAP, PAUSE_GAP);
		vmwrite(PLE_WINDOW, PAUSE_WINDOW);
	}
	vmwrite(EXIT_CONTROLS, vmx_machine.exit);
	vmwrite(ENTRY_CONTROLS, vmx_machine.entry);
	vmwrite(VIRTUAL_APIC, v->apic_pa);
	vmwrite(EPT_POINTER, vmx_eptp(v->vm));
	if (vmx_machine.proc2 & PROC2_XSAVES)
		vmwrite(XSS_EXITING_BITMAP, 0);
	vmwrite(CR0_MASK, CR0_HOST);
	vmwrite(CR4_MASK, CR4_HOST);
	vmwrite(ENTRY_MSR_LOAD, window_pa(x->guest));
	vmwrite(EXIT_MSR_STORE, window_pa(x->guest));
	vmwrite(EXIT_MSR_STORE_COUNT, SWITCHED_ALWAYS);
	vmwrite(VMCS_LINK, NO_LINKED_VMCS);
}

/* The host state of CPU `c`. CR3, CR0.TS and the FS base change with the VMM; vmx_enter_guest keeps
 * them current. */
static void init_host(struct vcpu *v, struct cpu *c)
{
	struct vmx_vcpu *x = vmx_of(v);
	struct vmx_cpu *h = c->hw;
	struct descriptor_table idt;

	__asm__ volatile("sidt %0" : "=m"(idt));
	x->host_ts = c->task_switched;
	vmwrite(HOST_CR0, read_cr0());
	vmwrite(HOST_CR4, read_cr4());
	x->host_cr3 = read_cr3();
	vmwrite(HOST_CR3, x->host_cr3);
	vmwrite(HOST_CS, SEL_KERNEL_CODE);
	vmwrite(HOST_SS, SEL_KERNEL_DATA);
	vmwrite(HOST_TR, SEL_TSS);
	x->host_fs_base = 0;
	vmwrite(HOST_FS_BASE, x->host_fs_base);
	vmwrite(HOST_GS_BASE, (u64)c);
	vmwrite(HOST_TR_BASE, (u64)c->tss);
	vmwrite(HOST_GDTR_BASE, h->gdt.base);
	vmwrite(HOST_IDTR_BASE, idt.base);
	vmwrite(HOST_PAT, read_msr(MSR_PAT));
	vmwrite(HOST_EFER, read_msr(MSR_EFER));
	vmwrite(HOST_RSP, c->stack_top);
	vmwrite(HOST_RIP, (u64)vmx_exited);
	vmwrite(EXIT_MSR_LOAD, window_pa(h->host));
	for (unsigned i = 0; i < SWITCHED_COUNT; i++)
		x->guest[i].index = h->host[i].index;
	x->home = c;
}

/*
 * The first load fills the VMCS, so that a vcpu can be made on another CPU than it runs on without
 * disturbing the VMCS that is current there. VMCLEAR before the first VMPTRLD sets the launch state
 * (SDM vol. 3C, 25.11.3).
 */
void vmx_load(struct vcpu *v)
{
	struct vmx_vcpu *x = vmx_of(v);
	struct cpu *c = cpu_self();
	bool moved = x->home != c;

	if ((!x->initialised && !vmclear(v->hw_pa)) || !vmptrld(v->hw_pa))
		panic("VT-x: a VMCS cannot be loaded");
	if (!x->initialised)
		init_controls(v);
	if (moved)
		init_host(v, c);
	if ((vmx_machine.proc2 & PROC2_VPID) &&
		(moved || v->asid_generation != c->asid_generation)) {
		if (vcpu_new_tag(v, VPID_MAX))
			invvpid(INVALIDATE_ALL, 0);
		vmwrite(VPID, v->asid);
	}
	if (!x->initialised) {
		x->initialised = true;
		vmx_sync_apic(v);
		vmx_import(v, GROUP_ALL_REG | GROUP_CONTROL);
	}
}

void vmx_unload(struct vcpu *v)
{
	struct vmx_vcpu *x = vmx_of(v);

	if (x->initialised && !vmclear(v->hw_pa))
		panic("VT-x: a VMCS cannot be cleared");
	x->launched = false;
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

void vmx_enter_guest(struct vcpu *v)
{
	struct vmx_vcpu *x = vmx_of(v);
	u64 cr3 = read_cr3();

	if (unlikely(cr3 != x->host_cr3)) {
		x->host_cr3 = cr3;
		vmwrite(HOST_CR3, cr3);
	}
	if (unlikely(x->home->task_switched != x->host_ts)) {
		x->host_ts = x->home->task_switched;
		vmwrite(HOST_CR0, read_cr0());
	}
	if (unlikely(v->thread->regs.fs_base != x->host_fs_base)) {
		x->host_fs_base = v->thread->regs.fs_base;
		vmwrite(HOST_FS_BASE, x->host_fs_base);
	}
	if (unlikely(v->run->gpr[RSP] != x->rsp)) {
		x->rsp = v->run->gpr[RSP];
		vmwrite(GUEST_RSP, x->rsp);
	}
	/* The VMM may have lowered the TPR meanwhile; an entry refuses a threshold above it
	 * (27.2.1.1). */
	if (unlikely(x->threshold))
		vmx_window(v, x->threshold);
	if (unlikely(read_cr2() != v->guest_cr2))
		write_cr2(v->guest_cr2);
	vmx_enter(v, x->launched);
}
