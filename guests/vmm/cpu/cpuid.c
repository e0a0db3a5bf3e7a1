/* Builds the CPUID policy and resolves the few entries that are not constant. */
#include "cpuid.h"
#include "cpuid_bits.h"
#include "x86.h"
#include "drivers/lib/lib.h"

#define CLASS_BASIC      0
#define CLASS_HYPERVISOR 1
#define CLASS_EXTENDED   2

#define BASIC_MAX      0x16u
#define HYPERVISOR_MAX 0x10u
#define EXTENDED_MAX   8u
#define LEVEL_SMT      1u /* level types of leaf 0xb, in ECX 15:8 */
#define LEVEL_CORE     2u
#define LAPIC_HZ       1000000000ull /* what the LAPIC timer counts at */
#define BUS_MHZ        100u
#define LAST_LEAF_7    1u

#define ALLOW_1C                                                                                   \
	(CPUID_1C_SSE3 | CPUID_1C_PCLMULQDQ | CPUID_1C_SSSE3 | CPUID_1C_FMA |                      \
		CPUID_1C_CMPXCHG16B | CPUID_1C_PCID | CPUID_1C_SSE4_1 | CPUID_1C_SSE4_2 |          \
		CPUID_1C_MOVBE | CPUID_1C_POPCNT | CPUID_1C_AES | CPUID_1C_XSAVE | CPUID_1C_AVX |  \
		CPUID_1C_F16C | CPUID_1C_RDRAND)
#define FORCE_1C (CPUID_1C_X2APIC | CPUID_1C_TSC_DEADLINE | CPUID_1C_HYPERVISOR)
#define ALLOW_1D                                                                                   \
	(CPUID_1D_FPU | CPUID_1D_VME | CPUID_1D_DE | CPUID_1D_PSE | CPUID_1D_TSC | CPUID_1D_MSR |  \
		CPUID_1D_PAE | CPUID_1D_MCE | CPUID_1D_CX8 | CPUID_1D_SEP | CPUID_1D_PGE |         \
		CPUID_1D_MCA | CPUID_1D_CMOV | CPUID_1D_PAT | CPUID_1D_PSE36 | CPUID_1D_CLFLUSH |  \
		CPUID_1D_MMX | CPUID_1D_FXSR | CPUID_1D_SSE | CPUID_1D_SSE2 | CPUID_1D_SS)
#define FORCE_1D (CPUID_1D_APIC | CPUID_1D_MTRR)
#define AVX512_7B                                                                                  \
	(CPUID_7B_AVX512F | CPUID_7B_AVX512DQ | CPUID_7B_AVX512_IFMA | CPUID_7B_AVX512PF |         \
		CPUID_7B_AVX512ER | CPUID_7B_AVX512CD | CPUID_7B_AVX512BW | CPUID_7B_AVX512VL)
#define AVX512_7C                                                                                  \
	(CPUID_7C_AVX512_VBMI | CPUID_7C_AVX512_VBMI2 | CPUID_7C_AVX512_VNNI |                     \
		CPUID_7C_AVX512_BITALG | CPUID_7C_AVX512_VPOPCNT)
#define AVX512_7D                                                                                  \
	(CPUID_7D_AVX512_4VNNIW | CPUID_7D_AVX512_4FMAPS | CPUID_7D_AVX512_VP2 |                   \
		CPUID_7D_AVX512_FP16)
#define ALLOW_7B                                                                                   \
	(CPUID_7B_FSGSBASE | CPUID_7B_BMI1 | CPUID_7B_AVX2 | CPUID_7B_FDP_EXCPTN | CPUID_7B_SMEP | \
		CPUID_7B_BMI2 | CPUID_7B_ERMS | CPUID_7B_INVPCID | CPUID_7B_FPU_CSDS |             \
		CPUID_7B_RDSEED | CPUID_7B_ADX | CPUID_7B_SMAP | CPUID_7B_CLFLUSHOPT |             \
		CPUID_7B_CLWB | CPUID_7B_SHA | AVX512_7B)
