/* MSRs through RDMSR and WRMSR exits. */
#include "guests/vmm/pv/kvmclock.h"
#include "guests/vmm/cpu/msr.h"
#include "tests/unit/machine_host.h"

static struct vcpu *v;

/* True: done; false: #GP, and RIP did not move. */
static bool write_msr(u32 msr, u64 value)
{
	u64 rip = v->run->rip;

	v->run->gpr[RCX] = msr | 0xdead00000000ull;
	v->run->gpr[RAX] = (u32)value | 0xdead00000000ull;
	v->run->gpr[RDX] = value >> 32 | 0xdead00000000ull;
	host_exit(v, EXIT_WRMSR, 2);
	if (host_raised(v, VECTOR_GP)) {
		CHECK_EQ(v->run->rip, rip);
		CHECK(v->run->inject & INJECT_ERROR);
		v->run->rflags &= ~RFLAGS_RF;
		return false;
	}
	CHECK_EQ(v->run->rip, rip + 2);
	CHECK(v->run->dirty & GROUP_RIP);
	return true;
}

static bool read_msr(u32 msr, u64 *value)
{
	v->run->gpr[RCX] = msr;
	v->run->gpr[RAX] = v->run->gpr[RDX] = ~0ull;
	host_exit(v, EXIT_RDMSR, 2);
	if (host_raised(v, VECTOR_GP)) {
		v->run->rflags &= ~RFLAGS_RF;
		return false;
	}
	CHECK_EQ(v->run->gpr[RAX] >> 32, 0);
	CHECK_EQ(v->run->gpr[RDX] >> 32, 0);
	*value = v->run->gpr[RAX] | v->run->gpr[RDX] << 32;
	return true;
}

static u64 value_of(u32 msr)
{
	u64 value = 0xbad;

	CHECK(read_msr(msr, &value));
	return value;
}

TEST(msr_unknown)
{
	u64 value;

	v = host_setup(false);
	CHECK(!read_msr(0x12345, &value));
	CHECK(host_logged("12345"));
	host.log[0] = 0;
	CHECK(!write_msr(0x12345, 0)); /* logged once */
	CHECK_EQ(host.log[0], 0);
	CHECK(!read_msr(~0u, &value));
	CHECK(!read_msr(MSR_AMD_HWCR, &value)); /* not on Intel */
	CHECK(!host_machine.stop);
}

TEST(msr_amd)
{
	u64 value;

	v = host_setup(true);
	CHECK_EQ(value_of(MSR_AMD_VM_CR), BIT(3) | BIT(4));
	CHECK_EQ(value_of(MSR_AMD_DE_CFG), 2);
	CHECK_EQ(value_of(MSR_AMD_HWCR), BIT(24));
	CHECK_EQ(value_of(MSR_AMD_NB_CFG), 0);
	CHECK_EQ(value_of(MSR_AMD_OSVW_STATUS), 0);
	CHECK(write_msr(MSR_AMD_DE_CFG, 2));
	for (u32 i = 0; i < 8; i++) { /* counters that do not count: PERF_CTL0-3, PERF_CTR0-3 */
		CHECK(write_msr(0xc0010000 + i, 0x1234));
		CHECK_EQ(value_of(0xc0010000 + i), 0);
	}
	CHECK(!read_msr(0xc0010008, &value));
}

TEST(msr_switched)
{
	v = host_setup(false);
	CHECK(write_msr(MSR_LSTAR, 0xffffffff81000000));
	CHECK_EQ(v->run->lstar, 0xffffffff81000000);
	CHECK(v->run->dirty & GROUP_MSR);
	CHECK_EQ(value_of(MSR_LSTAR), 0xffffffff81000000);
	CHECK(!write_msr(MSR_LSTAR, 0x800000000000));
	CHECK(write_msr(MSR_GS_BASE, 0x1234));
	CHECK_EQ(v->run->gs.base, 0x1234);
	CHECK(!write_msr(MSR_KERNEL_GS_BASE, BIT(63)));
	CHECK(write_msr(MSR_PAT, 0x0007040600070406));
	CHECK(!write_msr(MSR_PAT, 0x0207040600070406));
	CHECK(!write_msr(MSR_TSC_AUX, BIT(32)));
	CHECK(write_msr(MSR_SYSENTER_CS, 0x10));
	CHECK_EQ(v->run->sysenter_cs, 0x10);
}

