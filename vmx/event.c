/* Events for the guest: injection, interrupted deliveries, windows (SDM vol.
 * 3C, 25.8.3, 25.9.3, 27.6). */
#include "kernel/virq.h"
#include "vmx/convert.h"
#include "vmx/vmx.h"

#define CLASS_COUNT 16 /* interrupt priority classes */

static void set_proc(struct vmx_vcpu *x, u32 bit, bool on)
{
	u32 proc = on ? x->proc | bit : x->proc & ~bit;

	if (proc != x->proc) {
		x->proc = proc;
		vmwrite(PROC_CONTROLS, proc);
	}
}

bool vmx_can_take(struct vcpu *v)
{
	return !vmx_of(v)->injected && (vmread(GUEST_RFLAGS) & RFLAGS_IF) &&
	       !(vmread(GUEST_INTERRUPTIBILITY) & (BLOCK_STI | BLOCK_MOV_SS));
}

void vmx_inject_raw(struct vcpu *v, u32 info, u32 error, u32 length)
{
	vmx_of(v)->injected = info;
	if (info & INTR_ERROR)
		vmwrite(ENTRY_ERROR, error);
	if (event_is_soft(info))
		vmwrite(ENTRY_LENGTH, length);
	vmwrite(ENTRY_INFO, info);
}

bool vmx_inject(struct vcpu *v, u64 event, u64 length)
{
	bool protected_mode = vmread(GUEST_CR0) & CR0_PE;

	if (vmx_of(v)->injected)
		return false;
	vmx_inject_raw(
		v, event_to_vmx(event, length, protected_mode), (u32)(event >> 32), (u32)length);
	return true;
}

u64 vmx_uninject(struct vcpu *v, u64 *length)
{
	struct vmx_vcpu *x = vmx_of(v);
	u32 info = x->injected;

	*length = 0;
	if (!info)
		return 0;
	x->injected = 0;
	vmwrite(ENTRY_INFO, 0);
	if (event_is_soft(info))
		*length = vmread(ENTRY_LENGTH);
	return event_of_vmx(info, info & INTR_ERROR ? (u32)vmread(ENTRY_ERROR) : 0);
}

void vmx_take_back(struct vcpu *v, u32 info)
{
	struct run_page *run = v->run;

	run->inject = event_of_vmx(info, info & INTR_ERROR ? (u32)vmread(VECTORING_ERROR) : 0);
	run->inject_length = event_is_soft(info) ? vmread(EXIT_LENGTH) : 0;
	/* The interrupted delivery has set the blocking, with which entry would refuse the NMI
	 * (27.3.1.5). */
	if ((info & INTR_TYPE) == INTR_NMI)
		vmwrite(GUEST_INTERRUPTIBILITY, vmread(GUEST_INTERRUPTIBILITY) & ~BLOCK_NMI);
}

/*
 * RVI, SVI and the EOI-exit bitmap (30.1, 30.2). The hardware then keeps IRR, ISR and the first two
 * itself; TMR changes before a vector becomes pending, so before this. A window (class 16) holds
 * its deliveries back as long as it is asked for.
 */
bool vmx_sync_apic(struct vcpu *v)
{
	int irr = virq_highest(v, APIC_IRR);
	int isr = virq_highest(v, APIC_ISR);
	const volatile u32 *tmr = (const volatile u32 *)(v->apic + APIC_TMR);

	if (!machine.delivery)
		return false;
	for (unsigned i = 0; i < 4; i++)
		vmwrite(SEGMENT_FIELD(EOI_EXIT_BITMAP, i), tmr[8 * i] | (u64)tmr[8 * i + 4] << 32);
	vmwrite(GUEST_INTERRUPT_STATUS, (irr < 0 ? 0 : (u64)irr) | (isr < 0 ? 0 : (u64)isr << 8));
	return true;
}

/*
 * The notification makes the processor merge the pending word into the IRR of the guest that runs
 * (30.6). EOI-exit bitmap and TMR change only at an exit, so level-triggered vectors need one.
 */
bool vmx_post(struct vcpu *v)
{
	const u64 *level = v->run->pending.level;

	if (!(vmx_machine.pin & PIN_POSTED) || !(v->run->flags & RUN_HARDWARE) ||
		level[0] | level[1] | level[2] | level[3])
		return false;
	lapic_ipi(cpus[v->cpu]->apic_id, VECTOR_POSTED);
	return true;
}

/*
 * A vector that the TPR holds back waits for the TPR to fall below its class; any other for an
 * interrupt window. When the one comes, the caller looks again and may ask for the other.
 */
void vmx_window(struct vcpu *v, unsigned class)
{
	struct vmx_vcpu *x = vmx_of(v);
	unsigned tpr = *(volatile u8 *)(v->apic + APIC_TPR) >> 4;
	u8 threshold = class && class < CLASS_COUNT && class <= tpr ? (u8) class : 0;

	if (threshold != x->threshold) {
		x->threshold = threshold;
		vmwrite(TPR_THRESHOLD, threshold);
	}
	set_proc(x, PROC_INTERRUPT_WINDOW, class && !threshold);
}

void vmx_nmi_window(struct vcpu *v, bool on)
{
	set_proc(vmx_of(v), PROC_NMI_WINDOW, on);
}
