/* Whether a processor can run guests with VT-x, and turning it on (SDM vol. 3C, 24.7, 24.8, A);
 * what all VMs share. All ports exit: doorbells are found by the kernel. */
#include "vmx/bitmap.h"
#include "vmx/convert.h"
#include "vmx/vmx.h"

struct vmx_machine vmx_machine;

#define PIN_NEEDED (PIN_EXTERNAL_INTERRUPT | PIN_NMI | PIN_VIRTUAL_NMIS)
#define PROC_NEEDED                                                                                \
	(PROC_TSC_OFFSET | PROC_HLT | PROC_MWAIT | PROC_RDPMC | PROC_TPR_SHADOW |                  \
		PROC_UNCONDITIONAL_IO | PROC_MSR_BITMAPS | PROC_MONITOR | PROC_SECONDARY)
#define PROC_LATER   (PROC_INTERRUPT_WINDOW | PROC_NMI_WINDOW) /* set while asked for */
#define PROC2_NEEDED (PROC2_EPT | PROC2_UNRESTRICTED | PROC2_RDTSCP)
#define PROC2_OPTIONAL                                                                             \
	(PROC2_VPID | PROC2_WBINVD | PROC2_PAUSE_LOOP | PROC2_INVPCID | PROC2_XSAVES | PROC2_APIC)
#define EXIT_NEEDED                                                                                \
	(EXIT_SAVE_DEBUG | EXIT_HOST_64 | EXIT_SAVE_PAT | EXIT_LOAD_PAT | EXIT_SAVE_EFER |         \
		EXIT_LOAD_EFER)
#define ENTRY_NEEDED   (ENTRY_LOAD_DEBUG | ENTRY_LOAD_PAT | ENTRY_LOAD_EFER)
#define EPT_NEEDED     (CAP_EPT_WALK_4 | CAP_EPT_WB | CAP_EPT_2M | CAP_INVEPT)
#define INVVPID_NEEDED (CAP_INVVPID | CAP_INVVPID_SINGLE | CAP_INVVPID_ALL)

/* CR4 bits 0-10 but MCE: VME PVI TSD DE PSE PAE PGE PCE OSFXSR OSXMMEXCPT */
#define CR4_CLASSIC (BIT(11) - 1)
/*
 * What else the kernel keeps apart between guests. Not in it: VMXE and SMXE (those instructions
 * exit), PKE, PKS, CET and the like, whose MSRs and registers are not switched.
 */
#define CR4_GUEST                                                                                  \
	(CR4_CLASSIC | CR4_UMIP | CR4_LA57 | CR4_FSGSBASE | CR4_PCIDE | CR4_OSXSAVE | CR4_SMEP |   \
		CR4_SMAP)

static const char *find_controls(struct vmx_machine *m)
{
	u32 proc2_optional = PROC2_OPTIONAL;
	u32 window;

	if (control_adjust(read_msr(MSR_VMX_TRUE_PIN), PIN_NEEDED,
		    PIN_PREEMPTION_TIMER | PIN_POSTED, &m->pin))
		return "VT-x lacks virtual NMIs: a newer processor is needed";
	if (control_adjust(read_msr(MSR_VMX_TRUE_PROC), PROC_NEEDED, 0, &m->proc) ||
		control_adjust(read_msr(MSR_VMX_TRUE_PROC), PROC_LATER, 0, &window))
		return "VT-x lacks a TPR shadow, MSR bitmaps or secondary controls: a newer "
		       "processor is needed";
	m->ept_vpid = read_msr(MSR_VMX_EPT_VPID);
	if ((m->ept_vpid & INVVPID_NEEDED) != INVVPID_NEEDED)
		proc2_optional &= ~PROC2_VPID;
	if (control_adjust(read_msr(MSR_VMX_PROC2), PROC2_NEEDED, proc2_optional, &m->proc2))
		return "VT-x lacks EPT or unrestricted guest: a processor of 2010 (Westmere) or "
		       "later is needed; in a virtual machine, give it nested EPT";
	/* One without the others would let x2APIC MSRs through to the host's APIC, or save nothing.
	 */
	if ((m->proc2 & PROC2_APIC) != PROC2_APIC)
		m->proc2 &= ~PROC2_APIC;
	if ((m->ept_vpid & EPT_NEEDED) != EPT_NEEDED ||
		!(m->ept_vpid & (CAP_INVEPT_SINGLE | CAP_INVEPT_ALL)))
		return "EPT lacks 4 levels, write-back, 2 MiB pages or INVEPT: a newer processor "
		       "is needed";
	if (control_adjust(read_msr(MSR_VMX_TRUE_EXIT), EXIT_NEEDED, EXIT_ACKNOWLEDGE, &m->exit) ||
		control_adjust(read_msr(MSR_VMX_TRUE_ENTRY), ENTRY_NEEDED, 0, &m->entry))
		return "VT-x does not switch IA32_EFER and IA32_PAT: a newer processor is needed";
	if (!(m->exit & EXIT_ACKNOWLEDGE) || !(m->proc2 & PROC2_DELIVERY)) /* 27.2.1.1 */
		m->pin &= ~(u32)PIN_POSTED;
	return NULL;
}