#define ALLOW_7C                                                                                   \
	(CPUID_7C_UMIP | CPUID_7C_GFNI | CPUID_7C_VAES | CPUID_7C_VPCLMULQDQ | CPUID_7C_RDPID |    \
		CPUID_7C_CLDEMOTE | CPUID_7C_MOVDIRI | CPUID_7C_MOVDIR64B | AVX512_7C)
#define ALLOW_7D (CPUID_7D_FSRM | CPUID_7D_MD_CLEAR | CPUID_7D_SERIALIZE | AVX512_7D)
#define ALLOW_71A                                                                                  \
	(CPUID_71A_AVX_VNNI | CPUID_71A_AVX512_BF16 | CPUID_71A_FZRM | CPUID_71A_FSRS |            \
		CPUID_71A_FSRC)
#define ALLOW_D1A (CPUID_D1A_XSAVEOPT | CPUID_D1A_XSAVEC | CPUID_D1A_XGETBV1)
#define ALLOW_E1C                                                                                  \
	(CPUID_E1C_LAHF | CPUID_E1C_ABM | CPUID_E1C_SSE4A | CPUID_E1C_MISALIGN_SSE |               \
		CPUID_E1C_PREFETCHW | CPUID_E1C_XOP | CPUID_E1C_FMA4 | CPUID_E1C_TBM)
#define ALLOW_E1D                                                                                  \
	((ALLOW_1D & (CPUID_1D_CLFLUSH - 1) & ~CPUID_1D_SEP) | CPUID_1D_MMX | CPUID_1D_FXSR |      \
		CPUID_E1D_SYSCALL | CPUID_E1D_NX | CPUID_E1D_MMXEXT | CPUID_E1D_FFXSR |            \
		CPUID_E1D_PAGE_1G | CPUID_E1D_RDTSCP | CPUID_E1D_LM | CPUID_E1D_3DNOW_EXT |        \
		CPUID_E1D_3DNOW)
#define ALLOW_E8B (CPUID_E8B_CLZERO | CPUID_E8B_XSAVE_ERPTR | CPUID_E8B_WBNOINVD)

struct builder {
	struct cpuid_policy *p;
	const struct cpuid_machine *machine;
	cpuid_host_fn host;
	u32 subs; /* used of p->sub[] */
	u32 host_max;
	u32 host_extended_max;
};

struct cpuid_regs cpuid_host(u32 leaf, u32 subleaf)
{
	struct cpuid_regs r;

	__asm__ volatile("cpuid"
			 : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
			 : "a"(leaf), "c"(subleaf));
	return r;
}

/* The entry of a leaf that is known to be in range. */
static struct cpuid_entry *entry(struct cpuid_policy *p, u32 leaf)
{
	return &p->leaf[p->start[leaf >> 30] + (leaf & ((1u << 30) - 1))];
}

/* The host's leaf, or zeros where the host has none. */
static struct cpuid_regs host_leaf(const struct builder *b, u32 leaf, u32 subleaf)
{
	u32 max = leaf >= CPUID_EXTENDED ? b->host_extended_max : b->host_max;

	return leaf <= max ? b->host(leaf, subleaf) : (struct cpuid_regs){0};
}

/* Adds a subleaf to an entry; all those of one entry are added one after another. */
static void sub_add(struct builder *b, struct cpuid_entry *e, struct cpuid_regs regs)
{
	if (b->subs == CPUID_SUBLEAVES)
		return;
	if (!e->subleaves) {
		e->first = (u16)b->subs;
		e->regs = regs;
	}
	e->subleaves++;
	b->p->sub[b->subs++] = regs;
}

/* Bits that number `count` things, at least 0. */
static u32 bits_for(u32 count)
{
	u32 bits = 0;

	while (1u << bits < count)
		bits++;
	return bits;
}

