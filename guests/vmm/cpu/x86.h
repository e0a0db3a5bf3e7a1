/* Registers, bits, vectors and MSR numbers of the guest's processor (SDM vol. 3 ch. 2, 4, 6; vol.
 * 4). */
#pragma once

#include "kernel/abi/types.h"

/* gpr[] of the run page */
enum gpr {
	RAX,
	RCX,
	RDX,
	RBX,
	RSP,
	RBP,
	RSI,
	RDI,
};

#define CR0_PE BIT(0)
#define CR0_MP BIT(1)
#define CR0_EM BIT(2)
#define CR0_TS BIT(3)
#define CR0_ET BIT(4)
#define CR0_NE BIT(5)
#define CR0_WP BIT(16)
#define CR0_AM BIT(18)
#define CR0_NW BIT(29)
#define CR0_CD BIT(30)
#define CR0_PG BIT(31)

#define CR4_VME        BIT(0)
#define CR4_PVI        BIT(1)
#define CR4_TSD        BIT(2)
#define CR4_DE         BIT(3)
#define CR4_PSE        BIT(4)
#define CR4_PAE        BIT(5)
#define CR4_MCE        BIT(6)
#define CR4_PGE        BIT(7)
#define CR4_PCE        BIT(8)
#define CR4_OSFXSR     BIT(9)
#define CR4_OSXMMEXCPT BIT(10)
#define CR4_UMIP       BIT(11)
#define CR4_LA57       BIT(12)
#define CR4_FSGSBASE   BIT(16)
#define CR4_PCIDE      BIT(17)
#define CR4_OSXSAVE    BIT(18)
#define CR4_SMEP       BIT(20)
#define CR4_SMAP       BIT(21)

#define CR3_PCID_MASK 0xfffull
#define CR3_NO_FLUSH  BIT(63) /* of a MOV to CR3 with CR4.PCIDE; not kept */

#define EFER_SCE   BIT(0)
#define EFER_LME   BIT(8)
#define EFER_LMA   BIT(10)
#define EFER_NXE   BIT(11)
#define EFER_FFXSR BIT(14)

#define RFLAGS_FIXED BIT(1)
#define RFLAGS_TF    BIT(8)
#define RFLAGS_IF    BIT(9)
#define RFLAGS_DF    BIT(10)
#define RFLAGS_RF    BIT(16)
#define RFLAGS_VM    BIT(17)
#define RFLAGS_AC    BIT(18)

#define DR6_FIXED 0xffff0ff0ull
#define DR6_BS    BIT(14)
#define DR7_FIXED 0x400ull

#define VECTOR_DE  0
#define VECTOR_DB  1
#define VECTOR_NMI 2
#define VECTOR_UD  6
#define VECTOR_DF  8
#define VECTOR_TS  10
#define VECTOR_NP  11
#define VECTOR_SS  12
#define VECTOR_GP  13
#define VECTOR_PF  14

#define PF_PRESENT  BIT(0) /* error code of #PF */
#define PF_WRITE    BIT(1)
#define PF_USER     BIT(2)
#define PF_RESERVED BIT(3)
#define PF_FETCH    BIT(4)

/* run_segment.attributes */
#define SEGMENT_TYPE_MASK  0xfu
#define SEGMENT_CODE_TYPE  0xbu /* execute, read, accessed */
#define SEGMENT_DATA_TYPE  0x3u /* read, write, accessed */
#define SEGMENT_TSS32_TYPE 0xbu /* busy 32-bit TSS */
#define SEGMENT_LDT_TYPE   0x2u
#define SEGMENT_S          BIT(4)
#define SEGMENT_DPL_SHIFT  5
#define SEGMENT_P          BIT(7)
#define SEGMENT_L          BIT(9)
#define SEGMENT_DB         BIT(10)
#define SEGMENT_G          BIT(11)

#define XCR0_X87       BIT(0)
#define XCR0_SSE       BIT(1)
#define XCR0_AVX       BIT(2)
#define XCR0_OPMASK    BIT(5)
#define XCR0_ZMM_HIGH  BIT(6)
#define XCR0_ZMM_16_31 BIT(7)
#define XCR0_AVX512    (XCR0_OPMASK | XCR0_ZMM_HIGH | XCR0_ZMM_16_31)

#define MSR_TSC             0x10
#define MSR_KVM_WALL_OLD    0x11
#define MSR_KVM_SYSTEM_OLD  0x12
#define MSR_PLATFORM_ID     0x17
#define MSR_APIC_BASE       0x1b
#define MSR_TSC_ADJUST      0x3b
#define MSR_BIOS_SIGN_ID    0x8b
#define MSR_PLATFORM_INFO   0xce
#define MSR_MTRR_CAP        0xfe
#define MSR_SYSENTER_CS     0x174
#define MSR_SYSENTER_ESP    0x175
#define MSR_SYSENTER_EIP    0x176
#define MSR_MCG_CAP         0x179
#define MSR_MCG_STATUS      0x17a
#define MSR_MISC_ENABLE     0x1a0
#define MSR_MTRR_VARIABLE   0x200 /* base and mask of each */
#define MSR_MTRR_FIXED_64K  0x250
#define MSR_MTRR_FIXED_16K  0x258
#define MSR_MTRR_FIXED_4K   0x268
#define MSR_PAT             0x277
#define MSR_MTRR_DEFAULT    0x2ff
#define MSR_TSC_DEADLINE    0x6e0
#define MSR_X2APIC_FIRST    0x800
#define MSR_X2APIC_EOI      0x80b
#define MSR_X2APIC_LAST     0x83f
#define MSR_KVM_WALL        0x4b564d00
#define MSR_KVM_SYSTEM      0x4b564d01
#define MSR_KVM_STEAL_TIME  0x4b564d03
#define MSR_KVM_PV_EOI      0x4b564d04
#define MSR_EFER            0xc0000080
#define MSR_STAR            0xc0000081
#define MSR_LSTAR           0xc0000082
#define MSR_CSTAR           0xc0000083
#define MSR_SFMASK          0xc0000084
#define MSR_FS_BASE         0xc0000100
#define MSR_GS_BASE         0xc0000101
#define MSR_KERNEL_GS_BASE  0xc0000102
#define MSR_TSC_AUX         0xc0000103
#define MSR_AMD_PERF_CTL    0xc0010000 /* four event selects, then four counters */
#define MSR_AMD_SYSCFG      0xc0010010
#define MSR_AMD_HWCR        0xc0010015
#define MSR_AMD_NB_CFG      0xc001001f
#define MSR_AMD_INT_PENDING 0xc0010055
#define MSR_AMD_VM_CR       0xc0010114
#define MSR_AMD_OSVW_LENGTH 0xc0010140
#define MSR_AMD_OSVW_STATUS 0xc0010141
#define MSR_AMD_LS_CFG      0xc0011020
#define MSR_AMD_CACHE_CFG   0xc0011022 /* DC_CFG, BU_CFG */
#define MSR_AMD_DE_CFG      0xc0011029 /* and BU_CFG2 */
