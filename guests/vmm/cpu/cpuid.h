/*
 * CPUID as the guest sees it: computed once from the host's CPUID, then looked up.
 *
 * Only features on the list in cpuid.c reach the guest, and only if the host has them: what is not
 * known there is hidden. Hidden on purpose are VMX and SVM, MONITOR, performance counters, debug
 * store, PKU, CET, XSAVES, AMX, TSX, 5-level paging, SEV, TDX, speculation control (its MSRs are
 * not offered) and AMD's topology extensions. The vendor and the model stay the host's.
 */
#pragma once

#include "kernel/abi/types.h"

struct cpuid_regs {
	u32 eax;
	u32 ebx;
	u32 ecx;
	u32 edx;
};

/* Reads the host's CPUID; unit tests give their own. */
typedef struct cpuid_regs (*cpuid_host_fn)(u32 leaf, u32 subleaf);

/* What the policy depends on besides the host's CPUID. */
struct cpuid_machine {
	u64 xcr0; /* bits that the guest may set; 0: no XSAVE */
	u64 tsc_hz;
	u32 gpa_bits;     /* width of guest-physical addresses */
	u32 vcpus;        /* 1 to 255; APIC IDs are 0 to vcpus - 1 */
	bool shared_cpus; /* some vCPUs have a CPU together */
	bool delivery;    /* the hardware delivers interrupts, and ends them without exits */
};

#define CPUID_LEAVES    0x58 /* basic, hypervisor and extended leaves together */
#define CPUID_SUBLEAVES 48
#define CPUID_CLASSES   4 /* leaf bits 31:30 */

enum cpuid_dynamic { /* entries whose values depend on the vCPU or its registers */
	CPUID_STATIC,
	CPUID_FEATURES, /* leaf 1: APIC ID, OSXSAVE, APIC enabled */
	CPUID_XSTATE,   /* leaf 0xd: EBX is the size for XCR0 */
	CPUID_TOPOLOGY, /* leaf 0xb: EDX is the x2APIC ID */
};

struct cpuid_entry {
	struct cpuid_regs regs;
	union {
		struct {
			u8 dynamic;   /* enum cpuid_dynamic */
			u8 subleaves; /* 0: ECX does not matter; else the number of entries in sub[]
				       */
		};
		u16 special; /* both, to be looked at together */
	};
	u16 first; /* in sub[] */
};

struct cpuid_policy {
	u32 start[CPUID_CLASSES]; /* index in leaf[] of each class's first leaf */
	u32 count[CPUID_CLASSES];
	u32 beyond; /* leaf whose data a leaf out of range gives (Intel), or ~0u: zeros */
	u64 xcr0;   /* bits that the guest may set; 0: no XSAVE */
	struct cpuid_entry leaf[CPUID_LEAVES];
	struct cpuid_regs sub[CPUID_SUBLEAVES];
	struct {
		u32 size;   /* bytes of a state component */
		u32 offset; /* in the standard format */
	} xstate[64];
	/* for validation elsewhere */
	u32 physical_bits;
	u64 cr4_allowed;
	u64 efer_allowed;
	bool amd; /* or Hygon */
};

/* The vCPU's registers on which dynamic entries depend. */
struct cpuid_vcpu {
	u32 apic_id;
	bool apic_enabled; /* IA32_APIC_BASE bit 11 */
	u64 cr4;
	u64 xcr0;
};

/* Fills a policy. */
void cpuid_build(struct cpuid_policy *p, const struct cpuid_machine *machine, cpuid_host_fn host);

/* The host's CPUID instruction. */
struct cpuid_regs cpuid_host(u32 leaf, u32 subleaf);

/*
 * Finds the entry of a leaf; NULL: all zeros. The result's `regs` are those for an ECX that does
 * not matter; for others, and for dynamic entries, call cpuid_resolve.
 */
static inline const struct cpuid_entry *cpuid_find(const struct cpuid_policy *p, u32 leaf)
{
	u32 class = leaf >> 30;
	u32 index = leaf & ((1u << 30) - 1);

	if (unlikely(index >= p->count[class])) {
		if (p->beyond == ~0u || class == 1)
			return NULL;
		class = 0;
		index = p->beyond;
	}
	return &p->leaf[p->start[class] + index];
}

/* Does an entry need cpuid_resolve? */
static inline bool cpuid_plain(const struct cpuid_entry *e)
{
	return !e->special;
}

/* The registers of an entry of this policy for a subleaf and a vCPU. */
struct cpuid_regs cpuid_resolve(const struct cpuid_policy *p, const struct cpuid_entry *e,
	u32 subleaf, const struct cpuid_vcpu *vcpu);
