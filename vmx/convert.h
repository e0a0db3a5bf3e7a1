/* Pure conversions between the run page's forms, which are AMD's, and VT-x's; unit-tested on the
 * host. */
#pragma once

#include "kernel/abi/run.h"
#include "kernel/x86.h"
#include "vmx/vmcs.h"

#define ATTRIBUTES_LOW     0xffu  /* type S DPL P: the same bits in both forms */
#define ATTRIBUTES_HIGH    0xf00u /* AVL L D G: four bits higher in VT-x's */
#define ATTRIBUTES_PRESENT 0x80u
#define INSTRUCTION_MAX    15u
#define ERROR_CODE_MAX     0xffffu

/*
 * Computes a control field from its capability MSR (appendix A.3: bits that must be 1 below, that
 * may be 1 above). Returns those of `required` that the processor has not.
 */
static inline u32 control_adjust(u64 capability, u32 required, u32 optional, u32 *out)
{
	u32 must = (u32)capability;
	u32 may = (u32)(capability >> 32);

	*out = must | ((required | optional) & may);
	return required & ~may;
}

/* VMCB attributes to access rights. DPL stays in an unusable segment, for SS.DPL is the CPL. */
static inline u32 rights_of(u16 attributes)
{
	u32 rights = (attributes & ATTRIBUTES_LOW) | (u32)(attributes & ATTRIBUTES_HIGH) << 4;

	return attributes & ATTRIBUTES_PRESENT ? rights : rights | RIGHTS_UNUSABLE;
}

static inline u16 attributes_of(u32 rights)
{
	u16 attributes = (u16)((rights & ATTRIBUTES_LOW) | (rights >> 4 & ATTRIBUTES_HIGH));

	return rights & RIGHTS_UNUSABLE ? attributes & ~ATTRIBUTES_PRESENT : attributes;
}

/*
 * What VM entry insists on and AMD-V does not (27.3.1.2): accessed code and data, a busy TSS, and a
 * G bit that agrees with the expanded limit.
 */
static inline u32 rights_fix(u32 rights, u32 limit, bool tss)
{
	if (rights & RIGHTS_UNUSABLE)
		return rights;
	if (tss)
		rights |= RIGHTS_BUSY;
	else if (rights & RIGHTS_CODE)
		rights |= RIGHTS_ACCESSED;
	if (limit >> 20)
		rights |= RIGHTS_GRANULAR;
	else if ((limit & (PAGE_SIZE - 1)) != PAGE_SIZE - 1)
		rights &= ~RIGHTS_GRANULAR;
	return rights;
}

static inline u32 exception_to_vmx(u64 event, u64 length, bool protected_mode)
{
	u32 vector = (u32)(event & INTR_VECTOR);
	u32 info = (u32)INTR_VALID | vector;
	bool coded = event & INJECT_ERROR;
	bool takes_code = vector < 32 && (ERROR_VECTORS & BIT(vector));

	if (vector >= 32 || vector == VECTOR_NMI)
		return 0;
	if (coded && (!takes_code || event >> 32 > ERROR_CODE_MAX))
		return 0;
	if (!coded && takes_code && protected_mode)
		return 0;
	/* Only INT1, INT3 and INTO come with a length; they push the RIP behind the instruction. */
	if (length && vector == VECTOR_DB)
		return info | INTR_PRIVILEGED_EXCEPTION;
	if (length && (vector == VECTOR_BP || vector == VECTOR_OF))
		return info | INTR_SOFT_EXCEPTION;
	if (coded && protected_mode)
		info |= INTR_ERROR; /* real mode pushes none (27.2.1.3) */
	return info | INTR_HARD_EXCEPTION;
}

/*
 * INJECT_* to VM-entry interruption information; the error code is bits 63:32 of `event`. Returns 0
 * if the event is malformed.
 */
static inline u32 event_to_vmx(u64 event, u64 length, bool protected_mode)
{
	u32 vector = (u32)(event & INTR_VECTOR);
	u64 type = event & INJECT_TYPE_MASK;

	if (!(event & INJECT_VALID) || length > INSTRUCTION_MAX)
		return 0;
	if (type == INJECT_TYPE_EXCEPT)
		return exception_to_vmx(event, length, protected_mode);
	if (event & INJECT_ERROR)
		return 0;
	if (type == INJECT_TYPE_INTR)
		return (u32)(INTR_VALID | INTR_EXTERNAL) | vector;
	if (type == INJECT_TYPE_NMI && vector == VECTOR_NMI)
		return (u32)(INTR_VALID | INTR_NMI) | vector;
	if (type == INJECT_TYPE_SOFT && length)
		return (u32)(INTR_VALID | INTR_SOFT_INTERRUPT) | vector;
	return 0;
}

/* True if `info` names an instruction's event, which has a length. */
static inline bool event_is_soft(u32 info)
{
	return (info & INTR_TYPE) >= INTR_SOFT_INTERRUPT;
}

/* Interruption or IDT-vectoring information, which is valid, to INJECT_*. */
static inline u64 event_of_vmx(u32 info, u32 error)
{
	u64 type = info & INTR_TYPE;
	u64 event = INJECT_VALID | (info & INTR_VECTOR);

	if (type == INTR_PRIVILEGED_EXCEPTION || type == INTR_SOFT_EXCEPTION)
		type = INJECT_TYPE_EXCEPT;
	if (info & INTR_ERROR)
		event |= INJECT_ERROR | (u64)error << 32;
	return event | type;
}
