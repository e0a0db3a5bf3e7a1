/* What the files of the AMD-V backend share. */
#pragma once

#include "kernel/vcpu.h"
#include "svm/vmcb.h"

/* Words of vcpu.backend[] */
#define SVM_HOST_PA    0 /* physical address of this CPU's VMSAVE area: entry.S */
#define SVM_TSC_AUX    1
#define SVM_NMI_DONE   2 /* an NMI was injected, and its IRET is not done */
#define SVM_EXCEPTIONS 3 /* those that the VMM asked for */
#define SVM_STEP       4 /* svm_step is under way, and RFLAGS.TF not the guest's */
#define SVM_AVIC       5 /* the VMM asked for AVIC */

/* Words of cpu.backend[] */
/* ASIDs are used anew, and no VMRUN has flushed yet what they meant before */
#define SVM_FLUSH_ALL 0

/* svm.c: QEMU's TCG is the processor */
extern bool svm_emulated;

static inline struct vmcb *svm_vmcb(struct vcpu *v)
{
	return v->hw;
}

/* entry.S: enters the guest; `gpr` is v->run->gpr. Ends in vcpu_exited. */
void svm_enter_asm(struct vcpu *v, u64 *gpr) __attribute__((noreturn));

static inline void svm_intercept(struct vmcb *b, enum svm_exit code, bool on)
{
	u32 bit = 1u << code % 32;

	b->intercept[code / 32] = (b->intercept[code / 32] & ~bit) | (on ? bit : 0);
}

/* The vector of an interrupt that is injected as a virtual one, and not taken so far; or 0. */
static inline u8 svm_virtual(const struct vmcb *b)
{
	return (u8)(b->vintr >> 32);
}

/*
 * Whether VMRUN injects an interrupt by EVENTINJ that QEMU may deliver a second time, whatever IF
 * is (tests/README.md). It does not if an interrupt of the host's ends the run at once.
 */
static inline bool svm_twice(const struct vmcb *b)
{
	return svm_emulated && (u32)b->event_inject >> 8 == (INJECT_VALID | INJECT_TYPE_INTR) >> 8;
}

/* What svm_virtual tells, as an event; nothing is injected any more. */
static inline u64 svm_take_back(struct vmcb *b)
{
	u64 event = b->vintr & VINTR_IRQ ? INJECT_VALID | INJECT_TYPE_INTR | svm_virtual(b) : 0;

	b->vintr &= ~(VINTR_IRQ | VINTR_VECTOR(~0));
	svm_intercept(b, SVM_EXIT_VINTR, true);
	return event;
}

/* svm.c: AVIC on or off, and what goes with it */
void svm_avic(struct vcpu *v, bool on);

/* svm.c: before the next entry, no translation of the guest is kept */
void svm_flush(struct vcpu *v);

/* state.c */
void svm_import(struct vcpu *v, u64 groups);
void svm_export(struct vcpu *v, u64 groups);
bool svm_can_take(struct vcpu *v);
bool svm_inject(struct vcpu *v, u64 event, u64 length);
u64 svm_uninject(struct vcpu *v, u64 *length);
void svm_window(struct vcpu *v, unsigned class);
void svm_step(struct vcpu *v);
void svm_nmi_window(struct vcpu *v, bool on);

/* exit.c */
unsigned svm_exit(struct vcpu *v);
void svm_skip(struct vcpu *v);
void svm_enter(struct vcpu *v) __attribute__((noreturn));
