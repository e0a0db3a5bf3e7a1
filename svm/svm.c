/* AMD-V: finding it, turning it on, making VMs and vCPUs. */
#include "kernel/kernel.h"
#include "svm/svm.h"

#define MSR_VM_CR              0xc0010114
#define VM_CR_SVMDIS           BIT(4)
#define MSR_VM_HSAVE_PA        0xc0010117
#define SVM_FEATURE_NP         BIT(0)
#define SVM_FEATURE_FLUSH_ASID BIT(6)
#define TCG_EBX                0x54474354 /* "TCGTCGTCGTCG" */
#define TCG_ECX                0x43544743
#define SVM_FEATURE_X2AVIC     (BIT(13) | BIT(18)) /* AVIC, and for the x2APIC */
#define IOPM_SIZE              0x3000
#define PAUSE_COUNT            3000 /* before an intercepted one exits, if the CPU has a filter */
#define MSRPM_SIZE             0x2000
#define MSRPM_RANGE            0x2000u     /* MSRs */
#define MSRPM_SECOND           0xc0000000u /* the first range is from 0 */

/*
 * All ports of all guests exit (doorbells are found by the kernel), so one map serves. In the
 * image, for it must be physically contiguous.
 */
static u8 iopm[IOPM_SIZE] __attribute__((aligned(4096)));
static u32 asids;
static bool flush_by_asid;
bool svm_emulated;

/*
 * MSRs that VMLOAD, VMSAVE and VMRUN switch: the guest's own. Two bits for each MSR of a range,
 * reads and writes (15.11); set: it exits.
 */
static const u32 msrs_switched[] = {MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE, MSR_STAR,
	MSR_LSTAR, MSR_CSTAR, MSR_SFMASK, MSR_SYSENTER_CS, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP,
	MSR_PAT};
static u8 msrpm[2][MSRPM_SIZE] /* the second with AVIC */ __attribute__((aligned(4096)));
static u8 no_apic_ids[PAGE_SIZE] __attribute__((aligned(4096))); /* so IPIs exit */

/* Clears the bits (1 read, 2 write) of `msr`, which then does not exit. */
static void msrpm_open(u8 *map, u32 msr, u32 bits)
{
	u32 bit = 2 * (msr % MSRPM_RANGE + (msr >= MSRPM_SECOND ? MSRPM_RANGE : 0));

	map[bit / 8] &= (u8) ~(bits << bit % 8);
}

static void fill_maps(void)
{
	memset(iopm, 0xff, sizeof(iopm));
	memset(msrpm, 0xff, sizeof(msrpm));
	for (unsigned i = 0; i < ARRAY_SIZE(msrs_switched); i++)
		msrpm_open(msrpm[0], msrs_switched[i], 3);
	memcpy(msrpm[1], msrpm[0], MSRPM_SIZE);
	for (u32 i = 0; i < 64; i++)
		msrpm_open(msrpm[1], MSR_X2APIC + i,
			(X2APIC_READS >> i & 1) | (X2APIC_TPR_EOI >> i & 1) << 1);
}

static const char *probe(void)
{
	u32 a, b, c, d;

	if (!features.svm)
		return "the CPU has neither VT-x nor AMD-V: use another machine, or give the "
		       "emulated CPU the feature";
	if (read_msr(MSR_VM_CR) & VM_CR_SVMDIS)
		return "AMD-V is locked off by the firmware: enable SVM in its set-up";
	cpuid(0x8000000a, 0, &a, &b, &c, &d);
	if (!(d & SVM_FEATURE_NP))
		return "AMD-V without nested paging: a CPU of the Barcelona generation or later is "
		       "needed";
	asids = b;
	flush_by_asid = d & SVM_FEATURE_FLUSH_ASID;
	machine.hardware = (d & SVM_FEATURE_X2AVIC) == SVM_FEATURE_X2AVIC;
	if (asids < 2)
		return "AMD-V offers no address space identifiers";
	ptable_features.nested_1g = ptable_features.host_1g;
	cpuid(0x40000000, 0, &a, &b, &c, &d);
	svm_emulated = b == TCG_EBX && c == TCG_ECX;
	return NULL;
}

static status_t enable(struct cpu *c, struct pool *pool)
{
	u8 *save = pool_frame_alloc(pool);
	void *host = pool_frame_alloc(pool);

	if (!save || !host)
		return STATUS_NO_MEMORY;
	fill_maps();
	write_msr(MSR_EFER, read_msr(MSR_EFER) | EFER_SVME);
	write_msr(MSR_VM_HSAVE_PA, window_pa(save));
	c->hw = host;
	/* What VMLOAD brings back after each exit: GS base, TR and the SYSCALL MSRs never change
	 * from here on. */
	__asm__ volatile("vmsave %0" : : "a"(window_pa(host)) : "memory");
	return STATUS_OK;
}

