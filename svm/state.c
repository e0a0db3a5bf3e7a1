/* Register groups between VMCB and run page; events and windows. */
#include "kernel/kernel.h"
#include "kernel/x86.h"
#include "svm/svm.h"

#define TSS_TYPE_MASK      0xf
#define TSS_BUSY           0xb
#define TSS_BUSY_BIT       0x2 /* without it the TSS is available */
#define DR6_WRITABLE       0x1e00full
#define DR6_FIXED          0xffff0ff0ull
#define SS_DPL(attributes) ((attributes) >> 5 & 3)

static void import_msrs(struct vcpu *v, struct vmcb *b, const struct run_page *r)
{
	b->star = r->star;
	b->lstar = r->lstar;
	b->cstar = r->cstar;
	b->sfmask = r->sfmask;
	b->kernel_gs_base = r->kernel_gs_base;
	b->sysenter_cs = r->sysenter_cs;
	b->sysenter_esp = r->sysenter_esp;
	b->sysenter_eip = r->sysenter_eip;
	b->pat = r->pat;
	v->backend[SVM_TSC_AUX] = (u32)r->tsc_aux;
	write_msr(MSR_TSC_AUX, v->backend[SVM_TSC_AUX]);
}

void svm_import(struct vcpu *v, u64 groups)
{
	struct vmcb *b = svm_vmcb(v);
	const struct run_page *r = v->run;

	if (groups & GROUP_RIP) {
		b->rip = r->rip;
		b->rflags = r->rflags;
		b->shadow = r->shadow & (SHADOW_STI | SHADOW_MOV_SS) ? VMCB_SHADOW : 0;
	}
	if (likely(!(groups & ~GROUP_RIP)))
		return;
	if (groups & GROUP_CR) {
		b->cr0 = r->cr0;
		b->cr2 = r->cr2;
		b->cr3 = r->cr3;
		b->cr4 = r->cr4;
		b->efer = r->efer | EFER_SVME; /* VMRUN demands it; the guest never sees it */
		svm_flush(v);                  /* as the guest's own write would */
	}
	if (groups & GROUP_SEG) {
		for (unsigned i = 0; i < ARRAY_SIZE(b->segment); i++)
			b->segment[i] = r->segment[i];
		b->cpl = SS_DPL(b->ss.attributes);
	}
	if (groups & GROUP_SYS) {
		b->ldtr = r->ldtr;
		b->tr = r->tr;
		b->gdtr = r->gdtr;
		b->idtr = r->idtr;
		/* A busy TSS is what VMRUN expects on no processor, and QEMU's I/O permission check
		 * takes type 9 only. */
		if ((b->tr.attributes & TSS_TYPE_MASK) == TSS_BUSY)
			b->tr.attributes &= (u16)~TSS_BUSY_BIT;
	}
	if (groups & GROUP_DR) {
		b->dr6 = (r->dr6 & DR6_WRITABLE) | DR6_FIXED;
		b->dr7 = r->dr7;
	}
	if (groups & GROUP_MSR)
		import_msrs(v, b, r);
	if (groups & GROUP_TSC)
		b->tsc_offset = r->tsc_offset;
	if (groups & GROUP_CONTROL) {
		v->backend[SVM_EXCEPTIONS] = __atomic_load_n(&r->exceptions, __ATOMIC_RELAXED);
		b->intercept[SVM_EXIT_EXCEPTION / 32] =
			(u32)v->backend[SVM_EXCEPTIONS] | SVM_EXCEPTIONS_ALWAYS;
		svm_intercept(b, SVM_EXIT_PAUSE, r->flags & RUN_PAUSE_EXIT);
		v->backend[SVM_AVIC] =
			machine.hardware && !(~r->flags & (RUN_HARDWARE | RUN_X2APIC));
		svm_avic(v, v->backend[SVM_AVIC] && !v->window);
	}
}

