/* Pure conversions between the run page's forms, which are AMD's, and VT-x's; unit-tested on the
 * host. */
#pragma once

#include "kernel/abi/run.h"
#include "kernel/x86.h"
#include "vmx/vmcs.h"

#define ATTRIBUTES_LOW     0xffu  /* type S DPL P: the same bits in both forms */
#define ATTRIBUTES_HIGH    0xf00u /* AVL L D G: four bits higher in VT-x's */
#define ATTRIBUTES_PRESENT 0x80u

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

/*
 * INJECT_* of a type that exists to VM-entry interruption information; the error code is bits 63:32
 * of `event`. Entry checks vector, error code and length (27.2.1.3).
 */
static inline u32 event_to_vmx(u64 event, u64 length, bool protected_mode)
{
	u64 info = event & (INTR_VALID | INTR_ERROR | INTR_TYPE | INTR_VECTOR);
	u32 vector = (u32)(event & INTR_VECTOR);

	static_assert(INJECT_TYPE_INTR == INTR_EXTERNAL && INJECT_TYPE_NMI == INTR_NMI &&
		      INJECT_TYPE_EXCEPT == INTR_HARD_EXCEPTION &&
		      INJECT_TYPE_SOFT == INTR_SOFT_INTERRUPT && INJECT_ERROR == INTR_ERROR &&
		      INJECT_VALID == INTR_VALID);
	if ((info & INTR_TYPE) != INTR_HARD_EXCEPTION)
		return (u32)info;
	/* Only INT1, INT3 and INTO come with a length; they push the RIP behind the instruction. */
	if (length && vector == VECTOR_DB)
		info ^= INTR_HARD_EXCEPTION ^ INTR_PRIVILEGED_EXCEPTION;
	else if (length && (vector == VECTOR_BP || vector == VECTOR_OF))
		info ^= INTR_HARD_EXCEPTION ^ INTR_SOFT_EXCEPTION;
	return (u32)(protected_mode ? info : info & ~INTR_ERROR); /* real mode pushes none */
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
