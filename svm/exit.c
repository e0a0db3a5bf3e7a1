/* Entering, and turning an AMD-V exit into the run page's (APM vol. 2, 15.7 to 15.14 and appendix
 * C). */
#include "kernel/kernel.h"
#include "kernel/virq.h"
#include "kernel/x86.h"
#include "svm/svm.h"

#define APIC_TPR_CLASS 0xf0

/* Enters with an event to inject. */
static __attribute__((noinline, noreturn)) void enter_injecting(struct vcpu *v)
{
	if (svm_twice(svm_vmcb(v)))
		lapic_ipi(cpu_self()->apic_id, VECTOR_POSTED);
	svm_enter_asm(v, v->run->gpr);
}

void svm_enter(struct vcpu *v)
{
	struct vmcb *b = svm_vmcb(v);

	b->rax = v->run->gpr[RAX];
	b->rsp = v->run->gpr[RSP];
	b->vintr = (b->vintr & ~VINTR_TPR_MASK) | v->apic[APIC_TPR] >> 4;
	if (unlikely(b->event_inject))
		enter_injecting(v);
	svm_enter_asm(v, v->run->gpr);
}

void svm_skip(struct vcpu *v)
{
	svm_vmcb(v)->rip += v->run->exit_length;
	svm_vmcb(v)->shadow = 0;
}

static unsigned exit_io(struct run_page *r, const struct vmcb *b)
{
	u64 i = b->exit_info1;

	r->exit.io.port = (u16)(i >> 16);
	r->exit.io.size = (u8)IOIO_SIZE(i);
	/* IN is bit 0 in both; STR and REP are one bit lower in the run page. */
	static_assert(EXIT_IO_IN == IOIO_IN && EXIT_IO_STRING == IOIO_STRING >> 1 &&
		      EXIT_IO_REP == IOIO_REP >> 1);
	r->exit.io.flags = (u8)((i & IOIO_IN) | (i >> 1 & (EXIT_IO_STRING | EXIT_IO_REP)));
	if (i & IOIO_STRING) {
		r->exit.io.segment = (u8)IOIO_SEGMENT(i);
		r->exit.io.address_size = (u8)(IOIO_ADDRESS(i) << 1);
	}
	r->exit_length = (u32)(b->exit_info2 - b->rip);
	return EXIT_IO;
}

static unsigned exit_memory(struct run_page *r, const struct vmcb *b)
{
	u64 i = b->exit_info1;
	/* The VMM may write to the page meanwhile, so nothing is read back from it. */
	u8 count = b->byte_count > sizeof(b->bytes) ? sizeof(b->bytes) : b->byte_count;

	r->exit.memory.gpa = b->exit_info2;
	r->exit.memory.access = (i & NPF_FETCH          ? EXIT_ACCESS_EXEC
					: i & NPF_WRITE ? EXIT_ACCESS_WRITE
							: EXIT_ACCESS_READ) |
				(i & NPF_WALK ? EXIT_ACCESS_WALK : 0);
	r->exit.memory.byte_count = count;
	for (unsigned n = 0; n < count; n++)
		r->exit.memory.bytes[n] = b->bytes[n];
	return EXIT_MEMORY;
}

/* A task gate in the IDT; INT3 and INTO count as exceptions here. */
static void task_event(struct run_page *r, u64 event)
{
	u32 vector = (u8)event;
	bool except = (event & INJECT_TYPE_MASK) == INJECT_TYPE_EXCEPT;

	r->exit.task.source = TASK_EVENT;
	r->exit.task.event = event;
	r->exit.task.soft = (event & INJECT_TYPE_MASK) == INJECT_TYPE_SOFT ||
			    (except && (vector == VECTOR_BP || vector == VECTOR_OF));
	r->inject = 0; /* the switch is the event's delivery */
}

static unsigned exit_task(struct run_page *r, const struct vmcb *b)
{
	u64 i = b->exit_info2;

	r->exit.task.selector = (u16)b->exit_info1;
	r->exit.task.source = i & TASK_IS_IRET ? TASK_IRET : i & TASK_IS_JMP ? TASK_JMP : TASK_CALL;
	r->exit.task.error_valid = !!(i & TASK_ERROR);
	r->exit.task.error = (u32)i;
	r->exit.task.event = 0;
	r->exit.task.soft = 0;
	if (r->exit.task.source == TASK_CALL && (b->exit_int_info & INJECT_VALID))
		task_event(r, b->exit_int_info);
	return EXIT_TASK_SWITCH;
}