TEST(msr_efer)
{
	u64 efer;

	v = host_setup(false);
	efer = value_of(MSR_EFER);
	CHECK_EQ(efer, EFER_LME | EFER_LMA);
	CHECK(write_msr(MSR_EFER, efer | EFER_SCE | EFER_NXE));
	CHECK_EQ(v->run->efer, efer | EFER_SCE | EFER_NXE);
	CHECK(write_msr(MSR_EFER, EFER_LME)); /* LMA is not the guest's to clear */
	CHECK_EQ(v->run->efer, EFER_LME | EFER_LMA);
	CHECK(!write_msr(MSR_EFER, 0));
	CHECK(!write_msr(MSR_EFER, efer | BIT(12))); /* SVME */
	CHECK(!write_msr(MSR_EFER, efer | BIT(63)));
}

TEST(msr_mtrr)
{
	v = host_setup(false);
	CHECK_EQ(value_of(MSR_MTRR_CAP), 0x508);
	CHECK(!write_msr(MSR_MTRR_CAP, 0));
	CHECK_EQ(value_of(MSR_MTRR_DEFAULT), 0);
	CHECK(write_msr(MSR_MTRR_DEFAULT, 0xc06));
	CHECK(!write_msr(MSR_MTRR_DEFAULT, 0xc02));
	CHECK(!write_msr(MSR_MTRR_DEFAULT, 0x1006));
	CHECK_EQ(value_of(MSR_MTRR_DEFAULT), 0xc06);
	for (u32 i = 0; i < 11; i++) {
		static const u32 fixed[] = {0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c,
			0x26d, 0x26e, 0x26f};
		u64 value = 0x0606060606060600 | i % 2;

		CHECK(write_msr(fixed[i], value));
		CHECK_EQ(value_of(fixed[i]), value);
		CHECK(!write_msr(fixed[i], 0x0300000000000000));
	}
	for (u32 i = 0; i < 8; i++) {
		CHECK(write_msr(0x200 + 2 * i, 0x80000006 + i * PAGE_SIZE));
		CHECK(write_msr(0x201 + 2 * i, 0xff80000800));
		CHECK_EQ(value_of(0x200 + 2 * i), 0x80000006 + i * PAGE_SIZE);
		CHECK_EQ(value_of(0x201 + 2 * i), 0xff80000800);
		CHECK(!write_msr(0x200 + 2 * i, BIT(41)));
		CHECK(!write_msr(0x201 + 2 * i, BIT(10)));
	}
	CHECK(!write_msr(0x210, 0));
	CHECK(!write_msr(0x251, 0));
}

TEST(msr_tsc)
{
	u64 before, adjust;

	v = host_setup(false);
	before = value_of(MSR_TSC);
	CHECK(before < 60 * HOST_TSC_HZ);
	CHECK(write_msr(MSR_TSC, 1000 * HOST_TSC_HZ));
	CHECK(v->run->dirty & GROUP_TSC);
	CHECK(value_of(MSR_TSC) >= 1000 * HOST_TSC_HZ);
	CHECK(value_of(MSR_TSC) < 1060 * HOST_TSC_HZ);
	adjust = value_of(MSR_TSC_ADJUST);
	CHECK(adjust > 900 * HOST_TSC_HZ);
	CHECK(write_msr(MSR_TSC_ADJUST, 0));
	CHECK(value_of(MSR_TSC) < 120 * HOST_TSC_HZ);
	CHECK_EQ(v->run->tsc_offset, v->state->tsc_offset);
}

TEST(msr_apic)
{
	u64 base;

	v = host_setup(false);
	base = value_of(MSR_APIC_BASE);
	CHECK_EQ(base, 0xfee00900);
	CHECK(!write_msr(0x80b, 0)); /* xAPIC mode */
	CHECK(!write_msr(MSR_APIC_BASE, base | BIT(62)));
	CHECK(write_msr(MSR_APIC_BASE, base | BIT(10)));
	CHECK(write_msr(0x80b, 0));
	CHECK(!write_msr(0x80b, 1));
	CHECK(write_msr(0x80f, 0x1ff));
	CHECK_EQ(value_of(0x80f), 0x1ff);
	CHECK(write_msr(0x83f, 0x41)); /* self IPI */
	CHECK_EQ(v->run->pending.vector[1], BIT(1));
	CHECK(!write_msr(0x802, 0));
}

