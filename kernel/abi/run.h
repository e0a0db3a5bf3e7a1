/*
 * The run page: how a VMM and the kernel share a vcpu.
 *
 * vcpu_run reads what the VMM changed, enters the guest, and returns with a normalised exit. The
 * same page and the same exits serve VT-x and AMD-V. The page and the APIC page after it are frames
 * of the kernel's that both sides write, so each side treats what it reads there as the other's
 * word, checks it, and reads it once.
 *
 * Registers come in groups. The general registers are always current in gpr[]. `export[kind]` tells
 * the kernel which other groups to write at an exit of that kind; `valid` says which it did write;
 * others are fetched with VCPU_CTL_FETCH. All are 0 and dirty in the page of a new vcpu. The VMM
 * sets a group's bit in `dirty` after it changed a field; the kernel clears it when it has taken
 * the group over. Values that the hardware would refuse lead to EXIT_ENTRY_FAILED, never to harm.
 */
#pragma once

#include "syscall.h"

enum exit_kind {
	EXIT_NONE = 0,   /* no exit: an event or the deadline ended vcpu_run */
	EXIT_IO = 1,     /* io */
	EXIT_MEMORY = 2, /* memory: nested page fault on unmapped or protected memory */
	EXIT_CPUID = 3,
	EXIT_RDMSR = 4, /* number in RCX, result to RAX and RDX */
	EXIT_WRMSR = 5,
	EXIT_HLT = 6,           /* only without RUN_HLT_WAIT */
	EXIT_CR = 7,            /* cr: an access that the kernel does not do itself */
	EXIT_DR = 8,            /* not used so far */
	EXIT_HYPERCALL = 9,     /* VMCALL or VMMCALL */
	EXIT_WINDOW = 10,       /* RUN_WINDOW was set, and the guest can take an interrupt */
	EXIT_SHUTDOWN = 11,     /* triple fault */
	EXIT_EXCEPTION = 12,    /* exception: one of RUN exceptions mask */
	EXIT_INSTRUCTION = 13,  /* instruction: one that the guest machine does not have or that
				   needs the VMM */
	EXIT_ENTRY_FAILED = 14, /* failed: hardware refused the guest's state */
	EXIT_TASK_SWITCH = 15,  /* task */
	EXIT_XSETBV = 16,       /* RCX, RDX:RAX */
	EXIT_WBINVD = 17,       /* also INVD */
	EXIT_PAUSE = 18,
	EXIT_EOI = 19,     /* eoi: RUN_X2APIC, and the guest ended a vector of TMR; ISR has it no
			      more, and RIP is behind the instruction */
	EXIT_INIT = 20,    /* INIT signal */
	EXIT_UNKNOWN = 21, /* failed.reason holds the hardware's exit code */
	EXIT_KIND_COUNT = 22,
};

/* enum exit_instruction: EXIT_INSTRUCTION's sub-kind */
enum exit_instruction {
	INSTR_VMX_SVM = 1, /* VMXON, VMRUN, ... : #UD */
	INSTR_MONITOR = 2,
	INSTR_MWAIT = 3,
	INSTR_RDPMC = 4,
	INSTR_RDTSC = 5,
	INSTR_RDTSCP = 6,
	INSTR_INVLPG = 7,
	INSTR_DESCRIPTOR = 8,
	INSTR_OTHER = 9,
};

/* Register groups: bits of export[], valid, dirty */
#define GROUP_RIP BIT(0) /* rip rflags shadow activity */
#define GROUP_CR  BIT(1) /* cr0 cr2 cr3 cr4 efer */
#define GROUP_SEG BIT(2) /* es cs ss ds fs gs */
#define GROUP_SYS BIT(3) /* ldtr tr gdtr idtr */
#define GROUP_DR  BIT(4) /* dr[0-3] dr6 dr7 */
#define GROUP_MSR BIT(5) /* star ... spec_ctrl */
#define GROUP_TSC BIT(6) /* tsc_offset */
#define GROUP_XCR BIT(7) /* xcr0 */
/* the VMM changed IRR, ISR or TPR of the APIC page: deliver anew (dirty only) */
#define GROUP_APIC    BIT(8)
#define GROUP_INJECT  BIT(9)  /* inject (dirty only) */
#define GROUP_CONTROL BIT(10) /* flags, exceptions, timer (dirty only) */
#define GROUP_FLUSH   BIT(11) /* drop the guest's translations before the entry (dirty only) */
#define GROUP_ALL_REG 0xffull

