/* The CPUID policy: what reaches the guest from made-up Intel and AMD hosts that have every
 * feature. */
#include "guests/vmm/cpu/cpuid.h"
#include "guests/vmm/cpu/cpuid_bits.h"
#include "guests/vmm/cpu/x86.h"
#include "tests/unit/test.h"

static bool host_amd;
static u32 host_max = 0x20;
static u32 host_extended_max = 0x80000021;

/* A host with all bits set where features are told. */
static struct cpuid_regs host(u32 leaf, u32 subleaf)
{
	struct cpuid_regs all = {~0u, ~0u, ~0u, ~0u};

	if (leaf == 0)
		return host_amd ? (struct cpuid_regs){host_max, 0x68747541, 0x444d4163, 0x69746e65}
				: (struct cpuid_regs){host_max, 0x756e6547, 0x6c65746e, 0x49656e69};
	if (leaf == CPUID_EXTENDED)
		return (struct cpuid_regs){host_extended_max, 0, 0, 0};
	if (leaf == 4)
		return subleaf < 3
			       ? (struct cpuid_regs){0xfc000000u | (subleaf + 1) << 5 | 1, 1, 2, 3}
			       : (struct cpuid_regs){0};
	if (leaf == 0xd && subleaf >= 2)
		return subleaf == 2 ? (struct cpuid_regs){256, 576, 0, 0}
				    : (struct cpuid_regs){64, 832 + (subleaf - 3) * 64, 2, 0};
	if (leaf == 0x80000008)
		return (struct cpuid_regs){57 << 8 | 52, ~0u, ~0u, ~0u};
	return all;
}

static struct cpuid_policy policy;
static bool shared; /* vCPUs share a CPU */

static void build(bool amd, u64 xcr0, u32 vcpus)
{
	struct cpuid_machine m = {xcr0, 2400000000ull, 46, vcpus, shared, false};

	host_amd = amd;
	cpuid_build(&policy, &m, host);
}

static struct cpuid_regs get(u32 leaf, u32 subleaf, const struct cpuid_vcpu *vcpu)
{
	const struct cpuid_entry *e = cpuid_find(&policy, leaf);

	return e ? cpuid_resolve(&policy, e, subleaf, vcpu) : (struct cpuid_regs){0};
}

static const struct cpuid_vcpu plain = {0, true, 0, XCR0_X87};

TEST(cpuid_features_hidden)
{
	for (int amd = 0; amd < 2; amd++) {
		struct cpuid_regs r;

		build(amd, XCR0_X87 | XCR0_SSE | XCR0_AVX, 1);
		r = get(1, 0, &plain);
		CHECK(!(r.ecx & BIT(5)));  /* VMX */
		CHECK(!(r.ecx & BIT(3)));  /* MONITOR */
		CHECK(!(r.ecx & BIT(2)));  /* DTES64 */
		CHECK(!(r.ecx & BIT(15))); /* PDCM */
		CHECK(!(r.edx & BIT(21))); /* DS */
		CHECK(!(r.edx & BIT(22))); /* ACPI */
		CHECK(r.ecx & BIT(31));    /* hypervisor */
		CHECK(r.ecx & BIT(21));    /* x2APIC */
		CHECK(r.ecx & BIT(24));    /* TSC deadline */
		CHECK(!(r.ecx & BIT(27)));
		r = get(7, 0, &plain);
		CHECK_EQ(r.eax, 1);
		CHECK(r.ebx & BIT(1)); /* TSC_ADJUST */
		CHECK(!(r.ebx &
			(BIT(2) | BIT(4) | BIT(11) | BIT(16) | BIT(25)))); /* SGX TSX AVX512 PT */
		CHECK(!(r.ecx &
			(BIT(3) | BIT(4) | BIT(5) | BIT(7) | BIT(16)))); /* PKU WAITPKG CET LA57 */
		CHECK(!(r.edx &
			(BIT(20) | BIT(26) | BIT(27) | BIT(29) | BIT(31)))); /* IBT, speculation */
		r = get(0x80000001, 0, &plain);
		CHECK(!(r.ecx &
			(BIT(2) | BIT(3) | BIT(9) | BIT(10) | BIT(12) | BIT(22)))); /* SVM, ... */
		CHECK(r.edx & BIT(29));
		CHECK_EQ(get(0x80000007, 0, &plain).edx, BIT(8));
		CHECK_EQ(get(0x80000008, 0, &plain).eax, 48 << 8 | 46);
		CHECK_EQ(get(0x8000001f, 0, &plain).eax,
			amd ? 0 : get(0x16, 0, &plain).eax); /* SEV */
		for (u32 leaf = 0; leaf < 0x20; leaf++) {
			bool zero = leaf == 3 || leaf == 5 || leaf == 9 || leaf == 0xa ||
				    leaf == 0xf || leaf == 0x10 || leaf == 0x12 || leaf == 0x14;
			if (zero)
				CHECK_EQ(get(leaf, 0, &plain).eax | get(leaf, 0, &plain).edx, 0);
		}
	}
}

