/* VM exits in the run page's form (SDM vol. 3C, 26.1, 28.2, C). */
#include "vmx/convert.h"
#include "vmx/vmx.h"

/* An exit that says nothing but what it is, or one with a function for it. */
struct exit_row {
	unsigned (*handle)(struct vcpu *v);
	u8 kind;   /* enum exit_kind or vcpu_event; 0: not known */
	u8 length; /* the hardware tells the instruction's: 1 */
	u8 which;  /* enum exit_instruction */
};

static unsigned report(struct run_page *run, enum exit_kind kind, u32 length)
{
	run->exit_kind = kind;
	run->exit_length = length;
	return kind;
}

static unsigned report_failed(struct run_page *run, enum exit_kind kind, u64 reason, u64 detail)
{
	run->exit.failed.reason = reason;
	run->exit.failed.detail = detail;
	return report(run, kind, 0);
}

static unsigned inject_gp(struct vcpu *v)
{
	vmwrite(GUEST_RFLAGS, vmread(GUEST_RFLAGS) | RFLAGS_RF); /* a fault pushes it */
	vmx_inject(v, INJECT_VALID | INJECT_ERROR | INJECT_TYPE_EXCEPT | VECTOR_GP, 0);
	return VCPU_REENTER;
}

/* The exception hit an IRET that had already unblocked NMIs: they stay blocked until it is done
 * (28.2.3). */
static void block_nmi_again(void)
{
	if (!(vmread(VECTORING_INFO) & INTR_VALID))
		vmwrite(GUEST_INTERRUPTIBILITY, vmread(GUEST_INTERRUPTIBILITY) | BLOCK_NMI);
}

/* What #DB does before it is delivered, and an exit leaves to us (28.1). */
static void debug_registers(u64 qualification)
{
	u64 status = qualification & (DR6_BREAKPOINTS | DR6_BD | DR6_BS);

	write_dr6((read_dr6() & ~DR6_BREAKPOINTS) | status);
	if (status & DR6_BD)
		vmwrite(GUEST_DR7, vmread(GUEST_DR7) & ~DR7_GD);
	/* As for an import of RIP: TF in a shadow needs its trap pending (27.3.1.5). */
	if ((vmread(GUEST_RFLAGS) & RFLAGS_TF) &&
		(vmread(GUEST_INTERRUPTIBILITY) & (BLOCK_STI | BLOCK_MOV_SS)))
		vmwrite(GUEST_PENDING_DEBUG, PENDING_DEBUG_BS);
}

static unsigned exit_exception(struct vcpu *v)
{
	struct run_page *run = v->run;
	u32 info = (u32)vmread(EXIT_INFO);
	u32 vector = info & INTR_VECTOR;
	u32 error = info & INTR_ERROR ? (u32)vmread(EXIT_ERROR) : 0;
	u32 length = event_is_soft(info) ? (u32)vmread(EXIT_LENGTH) : 0;
	u64 qualification = vmread(QUALIFICATION);

	if ((info & INTR_TYPE) == INTR_NMI) {
		/* The exit took the NMI and left NMIs blocked; its handler's IRET unblocks them. */
		__asm__ volatile("int $2");
		return VCPU_REENTER;
	}
	if (vector == VECTOR_MC)
		return VCPU_MCE;
	if ((info & INTR_NMI_UNBLOCKED) && vector != VECTOR_DF)
		block_nmi_again();
	if (vmx_of(v)->exceptions & BIT(vector)) {
		run->exit.exception.vector = vector;
		run->exit.exception.error = error;
		run->exit.exception.address = qualification; /* of #PF and #DB; else 0 */
		return report(run, EXIT_EXCEPTION, length);
	}
	if (vector == VECTOR_DB)
		debug_registers(qualification);
	info &= INTR_VALID | INTR_ERROR | INTR_TYPE | INTR_VECTOR;
	vmx_inject_raw(v, info, error, length);
	return VCPU_REENTER;
}

