/*
 * Register groups between the run page and the VMCS.
 *
 * The run page is the VMM's word. What it says of the guest needs no check here: VM entry checks
 * the whole guest state and both MSR lists before any of it takes effect (SDM vol.
 * 3C, 27.3.1, 27.4) and fails cleanly. The exceptions are bits of CR0 and CR4 that are the host's,
 * which are forced.
 */
#include "vmx/convert.h"
#include "vmx/vmx.h"

static void import_rip(struct run_page *run)
{
	u32 shadow = run->shadow;
	u64 rflags = run->rflags;
	u64 blocking = shadow & (SHADOW_STI | SHADOW_MOV_SS);

	static_assert(SHADOW_STI == BLOCK_STI && SHADOW_MOV_SS == BLOCK_MOV_SS);
	/*
	 * Entry wants a pending single-step trap just when TF is set in a shadow (27.3.1.5). Bochs
	 * leaves one at each exit with TF (cleared there: 28.3.4), which would be a debugger's.
	 */
	if (unlikely(blocking || run->exceptions))
		vmwrite(GUEST_PENDING_DEBUG, blocking && rflags & RFLAGS_TF ? PENDING_DEBUG_BS : 0);
	if (shadow & SHADOW_NMI)
		blocking |= BLOCK_NMI;
	vmwrite(GUEST_RIP, run->rip);
	vmwrite(GUEST_RFLAGS, rflags);
	vmwrite(GUEST_INTERRUPTIBILITY, blocking);
}

static void import_cr(struct vcpu *v)
{
	struct run_page *run = v->run;
	u64 cr0 = run->cr0;
	u64 cr4 = run->cr4;
	u64 efer = run->efer & ~EFER_LMA;
	u64 entry = vmx_machine.entry;

	/* Entry wants LMA, its control, and LME with PG to agree (27.3.1.1). Exits store the
	 * control themselves (28.3.1). */
	if ((cr0 & CR0_PG) && (efer & EFER_LME)) {
		efer |= EFER_LMA;
		entry |= ENTRY_IA32E;
	}
	vmwrite(GUEST_CR0, (cr0 & ~CR0_HOST) | CR0_NE | CR0_ET);
	vmwrite(CR0_SHADOW, cr0);
	vmwrite(GUEST_CR3, run->cr3);
	vmwrite(GUEST_CR4, (cr4 & vmx_machine.cr4_guest) | CR4_FORCED);
	vmwrite(CR4_SHADOW, cr4 & vmx_machine.cr4_guest);
	vmwrite(GUEST_EFER, efer);
	vmwrite(ENTRY_CONTROLS, entry);
	v->guest_cr2 = run->cr2;
	if (vmx_machine.proc2 & PROC2_VPID)
		invvpid(INVALIDATE_SINGLE, v->asid); /* as the guest's own write would */
}

static void export_cr(struct vcpu *v)
{
	struct run_page *run = v->run;

	run->cr0 = (vmread(GUEST_CR0) & ~CR0_HOST) | (vmread(CR0_SHADOW) & CR0_HOST);
	run->cr2 = v->guest_cr2;
	run->cr3 = vmread(GUEST_CR3);
	run->cr4 = (vmread(GUEST_CR4) & ~CR4_HOST) | (vmread(CR4_SHADOW) & CR4_HOST);
	run->efer = vmread(GUEST_EFER);
}

static void import_segment(enum vmcs_segment i, const struct run_segment *s)
{
	u32 limit = s->limit;

	vmwrite(SEGMENT_FIELD(GUEST_SELECTOR, i), s->selector);
	vmwrite(SEGMENT_FIELD(GUEST_BASE, i), s->base);
	vmwrite(SEGMENT_FIELD(GUEST_LIMIT, i), limit);
	vmwrite(SEGMENT_FIELD(GUEST_RIGHTS, i),
		rights_fix(rights_of(s->attributes), limit, i == SEGMENT_TR));
}

static void export_segment(enum vmcs_segment i, struct run_segment *s)
{
	s->selector = (u16)vmread(SEGMENT_FIELD(GUEST_SELECTOR, i));
	s->base = vmread(SEGMENT_FIELD(GUEST_BASE, i));
	s->limit = (u32)vmread(SEGMENT_FIELD(GUEST_LIMIT, i));
	s->attributes = attributes_of((u32)vmread(SEGMENT_FIELD(GUEST_RIGHTS, i)));
}

static void import_sys(struct run_page *run)
{
	import_segment(SEGMENT_LDTR, &run->ldtr);
	import_segment(SEGMENT_TR, &run->tr);
	vmwrite(GUEST_GDTR_BASE, run->gdtr.base);
	vmwrite(GUEST_GDTR_LIMIT, run->gdtr.limit);
	vmwrite(GUEST_IDTR_BASE, run->idtr.base);
	vmwrite(GUEST_IDTR_LIMIT, run->idtr.limit);
}

static void export_sys(struct run_page *run)
{
	export_segment(SEGMENT_LDTR, &run->ldtr);
	export_segment(SEGMENT_TR, &run->tr);
	run->gdtr.base = vmread(GUEST_GDTR_BASE);
	run->gdtr.limit = (u32)vmread(GUEST_GDTR_LIMIT);
	run->idtr.base = vmread(GUEST_IDTR_BASE);
	run->idtr.limit = (u32)vmread(GUEST_IDTR_LIMIT);
}

static u64 *run_msr(struct run_page *run, unsigned i)
{
	return (u64 *)((u8 *)run + switched_msrs[i].run_offset);
}