static unsigned exit_cr(struct run_page *r, u64 code)
{
	r->exit.cr.number = (u8)(code - SVM_EXIT_CR0_WRITE);
	r->exit.cr.special = EXIT_CR_DECODE;
	return EXIT_CR;
}

/* #MC is the host's; what the VMM has not asked for is delivered after all, with DR6 and CR2 as the
 * exit left them. */
static unsigned exit_exception(struct vcpu *v, struct vmcb *b, u32 vector)
{
	struct run_page *r = v->run;

	if (vector == VECTOR_MC)
		return VCPU_MCE;
	if (!(v->backend[SVM_EXCEPTIONS] & BIT(vector))) {
		b->event_inject = INJECT_VALID | INJECT_TYPE_EXCEPT | vector;
		if (vector == VECTOR_AC)
			b->event_inject |= INJECT_ERROR; /* it is 0 */
		if (vector == VECTOR_DB && b->dr6 & DR6_BD)
			b->dr7 &= ~DR7_GD;
		return VCPU_REENTER;
	}
	r->exit.exception.vector = vector;
	r->exit.exception.error = (u32)b->exit_info1;
	r->exit.exception.address = vector == VECTOR_PF ? b->exit_info2 : b->dr6;
	return EXIT_EXCEPTION;
}

/* NMIs are blocked to the end of the IRET, and this exit comes before it. A guest that steps itself
 * does not see the difference. */
static unsigned exit_iret(struct vcpu *v, struct vmcb *b)
{
	svm_intercept(b, SVM_EXIT_IRET, false);
	if (v->nmi_window && !(b->rflags & RFLAGS_TF)) {
		svm_step(v);
		return VCPU_REENTER;
	}
	v->backend[SVM_NMI_DONE] = 0;
	return v->nmi_window ? VCPU_NMI_WINDOW : VCPU_REENTER;
}

/* The first exit after svm_step. True: the step was made, and the window is open; else it is asked
 * for anew. */
static bool stepped(struct vcpu *v, struct vmcb *b)
{
	/* Bochs does not say BS; a breakpoint on the instruction comes before the step. */
	bool done = b->exit_code == SVM_EXIT_EXCEPTION + VECTOR_DB &&
		    (b->dr6 & DR6_BS || !(b->dr6 & DR6_BREAKPOINTS));

	v->backend[SVM_STEP] = 0;
	v->nmi_window = false;
	if (!done || !v->backend[SVM_NMI_DONE]) /* IRET has brought its own TF */
		b->rflags &= ~RFLAGS_TF;
	if (!done)
		return false;
	b->dr6 &= ~DR6_BS;
	v->backend[SVM_NMI_DONE] = 0;
	return true;
}

/* Exits that say nothing but what they are. `length` is the instruction's, `which` of enum
 * exit_instruction. */
static const struct exit_row {
	u8 kind; /* enum exit_kind or vcpu_event */
	u8 length;
	u8 which;
} rows[] = {
	[SVM_EXIT_INTR] = {VCPU_INTERRUPT, 0, 0},
	[SVM_EXIT_NMI] = {VCPU_REENTER, 0, 0},
	[SVM_EXIT_SMI] = {VCPU_REENTER, 0, 0},
	[SVM_EXIT_INIT] = {EXIT_INIT, 0, 0},
	[SVM_EXIT_VINTR] = {VCPU_WINDOW, 0, 0},
	[SVM_EXIT_RDPMC] = {EXIT_INSTRUCTION, 2, INSTR_RDPMC},
	[SVM_EXIT_CPUID] = {EXIT_CPUID, 2, 0},
	[SVM_EXIT_INVD] = {EXIT_WBINVD, 2, 0},
	[SVM_EXIT_PAUSE] = {EXIT_PAUSE, 2, 0},
	[SVM_EXIT_HLT] = {EXIT_HLT, 1, 0},
	[SVM_EXIT_INVLPGA] = {EXIT_INSTRUCTION, 3, INSTR_VMX_SVM},
	[SVM_EXIT_SHUTDOWN] = {EXIT_SHUTDOWN, 0, 0},
	[SVM_EXIT_VMRUN] = {EXIT_INSTRUCTION, 3, INSTR_VMX_SVM},
	[SVM_EXIT_VMMCALL] = {EXIT_HYPERCALL, 3, 0},
	[SVM_EXIT_VMLOAD... SVM_EXIT_SKINIT] = {EXIT_INSTRUCTION, 3, INSTR_VMX_SVM},
	[SVM_EXIT_WBINVD] = {EXIT_WBINVD, 2, 0},
	[SVM_EXIT_MONITOR] = {EXIT_INSTRUCTION, 3, INSTR_MONITOR},
	[SVM_EXIT_MWAIT] = {EXIT_INSTRUCTION, 3, INSTR_MWAIT},
	[SVM_EXIT_XSETBV] = {EXIT_XSETBV, 3, 0},
};

