/* Instructions and registers of the processor that the loader needs (Intel SDM volumes 2 and 4). */
#pragma once

#include "kernel/abi/types.h"

#define CPUID_FEATURES   1
#define CPUID_STRUCTURED 7
#define CPUID_TOPOLOGY   0xb
#define CPUID_XSAVE      0xd
#define CPUID_TSC        0x15
#define CPUID_EXTENDED   0x80000000u
#define CPUID_EXT_FLAGS  0x80000001u
#define CPUID_BRAND      0x80000002u
#define CPUID_BRAND_LAST 0x80000004u
#define CPUID_POWER      0x80000007u
#define CPUID_ADDRESSES  0x80000008u

#define VENDOR_AMD 0x68747541u /* "Auth" */

#define FEATURES_ECX_VMX         BIT(5)
#define FEATURES_ECX_PCID        BIT(17)
#define FEATURES_ECX_X2APIC      BIT(21)
#define FEATURES_ECX_DEADLINE    BIT(24)
#define FEATURES_ECX_XSAVE       BIT(26)
#define FEATURES_ECX_RDRAND      BIT(30)
#define STRUCTURED_EBX_FSGSBASE  BIT(0)
#define STRUCTURED_EBX_SMEP      BIT(7)
#define STRUCTURED_EBX_SMAP      BIT(20)
#define STRUCTURED_EDX_SPEC_CTRL BIT(26)
#define STRUCTURED_ECX_UMIP      BIT(2)
#define EXT_ECX_SVM              BIT(2)
#define EXT_EDX_NX               BIT(20)
#define EXT_EDX_1G               BIT(26)
#define EXT_EDX_LM               BIT(29)
#define POWER_EDX_TSC            BIT(8) /* invariant */

#define CR4_UMIP     BIT(11)
#define CR4_LA57     BIT(12)
#define CR4_FSGSBASE BIT(16)
#define CR4_PCIDE    BIT(17)
#define CR4_OSXSAVE  BIT(18)
#define CR4_SMEP     BIT(20)
#define CR4_SMAP     BIT(21)

#define XCR0_GUEST 0xe7ull /* x87 SSE AVX AVX-512 */
#define XCR0_PKRU  BIT(9)

#define MSR_APIC_BASE     0x1b
#define APIC_BASE_X2APIC  BIT(10)
#define APIC_BASE_ENABLED BIT(11)
#define APIC_BASE_ADDRESS 0x000ffffffffff000ull

struct cpuid {
	u32 eax, ebx, ecx, edx;
};

static inline struct cpuid cpuid(u32 leaf, u32 subleaf)
{
	struct cpuid r;

	asm volatile("cpuid"
		     : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
		     : "a"(leaf), "c"(subleaf));
	return r;
}

/* Whether this leaf, basic or extended, is within what the processor has. */
static inline bool cpuid_has(u32 leaf)
{
	return cpuid(leaf & CPUID_EXTENDED, 0).eax >= leaf;
}

/* Ordered by LFENCE on both sides: what stands around it in the program is outside what it
 * measures. */
static inline cycles_t read_tsc(void)
{
	u32 low, high;

	asm volatile("lfence; rdtsc; lfence" : "=a"(low), "=d"(high) : : "memory");
	return (u64)high << 32 | low;
}

static inline u64 read_msr(u32 msr)
{
	u32 low, high;

	asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return (u64)high << 32 | low;
}

static inline void write_msr(u32 msr, u64 value)
{
	asm volatile("wrmsr" : : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}

static inline u64 read_cr4(void)
{
	u64 value;

	asm volatile("mov %%cr4, %0" : "=r"(value));
	return value;
}

static inline u8 in8(u16 port)
{
	u8 value;

	asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline u32 in32(u16 port)
{
	u32 value;

	asm volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline void out8(u16 port, u8 value)
{
	asm volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

/* Switches interrupts off; returns the flags for interrupts_restore. */
static inline u64 interrupts_off(void)
{
	u64 flags;

	asm volatile("pushfq; popq %0; cli" : "=r"(flags) : : "memory");
	return flags;
}

static inline void interrupts_restore(u64 flags)
{
	asm volatile("pushq %0; popfq" : : "r"(flags) : "memory", "cc");
}

static inline u32 mmio_read32(paddr_t address)
{
	return *(volatile u32 *)address;
}

static inline void mmio_write32(paddr_t address, u32 value)
{
	*(volatile u32 *)address = value;
}
