/* What the files of the VT-x backend share. */
#pragma once

#include "kernel/kernel.h"
#include "kernel/vcpu.h"
#include "vmx/entry.h"
#include "vmx/vmcs.h"

/*
 * MSRs that the hardware switches by list at each entry and exit: SYSCALL's, and what ring 3 and
 * guest share. SPEC_CTRL comes last, only while the guest's value is not the host's.
 */
struct switched_msr {
	u32 index;
	u32 run_offset; /* of its value in the run page */
};
#define SWITCHED_ALWAYS    5
#define SWITCHED_SPEC_CTRL 5
#define SWITCHED_COUNT     6
extern const struct switched_msr switched_msrs[SWITCHED_COUNT];

/* What the processors have; the same on all. */
struct vmx_machine {
	u64 basic, ept_vpid;
	u64 cr4_guest; /* bits of CR4 that a guest may set */
	u32 pin, proc, proc2, exit, entry;
};
extern struct vmx_machine vmx_machine;

/* cpu->hw */
struct vmx_cpu {
	struct msr_entry host[SWITCHED_COUNT]; /* VM-exit MSR-load list; 16-byte aligned */
	struct descriptor_table gdt;           /* an exit leaves a limit of 0xffff */
	u8 *tss_type; /* byte of the TSS descriptor that holds the busy bit */
};

/* vcpu->backend */
struct vmx_vcpu {
	u64 refused;             /* RFLAGS after an entry that VMfailed, else 0; entry.S */
	struct cpu *home;        /* whose host state the VMCS holds, and whose VPID vcpu->asid is */
	struct msr_entry *guest; /* VM-entry MSR-load list, and VM-exit MSR-store list */
	u64 host_cr3, host_fs_base, rsp; /* as in the VMCS */
	u64 cstar;                       /* no VT-x processor uses it */
	u32 proc;                        /* PROC_CONTROLS */
	u32 injected;                    /* ENTRY_INFO that no entry has taken yet, or 0 */
	u32 exceptions;
	u8 threshold; /* TPR_THRESHOLD */
	u8 host_ts;   /* CR0.TS in HOST_CR0 */
	bool launched, initialised;
};

static_assert(sizeof(struct vmx_vcpu) <= sizeof(((struct vcpu *)0)->backend));
static_assert(offsetof(struct vcpu, run) == ENTRY_VCPU_RUN);
static_assert(offsetof(struct vcpu, guest_cr2) == ENTRY_VCPU_CR2);
static_assert(
	offsetof(struct vcpu, backend) + offsetof(struct vmx_vcpu, refused) == ENTRY_VCPU_REFUSED);
static_assert(offsetof(struct run_page, gpr) == ENTRY_RUN_GPR);

static inline struct vmx_vcpu *vmx_of(struct vcpu *v)
{
	return (struct vmx_vcpu *)v->backend;
}

static inline u64 vmx_eptp(const struct vm *vm)
{
	return vm->space.ptable.root | EPTP_WALK_4 | EPTP_WB;
}

/* What the hardware does of a local APIC: all of it or nothing. */
#define PROC2_APIC ((u32)(PROC2_X2APIC | PROC2_APIC_READS | PROC2_DELIVERY))

/* CR0 bits that the guest does not own: VMX wants NE; entries and exits leave CD and NW as they are
 * (27.3.2.1). */
#define CR0_HOST (CR0_NE | CR0_NW | CR0_CD)

/* The guest does not own what it may not set, and MCE, without which a machine check would shut the
 * processor down. */
#define CR4_HOST   (~vmx_machine.cr4_guest | CR4_MCE)
#define CR4_FORCED (CR4_VMXE | CR4_MCE)

/* enable.c */
extern u8 vmx_msr_bitmaps[2]
			 [PAGE_SIZE]; /* the second: for vCPUs whose x2APIC the hardware serves */

/* vcpu.c */
void vmx_flush(struct vcpu *v);
status_t vmx_vcpu_init(struct vcpu *v);
void vmx_vcpu_free(struct vcpu *v);
void vmx_load(struct vcpu *v);
void vmx_unload(struct vcpu *v);
void vmx_enter_guest(struct vcpu *v) __attribute__((noreturn));

/* state.c */
void vmx_import(struct vcpu *v, u64 groups);
void vmx_export(struct vcpu *v, u64 groups);
void vmx_skip(struct vcpu *v);

/* event.c */
bool vmx_can_take(struct vcpu *v);
bool vmx_inject(struct vcpu *v, u64 event, u64 length);
u64 vmx_uninject(struct vcpu *v, u64 *length);
void vmx_window(struct vcpu *v, unsigned class);
void vmx_nmi_window(struct vcpu *v, bool on);
void vmx_inject_raw(struct vcpu *v, u32 info, u32 error, u32 length);
bool vmx_sync_apic(struct vcpu *v);
bool vmx_post(struct vcpu *v);
void vmx_take_back(struct vcpu *v, u32 vectoring);

/* exit.c */
unsigned vmx_exit(struct vcpu *v);

/* entry.S */
void vmx_enter(struct vcpu *v, bool launched) __attribute__((noreturn));
extern char vmx_exited[];
