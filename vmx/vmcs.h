/* VT-x: VMCS fields, controls, exit reasons, MSRs and instructions (SDM vol. 3C, 25-28, 31, A, B).
 */
#pragma once

#include "kernel/abi/types.h"

/* Field encodings (appendix B). Segment fields: + 2 * index, in the order ES CS SS DS FS GS LDTR
 * TR. */
enum vmcs_field {
	VPID = 0x0000,
	POSTED_VECTOR = 0x0002,
	GUEST_SELECTOR = 0x0800,
	GUEST_INTERRUPT_STATUS = 0x0810,
	HOST_ES = 0x0c00,
	HOST_CS = 0x0c02,
	HOST_SS = 0x0c04,
	HOST_DS = 0x0c06,
	HOST_FS = 0x0c08,
	HOST_GS = 0x0c0a,
	HOST_TR = 0x0c0c,
	MSR_BITMAP = 0x2004,
	EXIT_MSR_STORE = 0x2006,
	EXIT_MSR_LOAD = 0x2008,
	ENTRY_MSR_LOAD = 0x200a,
	TSC_OFFSET = 0x2010,
	VIRTUAL_APIC = 0x2012,
	POSTED_DESCRIPTOR = 0x2016,
	EPT_POINTER = 0x201a,
	EOI_EXIT_BITMAP = 0x201c, /* + 2 * index */
	XSS_EXITING_BITMAP = 0x202c,
	GUEST_PHYSICAL = 0x2400,
	VMCS_LINK = 0x2800,
	GUEST_DEBUGCTL = 0x2802,
	GUEST_PAT = 0x2804,
	GUEST_EFER = 0x2806,
	GUEST_PDPTE = 0x280a, /* + 2 * index */
	HOST_PAT = 0x2c00,
	HOST_EFER = 0x2c02,
	PIN_CONTROLS = 0x4000,
	PROC_CONTROLS = 0x4002,
	EXCEPTION_BITMAP = 0x4004,
	PAGE_FAULT_MASK = 0x4006,
	PAGE_FAULT_MATCH = 0x4008,
	CR3_TARGET_COUNT = 0x400a,
	EXIT_CONTROLS = 0x400c,
	EXIT_MSR_STORE_COUNT = 0x400e,
	EXIT_MSR_LOAD_COUNT = 0x4010,
	ENTRY_CONTROLS = 0x4012,
	ENTRY_MSR_LOAD_COUNT = 0x4014,
	ENTRY_INFO = 0x4016,
	ENTRY_ERROR = 0x4018,
	ENTRY_LENGTH = 0x401a,
	TPR_THRESHOLD = 0x401c,
	PROC2_CONTROLS = 0x401e,
	PLE_GAP = 0x4020,
	PLE_WINDOW = 0x4022,
	INSTRUCTION_ERROR = 0x4400,
	EXIT_REASON = 0x4402,
	EXIT_INFO = 0x4404,
	EXIT_ERROR = 0x4406,
	VECTORING_INFO = 0x4408,
	VECTORING_ERROR = 0x440a,
	EXIT_LENGTH = 0x440c,
	EXIT_INSTRUCTION_INFO = 0x440e,
	GUEST_LIMIT = 0x4800,
	GUEST_GDTR_LIMIT = 0x4810,
	GUEST_IDTR_LIMIT = 0x4812,
	GUEST_RIGHTS = 0x4814,
	GUEST_INTERRUPTIBILITY = 0x4824,
	GUEST_ACTIVITY = 0x4826,
	PREEMPTION_TIMER = 0x482e,
	GUEST_SMBASE = 0x4828,
	GUEST_SYSENTER_CS = 0x482a,
	HOST_SYSENTER_CS = 0x4c00,
	CR0_MASK = 0x6000,
	CR4_MASK = 0x6002,
	CR0_SHADOW = 0x6004,
	CR4_SHADOW = 0x6006,
	QUALIFICATION = 0x6400,
	GUEST_LINEAR = 0x640a,
	GUEST_CR0 = 0x6800,
	GUEST_CR3 = 0x6802,
	GUEST_CR4 = 0x6804,
	GUEST_BASE = 0x6806,
	GUEST_GDTR_BASE = 0x6816,
	GUEST_IDTR_BASE = 0x6818,
	GUEST_DR7 = 0x681a,
	GUEST_RSP = 0x681c,
	GUEST_RIP = 0x681e,
	GUEST_RFLAGS = 0x6820,
	GUEST_PENDING_DEBUG = 0x6822,
	GUEST_SYSENTER_ESP = 0x6824,
	GUEST_SYSENTER_EIP = 0x6826,
	HOST_CR0 = 0x6c00,
	HOST_CR3 = 0x6c02,
	HOST_CR4 = 0x6c04,
	HOST_FS_BASE = 0x6c06,
	HOST_GS_BASE = 0x6c08,
	HOST_TR_BASE = 0x6c0a,
	HOST_GDTR_BASE = 0x6c0c,
	HOST_IDTR_BASE = 0x6c0e,
	HOST_SYSENTER_ESP = 0x6c10,
	HOST_SYSENTER_EIP = 0x6c12,
	HOST_RSP = 0x6c14,
	HOST_RIP = 0x6c16,
};