TEST(cpuid_topology)
{
	struct cpuid_vcpu third = {2, true, 0, XCR0_X87};
	struct cpuid_regs r;

	build(false, 7, 3);
	r = get(1, 0, &third);
	CHECK_EQ(r.ebx >> 24, 2);
	CHECK_EQ(r.ebx >> 16 & 0xff, 4);
	CHECK(r.edx & BIT(28));
	r = get(0xb, 0, &third);
	CHECK_EQ(r.eax, 0);
	CHECK_EQ(r.ebx, 1);
	CHECK_EQ(r.ecx, 0x100);
	CHECK_EQ(r.edx, 2);
	r = get(0xb, 1, &third);
	CHECK_EQ(r.eax, 2);
	CHECK_EQ(r.ebx, 3);
	CHECK_EQ(r.ecx, 0x201);
	r = get(0xb, 0x107, &third);
	CHECK_EQ(r.ebx, 0);
	CHECK_EQ(r.ecx, 7);
	CHECK_EQ(r.edx, 2);
	CHECK_EQ(get(4, 0, &third).eax >> 26, 3);
	CHECK_EQ(get(4, 0, &third).eax >> 14 & 0xfff, 0);
	CHECK_EQ(get(4, 2, &third).eax >> 14 & 0xfff, 3);
	CHECK_EQ(get(4, 3, &third).eax, 0);
	CHECK_EQ(get(4, 4000, &third).eax, 0);
}

TEST(cpuid_dynamic)
{
	struct cpuid_vcpu v = plain;

	build(true, XCR0_X87 | XCR0_SSE | XCR0_AVX, 1);
	v.cr4 = CR4_OSXSAVE;
	CHECK(get(1, 0, &v).ecx & CPUID_1C_OSXSAVE);
	v.apic_enabled = false;
	CHECK(!(get(1, 0, &v).edx & CPUID_1D_APIC));
	CHECK_EQ(get(0xd, 0, &v).ebx, 576);
	CHECK_EQ(get(0xd, 0, &v).ecx, 832);
	v.xcr0 |= XCR0_SSE | XCR0_AVX;
	CHECK_EQ(get(0xd, 0, &v).ebx, 832);
	CHECK_EQ(get(0xd, 0, &v).eax, 7);
	CHECK_EQ(get(0xd, 1, &v).ebx, 832);
	CHECK_EQ(get(0xd, 1, &v).eax, 7); /* XSAVEOPT, XSAVEC, XGETBV1; no XSAVES */
	CHECK_EQ(get(0xd, 2, &v).eax, 256);
	CHECK_EQ(get(0xd, 3, &v).eax, 0);
	CHECK_EQ(get(0xd, 63, &v).eax, 0);
}

