/* Exceptions and interrupts, as entry.S hands them over. */
#include "kernel/kernel.h"
#include "kernel/vcpu.h"

/* Interrupts that are the kernel's or a driver's; on the CPU's stack, with no program's state at
 * stake. */
void interrupt_handle(u64 vector)
{
	if (vector >= VECTOR_GSI && vector < VECTOR_GSI + MAX_GSI)
		return irq_handle((unsigned)vector);
	if (vector == VECTOR_SPURIOUS)
		return;
	lapic_eoi();
	if (vector == VECTOR_TIMER)
		timer_interrupt();
	else if (vector == VECTOR_IOMMU)
		log_wake();
	else if (vector == VECTOR_IPI && panicking)
		halt();
	else if (vector == VECTOR_ERROR)
		log_line("local APIC error interrupt");
}

void interrupt_user(u64 vector, u64 error);
void interrupt_user(u64 vector, u64 error)
{
	struct thread *t = cpu_self()->current;

	if (vector >= EXCEPTIONS)
		interrupt_handle(vector);
	else
		thread_fault(t, FAULT_EXCEPTION, (u32)vector, error,
			vector == VECTOR_PF ? read_cr2() : 0);
}

/* frame: R15 ... RAX, vector, error, RIP, CS, RFLAGS, RSP, SS */
void interrupt_from_kernel(const u64 *frame);
void interrupt_from_kernel(const u64 *frame)
{
	if (frame[15] < EXCEPTIONS)
		panic_regs(frame, "exception");
	interrupt_handle(frame[15]);
}

void interrupt_ist(const u64 *frame, struct cpu *c);
void interrupt_ist(const u64 *frame, struct cpu *c)
{
	if (frame[15] == VECTOR_NMI) {
		/* Nothing here takes locks or touches what an interrupted path may be changing. */
		if (__atomic_load_n(&panicking, __ATOMIC_RELAXED))
			halt();
		return;
	}
	/* It may have come between an entry and its SWAPGS. */
	write_msr(MSR_GS_BASE, (u64)c);
	panic_regs(frame, frame[15] == VECTOR_DF   ? "double fault"
			  : frame[15] == VECTOR_MC ? "machine check"
						   : "debug exception");
}