enum vmcs_segment {
	SEGMENT_ES = 0,
	SEGMENT_CS = 1,
	SEGMENT_GS = 5,
	SEGMENT_LDTR = 6,
	SEGMENT_TR = 7,
};
#define SEGMENT_FIELD(base, segment) ((enum vmcs_field)((base) + 2 * (segment)))

/* Pin-based controls (25.6.1) */
#define PIN_EXTERNAL_INTERRUPT BIT(0)
#define PIN_NMI                BIT(3)
#define PIN_VIRTUAL_NMIS       BIT(5)
#define PIN_PREEMPTION_TIMER   BIT(6)
#define PIN_POSTED             BIT(7) /* process posted interrupts */

/* Primary processor-based controls (25.6.2) */
#define PROC_INTERRUPT_WINDOW BIT(2)
#define PROC_TSC_OFFSET       BIT(3)
#define PROC_HLT              BIT(7)
#define PROC_MWAIT            BIT(10)
#define PROC_RDPMC            BIT(11)
#define PROC_TPR_SHADOW       BIT(21)
#define PROC_NMI_WINDOW       BIT(22)
#define PROC_UNCONDITIONAL_IO BIT(24)
#define PROC_MSR_BITMAPS      BIT(28)
#define PROC_MONITOR          BIT(29)
#define PROC_SECONDARY        BIT(31)

/* Secondary processor-based controls (25.6.2) */
#define PROC2_EPT          BIT(1)
#define PROC2_RDTSCP       BIT(3)
#define PROC2_X2APIC       BIT(4) /* virtualize x2APIC mode */
#define PROC2_VPID         BIT(5)
#define PROC2_WBINVD       BIT(6)
#define PROC2_UNRESTRICTED BIT(7)
#define PROC2_APIC_READS   BIT(8) /* APIC-register virtualization */
#define PROC2_DELIVERY     BIT(9) /* virtual-interrupt delivery */
#define PROC2_PAUSE_LOOP   BIT(10)
#define PROC2_INVPCID      BIT(12)
#define PROC2_XSAVES       BIT(20)

/* VM-exit controls (25.7.1) and VM-entry controls (25.8.1) */
#define EXIT_SAVE_DEBUG  BIT(2)
#define EXIT_HOST_64     BIT(9)
#define EXIT_ACKNOWLEDGE BIT(15) /* the exit takes the vector of an interrupt */
#define EXIT_SAVE_PAT    BIT(18)
#define EXIT_LOAD_PAT    BIT(19)
#define EXIT_SAVE_EFER   BIT(20)
#define EXIT_LOAD_EFER   BIT(21)
#define ENTRY_LOAD_DEBUG BIT(2)
#define ENTRY_IA32E      BIT(9)
#define ENTRY_LOAD_PAT   BIT(14)
#define ENTRY_LOAD_EFER  BIT(15)