/* The state components that the guest may enable: whole features, and no unknown ones. */
static u64 xcr0_offered(const struct builder *b)
{
	u64 xcr0 = b->machine->xcr0 & (XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_AVX512);

	if (b->host_max < 0xd || (xcr0 & (XCR0_X87 | XCR0_SSE)) != (XCR0_X87 | XCR0_SSE))
		return 0;
	if (!(xcr0 & XCR0_AVX) || (xcr0 & XCR0_AVX512) != XCR0_AVX512)
		xcr0 &= ~XCR0_AVX512;
	return xcr0;
}

static void build_features(struct builder *b)
{
	struct cpuid_entry *e = entry(b->p, 1);
	u64 features = b->p->xcr0;
	u32 vcpus = b->machine->vcpus;

	e->regs = host_leaf(b, 1, 0);
	e->dynamic = CPUID_FEATURES;
	e->regs.ebx &= 0x0000ff00u; /* CLFLUSH size; APIC ID and count follow */
	e->regs.ebx |= (1u << bits_for(vcpus)) << 16;
	e->regs.ecx = (e->regs.ecx & (u32)ALLOW_1C) | (u32)FORCE_1C;
	e->regs.edx = (e->regs.edx & (u32)ALLOW_1D) | (u32)FORCE_1D;
	if (vcpus > 1)
		e->regs.edx |= (u32)CPUID_1D_HTT;
	if (!features)
		e->regs.ecx &= ~(u32)CPUID_1C_XSAVE;
	if (!(features & XCR0_AVX))
		e->regs.ecx &= ~(u32)(CPUID_1C_AVX | CPUID_1C_FMA | CPUID_1C_F16C);
}

/* Leaf 4: each core has its own caches up to level 2; all share the rest. */
static void build_caches(struct builder *b)
{
	struct cpuid_entry *e = entry(b->p, 4);
	u32 vcpus = b->machine->vcpus;

	for (u32 i = 0; i < 8; i++) {
		struct cpuid_regs r = host_leaf(b, 4, i);
		u32 level = r.eax >> 5 & 7;

		if (!(r.eax & 0x1f))
			break;
		r.eax &= 0x00003fffu;
		r.eax |= ((1u << bits_for(vcpus)) - 1) << 26; /* addressable cores, less one */
		if (level > 2)
			r.eax |= ((1u << bits_for(vcpus)) - 1) << 14; /* threads that share it */
		sub_add(b, e, r);
	}
	if (e->subleaves)
		sub_add(b, e, (struct cpuid_regs){0});
}

static void build_structured(struct builder *b)
{
	struct cpuid_entry *e = entry(b->p, 7);
	struct cpuid_regs r = host_leaf(b, 7, 0);
	struct cpuid_regs r1 = r.eax >= 1 ? host_leaf(b, 7, 1) : (struct cpuid_regs){0};
	u64 features = b->p->xcr0;
	u64 hide_b = 0, hide_c = 0, hide_d = 0, hide_1a = 0;

	if (!(features & XCR0_AVX)) {
		hide_b |= CPUID_7B_AVX2;
		hide_c |= CPUID_7C_VAES | CPUID_7C_VPCLMULQDQ;
		hide_1a |= CPUID_71A_AVX_VNNI;
	}
	if ((features & XCR0_AVX512) != XCR0_AVX512) {
		hide_b |= AVX512_7B;
		hide_c |= AVX512_7C;
		hide_d |= AVX512_7D;
		hide_1a |= CPUID_71A_AVX512_BF16;
	}
	r.eax = LAST_LEAF_7;
	r.ebx = (r.ebx & (u32)(ALLOW_7B & ~hide_b)) | (u32)CPUID_7B_TSC_ADJUST;
	r.ecx &= (u32)(ALLOW_7C & ~hide_c);
	r.edx &= (u32)(ALLOW_7D & ~hide_d);
	r1 = (struct cpuid_regs){.eax = r1.eax & (u32)(ALLOW_71A & ~hide_1a)};
	sub_add(b, e, r);
	sub_add(b, e, r1);
}