static unsigned exit_task_switch(struct vcpu *v)
{
	struct run_page *run = v->run;
	u64 q = vmread(QUALIFICATION);
	u32 vectoring = (u32)vmread(VECTORING_INFO);
	bool gate = TASK_SOURCE(q) == TASK_EVENT;
	bool soft = gate && (vectoring & INTR_VALID) && event_is_soft(vectoring);

	run->exit.task.selector = TASK_SELECTOR(q);
	run->exit.task.source = TASK_SOURCE(q);
	run->exit.task.error_valid = gate && (vectoring & INTR_VALID) && (vectoring & INTR_ERROR);
	run->exit.task.error = run->exit.task.error_valid ? (u32)vmread(VECTORING_ERROR) : 0;
	run->exit.task.soft = soft;
	run->exit.task.event = 0;
	/* The switch is the event's delivery. */
	if (gate && (vectoring & INTR_VALID)) {
		run->exit.task.event = run->inject;
		run->inject = 0;
	}
	return report(run, EXIT_TASK_SWITCH, !gate || soft ? (u32)vmread(EXIT_LENGTH) : 0);
}

static __attribute__((noinline, cold)) unsigned exit_unknown(struct vcpu *v)
{
	u64 reason = vmread(EXIT_REASON);

	return report_failed(v->run, EXIT_UNKNOWN, reason,
		(reason & REASON_NUMBER) == REASON_EPT_MISCONFIGURATION ? vmread(GUEST_PHYSICAL)
									: vmread(QUALIFICATION));
}

/*
 * Only writes that change a bit of the host's exit. The read shadow gets the new value, and the
 * guest executes the instruction once more: now it changes no such bit, does not exit (26.1.3), and
 * the processor itself makes all checks and switches modes, loads PDPTEs, and drops translations.
 * Should it then fault, the shadow keeps CD, NW, NE or MCE as the guest wanted them; nothing
 * depends on those.
 */
static unsigned exit_cr(struct vcpu *v)
{
	u64 q = vmread(QUALIFICATION);
	u64 value = v->run->gpr[CR_GPR(q)];

	if (CR_TYPE(q) != CR_TYPE_TO)
		return exit_unknown(v);
	if (!(vmread(SEGMENT_FIELD(GUEST_RIGHTS, SEGMENT_CS)) & RIGHTS_LONG))
		value = (u32)value;
	switch (CR_NUMBER(q)) {
	case 0:
		if (value >> 32 || ((value & CR0_NW) && !(value & CR0_CD)))
			return inject_gp(v);
		vmwrite(CR0_SHADOW, value);
		return VCPU_REENTER;
	case 4:
		if (value & ~vmx_machine.cr4_guest)
			return inject_gp(v);
		vmwrite(CR4_SHADOW, value);
		return VCPU_REENTER;
	}
	return exit_unknown(v);
}

static unsigned exit_io(struct vcpu *v)
{
	struct run_page *run = v->run;
	u64 q = vmread(QUALIFICATION);

	static_assert(IO_IN == EXIT_IO_IN << 3 && IO_STRING == EXIT_IO_STRING << 3 &&
		      IO_REP == EXIT_IO_REP << 3);
	run->exit.io.port = IO_PORT(q);
	run->exit.io.size = IO_SIZE(q);
	run->exit.io.flags = (q & (IO_IN | IO_STRING | IO_REP)) >> 3;
	if (q & IO_STRING) {
		u64 info = vmread(EXIT_INSTRUCTION_INFO);
		bool told = vmx_machine.basic & BASIC_STRING_INFO;

		run->exit.io.address_size = told ? IO_ADDRESS_SIZE(info) : 0;
		run->exit.io.segment = told && !(q & IO_IN) ? IO_SEGMENT(info) : SEGMENT_ES;
	}
	return report(run, EXIT_IO, (u32)vmread(EXIT_LENGTH));
}