/* run_page.flags */
/* HLT waits in the kernel for a deliverable vector, an event or the deadline */
#define RUN_HLT_WAIT   BIT(0)
#define RUN_WINDOW     BIT(1) /* exit as soon as the guest can take an external interrupt */
#define RUN_NMI_WINDOW BIT(2) /* exit (EXIT_WINDOW) as soon as it can take an NMI */
/* exit (EXIT_PAUSE) from a loop of PAUSEs, or from each where the hardware does not count them;
 * never where it cannot */
#define RUN_PAUSE_EXIT BIT(4)
/* the guest may end an interrupt without the APIC page's knowing: as with RUN_WINDOW, exit instead
 * of delivering while a vector is in service, when several are requested, or a level-triggered one;
 * not where hardware delivers */
#define RUN_EOI_SKIP BIT(5)
/* the guest's APIC is in x2APIC mode: hardware that can may serve RDMSR from the APIC page, and
 * WRMSR of TPR, EOI and SELF IPI (then EXIT_EOI tells the ends that concern the VMM), where they
 * would be EXIT_RDMSR and EXIT_WRMSR */
#define RUN_X2APIC BIT(6)
/* hardware that can may take vectors over while the guest runs (posted interrupts), and deliver
 * them in x2APIC mode (AVIC): see `hardware` of struct msg_machine */
#define RUN_HARDWARE BIT(7)

/* run_page.shadow: interruptibility */
#define SHADOW_STI    BIT(0) /* the instruction after STI or MOV SS: no interrupts */
#define SHADOW_MOV_SS BIT(1)
#define SHADOW_NMI    BIT(2) /* in an NMI handler: no NMIs before IRET */

enum run_activity {
	ACTIVITY_ACTIVE = 0,
	ACTIVITY_HLT = 1, /* RIP is behind the HLT */
};

/* inject: what to deliver at the next entry; the layout of VMCB EVENTINJ (APM vol. 2, 15.20) */
#define INJECT_VECTOR(v)   ((u64)(v))
#define INJECT_TYPE_INTR   (0ull << 8) /* external interrupt */
#define INJECT_TYPE_NMI    (2ull << 8)
#define INJECT_TYPE_EXCEPT (3ull << 8) /* hardware exception */
#define INJECT_TYPE_SOFT   (4ull << 8) /* INT n; inject_length is the instruction's length */
#define INJECT_TYPE_MASK   (7ull << 8)
#define INJECT_ERROR       BIT(11) /* bits 63:32 are an error code to push */
#define INJECT_VALID       BIT(31)

struct run_segment {
	u16 selector;
	u16 attributes; /* VMCB form: type S DPL P (7:0), AVL L D G (11:8); P clear: unusable */
	u32 limit;      /* bytes, expanded */
	u64 base;
};
static_assert(sizeof(struct run_segment) == 16);

enum exit_task_source { /* as VT-x numbers them (SDM vol. 3, table 28-2) */
	TASK_CALL = 0,
	TASK_IRET = 1,
	TASK_JMP = 2,
	TASK_EVENT = 3, /* a task gate in the IDT */
};

#define EXIT_CR_DECODE 3 /* cr.special: a MOV to cr.number; the rest is not known, decode it */

#define EXIT_IO_IN     BIT(0)
#define EXIT_IO_STRING BIT(1)
#define EXIT_IO_REP    BIT(2)

#define EXIT_ACCESS_READ  BIT(0)
#define EXIT_ACCESS_WRITE BIT(1)
#define EXIT_ACCESS_EXEC  BIT(2)
#define EXIT_ACCESS_WALK  BIT(3) /* the access was made by the guest's own page walk */
#define EXIT_ACCESS_GLA   BIT(4) /* gla is valid */

/* The first 64 bytes are a posted-interrupt descriptor (SDM vol. 3, 30.6). */
struct run_pending {
	u64 vector[4]; /* bit v: vector v is requested, edge-triggered */
	u64 control;   /* bit 0: outstanding notification: set after a vector bit */
	u64 reserved[3];
	u64 level[4]; /* as vector[], level-triggered: TMR follows when they reach IRR */
};
static_assert(offsetof(struct run_pending, level) == 64);