TEST(msr_deadline)
{
	v = host_setup(false);
	CHECK(write_msr(MSR_APIC_BASE, 0xfee00d00));
	CHECK(write_msr(0x80f, 0x1ff));
	CHECK(write_msr(0x832, BIT(18) | 0x55));
	CHECK(write_msr(MSR_TSC_DEADLINE, 5000 * HOST_TSC_HZ));
	CHECK_EQ(v->run->timer_vector, 0x55);
	CHECK_EQ(v->run->timer, 5000 * HOST_TSC_HZ - v->state->tsc_offset);
	CHECK(v->run->dirty & GROUP_CONTROL);
	CHECK_EQ(value_of(MSR_TSC_DEADLINE), 5000 * HOST_TSC_HZ);
	CHECK(write_msr(MSR_TSC_DEADLINE, 1)); /* has passed: now */
	CHECK_EQ(v->run->timer, 0);
	CHECK_EQ(v->run->pending.vector[1], BIT(0x55 - 64));
	CHECK_EQ(value_of(MSR_TSC_DEADLINE), 0);
	CHECK(write_msr(MSR_TSC_DEADLINE, 6000 * HOST_TSC_HZ));
	CHECK(v->run->timer);
	v->run->timer = 0; /* the kernel let it fire */
	host_exit(v, EXIT_PAUSE, 0);
	CHECK_EQ(v->state->tsc_adjust, 0);
	CHECK_EQ(v->state->timer_set, 0);
	CHECK(write_msr(MSR_TSC_DEADLINE, ~0ull)); /* never comes, and nothing overflows */
	CHECK(write_msr(MSR_TSC_DEADLINE, 0));
	CHECK_EQ(v->run->timer, 0);
}

TEST(msr_kvmclock)
{
	u32 version, scale;
	u64 system_time;
	s8 shift;

	v = host_setup(false);
	CHECK(write_msr(MSR_KVM_SYSTEM, 0x50001));
	memcpy(&version, host_ram + 0x50000, 4);
	CHECK_EQ(version, 2);
	memcpy(&system_time, host_ram + 0x50010, 8);
	CHECK(system_time < 60 * NS_PER_SECOND);
	memcpy(&scale, host_ram + 0x50018, 4);
	memcpy(&shift, host_ram + 0x5001c, 1);
	/* 10^9 cycles are a second */
	CHECK_EQ((shift >= 0 ? NS_PER_SECOND << shift : NS_PER_SECOND >> -shift) *
				 (__uint128_t)scale >>
			 32,
		NS_PER_SECOND);
	CHECK_EQ(host_ram[0x5001d], 1);
	CHECK_EQ(value_of(MSR_KVM_SYSTEM), 0x50001);
	CHECK(write_msr(MSR_TSC, 0)); /* written anew */
	memcpy(&version, host_ram + 0x50000, 4);
	CHECK_EQ(version, 4);
	CHECK(write_msr(MSR_KVM_SYSTEM_OLD, 0x50000)); /* off */
	CHECK(!write_msr(MSR_KVM_SYSTEM, HOST_RAM | 1));
	CHECK(!write_msr(MSR_KVM_SYSTEM, (HOST_RAM - 16) | 1));
	CHECK(!write_msr(MSR_KVM_SYSTEM, ~0ull));
	CHECK(!write_msr(MSR_KVM_SYSTEM, 0x50003));
	CHECK(write_msr(MSR_KVM_WALL, 0x60000));
	memcpy(&version, host_ram + 0x60004, 4);
	CHECK(version >= 1704067199 && version <= 1704067200);
	CHECK(!write_msr(MSR_KVM_WALL, HOST_RAM - 8));
	CHECK(!write_msr(MSR_KVM_WALL, 0x60001));
}

TEST(msr_kvmclock_scale)
{
	static const u64 rates[] = {100000, 999999999, 1000000000, 1000000001, 2399999123,
		4294967295, 4294967296, 5200000000, 15999999999};
	for (u32 i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		__uint128_t ns;
		u32 scale;
		s8 shift;

		kvmclock_scale(rates[i], &scale, &shift);
		ns = (shift >= 0 ? (__uint128_t)rates[i] << shift : rates[i] >> -shift);
		ns = ns * scale >> 32;
		CHECK(ns <= NS_PER_SECOND && ns > NS_PER_SECOND - 3);
	}
}

TEST(msr_constant)
{
	v = host_setup(false);
	CHECK_EQ(value_of(MSR_MCG_CAP), 0);
	CHECK_EQ(value_of(MSR_BIOS_SIGN_ID), BIT(32));
	CHECK(write_msr(MSR_BIOS_SIGN_ID, 0));
	CHECK_EQ(value_of(MSR_PLATFORM_INFO), 10 << 8);
	CHECK_EQ(value_of(MSR_MISC_ENABLE) & 1, 1);
	CHECK(write_msr(MSR_MISC_ENABLE, 0));
	CHECK_EQ(value_of(MSR_MISC_ENABLE), BIT(11) | BIT(12));
	CHECK(!write_msr(0x48, 0)); /* SPEC_CTRL is not offered */
	CHECK(!write_msr(0x49, 1));
}
