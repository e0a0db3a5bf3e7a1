/* Entering, and turning an AMD-V exit into the run page's (APM vol. 2, 15.7 to 15.14 and appendix
 * C). */
#include "kernel/x86.h"
#include "svm/svm.h"

#define LENGTH_CPUID   2
#define LENGTH_HLT     1
#define LENGTH_MSR     2
#define LENGTH_VMMCALL 3
#define LENGTH_XSETBV  3
#define LENGTH_WBINVD  2
#define LENGTH_PAUSE   2
#define LENGTH_RDPMC   2
#define LENGTH_SVM     3
#define VECTOR_DB      1
#define DR6_BD         BIT(13)
#define DR7_GD         BIT(13)
#define VECTOR_BP      3
#define VECTOR_OF      4
#define VECTOR_PF      14
#define VECTOR_AC      17
#define VECTOR_MC      18

void svm_enter(struct vcpu *v)
{
	struct vmcb *b = svm_vmcb(v);
	struct run_page *r = v->run;

	b->rax = r->gpr[RAX];
	b->rsp = r->gpr[RSP];
	b->vintr = (b->vintr & ~VINTR_TPR_MASK) | v->apic[APIC_TPR] >> 4;
	svm_enter_asm(v, r->gpr);
}

void svm_skip(struct vcpu *v)
{
	struct vmcb *b = svm_vmcb(v);

	b->rip += v->run->exit_length;
	b->shadow = 0;
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
	u8 count;

	r->exit.memory.gpa = b->exit_info2;
	r->exit.memory.access = (i & NPF_FETCH          ? EXIT_ACCESS_EXEC
					: i & NPF_WRITE ? EXIT_ACCESS_WRITE
							: EXIT_ACCESS_READ) |
				(i & NPF_WALK ? EXIT_ACCESS_WALK : 0);
	/* The VMM may write to the page meanwhile, so nothing is read back from it. */
	count = b->byte_count > sizeof(b->bytes) ? sizeof(b->bytes) : b->byte_count;
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

static unsigned exit_instruction(struct run_page *r, u32 which, u32 length)
{
	r->exit.instruction.which = which;
	r->exit_length = length;
	return EXIT_INSTRUCTION;
}

static unsigned plain(struct run_page *r, unsigned kind, u32 length)
{
	r->exit_length = length;
	return kind;
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

/* The rarer half of the codes, so that the frequent ones stay short. */
static unsigned exit_other(struct vcpu *v, const struct vmcb *b, u64 code)
{
	struct run_page *r = v->run;

	switch (code) {
	case SVM_EXIT_NMI:
		return VCPU_NMI;
	case SVM_EXIT_SMI:
		return VCPU_REENTER;
	case SVM_EXIT_INIT:
		return EXIT_INIT;
	case SVM_EXIT_RDPMC:
		return exit_instruction(r, INSTR_RDPMC, LENGTH_RDPMC);
	case SVM_EXIT_IRET:
		v->backend[SVM_NMI_DONE] = 0;
		svm_vmcb(v)->intercept_misc1 &= ~(u32)SVM_IRET;
		return v->nmi_window ? VCPU_NMI_WINDOW : VCPU_REENTER;
	case SVM_EXIT_INVD:
	case SVM_EXIT_WBINVD:
		return plain(r, EXIT_WBINVD, LENGTH_WBINVD);
	case SVM_EXIT_PAUSE:
		return plain(r, EXIT_PAUSE, LENGTH_PAUSE);
	case SVM_EXIT_TASK_SWITCH:
		return exit_task(r, b);
	case SVM_EXIT_SHUTDOWN:
		return EXIT_SHUTDOWN;
	case SVM_EXIT_VMMCALL:
		return plain(r, EXIT_HYPERCALL, LENGTH_VMMCALL);
	case SVM_EXIT_MONITOR:
		return exit_instruction(r, INSTR_MONITOR, LENGTH_SVM);
	case SVM_EXIT_MWAIT:
		return exit_instruction(r, INSTR_MWAIT, LENGTH_SVM);
	case SVM_EXIT_XSETBV:
		return plain(r, EXIT_XSETBV, LENGTH_XSETBV);
	case SVM_EXIT_INVLPGA:
		return exit_instruction(r, INSTR_VMX_SVM, LENGTH_SVM);
	case (u64)SVM_EXIT_INVALID:
		r->exit.failed.reason = code;
		r->exit.failed.detail = 0;
		return EXIT_ENTRY_FAILED;
	}
	if (code >= SVM_EXIT_VMRUN && code <= SVM_EXIT_SKINIT)
		return exit_instruction(r, INSTR_VMX_SVM, LENGTH_SVM);
	if (code >= SVM_EXIT_EXCEPTION && code < SVM_EXIT_EXCEPTION + 32)
		return exit_exception(v, svm_vmcb(v), (u32)(code - SVM_EXIT_EXCEPTION));
	r->exit.failed.reason = code;
	r->exit.failed.detail = b->exit_info1;
	return EXIT_UNKNOWN;
}

static unsigned decode(struct vcpu *v, const struct vmcb *b)
{
	struct run_page *r = v->run;
	u64 code = b->exit_code;

	/* QEMU and old microcode write 32 bits of the code. */
	if ((u32)code == (u32)SVM_EXIT_INVALID)
		code = (u64)SVM_EXIT_INVALID;
	switch (code) {
	case SVM_EXIT_CPUID:
		return plain(r, EXIT_CPUID, LENGTH_CPUID);
	case SVM_EXIT_IOIO:
		return exit_io(r, b);
	case SVM_EXIT_NPF:
		r->exit_length = 0;
		return exit_memory(r, b);
	case SVM_EXIT_MSR:
		return plain(r, b->exit_info1 & 1 ? EXIT_WRMSR : EXIT_RDMSR, LENGTH_MSR);
	case SVM_EXIT_HLT:
		return plain(r, EXIT_HLT, LENGTH_HLT);
	case SVM_EXIT_INTR:
		return VCPU_INTERRUPT;
	case SVM_EXIT_VINTR:
		return VCPU_WINDOW;
	}
	r->exit_length = 0;
	return exit_other(v, b, code);
}

unsigned svm_exit(struct vcpu *v)
{
	struct vmcb *b = svm_vmcb(v);
	struct run_page *r = v->run;
	unsigned kind;

	r->gpr[RAX] = b->rax;
	r->gpr[RSP] = b->rsp;
	v->apic[APIC_TPR] = (u8)((b->vintr & VINTR_TPR_MASK) << 4);
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
	if (unlikely(b->exit_int_info & INJECT_VALID) &&
		(b->exit_int_info & INJECT_TYPE_MASK) != INJECT_TYPE_SOFT) {
		r->inject = b->exit_int_info;
		r->inject_length = 0;
	}
	b->event_inject = 0;
	kind = decode(v, b);
	r->exit_kind = kind;
	return kind;
}