/* What always exits, besides exceptions. */
static const u8 intercepts[] = {SVM_EXIT_CR0_WRITE + 4, SVM_EXIT_INTR, SVM_EXIT_NMI, SVM_EXIT_SMI,
	SVM_EXIT_INIT, SVM_EXIT_VINTR, SVM_EXIT_RDPMC, SVM_EXIT_CPUID, SVM_EXIT_INVD, SVM_EXIT_HLT,
	SVM_EXIT_INVLPGA, SVM_EXIT_IOIO, SVM_EXIT_MSR, SVM_EXIT_TASK_SWITCH, SVM_EXIT_FERR,
	SVM_EXIT_SHUTDOWN, SVM_EXIT_VMRUN, SVM_EXIT_VMMCALL, SVM_EXIT_VMLOAD, SVM_EXIT_VMSAVE,
	SVM_EXIT_STGI, SVM_EXIT_CLGI, SVM_EXIT_SKINIT, SVM_EXIT_WBINVD, SVM_EXIT_MONITOR,
	SVM_EXIT_MWAIT, SVM_EXIT_XSETBV};

static status_t vcpu_init(struct vcpu *v)
{
	struct vmcb *b = pool_frame_alloc(&v->obj.payer->pool);

	if (!b)
		return STATUS_NO_MEMORY;
	v->hw = b;
	v->hw_pa = window_pa(b);
	for (unsigned i = 0; i < ARRAY_SIZE(intercepts); i++)
		svm_intercept(b, intercepts[i], true);
	b->intercept[SVM_EXIT_EXCEPTION / 32] = SVM_EXCEPTIONS_ALWAYS;
	b->iopm_base = image_pa(iopm);
	b->msrpm_base = image_pa(msrpm);
	b->apic_page = v->apic_pa;
	b->logical_apic_ids = image_pa(no_apic_ids);
	b->physical_apic_ids = image_pa(no_apic_ids);
	b->pause_count = PAUSE_COUNT;
	b->vintr = VINTR_MASKING | VINTR_IGNORE_TPR;
	b->nested_control = NESTED_PAGING;
	b->nested_cr3 = v->vm->space.ptable.root;
	b->efer = EFER_SVME;
	return STATUS_OK;
}

/*
 * While it is on, the hardware delivers from the APIC page, and x2APIC registers that it serves do
 * not exit (15.29); without it those MSRs would be the host's. It has no interrupt window, so it is
 * off while one is asked for.
 */
void svm_avic(struct vcpu *v, bool on)
{
	struct vmcb *b = svm_vmcb(v);

	b->vintr = (b->vintr & ~VINTR_AVIC) | (on ? VINTR_AVIC : 0);
	b->msrpm_base = image_pa(msrpm[on]);
	svm_intercept(b, SVM_EXIT_VINTR, !on);
}

static bool sync_apic(struct vcpu *v)
{
	return svm_vmcb(v)->vintr & VINTR_AVIC;
}

static void vcpu_free_hw(struct vcpu *v)
{
	pool_frame_free(&v->obj.payer->pool, v->hw);
}

/* A new ASID has no translations; when they run out, a flush of all makes them new again. */
static void new_asid(struct cpu *c, struct vcpu *v)
{
	struct vmcb *b = svm_vmcb(v);

	/* Whichever vCPU enters next on this CPU flushes; this one may be kept from it. */
	if (vcpu_new_tag(v, asids - 1))
		c->backend[SVM_FLUSH_ALL] = 1;
	if (c->backend[SVM_FLUSH_ALL])
		b->tlb_control = TLB_FLUSH_ALL;
	b->asid = v->asid;
}

static void load(struct vcpu *v)
{
	struct cpu *c = cpu_self();

	v->backend[SVM_HOST_PA] = window_pa(c->hw);
	if (!v->asid || v->asid_generation != c->asid_generation)
		new_asid(c, v);
	if (c->backend[SVM_FLUSH_ALL])
		svm_vmcb(v)->tlb_control = TLB_FLUSH_ALL;
	write_msr(MSR_TSC_AUX, v->backend[SVM_TSC_AUX]);
}

void svm_flush(struct vcpu *v)
{
	if (svm_vmcb(v)->tlb_control == TLB_FLUSH_ALL)
		return;
	if (flush_by_asid)
		svm_vmcb(v)->tlb_control = TLB_FLUSH_ASID;
	else
		new_asid(cpu_self(), v);
}

const struct vcpu_ops svm_ops = {
	.name = "AMD-V with nested paging",
	.format = PTABLE_NPT,
	.probe = probe,
	.enable = enable,
	.vcpu_init = vcpu_init,
	.vcpu_free = vcpu_free_hw,
	.load = load,
	.import = svm_import,
	.export = svm_export,
	.sync_apic = sync_apic,
	.can_take = svm_can_take,
	.inject = svm_inject,
	.uninject = svm_uninject,
	.window = svm_window,
	.nmi_window = svm_nmi_window,
	.enter = svm_enter,
	.exit = svm_exit,
	.skip = svm_skip,
	.flush = svm_flush,
};