static unsigned exit_ept_violation(struct vcpu *v)
{
	struct run_page *run = v->run;
	u64 q = vmread(QUALIFICATION);
	u64 access = q & (EPT_READ | EPT_WRITE | EPT_FETCH);

	static_assert(EPT_READ == EXIT_ACCESS_READ && EPT_WRITE == EXIT_ACCESS_WRITE &&
		      EPT_FETCH == EXIT_ACCESS_EXEC);
	if (q & EPT_NMI_UNBLOCKED)
		block_nmi_again();
	if (q & EPT_LINEAR)
		access |= EXIT_ACCESS_GLA | (q & EPT_TRANSLATED ? 0 : EXIT_ACCESS_WALK);
	run->exit.memory.gpa = vmread(GUEST_PHYSICAL);
	run->exit.memory.gla = vmread(GUEST_LINEAR);
	run->exit.memory.access = access;
	run->exit.memory.byte_count = 0;
	/* The length field is undefined here (28.2.5). */
	return report(run, EXIT_MEMORY, 0);
}

/* Comes after the instruction. */
static unsigned exit_eoi(struct vcpu *v)
{
	v->run->exit.eoi.vector = (u32)(vmread(QUALIFICATION) & INTR_VECTOR);
	return report(v->run, EXIT_EOI, 0);
}

static unsigned exit_interrupt(struct vcpu *v)
{
	if (vmx_machine.exit & EXIT_ACKNOWLEDGE)
		v->vector = (u8)vmread(EXIT_INFO);
	return VCPU_INTERRUPT;
}

static const struct exit_row rows[REASON_COUNT] = {
	[REASON_EXCEPTION] = {.handle = exit_exception},
	[REASON_INTERRUPT] = {.handle = exit_interrupt},
	[REASON_TRIPLE_FAULT] = {NULL, EXIT_SHUTDOWN, 0, 0},
	[REASON_INIT] = {NULL, EXIT_INIT, 0, 0},
	[REASON_INTERRUPT_WINDOW] = {NULL, VCPU_WINDOW, 0, 0},
	[REASON_NMI_WINDOW] = {NULL, VCPU_NMI_WINDOW, 0, 0},
	[REASON_TASK_SWITCH] = {.handle = exit_task_switch},
	[REASON_CPUID] = {NULL, EXIT_CPUID, 1, 0},
	[REASON_GETSEC] = {NULL, EXIT_INSTRUCTION, 1, INSTR_VMX_SVM},
	[REASON_HLT] = {NULL, EXIT_HLT, 1, 0},
	[REASON_INVD] = {NULL, EXIT_WBINVD, 1, 0},
	[REASON_INVLPG] = {NULL, EXIT_INSTRUCTION, 1, INSTR_INVLPG},
	[REASON_RDPMC] = {NULL, EXIT_INSTRUCTION, 1, INSTR_RDPMC},
	[REASON_RDTSC] = {NULL, EXIT_INSTRUCTION, 1, INSTR_RDTSC},
	[REASON_VMCALL] = {NULL, EXIT_HYPERCALL, 1, 0},
	[REASON_VMCLEAR... REASON_VMXON] = {NULL, EXIT_INSTRUCTION, 1, INSTR_VMX_SVM},
	[REASON_CR] = {.handle = exit_cr},
	[REASON_IO] = {.handle = exit_io},
	[REASON_RDMSR] = {NULL, EXIT_RDMSR, 1, 0},
	[REASON_WRMSR] = {NULL, EXIT_WRMSR, 1, 0},
	[REASON_MWAIT] = {NULL, EXIT_INSTRUCTION, 1, INSTR_MWAIT},
	[REASON_MONITOR] = {NULL, EXIT_INSTRUCTION, 1, INSTR_MONITOR},
	[REASON_PAUSE] = {NULL, EXIT_PAUSE, 1, 0},
	[REASON_TPR] = {NULL, VCPU_WINDOW, 0, 0},
	[REASON_EOI] = {.handle = exit_eoi},
	[REASON_GDTR_IDTR] = {NULL, EXIT_INSTRUCTION, 1, INSTR_DESCRIPTOR},
	[REASON_LDTR_TR] = {NULL, EXIT_INSTRUCTION, 1, INSTR_DESCRIPTOR},
	[REASON_EPT_VIOLATION] = {.handle = exit_ept_violation},
	[REASON_INVEPT] = {NULL, EXIT_INSTRUCTION, 1, INSTR_VMX_SVM},
	[REASON_RDTSCP] = {NULL, EXIT_INSTRUCTION, 1, INSTR_RDTSCP},
	[REASON_PREEMPTION_TIMER] = {NULL, VCPU_INTERRUPT, 0, 0},
	[REASON_INVVPID] = {NULL, EXIT_INSTRUCTION, 1, INSTR_VMX_SVM},
	[REASON_WBINVD] = {NULL, EXIT_WBINVD, 1, 0},
	[REASON_XSETBV] = {NULL, EXIT_XSETBV, 1, 0},
	[REASON_INVPCID] = {NULL, EXIT_INSTRUCTION, 1, INSTR_OTHER},
};

