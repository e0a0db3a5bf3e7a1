/* Instructions that C has no words for, and the architectural registers that more than one file
 * uses (SDM vol. 3, 4; APM vol. 2). */
#pragma once

#include "kernel/abi/types.h"

#define MSR_APIC_BASE       0x1b
#define MSR_FEATURE_CONTROL 0x3a
#define MSR_SPEC_CTRL       0x48
#define MSR_SYSENTER_CS     0x174
#define MSR_SYSENTER_ESP    0x175
#define MSR_SYSENTER_EIP    0x176
#define MSR_PAT             0x277
#define MSR_TSC_DEADLINE    0x6e0
#define MSR_X2APIC          0x800
#define MSR_EFER            0xc0000080
#define MSR_STAR            0xc0000081
#define MSR_LSTAR           0xc0000082
#define MSR_CSTAR           0xc0000083
#define MSR_SFMASK          0xc0000084
#define MSR_FS_BASE         0xc0000100
#define MSR_GS_BASE         0xc0000101
#define MSR_KERNEL_GS_BASE  0xc0000102
#define MSR_TSC_AUX         0xc0000103

#define EFER_SCE  BIT(0)
#define EFER_LME  BIT(8)
#define EFER_LMA  BIT(10)
#define EFER_NXE  BIT(11)
#define EFER_SVME BIT(12)

#define CR0_PE BIT(0)
#define CR0_MP BIT(1)
#define CR0_TS BIT(3)
#define CR0_ET BIT(4)
#define CR0_NE BIT(5)
#define CR0_WP BIT(16)
#define CR0_NW BIT(29)
#define CR0_CD BIT(30)
#define CR0_PG BIT(31)

#define CR4_PAE        BIT(5)
#define CR4_MCE        BIT(6)
#define CR4_PGE        BIT(7)
#define CR4_OSFXSR     BIT(9)
#define CR4_OSXMMEXCPT BIT(10)
#define CR4_UMIP       BIT(11)
#define CR4_LA57       BIT(12)
#define CR4_VMXE       BIT(13)
#define CR4_FSGSBASE   BIT(16)
#define CR4_PCIDE      BIT(17)
#define CR4_OSXSAVE    BIT(18)
#define CR4_SMEP       BIT(20)
#define CR4_SMAP       BIT(21)

#define RFLAGS_FIXED BIT(1)
#define RFLAGS_TF    BIT(8)
#define RFLAGS_IF    BIT(9)
#define RFLAGS_DF    BIT(10)
#define RFLAGS_RF    BIT(16)
#define RFLAGS_AC    BIT(18)

/* Exceptions (SDM vol. 3, 6.15) */
#define VECTOR_DB  1
#define VECTOR_NMI 2
#define VECTOR_BP  3
#define VECTOR_OF  4
#define VECTOR_DF  8
#define VECTOR_GP  13
#define VECTOR_PF  14
#define VECTOR_AC  17
#define VECTOR_MC  18
#define EXCEPTIONS 32

#define DR6_BREAKPOINTS 0xfull /* B0-B3 */
#define DR6_BD          BIT(13)
#define DR6_BS          BIT(14)
#define DR7_GD          BIT(13)

/* Selectors of the kernel's GDT, in the order that SYSCALL and SYSRET want (SDM vol. 3, 6.8.8) */
#define SEL_KERNEL_CODE 0x08
#define SEL_KERNEL_DATA 0x10
#define SEL_USER_DATA   0x1b
#define SEL_TSS         0x28

struct descriptor_table { /* what LGDT and LIDT take */
	u16 limit;
	u64 base;
} __attribute__((packed));

static inline u64 read_msr(u32 msr)
{
	u32 low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return (u64)high << 32 | low;
}

static inline void write_msr(u32 msr, u64 value)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}

static inline u64 rdtsc(void)
{
	u64 low, high; /* the upper halves are cleared */

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return high << 32 | low;
}

static inline void cpuid(u32 leaf, u32 subleaf, u32 *a, u32 *b, u32 *c, u32 *d)
{
	__asm__ volatile("cpuid"
			 : "=a"(*a), "=b"(*b), "=c"(*c), "=d"(*d)
			 : "a"(leaf), "c"(subleaf));
}

#define DEFINE_REGISTER(name)                                                                      \
	static inline u64 read_##name(void)                                                        \
	{                                                                                          \
		u64 value;                                                                         \
		__asm__ volatile("mov %%" #name ", %0" : "=r"(value));                             \
		return value;                                                                      \
	}                                                                                          \
	static inline void write_##name(u64 value)                                                 \
	{                                                                                          \
		__asm__ volatile("mov %0, %%" #name : : "r"(value) : "memory");                    \
	}
DEFINE_REGISTER(cr0)
DEFINE_REGISTER(cr2)
DEFINE_REGISTER(cr3)
DEFINE_REGISTER(cr4)
DEFINE_REGISTER(dr0)
DEFINE_REGISTER(dr1)
DEFINE_REGISTER(dr2)
DEFINE_REGISTER(dr3)
DEFINE_REGISTER(dr6)

/* DR0-DR3 */
static inline void read_breakpoints(u64 dr[4])
{
	dr[0] = read_dr0();
	dr[1] = read_dr1();
	dr[2] = read_dr2();
	dr[3] = read_dr3();
}

static inline void write_breakpoints(const u64 dr[4])
{
	write_dr0(dr[0]);
	write_dr1(dr[1]);
	write_dr2(dr[2]);
	write_dr3(dr[3]);
}

static inline void invlpg(vaddr_t va)
{
	__asm__ volatile("invlpg (%0)" : : "r"(va) : "memory");
}

static inline u64 read_xcr0(void)
{
	u32 low, high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (u64)high << 32 | low;
}

static inline void write_xcr0(u64 value)
{
	__asm__ volatile("xsetbv" : : "c"(0), "a"((u32)value), "d"((u32)(value >> 32)));
}

#define DEFINE_PORT(bits, suffix)                                                                  \
	static inline u##bits in##bits(u16 port)                                                   \
	{                                                                                          \
		u##bits value;                                                                     \
		__asm__ volatile("in" suffix " %1, %0" : "=a"(value) : "Nd"(port));                \
		return value;                                                                      \
	}                                                                                          \
	static inline void out##bits(u16 port, u##bits value)                                      \
	{                                                                                          \
		__asm__ volatile("out" suffix " %0, %1" : : "a"(value), "Nd"(port));               \
	}
DEFINE_PORT(8, "b")
DEFINE_PORT(16, "w")
DEFINE_PORT(32, "l")

static inline void cpu_pause(void)
{
	__asm__ volatile("pause");
}
