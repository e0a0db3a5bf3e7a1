/* The virtual machine control block (APM vol. 2, appendix B), its bits, and the exit codes
 * (appendix C). */
#pragma once

#include "kernel/abi/run.h"

struct vmcb {
	u32 intercept[6]; /* bit n % 32 of word n / 32: exit code n (B.1, C) */
	u8 reserved1[0x3e - 0x18];
	u16 pause_count;
	u64 iopm_base, msrpm_base, tsc_offset;
	u32 asid;
	u8 tlb_control;
	u8 reserved2[3];
	u64 vintr, shadow, exit_code, exit_info1, exit_info2, exit_int_info, nested_control;
	u8 reserved3[0xa8 - 0x98];
	u64 event_inject, nested_cr3;
	u8 reserved4[0xd0 - 0xb8];
	u8 byte_count;
	u8 bytes[15];
	u64 apic_page, reserved5, logical_apic_ids, physical_apic_ids;
	u8 reserved13[0x400 - 0x100];

	/* state save area; the run page has its form of a segment from here */
	union {
		struct {
			struct run_segment es, cs, ss, ds, fs, gs;
		};
		struct run_segment segment[6];
	};
	struct run_segment gdtr, ldtr, idtr, tr;
	u8 reserved6[0x4cb - 0x4a0];
	u8 cpl;
	u32 reserved7;
	u64 efer;
	u8 reserved8[0x548 - 0x4d8];
	u64 cr4, cr3, cr0, dr7, dr6, rflags, rip;
	u8 reserved9[0x5d8 - 0x580];
	u64 rsp;
	u8 reserved10[0x5f8 - 0x5e0];
	u64 rax, star, lstar, cstar, sfmask, kernel_gs_base;
	u64 sysenter_cs, sysenter_esp, sysenter_eip, cr2;
	u8 reserved11[0x668 - 0x648];
	u64 pat;
	u8 reserved12[0x1000 - 0x670];
};
static_assert(sizeof(struct vmcb) == 4096);
static_assert(offsetof(struct vmcb, iopm_base) == 0x40);
static_assert(offsetof(struct vmcb, exit_code) == 0x70);
static_assert(offsetof(struct vmcb, event_inject) == 0xa8);
static_assert(offsetof(struct vmcb, byte_count) == 0xd0);
static_assert(offsetof(struct vmcb, physical_apic_ids) == 0xf8);
static_assert(offsetof(struct vmcb, es) == 0x400);
static_assert(offsetof(struct vmcb, cpl) == 0x4cb);
static_assert(offsetof(struct vmcb, efer) == 0x4d0);
static_assert(offsetof(struct vmcb, cr4) == 0x548);
static_assert(offsetof(struct vmcb, rip) == 0x578);
static_assert(offsetof(struct vmcb, rsp) == 0x5d8);
static_assert(offsetof(struct vmcb, rax) == 0x5f8);
static_assert(offsetof(struct vmcb, cr2) == 0x640);
static_assert(offsetof(struct vmcb, pat) == 0x668);

/*
 * Word SVM_EXIT_EXCEPTION / 32 of intercept[]: #DB and #AC always exit, for a guest can make their
 * delivery raise them again without end, in which time the processor takes no interrupt; #MC is the
 * host's.
 */
#define SVM_EXCEPTIONS_ALWAYS ((u32)(BIT(1) | BIT(17) | BIT(18)))

#define TLB_KEEP       0
#define TLB_FLUSH_ALL  1
#define TLB_FLUSH_ASID 3

#define VINTR_TPR_MASK   0xffull
#define VINTR_IRQ        BIT(8)
#define VINTR_IGNORE_TPR BIT(20)
#define VINTR_MASKING    BIT(24)
#define VINTR_VECTOR(v)  ((u64)(u8)(v) << 32)
#define VINTR_AVIC       (BIT(31) | BIT(30)) /* AVIC, and in x2APIC mode */

#define VMCB_SHADOW      BIT(0)
#define NESTED_PAGING    BIT(0)
#define NPF_WRITE        BIT(1)
#define NPF_FETCH        BIT(4)
#define NPF_WALK         BIT(33)
#define NOACCEL_WRITE(i) ((i)&BIT(32) ? (i)&0xff0 : 0) /* the register, if it was written */
#define IOIO_IN          BIT(0)
#define IOIO_STRING      BIT(2)
#define IOIO_REP         BIT(3)
#define IOIO_SIZE(i)     ((i) >> 4 & 7)
#define IOIO_ADDRESS(i)  ((i) >> 7 & 7)
#define IOIO_SEGMENT(i)  ((i) >> 10 & 7)
#define TASK_IS_IRET     BIT(36)
#define TASK_IS_JMP      BIT(38)
#define TASK_ERROR       BIT(44)

enum svm_exit {
	SVM_EXIT_CR0_WRITE = 0x10, /* + number */
	SVM_EXIT_EXCEPTION = 0x40, /* + vector */
	SVM_EXIT_INTR = 0x60,
	SVM_EXIT_NMI = 0x61,
	SVM_EXIT_SMI = 0x62,
	SVM_EXIT_INIT = 0x63,
	SVM_EXIT_VINTR = 0x64,
	SVM_EXIT_RDPMC = 0x6f,
	SVM_EXIT_CPUID = 0x72,
	SVM_EXIT_IRET = 0x74,
	SVM_EXIT_INVD = 0x76,
	SVM_EXIT_PAUSE = 0x77,
	SVM_EXIT_HLT = 0x78,
	SVM_EXIT_INVLPGA = 0x7a,
	SVM_EXIT_IOIO = 0x7b,
	SVM_EXIT_MSR = 0x7c,
	SVM_EXIT_TASK_SWITCH = 0x7d,
	SVM_EXIT_FERR = 0x7e,
	SVM_EXIT_SHUTDOWN = 0x7f,
	SVM_EXIT_VMRUN = 0x80,
	SVM_EXIT_VMMCALL = 0x81,
	SVM_EXIT_VMLOAD = 0x82,
	SVM_EXIT_VMSAVE = 0x83,
	SVM_EXIT_STGI = 0x84,
	SVM_EXIT_CLGI = 0x85,
	SVM_EXIT_SKINIT = 0x86,
	SVM_EXIT_WBINVD = 0x89,
	SVM_EXIT_MONITOR = 0x8a,
	SVM_EXIT_MWAIT = 0x8b,
	SVM_EXIT_XSETBV = 0x8d,
	SVM_EXIT_NPF = 0x400,
	SVM_EXIT_AVIC_NOACCEL = 0x402,
	SVM_EXIT_INVALID = -1,
};