/* Of a level-triggered vector, after the instruction; it is still in service (15.29.3.1). */
static unsigned exit_eoi(struct vcpu *v)
{
	int vector = virq_highest(v, APIC_ISR);

	if (vector < 0)
		return VCPU_REENTER;
	virq_end(v, vector);
	v->run->exit.eoi.vector = (u32)vector;
	return EXIT_EOI;
}

static unsigned decode(struct vcpu *v, struct vmcb *b)
{
	struct run_page *r = v->run;
	u64 code = b->exit_code;

	if (likely(code < ARRAY_SIZE(rows) && rows[code].kind)) {
		r->exit_length = rows[code].length;
		if (unlikely(rows[code].which))
			r->exit.instruction.which = rows[code].which;
		return rows[code].kind;
	}
	r->exit_length = 0;
	switch (code) {
	case SVM_EXIT_IOIO:
		return exit_io(r, b);
	case SVM_EXIT_NPF:
		return exit_memory(r, b);
	case SVM_EXIT_MSR:
		r->exit_length = 2;
		return b->exit_info1 & 1 ? EXIT_WRMSR : EXIT_RDMSR;
	case SVM_EXIT_CR0_WRITE + 4:
	case SVM_EXIT_CR0_WRITE + 8:
		return exit_cr(r, code);
	case SVM_EXIT_EXCEPTION ... SVM_EXIT_EXCEPTION + 31:
		return exit_exception(v, b, (u32)(code - SVM_EXIT_EXCEPTION));
	case SVM_EXIT_IRET:
		return exit_iret(v, b);
	case SVM_EXIT_TASK_SWITCH:
		return exit_task(r, b);
	case SVM_EXIT_AVIC_NOACCEL:
		if (NOACCEL_WRITE(b->exit_info1) == APIC_EOI)
			return exit_eoi(v);
		break;
	}
	r->exit.failed.reason = code;
	r->exit.failed.detail = b->exit_info1;
	/* QEMU and old microcode write 32 bits of the code. */
	return (u32)code == (u32)SVM_EXIT_INVALID ? EXIT_ENTRY_FAILED : EXIT_UNKNOWN;
}

/* Takes the guest's TPR. Returns the event whose delivery the exit cut short: a virtual interrupt
 * that is still asked for, which QEMU calls an exception in EXITINTINFO, else `event`. */
static __attribute__((noinline)) u64 changed_vintr(struct vcpu *v, struct vmcb *b, u64 event)
{
	u64 mine = svm_virtual(b) ? svm_take_back(b) : 0;

	/* Bits 3:0 are in the APIC page alone. */
	if ((v->apic[APIC_TPR] ^ b->vintr << 4) & APIC_TPR_CLASS)
		v->apic[APIC_TPR] = (u8)(b->vintr << 4);
	return mine ? mine : event;
}

unsigned svm_exit(struct vcpu *v)
{
	struct vmcb *b = svm_vmcb(v);
	struct run_page *r = v->run;
	u64 event = b->exit_int_info;
	unsigned kind;

	r->gpr[RAX] = b->rax;
	r->gpr[RSP] = b->rsp;
	if (unlikely(
		    (v->apic[APIC_TPR] ^ b->vintr << 4) & (APIC_TPR_CLASS | VINTR_VECTOR(~0) << 4)))
		event = changed_vintr(v, b, event);
	/* A VMRUN that was refused may not have flushed. */
	if (unlikely(b->tlb_control) && (u32)b->exit_code != (u32)SVM_EXIT_INVALID) {
		if (b->tlb_control == TLB_FLUSH_ALL)
			cpu_self()->backend[SVM_FLUSH_ALL] = 0;
		b->tlb_control = TLB_KEEP;
	}
	/*
	 * A delivery that the exit cut short is made again; INT n is executed again instead, for
	 * RIP still points to it. An event that VMRUN refused stays where it was and is dropped.
	 */
	if (unlikely(event & INJECT_VALID) && (event & INJECT_TYPE_MASK) != INJECT_TYPE_SOFT) {
		r->inject = event;
		r->inject_length = 0;
	}
	b->event_inject = 0;
	kind = unlikely(v->backend[SVM_STEP]) && stepped(v, b) ? VCPU_NMI_WINDOW : decode(v, b);
	r->exit_kind = kind;
	return kind;
}