TEST(cpuid_xcr0_whole_features_only)
{
	build(true, XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_OPMASK | BIT(9) | BIT(17), 1);
	CHECK_EQ(policy.xcr0, 7);
	CHECK(!(get(7, 0, &plain).ebx & BIT(16)));
	build(true, XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_AVX512, 1);
	CHECK(get(7, 0, &plain).ebx & BIT(16));
	build(true, 0, 1);
	CHECK_EQ(policy.xcr0, 0);
	CHECK(!(get(1, 0, &plain).ecx & (BIT(26) | BIT(28))));
	CHECK(!(policy.cr4_allowed & CR4_OSXSAVE));
	CHECK_EQ(get(0xd, 0, &plain).eax, 0);
}

TEST(cpuid_hypervisor_leaves)
{
	struct cpuid_regs r;
	char name[13] = {0};

	build(true, 7, 1);
	r = get(0x40000000, 0, &plain);
	CHECK_EQ(r.eax, 0x40000010);
	memcpy(name, &r.ebx, 12);
	CHECK(strcmp(name, "KVMKVMKVM") == 0);
	CHECK_EQ(get(0x40000001, 0, &plain).eax,
		BIT(0) | BIT(1) | BIT(3) | BIT(5) | BIT(6) | BIT(24));
	CHECK_EQ(get(0x40000010, 0, &plain).eax, 2400000);
	CHECK_EQ(get(0x40000010, 0, &plain).ebx, 1000000);
	CHECK_EQ(get(0x40000002, 0, &plain).eax, 0);
	CHECK(cpuid_find(&policy, 0x40000011) == NULL);
	/* What concerns several processors, and those that share a CPU. */
	build(true, 7, 2);
	CHECK_EQ(get(0x40000001, 0, &plain).eax & (BIT(7) | BIT(9) | BIT(11)), BIT(7) | BIT(11));
	shared = true;
	build(true, 7, 2);
	CHECK_EQ(get(0x40000001, 0, &plain).eax & (BIT(7) | BIT(9) | BIT(11)),
		BIT(7) | BIT(9) | BIT(11));
	shared = false;
	build(true, 7, 1);
	CHECK(cpuid_plain(cpuid_find(&policy, 0x40000000)));
	CHECK(cpuid_plain(cpuid_find(&policy, 0)));
}

TEST(cpuid_out_of_range)
{
	build(true, 7, 1);
	CHECK(cpuid_find(&policy, 0x17) == NULL);
	CHECK(cpuid_find(&policy, 0x3fffffff) == NULL);
	CHECK(cpuid_find(&policy, 0x80000009) == NULL);
	CHECK(cpuid_find(&policy, 0xc0000000) == NULL);
	CHECK(cpuid_find(&policy, 0xffffffff) == NULL);
	build(false, 7, 1);
	CHECK(cpuid_find(&policy, 0xc0000000) == cpuid_find(&policy, 0x16));
	CHECK(cpuid_find(&policy, 0x17) == cpuid_find(&policy, 0x16));
}

TEST(cpuid_frequency)
{
	struct cpuid_regs r;

	build(false, 7, 1);
	r = get(0x15, 0, &plain);
	CHECK(r.eax != 0);
	CHECK_EQ((u64)r.ecx * r.ebx / (r.eax ? r.eax : 1), 2400000000ull);
	CHECK_EQ(get(0x16, 0, &plain).eax, 2400);
	/* a rate that does not divide: no leaf 0x15 rather than a wrong one */
	cpuid_build(&policy, &(struct cpuid_machine){7, 2399999123ull, 46, 1, false, false}, host);
	CHECK_EQ(get(0x15, 0, &plain).eax, 0);
}

/* A host that knows few leaves, as a plain emulator's. */
TEST(cpuid_small_host)
{
	host_max = 1;
	host_extended_max = 0x80000004;
	build(true, 7, 1);
	CHECK_EQ(policy.xcr0, 0);
	CHECK_EQ(policy.physical_bits, 36);
	CHECK_EQ(get(7, 0, &plain).ebx, BIT(1));
	host_max = 0x20;
	host_extended_max = 0x80000021;
}