static void import_msr(struct vcpu *v)
{
	struct run_page *run = v->run;
	struct vmx_vcpu *x = vmx_of(v);
	struct vmx_cpu *h = x->home->hw;
	u32 loads = SWITCHED_ALWAYS;

	for (unsigned i = 0; i < SWITCHED_COUNT; i++)
		x->guest[i].value = *run_msr(run, i);
	x->cstar = run->cstar;
	if (features.spec_ctrl &&
		x->guest[SWITCHED_SPEC_CTRL].value != h->host[SWITCHED_SPEC_CTRL].value)
		loads = SWITCHED_COUNT;
	vmwrite(ENTRY_MSR_LOAD_COUNT, loads);
	vmwrite(EXIT_MSR_LOAD_COUNT, loads);
	vmwrite(GUEST_SYSENTER_CS, run->sysenter_cs);
	vmwrite(GUEST_SYSENTER_ESP, run->sysenter_esp);
	vmwrite(GUEST_SYSENTER_EIP, run->sysenter_eip);
	vmwrite(GUEST_PAT, run->pat);
}

static void export_msr(struct vcpu *v)
{
	struct run_page *run = v->run;
	struct vmx_vcpu *x = vmx_of(v);

	for (unsigned i = 0; i < SWITCHED_COUNT; i++)
		*run_msr(run, i) = x->guest[i].value;
	run->cstar = x->cstar;
	run->sysenter_cs = vmread(GUEST_SYSENTER_CS);
	run->sysenter_esp = vmread(GUEST_SYSENTER_ESP);
	run->sysenter_eip = vmread(GUEST_SYSENTER_EIP);
	run->pat = vmread(GUEST_PAT);
}

/*
 * #DB and #AC always exit: a guest can make their delivery raise them again without end, in which
 * time the processor takes no interrupt. #MC is the host's.
 */
static void import_control(struct vcpu *v)
{
	struct vmx_vcpu *x = vmx_of(v);
	u64 flags = __atomic_load_n(&v->run->flags, __ATOMIC_RELAXED);
	u32 proc2 = vmx_machine.proc2;

	x->exceptions = v->run->exceptions & ~(u32)BIT(VECTOR_NMI);
	vmwrite(EXCEPTION_BITMAP, x->exceptions | BIT(VECTOR_DB) | BIT(VECTOR_AC) | BIT(VECTOR_MC));
	if (!(flags & RUN_PAUSE_EXIT))
		proc2 &= ~(u32)PROC2_PAUSE_LOOP;
	if (!(flags & RUN_X2APIC))
		proc2 &= ~(u32)PROC2_X2APIC;
	vmwrite(PROC2_CONTROLS, proc2);
	/* Never the second bitmap without that control: the MSRs would be the host's. */
	vmwrite(MSR_BITMAP, image_pa(vmx_msr_bitmaps[!!(proc2 & PROC2_X2APIC)]));
}

void vmx_import(struct vcpu *v, u64 groups)
{
	struct run_page *run = v->run;

	if (groups & GROUP_RIP)
		import_rip(run);
	if (likely(!(groups & ~GROUP_RIP)))
		return;
	if (groups & GROUP_CR)
		import_cr(v);
	if (groups & GROUP_SEG) {
		for (unsigned i = SEGMENT_ES; i <= SEGMENT_GS; i++)
			import_segment(i, &run->segment[i]);
	}
	if (groups & GROUP_SYS)
		import_sys(run);
	if (groups & GROUP_DR)
		vmwrite(GUEST_DR7, run->dr7);
	if (groups & GROUP_MSR)
		import_msr(v);
	if (groups & GROUP_TSC)
		vmwrite(TSC_OFFSET, run->tsc_offset);
	if (groups & GROUP_CONTROL)
		import_control(v);
}

void vmx_export(struct vcpu *v, u64 groups)
{
	struct run_page *run = v->run;

	if (groups & GROUP_RIP) {
		u64 blocking = vmread(GUEST_INTERRUPTIBILITY);

		run->rip = vmread(GUEST_RIP);
		run->rflags = vmread(GUEST_RFLAGS);
		run->shadow = (blocking & (BLOCK_STI | BLOCK_MOV_SS)) |
			      (blocking & BLOCK_NMI ? SHADOW_NMI : 0);
	}
	if (likely(!(groups & ~GROUP_RIP)))
		return;
	if (groups & GROUP_CR)
		export_cr(v);
	if (groups & GROUP_SEG) {
		for (unsigned i = SEGMENT_ES; i <= SEGMENT_GS; i++)
			export_segment(i, &run->segment[i]);
	}
	if (groups & GROUP_SYS)
		export_sys(run);
	if (groups & GROUP_DR)
		run->dr7 = vmread(GUEST_DR7);
	if (groups & GROUP_MSR)
		export_msr(v);
	if (groups & GROUP_TSC)
		run->tsc_offset = vmread(TSC_OFFSET);
}

void vmx_skip(struct vcpu *v)
{
	(void)v; /* its VMCS is current */
	u64 blocking = vmread(GUEST_INTERRUPTIBILITY);

	vmwrite(GUEST_RIP, vmread(GUEST_RIP) + vmread(EXIT_LENGTH));
	if (unlikely(blocking & (BLOCK_STI | BLOCK_MOV_SS)))
		vmwrite(GUEST_INTERRUPTIBILITY, blocking & ~(BLOCK_STI | BLOCK_MOV_SS));
	if (unlikely(vmread(GUEST_RFLAGS) & RFLAGS_TF))
		vmwrite(GUEST_PENDING_DEBUG, PENDING_DEBUG_BS);
}