static const char *probe(void)
{
	struct vmx_machine m;
	const char *missing;
	u64 control;

	if (!features.vmx)
		return "the processor has no VT-x (CPUID.1:ECX.VMX): use one that has it, or give "
		       "it to the virtual machine";
	control = read_msr(MSR_FEATURE_CONTROL);
	if ((control & FEATURE_LOCKED) && !(control & FEATURE_VMX_OUTSIDE_SMX))
		return "VT-x is locked off by the firmware: enable Intel Virtualization Technology "
		       "in its set-up";
	memset(&m, 0, sizeof(m)); /* padding too: compared below */
	m.basic = read_msr(MSR_VMX_BASIC);
	if (!(m.basic & BASIC_TRUE))
		return "VT-x has no true controls (IA32_VMX_BASIC bit 55): a newer processor is "
		       "needed";
	missing = find_controls(&m);
	if (missing)
		return missing;
	m.cr4_guest = CR4_GUEST & read_msr(MSR_VMX_CR4_FIXED1);
	if (!vmx_machine.basic)
		vmx_machine = m;
	/* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): both start as zero */
	else if (memcmp(&m, &vmx_machine, sizeof(m)) != 0)
		return "this processor's VT-x is not like the first one's";
	ptable_features.nested_1g = m.ept_vpid & CAP_EPT_1G;
	machine.delivery = m.proc2 & PROC2_DELIVERY;
	machine.hardware = m.pin & PIN_POSTED;
	return NULL;
}

#define RUN(field) offsetof(struct run_page, field)
const struct switched_msr switched_msrs[SWITCHED_COUNT] = {{MSR_STAR, RUN(star)},
	{MSR_LSTAR, RUN(lstar)}, {MSR_SFMASK, RUN(sfmask)}, {MSR_TSC_AUX, RUN(tsc_aux)},
	{MSR_KERNEL_GS_BASE, RUN(kernel_gs_base)}, {MSR_SPEC_CTRL, RUN(spec_ctrl)}};

/* The state that exits load, as the kernel has set it on this CPU. */
static void capture_host(struct vmx_cpu *h)
{
	for (unsigned i = 0; i < SWITCHED_COUNT; i++) {
		h->host[i].index = switched_msrs[i].index;
		if (i != SWITCHED_SPEC_CTRL || features.spec_ctrl)
			h->host[i].value = read_msr(switched_msrs[i].index);
	}
	__asm__ volatile("sgdt %0" : "=m"(h->gdt));
	h->tss_type = (u8 *)h->gdt.base + SEL_TSS + 5;
}

/*
 * An MSR that the guest may use without an exit is one that an entry loads and an exit saves.
 * IA32_EFER is not among them: the processor would take values that the VMM's CPUID does not offer.
 * CSTAR exits, for it is not in the lists.
 */
static const u32 msrs_switched[] = {MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE, MSR_SYSENTER_CS,
	MSR_SYSENTER_ESP, MSR_SYSENTER_EIP, MSR_STAR, MSR_LSTAR, MSR_SFMASK, MSR_TSC_AUX, MSR_PAT};

u8 vmx_msr_bitmaps[2][PAGE_SIZE] __attribute__((aligned(PAGE_SIZE)));

static void fill_bitmaps(void)
{
	memset(vmx_msr_bitmaps, 0xff, sizeof(vmx_msr_bitmaps));
	for (unsigned i = 0; i < ARRAY_SIZE(msrs_switched); i++)
		msr_bitmap_open(vmx_msr_bitmaps[0], msrs_switched[i]);
	memcpy(vmx_msr_bitmaps[1], vmx_msr_bitmaps[0], PAGE_SIZE);
	msr_bitmap_open_x2apic(vmx_msr_bitmaps[1]);
}

static status_t enable(struct cpu *c, struct pool *pool)
{
	u64 control = read_msr(MSR_FEATURE_CONTROL);
	struct vmx_cpu *h = pool_alloc(pool, sizeof(*h));
	u32 *region = pool_frame_alloc(pool);

	if (!h || !region) {
		pool_free(pool, h, sizeof(*h));
		pool_frame_free(pool, region);
		return STATUS_NO_MEMORY;
	}
	if (!(control & FEATURE_LOCKED))
		write_msr(MSR_FEATURE_CONTROL, control | FEATURE_LOCKED | FEATURE_VMX_OUTSIDE_SMX);
	write_cr0((read_cr0() | read_msr(MSR_VMX_CR0_FIXED0)) & read_msr(MSR_VMX_CR0_FIXED1));
	write_cr4((read_cr4() | read_msr(MSR_VMX_CR4_FIXED0)) & read_msr(MSR_VMX_CR4_FIXED1));
	fill_bitmaps();
	*region = vmx_machine.basic & BASIC_REVISION;
	if (!vmxon(window_pa(region))) {
		write_cr4(read_cr4() & ~CR4_VMXE);
		pool_free(pool, h, sizeof(*h));
		pool_frame_free(pool, region);
		return STATUS_NOT_SUPPORTED;
	}
	capture_host(h);
	c->hw = h;
	invept(INVALIDATE_ALL, 0);
	return STATUS_OK;
}

const struct vcpu_ops vmx_ops = {
	.name = "VT-x",
	.format = PTABLE_EPT,
	.probe = probe,
	.enable = enable,
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