/* Access rights of a segment (25.4.1) */
#define RIGHTS_ACCESSED BIT(0)
#define RIGHTS_BUSY     BIT(1) /* of a TSS */
#define RIGHTS_CODE     BIT(4) /* S: code or data, not system */
#define RIGHTS_LONG     BIT(13)
#define RIGHTS_GRANULAR BIT(15)
#define RIGHTS_UNUSABLE BIT(16)

/* Interruptibility (25.4.2) and pending debug exceptions */
#define BLOCK_STI        BIT(0)
#define BLOCK_MOV_SS     BIT(1)
#define BLOCK_NMI        BIT(3)
#define PENDING_DEBUG_BS BIT(14)

/* VM-entry and VM-exit interruption information, IDT-vectoring information (25.8.3, 25.9.2, 25.9.3)
 */
#define INTR_VECTOR               0xffull
#define INTR_TYPE                 (7ull << 8)
#define INTR_EXTERNAL             (0ull << 8)
#define INTR_NMI                  (2ull << 8)
#define INTR_HARD_EXCEPTION       (3ull << 8)
#define INTR_SOFT_INTERRUPT       (4ull << 8)
#define INTR_PRIVILEGED_EXCEPTION (5ull << 8) /* INT1 */
#define INTR_SOFT_EXCEPTION       (6ull << 8) /* INT3, INTO */
#define INTR_ERROR                BIT(11)
#define INTR_NMI_UNBLOCKED        BIT(12) /* exit: an IRET had just ended the blocking of NMIs */
#define INTR_VALID                BIT(31)

/* Exit reasons (appendix C) */
enum exit_reason {
	REASON_EXCEPTION = 0,
	REASON_INTERRUPT = 1,
	REASON_TRIPLE_FAULT = 2,
	REASON_INIT = 3,
	REASON_INTERRUPT_WINDOW = 7,
	REASON_NMI_WINDOW = 8,
	REASON_TASK_SWITCH = 9,
	REASON_CPUID = 10,
	REASON_GETSEC = 11,
	REASON_HLT = 12,
	REASON_INVD = 13,
	REASON_INVLPG = 14,
	REASON_RDPMC = 15,
	REASON_RDTSC = 16,
	REASON_VMCALL = 18,
	REASON_VMCLEAR = 19,
	REASON_VMXON = 27,
	REASON_CR = 28,
	REASON_IO = 30,
	REASON_RDMSR = 31,
	REASON_WRMSR = 32,
	REASON_MWAIT = 36,
	REASON_MONITOR = 39,
	REASON_PAUSE = 40,
	REASON_ENTRY_MCE = 41,
	REASON_TPR = 43,
	REASON_EOI = 45,
	REASON_GDTR_IDTR = 46,
	REASON_LDTR_TR = 47,
	REASON_EPT_VIOLATION = 48,
	REASON_EPT_MISCONFIGURATION = 49,
	REASON_INVEPT = 50,
	REASON_RDTSCP = 51,
	REASON_PREEMPTION_TIMER = 52,
	REASON_INVVPID = 53,
	REASON_WBINVD = 54,
	REASON_XSETBV = 55,
	REASON_INVPCID = 58,
	REASON_COUNT = 64,
};
#define REASON_NUMBER        0xffffull
#define REASON_ENTRY_FAILURE BIT(31)

/* Exit qualifications (28.2.1) */
#define CR_NUMBER(q) ((q)&0xf)
#define CR_TYPE(q)   ((q) >> 4 & 3)
#define CR_GPR(q)    ((q) >> 8 & 0xf)
#define CR_TYPE_TO   0

#define IO_SIZE(q) (((q)&7) + 1) /* bytes */
#define IO_IN      BIT(3)
#define IO_STRING  BIT(4)
#define IO_REP     BIT(5)
#define IO_PORT(q) ((q) >> 16 & 0xffff)
/* VM-exit instruction information of INS and OUTS (28.2.5) */
#define IO_ADDRESS_SIZE(i) (2u << ((i) >> 7 & 7)) /* bytes */
#define IO_SEGMENT(i)      ((i) >> 15 & 7)

#define EPT_READ          BIT(0)
#define EPT_WRITE         BIT(1)
#define EPT_FETCH         BIT(2)
#define EPT_LINEAR        BIT(7) /* the guest-linear address is valid */
#define EPT_TRANSLATED    BIT(8) /* the access was to its translation, not by the page walk */
#define EPT_NMI_UNBLOCKED BIT(12)