static void build_topology(struct builder *b)
{
	struct cpuid_entry *e = entry(b->p, 0xb);
	u32 vcpus = b->machine->vcpus;

	e->dynamic = CPUID_TOPOLOGY;
	sub_add(b, e, (struct cpuid_regs){.ebx = 1, .ecx = LEVEL_SMT << 8});
	sub_add(b, e, (struct cpuid_regs){bits_for(vcpus), vcpus, LEVEL_CORE << 8 | 1, 0});
}

static void build_xstate(struct builder *b)
{
	struct cpuid_policy *p = b->p;
	struct cpuid_entry *e = entry(p, 0xd);
	struct cpuid_regs r1 = host_leaf(b, 0xd, 1);
	u32 size = 576; /* legacy area and header (SDM vol. 1, 13.4) */
	u32 last = 1;

	if (!p->xcr0)
		return;
	for (u32 i = 2; i < 63; i++) {
		struct cpuid_regs r;

		if (!(p->xcr0 & BIT(i)))
			continue;
		r = host_leaf(b, 0xd, i);
		p->xstate[i].size = r.eax;
		p->xstate[i].offset = r.ebx;
		if (r.ebx + r.eax > size)
			size = r.ebx + r.eax;
		last = i;
	}
	e->dynamic = CPUID_XSTATE;
	sub_add(b, e, (struct cpuid_regs){(u32)p->xcr0, 0, size, (u32)(p->xcr0 >> 32)});
	sub_add(b, e, (struct cpuid_regs){.eax = r1.eax & (u32)ALLOW_D1A});
	for (u32 i = 2; i <= last; i++) {
		struct cpuid_regs r = {0};

		if (p->xcr0 & BIT(i)) {
			r = host_leaf(b, 0xd, i);
			r.ecx &= ~1u; /* not in IA32_XSS */
			r.edx = 0;
		}
		sub_add(b, e, r);
	}
}

/*
 * Leaves 0x15 and 0x16: TSC and base frequency. The crystal is the LAPIC timer's clock, as guests
 * take it for that; leaf 0x15 is left empty where the ratio would not be exact, or where a guest
 * that computes kHz * numerator in 32 bits would overflow: a wrong rate is worse than one that must
 * be calibrated.
 */
static void build_frequency(struct builder *b)
{
	u64 khz = b->machine->tsc_hz / 1000;
	u64 crystal_khz = LAPIC_HZ / 1000;
	u64 a = khz, c = crystal_khz;

	while (c) {
		u64 rest = a % c;

		a = c;
		c = rest;
	}
	if (a && khz * 1000 == b->machine->tsc_hz && khz / a * crystal_khz <= UINT32_MAX)
		entry(b->p, 0x15)->regs = (struct cpuid_regs){
			(u32)(crystal_khz / a), (u32)(khz / a), (u32)LAPIC_HZ, 0};
	entry(b->p, 0x16)->regs =
		(struct cpuid_regs){(u32)(khz / 1000), (u32)(khz / 1000), BUS_MHZ, 0};
}

static void build_hypervisor(struct builder *b)
{
	static const char signature[12] = "KVMKVMKVM";
	struct cpuid_entry *e = entry(b->p, CPUID_HYPERVISOR);

	e[0].regs.eax = CPUID_HYPERVISOR + HYPERVISOR_MAX;
	memcpy(&e[0].regs.ebx, signature, 4);
	memcpy(&e[0].regs.ecx, signature + 4, 4);
	memcpy(&e[0].regs.edx, signature + 8, 4);
	e[1].regs.eax =
		(u32)(CPUID_KVM_CLOCKSOURCE | CPUID_KVM_NOP_IO_DELAY | CPUID_KVM_CLOCKSOURCE2 |
			CPUID_KVM_STEAL_TIME | CPUID_KVM_CLOCK_STABLE);
	if (!b->machine->delivery)
		e[1].regs.eax |= (u32)CPUID_KVM_PV_EOI;
	if (b->machine->vcpus > 1)
		e[1].regs.eax |= (u32)(CPUID_KVM_PV_UNHALT | CPUID_KVM_PV_SEND_IPI);
	if (b->machine->shared_cpus)
		e[1].regs.eax |= (u32)CPUID_KVM_PV_TLB_FLUSH;
	e[HYPERVISOR_MAX].regs.eax = (u32)(b->machine->tsc_hz / 1000);
	e[HYPERVISOR_MAX].regs.ebx = (u32)(LAPIC_HZ / 1000);
}