void svm_export(struct vcpu *v, u64 groups)
{
	const struct vmcb *b = svm_vmcb(v);
	struct run_page *r = v->run;

	if (groups & GROUP_RIP) {
		r->rip = b->rip;
		r->rflags = b->rflags;
		r->shadow = (b->shadow & VMCB_SHADOW ? SHADOW_STI : 0) |
			    (v->backend[SVM_NMI_DONE] ? SHADOW_NMI : 0);
	}
	if (likely(!(groups & ~GROUP_RIP)))
		return;
	if (groups & GROUP_CR) {
		r->cr0 = b->cr0;
		r->cr2 = b->cr2;
		r->cr3 = b->cr3;
		r->cr4 = b->cr4;
		r->efer = b->efer & ~EFER_SVME;
	}
	if (groups & GROUP_SEG) {
		for (unsigned i = 0; i < ARRAY_SIZE(r->segment); i++)
			r->segment[i] = b->segment[i];
		/* The privilege level is the CPL field's, whatever SS says (APM vol. 2, 15.5.1). */
		r->ss.attributes = (u16)((r->ss.attributes & ~0x60) | b->cpl << 5);
	}
	if (groups & GROUP_SYS) {
		r->ldtr = b->ldtr;
		r->tr = b->tr;
		r->gdtr = b->gdtr;
		r->idtr = b->idtr;
	}
	if (groups & GROUP_DR) {
		r->dr6 = b->dr6;
		r->dr7 = b->dr7;
	}
	if (groups & GROUP_MSR) {
		r->star = b->star;
		r->lstar = b->lstar;
		r->cstar = b->cstar;
		r->sfmask = b->sfmask;
		r->kernel_gs_base = b->kernel_gs_base;
		r->sysenter_cs = b->sysenter_cs;
		r->sysenter_esp = b->sysenter_esp;
		r->sysenter_eip = b->sysenter_eip;
		r->pat = b->pat;
		r->tsc_aux = v->backend[SVM_TSC_AUX];
	}
	if (groups & GROUP_TSC)
		r->tsc_offset = b->tsc_offset;
}

bool svm_can_take(struct vcpu *v)
{
	const struct vmcb *b = svm_vmcb(v);

	return b->rflags & RFLAGS_IF && !(b->shadow & VMCB_SHADOW) &&
	       !(b->event_inject & INJECT_VALID) && !svm_virtual(b);
}

/*
 * Under QEMU an interrupt that can be taken at once goes in as a virtual one that does not exit, if
 * V_IRQ is not in use for a window; else svm_enter takes care.
 */
static void prefer_virtual(struct vcpu *v)
{
	struct vmcb *b = svm_vmcb(v);

	if (!svm_twice(b) || b->vintr & (VINTR_IRQ | VINTR_AVIC))
		return;
	b->vintr |= VINTR_IRQ | VINTR_VECTOR(b->event_inject);
	b->event_inject = 0;
	svm_intercept(b, SVM_EXIT_VINTR, false);
}

/* The run page's layout is EVENTINJ's own. */
bool svm_inject(struct vcpu *v, u64 event, u64 length)
{
	struct vmcb *b = svm_vmcb(v);

	(void)length;
	if (b->event_inject & INJECT_VALID || svm_virtual(b))
		return false;
	if ((event & INJECT_TYPE_MASK) == INJECT_TYPE_NMI) {
		v->backend[SVM_NMI_DONE] = 1;
		svm_intercept(b, SVM_EXIT_IRET, true);
	}
	b->event_inject = event & (0xff | INJECT_TYPE_MASK | INJECT_ERROR | INJECT_VALID |
					  0xffffffff00000000ull);
	prefer_virtual(v);
	return true;
}

u64 svm_uninject(struct vcpu *v, u64 *length)
{
	struct vmcb *b = svm_vmcb(v);
	u64 event = svm_virtual(b) ? svm_take_back(b) : b->event_inject;

	if (!(event & INJECT_VALID))
		event = 0;
	b->event_inject = 0;
	*length = 0;
	return event;
}

/*
 * A virtual interrupt is requested and its delivery intercepted: the exit comes at the moment it
 * could be taken. What the TPR holds back waits for the VMM to lower it: writes to CR8 exit
 * meanwhile. V_INTR_PRIO would do it without, but QEMU lets an interrupt of the TPR's own class in,
 * where a processor wants a higher one (APM vol. 2, 15.21.4), and fails when a write to CR8 lets
 * one in.
 */
void svm_window(struct vcpu *v, unsigned class)
{
	struct vmcb *b = svm_vmcb(v);

	if (svm_virtual(b))
		b->event_inject = svm_take_back(b);
	svm_avic(v, v->backend[SVM_AVIC] && !class);
	svm_intercept(b, SVM_EXIT_CR0_WRITE + 8, class);
	b->vintr = (b->vintr & ~VINTR_IRQ) | (class > v->apic[APIC_TPR] >> 4 ? VINTR_IRQ : 0);
	prefer_virtual(v);
}

/* There is no exit for the end of an interrupt shadow or of an IRET but the trap of a single step.
 */
void svm_step(struct vcpu *v)
{
	svm_vmcb(v)->rflags |= RFLAGS_TF;
	v->backend[SVM_STEP] = 1;
}

/* Without a handler and a shadow the window is open at once. */
void svm_nmi_window(struct vcpu *v, bool on)
{
	if (on && v->backend[SVM_NMI_DONE])
		svm_intercept(svm_vmcb(v), SVM_EXIT_IRET, true);
	else if (on && svm_vmcb(v)->shadow & VMCB_SHADOW && !(svm_vmcb(v)->rflags & RFLAGS_TF))
		svm_step(v);
}