#define TASK_SELECTOR(q) ((q)&0xffff)
#define TASK_SOURCE(q)   ((q) >> 30 & 3)

/* Capability MSRs (appendix A) */
#define MSR_VMX_BASIC      0x480
#define MSR_VMX_CR0_FIXED0 0x486
#define MSR_VMX_CR0_FIXED1 0x487
#define MSR_VMX_CR4_FIXED0 0x488
#define MSR_VMX_CR4_FIXED1 0x489
#define MSR_VMX_PROC2      0x48b
#define MSR_VMX_EPT_VPID   0x48c
#define MSR_VMX_MISC       0x485
#define MSR_VMX_TRUE_PIN   0x48d
#define MSR_VMX_TRUE_PROC  0x48e
#define MSR_VMX_TRUE_EXIT  0x48f
#define MSR_VMX_TRUE_ENTRY 0x490

#define BASIC_REVISION    0x7fffffffull
#define BASIC_STRING_INFO BIT(54)
#define BASIC_TRUE        BIT(55)

#define CAP_EPT_WALK_4     BIT(6)
#define CAP_EPT_WB         BIT(14)
#define CAP_EPT_2M         BIT(16)
#define CAP_EPT_1G         BIT(17)
#define CAP_INVEPT         BIT(20)
#define CAP_INVEPT_SINGLE  BIT(25)
#define CAP_INVEPT_ALL     BIT(26)
#define CAP_INVVPID        BIT(32)
#define CAP_INVVPID_SINGLE BIT(41)
#define CAP_INVVPID_ALL    BIT(42)
#define EPTP_WB            6ull
#define EPTP_WALK_4        (3ull << 3)
#define VPID_MAX           0xffffu

#define FEATURE_LOCKED          BIT(0)
#define FEATURE_VMX_OUTSIDE_SMX BIT(2)

enum invalidation { /* types of INVEPT and INVVPID (31.3) */
	INVALIDATE_SINGLE = 1,
	INVALIDATE_ALL = 2,
};

/* An entry of a VM-entry or VM-exit MSR list (25.7.2). */
struct msr_entry {
	u32 index, reserved;
	u64 value;
};
static_assert(sizeof(struct msr_entry) == 16);

/* What INVEPT (EPTP, 0) and INVVPID (VPID, linear address) take. */
struct invalidation_descriptor {
	u64 context, address;
};

/*
 * VMREAD and VMWRITE fail only without a current VMCS or on a field that the processor has not.
 * Both would be bugs of this folder that the next entry reports, so the flags are not looked at.
 */
static inline u64 vmread(enum vmcs_field field)
{
	u64 value;

	__asm__ volatile("vmread %1, %0" : "=rm"(value) : "r"((u64)field) : "cc");
	return value;
}

static inline void vmwrite(enum vmcs_field field, u64 value)
{
	__asm__ volatile("vmwrite %0, %1" : : "rm"(value), "r"((u64)field) : "cc");
}

#define DEFINE_VMX_POINTER(instruction)                                                            \
	static inline bool instruction(paddr_t pa)                                                 \
	{                                                                                          \
		bool failed;                                                                       \
		__asm__ volatile(#instruction " %1; setna %0"                                      \
				 : "=qm"(failed)                                                   \
				 : "m"(pa)                                                         \
				 : "cc", "memory");                                                \
		return !failed;                                                                    \
	}
DEFINE_VMX_POINTER(vmxon)
DEFINE_VMX_POINTER(vmclear)
DEFINE_VMX_POINTER(vmptrld)

static inline void invept(enum invalidation type, u64 eptp)
{
	struct invalidation_descriptor d = {eptp, 0};

	__asm__ volatile("invept %0, %1" : : "m"(d), "r"((u64)type) : "cc", "memory");
}

static inline void invvpid(enum invalidation type, u64 vpid)
{
	struct invalidation_descriptor d = {vpid, 0};

	__asm__ volatile("invvpid %0, %1" : : "m"(d), "r"((u64)type) : "cc", "memory");
}