static void build_extended(struct builder *b)
{
	struct cpuid_policy *p = b->p;
	struct cpuid_entry *e = entry(p, CPUID_EXTENDED);
	u32 linear;

	for (u32 i = 0; i < p->count[CLASS_EXTENDED]; i++)
		e[i].regs = host_leaf(b, CPUID_EXTENDED + i, 0);
	e[0].regs.eax = CPUID_EXTENDED + p->count[CLASS_EXTENDED] - 1;
	e[1].regs.ecx &= (u32)ALLOW_E1C;
	if (!(p->xcr0 & XCR0_AVX))
		e[1].regs.ecx &= ~(u32)(CPUID_E1C_XOP | CPUID_E1C_FMA4);
	e[1].regs.edx &= (u32)(p->amd ? ALLOW_E1D
				      : CPUID_E1D_SYSCALL | CPUID_E1D_NX | CPUID_E1D_PAGE_1G |
						CPUID_E1D_RDTSCP | CPUID_E1D_LM);
	if (p->amd)
		e[1].regs.edx |= (u32)FORCE_1D; /* these are repeated there */
	if (p->amd && b->machine->vcpus > 1)
		e[1].regs.ecx |= (u32)CPUID_E1C_CMP_LEGACY;
	e[7].regs = (struct cpuid_regs){.edx = (u32)CPUID_E7D_INVARIANT_TSC};

	linear = e[8].regs.eax >> 8 & 0xff;
	p->physical_bits = e[8].regs.eax & 0xff;
	if (!p->physical_bits)
		p->physical_bits = 36;
	if (p->physical_bits > b->machine->gpa_bits)
		p->physical_bits = b->machine->gpa_bits;
	if (linear > 48)
		linear = 48; /* no 5-level paging */
	e[8].regs.eax = linear << 8 | p->physical_bits;
	e[8].regs.ebx &= p->amd ? (u32)ALLOW_E8B : (u32)CPUID_E8B_WBNOINVD;
	e[8].regs.ecx = 0;
	if (p->amd)
		e[8].regs.ecx = bits_for(b->machine->vcpus) << 12 | (b->machine->vcpus - 1);
	e[8].regs.edx = 0;
}

/* Control-register bits that go with the features of the policy. */
static void build_controls(struct cpuid_policy *p)
{
	const struct cpuid_regs *f1 = &entry(p, 1)->regs;
	const struct cpuid_regs *e1 = &entry(p, CPUID_EXTENDED)[1].regs;
	const struct cpuid_regs *f7 = &entry(p, 7)->regs;

	p->cr4_allowed = CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE |
			 CR4_PGE | CR4_PCE | CR4_OSFXSR | CR4_OSXMMEXCPT;
	p->cr4_allowed |= f7->ecx & CPUID_7C_UMIP ? CR4_UMIP : 0;
	p->cr4_allowed |= f7->ebx & CPUID_7B_FSGSBASE ? CR4_FSGSBASE : 0;
	p->cr4_allowed |= f7->ebx & CPUID_7B_SMEP ? CR4_SMEP : 0;
	p->cr4_allowed |= f7->ebx & CPUID_7B_SMAP ? CR4_SMAP : 0;
	p->cr4_allowed |= f1->ecx & CPUID_1C_PCID ? CR4_PCIDE : 0;
	p->cr4_allowed |= f1->ecx & CPUID_1C_XSAVE ? CR4_OSXSAVE : 0;
	p->efer_allowed = EFER_SCE;
	p->efer_allowed |= e1->edx & CPUID_E1D_LM ? EFER_LME | EFER_LMA : 0;
	p->efer_allowed |= e1->edx & CPUID_E1D_NX ? EFER_NXE : 0;
	p->efer_allowed |= p->amd && (e1->edx & CPUID_E1D_FFXSR) ? EFER_FFXSR : 0;
}