/*
 * The guest was not entered: VMfail (31.2; `reason` is then the VM-instruction error, `detail`
 * RFLAGS), or a check of its state or MSRs failed (27.8). The hardware keeps the injection, so it
 * is taken back.
 */
static __attribute__((noinline, cold)) unsigned entry_failed(struct vcpu *v, u64 reason, u64 detail)
{
	struct run_page *run = v->run;
	u64 length;
	u64 event = vmx_uninject(v, &length);

	vmx_of(v)->refused = 0;
	if (event) {
		run->inject = event;
		run->inject_length = length;
	}
	if (reason == (REASON_ENTRY_FAILURE | REASON_ENTRY_MCE))
		return VCPU_MCE;
	return report_failed(run, EXIT_ENTRY_FAILED, reason, detail);
}

/*
 * An exit leaves limits of 0xffff in GDTR and 0x67 in TR (28.5.2): the first would let ring 3 take
 * other kernel memory for descriptors, the second cuts off the I/O bitmap.
 */
static void restore_tables(const struct vmx_cpu *h)
{
	*h->tss_type &= ~(u8)RIGHTS_BUSY;
	__asm__ volatile("lgdt %0; ltr %w1" : : "m"(h->gdt), "r"(SEL_TSS) : "memory");
}

unsigned vmx_exit(struct vcpu *v)
{
	struct vmx_vcpu *x = vmx_of(v);
	const struct exit_row *row;
	u64 reason;
	u64 vectoring;

	if (unlikely(x->refused))
		return entry_failed(v, vmread(INSTRUCTION_ERROR), x->refused);
	restore_tables(x->home->hw);
	reason = vmread(EXIT_REASON);
	if (unlikely(reason & REASON_ENTRY_FAILURE))
		return entry_failed(v, reason, vmread(QUALIFICATION));
	x->launched = true;
	x->injected = 0;
	x->rsp = vmread(GUEST_RSP);
	v->run->gpr[RSP] = x->rsp;
	vectoring = vmread(VECTORING_INFO);
	if (unlikely(vectoring & INTR_VALID))
		vmx_take_back(v, (u32)vectoring);
	reason &= REASON_NUMBER;
	if (unlikely(reason >= REASON_COUNT))
		return exit_unknown(v);
	row = &rows[reason];
	if (row->handle)
		return row->handle(v);
	if (unlikely(!row->kind))
		return exit_unknown(v);
	if (unlikely(row->which))
		v->run->exit.instruction.which = row->which;
	return report(v->run, row->kind, row->length ? (u32)vmread(EXIT_LENGTH) : 0);
}