struct run_page {
	/* written by the VMM */
	u64 dirty;        /* GROUP_*: fields that the VMM changed since the last vcpu_run */
	u64 flags;        /* RUN_* */
	u32 exceptions;   /* bit v: exception v exits (EXIT_EXCEPTION) instead of going to the guest
			   */
	u32 timer_vector; /* 16-255 */
	u64 timer; /* host TSC at which the kernel makes timer_vector pending and sets this to 0; 0:
		      off */
	u64 inject; /* INJECT_*; stays until the hardware took it; then 0 */
	u64 inject_length;

	/* written by the kernel at an exit */
	u64 sequence;    /* counts exits that were returned */
	u64 valid;       /* GROUP_* that are current in this page */
	u32 exit_kind;   /* enum exit_kind */
	u32 exit_length; /* length in bytes of the instruction that exited; 0: not known, decode it
			  */
	union {
		struct {
			u16 port;
			u8 size;         /* bytes: 1, 2, 4 */
			u8 flags;        /* EXIT_IO_* */
			u8 segment;      /* string: segment register, 0-5 = ES CS SS DS FS GS */
			u8 address_size; /* string: 2, 4, 8 bytes; 0 if the hardware did not say */
		} io;
		struct {
			u64 gpa;
			u64 gla;
			u64 access;    /* EXIT_ACCESS_* */
			u8 byte_count; /* instruction bytes that the hardware gave, 0-15 */
			u8 bytes[15];
		} memory;
		struct {
			u8 number; /* 0, 3, 4, 8 */
			u8 write;
			u8 gpr;     /* index of gpr[] */
			u8 special; /* 0; 1: CLTS, 2: LMSW; EXIT_CR_DECODE */
			u32 reserved;
			u64 value; /* what would be written; of LMSW, its operand */
		} cr;
		struct {
			u32 vector;
			u32 error;
			u64 address; /* CR2 or DR6 */
		} exception;
		struct {
			u32 vector;
		} eoi;
		struct {
			u32 which; /* enum exit_instruction */
		} instruction;
		struct {
			u64 reason; /* the hardware's exit or error code, for a report */
			u64 detail;
		} failed;
		struct {
			u16 selector;   /* of the new task's TSS */
			u8 source;      /* enum exit_task_source */
			u8 error_valid; /* the new task gets an error code */
			u32 error;
			u64 event; /* TASK_EVENT: what was to be delivered, as in inject, which
				      does not hold it any more; else 0 */
			u8 soft;   /* TASK_EVENT: an instruction at RIP made it: INT n, INT3, INTO
				    */
		} task;
		u64 raw[6];
	} exit;

	/* registers */
	u64 gpr[16];                  /* RAX RCX RDX RBX RSP RBP RSI RDI R8-R15; always current */
	u64 rip, rflags;              /* GROUP_RIP; and the next two */
	u32 shadow;                   /* SHADOW_* */
	u32 activity;                 /* enum run_activity */
	u64 cr0, cr2, cr3, cr4, efer; /* GROUP_CR */
	union {
		struct {
			struct run_segment es, cs, ss, ds, fs, gs; /* GROUP_SEG */
		};
		struct run_segment segment[6];
	};
	struct run_segment ldtr, tr;   /* GROUP_SYS */
	struct run_segment gdtr, idtr; /* base and limit only */
	u64 dr[4], dr6, dr7;           /* GROUP_DR */
	/* GROUP_MSR */
	u64 star, lstar, cstar, sfmask, kernel_gs_base;
	u64 sysenter_cs, sysenter_esp, sysenter_eip, pat, tsc_aux, spec_ctrl;
	u64 tsc_offset; /* GROUP_TSC: guest TSC = host TSC + offset */
	u64 xcr0;       /* GROUP_XCR */

	u64 export[EXIT_KIND_COUNT]; /* written by the VMM: GROUP_* to export at each kind of exit
				      */

	struct run_pending pending __attribute__((aligned(64)));
};
static_assert(sizeof(struct run_page) <= 4096);
static_assert(offsetof(struct run_page, pending) % 64 == 0);

/* Message page of VCPU_CTL_STATS. */
struct msg_vcpu_stats {
	u64 exits[EXIT_KIND_COUNT]; /* returned to the VMM, by kind */
	u64 doorbells;              /* handled in the kernel, no return */
	u64 interrupts;             /* host interrupts while the guest ran */
	u64 windows;                /* interrupt windows */
	u64 halts;                  /* HLTs that waited in the kernel */
	u64 injections;             /* interrupts delivered by the kernel */
	u64 entries;                /* VM entries */
	u64 outside;                /* cycles that the thread ran from VM exits to VM entries, in
				       the VMM and the kernel: one in 64 is measured */
};