void cpuid_build(struct cpuid_policy *p, const struct cpuid_machine *machine, cpuid_host_fn host)
{
	struct builder b = {.p = p, .machine = machine, .host = host};
	struct cpuid_regs vendor = host(0, 0);
	struct cpuid_regs extended = host(CPUID_EXTENDED, 0);
	u32 max = vendor.eax;

	memset(p, 0, sizeof(*p));
	b.host_max = vendor.eax;
	b.host_extended_max = extended.eax >= CPUID_EXTENDED ? extended.eax : 0;
	p->amd = vendor.ecx == 0x444d4163u || vendor.ecx == 0x656e6975u; /* "cAMD", "uine" */
	if (max > BASIC_MAX || !p->amd)
		max = BASIC_MAX;
	if (max < 0xd)
		max = 0xd;
	p->count[CLASS_BASIC] = max + 1;
	p->start[CLASS_HYPERVISOR] = BASIC_MAX + 1;
	p->count[CLASS_HYPERVISOR] = HYPERVISOR_MAX + 1;
	p->start[CLASS_EXTENDED] = p->start[CLASS_HYPERVISOR] + HYPERVISOR_MAX + 1;
	p->count[CLASS_EXTENDED] = EXTENDED_MAX + 1;
	p->beyond = p->amd ? ~0u : max;

	p->xcr0 = xcr0_offered(&b);
	entry(p, 0)->regs = vendor;
	entry(p, 0)->regs.eax = max;
	build_features(&b);
	entry(p, 2)->regs = host_leaf(&b, 2, 0);
	build_caches(&b);
	entry(p, 6)->regs.eax = (u32)CPUID_6A_ARAT;
	build_structured(&b);
	build_topology(&b);
	build_xstate(&b);
	if (max >= 0x16 && !p->amd)
		build_frequency(&b);
	build_hypervisor(&b);
	build_extended(&b);
	build_controls(p);
}

static u32 xstate_size(const struct cpuid_policy *p, u64 xcr0)
{
	u32 size = 576;

	for (u32 i = 2; i < 63; i++) {
		u32 end = p->xstate[i].offset + p->xstate[i].size;

		if ((xcr0 & BIT(i)) && end > size)
			size = end;
	}
	return size;
}

struct cpuid_regs cpuid_resolve(const struct cpuid_policy *p, const struct cpuid_entry *e,
	u32 subleaf, const struct cpuid_vcpu *vcpu)
{
	struct cpuid_regs r = e->regs;

	if (e->subleaves)
		r = subleaf < e->subleaves ? p->sub[e->first + subleaf] : (struct cpuid_regs){0};
	switch (e->dynamic) {
	case CPUID_FEATURES:
		r.ebx |= vcpu->apic_id << 24;
		if (vcpu->cr4 & CR4_OSXSAVE)
			r.ecx |= (u32)CPUID_1C_OSXSAVE;
		if (!vcpu->apic_enabled)
			r.edx &= ~(u32)CPUID_1D_APIC;
		break;
	case CPUID_XSTATE:
		if (subleaf == 0)
			r.ebx = xstate_size(p, vcpu->xcr0);
		if (subleaf == 1 && (r.eax & CPUID_D1A_XSAVEC)) {
			/* compacted: components without gaps, aligned to 64 where they ask */
			r.ebx = 576;
			for (u32 i = 2; i < 63; i++) {
				if (!(vcpu->xcr0 & BIT(i)))
					continue;
				if (i < e->subleaves && (p->sub[e->first + i].ecx & 2))
					r.ebx = (u32)ALIGN_UP(r.ebx, 64);
				r.ebx += p->xstate[i].size;
			}
		}
		break;
	case CPUID_TOPOLOGY:
		r.ecx |= subleaf & 0xff;
		r.edx = vcpu->apic_id;
		break;
	default:
		break;
	}
	return r;
}
