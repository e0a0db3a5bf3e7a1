/* The table of MSRs and their handlers. */
#include "msr.h"
#include "guests/vmm/pv/kvmclock.h"
#include "guests/vmm/lock.h"
#include "guests/vmm/pv/pveoi.h"
#include "guests/vmm/pv/steal.h"
#include "guests/vmm/vcpu.h"

#define REVISION_AMD   0x01000065ull /* microcode */
#define REVISION_INTEL (1ull << 32)
#define RATIO_HZ       100000000ull
#define RATIO_SHIFT    8 /* PLATFORM_INFO: maximum non-turbo ratio */
#define RATIO_MASK     0xffu
#define MISC_FAST      BIT(0)
#define DE_CFG_LFENCE  BIT(1)  /* LFENCE serializes */
#define HWCR_TSC_FREQ  BIT(24) /* the TSC counts at the base frequency */
#define VM_CR_LOCK     BIT(3)
#define VM_CR_SVMDIS   BIT(4)
#define PAT_TYPES      8
#define PERF_LEGACY    4 /* counters that each AMD64 processor has */
#define UNKNOWN_LOGGED 64

struct msr_entry {
	u32 first;
	u32 count;
	bool (*read)(struct vcpu *v, u32 msr, u64 *value);
	bool (*write)(struct vcpu *v, u32 msr, u64 value);
};

/* MSRs that are the guest's own registers, in GROUP_MSR of the run page. */
static const struct {
	u32 msr;
	u16 offset;   /* in struct run_page */
	bool address; /* must be canonical */
} switched[] = {
	{MSR_SYSENTER_CS, offsetof(struct run_page, sysenter_cs), false},
	{MSR_SYSENTER_ESP, offsetof(struct run_page, sysenter_esp), true},
	{MSR_SYSENTER_EIP, offsetof(struct run_page, sysenter_eip), true},
	{MSR_PAT, offsetof(struct run_page, pat), false},
	{MSR_STAR, offsetof(struct run_page, star), false},
	{MSR_LSTAR, offsetof(struct run_page, lstar), true},
	{MSR_CSTAR, offsetof(struct run_page, cstar), true},
	{MSR_SFMASK, offsetof(struct run_page, sfmask), false},
	{MSR_KERNEL_GS_BASE, offsetof(struct run_page, kernel_gs_base), true},
	{MSR_TSC_AUX, offsetof(struct run_page, tsc_aux), false},
};

static bool canonical(u64 address)
{
	return (u64)((s64)(address << 16) >> 16) == address;
}

static u64 *switched_field(struct vcpu *v, u32 index)
{
	return (u64 *)((u8 *)v->run + switched[index].offset);
}

static bool switched_read(struct vcpu *v, u32 msr, u64 *value)
{
	for (u32 i = 0; i < ARRAY_SIZE(switched); i++) {
		if (switched[i].msr != msr)
			continue;
		vcpu_need(v, GROUP_MSR);
		*value = *switched_field(v, i);
		return true;
	}
	return false;
}

static bool pat_valid(u64 pat)
{
	for (u32 i = 0; i < PAT_TYPES; i++) {
		u8 type = pat >> (8 * i) & 0xff;

		if (type > 7 || type == 2 || type == 3)
			return false;
	}
	return true;
}

static bool switched_write(struct vcpu *v, u32 msr, u64 value)
{
	if (msr == MSR_PAT && !pat_valid(value))
		return false;
	if ((msr == MSR_TSC_AUX || msr == MSR_SFMASK) && value > UINT32_MAX)
		return false;
	for (u32 i = 0; i < ARRAY_SIZE(switched); i++) {
		if (switched[i].msr != msr)
			continue;
		if (switched[i].address && !canonical(value))
			return false;
		vcpu_need(v, GROUP_MSR);
		*switched_field(v, i) = value;
		v->run->dirty |= GROUP_MSR;
		return true;
	}
	return false;
}

static bool segment_base_read(struct vcpu *v, u32 msr, u64 *value)
{
	vcpu_need(v, GROUP_SEG);
	*value = msr == MSR_FS_BASE ? v->run->fs.base : v->run->gs.base;
	return true;
}

static bool segment_base_write(struct vcpu *v, u32 msr, u64 value)
{
	if (!canonical(value))
		return false;
	vcpu_need(v, GROUP_SEG);
	if (msr == MSR_FS_BASE)
		v->run->fs.base = value;
	else
		v->run->gs.base = value;
	v->run->dirty |= GROUP_SEG;
	return true;
}

static bool efer_read(struct vcpu *v, u32 msr, u64 *value)
{
	(void)msr;
	vcpu_need(v, GROUP_CR);
	*value = v->run->efer;
	return true;
}

/* SDM vol. 3, 2.2.1 and 4.1.2: LME cannot change while paging is on; LMA is the processor's. */
static bool efer_write(struct vcpu *v, u32 msr, u64 value)
{
	struct run_page *run = v->run;

	(void)msr;
	vcpu_need(v, GROUP_CR);
	if (value & ~v->cpuid->efer_allowed)
		return false;
	if ((run->cr0 & CR0_PG) && ((value ^ run->efer) & EFER_LME))
		return false;
	run->efer = (value & ~EFER_LMA) | (run->efer & EFER_LMA);
	run->dirty |= GROUP_CR;
	return true;
}

static bool lapic_msr_read(struct vcpu *v, u32 msr, u64 *value)
{
	pveoi_sync(v);
	return lapic_rdmsr(v->machine, v->lapic, msr, vcpu_tsc(v), value);
}

static bool lapic_msr_write(struct vcpu *v, u32 msr, u64 value)
{
	pveoi_sync(v);
	return lapic_wrmsr(v->machine, v->lapic, msr, vcpu_tsc(v), value);
}

static bool tsc_msr_read(struct vcpu *v, u32 msr, u64 *value)
{
	*value = msr == MSR_TSC ? vcpu_tsc(v) : v->state->tsc_adjust;
	return true;
}

/* Both ways of moving the TSC move TSC_ADJUST with it (SDM vol. 3, 18.17.3). */
static bool tsc_msr_write(struct vcpu *v, u32 msr, u64 value)
{
	u64 delta = value - (msr == MSR_TSC ? vcpu_tsc(v) : v->state->tsc_adjust);

	v->state->tsc_adjust += delta;
	vcpu_set_tsc_offset(v, v->state->tsc_offset + delta);
	kvmclock_update(v);
	return true;
}

static bool mtrr_msr_read(struct vcpu *v, u32 msr, u64 *value)
{
	*value = mtrr_read(&v->state->mtrr, msr);
	return true;
}

static bool mtrr_msr_write(struct vcpu *v, u32 msr, u64 value)
{
	return mtrr_write(&v->state->mtrr, msr, value, v->cpuid->physical_bits);
}

static bool misc_enable_read(struct vcpu *v, u32 msr, u64 *value)
{
	(void)msr;
	*value = v->state->misc_enable;
	return true;
}

/* Only fast strings can be switched; the rest stays as it is, without a fault, as on many
 * processors. */
static bool misc_enable_write(struct vcpu *v, u32 msr, u64 value)
{
	(void)msr;
	v->state->misc_enable = (v->state->misc_enable & ~MISC_FAST) | (value & MISC_FAST);
	return true;
}

static bool revision_read(struct vcpu *v, u32 msr, u64 *value)
{
	(void)msr;
	*value = v->cpuid->amd ? REVISION_AMD : REVISION_INTEL;
	return true;
}

static bool platform_info_read(struct vcpu *v, u32 msr, u64 *value)
{
	(void)msr;
	*value = (v->machine->clock.hz / RATIO_HZ & RATIO_MASK) << RATIO_SHIFT;
	return true;
}

static bool clock_read(struct vcpu *v, u32 msr, u64 *value)
{
	bool system = msr == MSR_KVM_SYSTEM || msr == MSR_KVM_SYSTEM_OLD;

	*value = system ? v->state->clock_system : v->machine->state->wall_gpa;
	return true;
}

static bool clock_write(struct vcpu *v, u32 msr, u64 value)
{
	bool system = msr == MSR_KVM_SYSTEM || msr == MSR_KVM_SYSTEM_OLD;

	return system ? kvmclock_enable(v, value) : kvmclock_wall(v->machine, value);
}

static bool paravirtual_read(struct vcpu *v, u32 msr, u64 *value)
{
	*value = msr == MSR_KVM_STEAL_TIME ? v->state->steal_msr : v->state->eoi_msr;
	return true;
}

static bool paravirtual_write(struct vcpu *v, u32 msr, u64 value)
{
	return msr == MSR_KVM_STEAL_TIME ? steal_enable(v, value) : pveoi_enable(v, value);
}

static bool amd_read(struct vcpu *v, u32 msr, u64 *value)
{
	if (!v->cpuid->amd)
		return false;
	*value = 0;
	if (msr == MSR_AMD_VM_CR)
		*value = VM_CR_LOCK | VM_CR_SVMDIS;
	if (msr == MSR_AMD_HWCR)
		*value = HWCR_TSC_FREQ;
	if (msr == MSR_AMD_DE_CFG)
		*value = DE_CFG_LFENCE;
	return true;
}

static bool amd_write(struct vcpu *v, u32 msr, u64 value)
{
	(void)msr;
	(void)value;
	return v->cpuid->amd;
}

static bool zero_read(struct vcpu *v, u32 msr, u64 *value)
{
	(void)v;
	(void)msr;
	*value = 0;
	return true;
}

static bool ignore_write(struct vcpu *v, u32 msr, u64 value)
{
	(void)v;
	(void)msr;
	(void)value;
	return true;
}

static bool refuse_write(struct vcpu *v, u32 msr, u64 value)
{
	(void)v;
	(void)msr;
	(void)value;
	return false;
}

/* Sorted by number. */
static const struct msr_entry table[] = {
	{0, 2, zero_read, ignore_write}, /* P5_MC_ADDR, P5_MC_TYPE */
	{MSR_TSC, 1, tsc_msr_read, tsc_msr_write},
	{MSR_KVM_WALL_OLD, 2, clock_read, clock_write},
	{MSR_PLATFORM_ID, 1, zero_read, refuse_write},
	{MSR_APIC_BASE, 1, lapic_msr_read, lapic_msr_write},
	{MSR_TSC_ADJUST, 1, tsc_msr_read, tsc_msr_write},
	{MSR_BIOS_SIGN_ID, 1, revision_read, ignore_write},
	{MSR_PLATFORM_INFO, 1, platform_info_read, refuse_write},
	{MSR_MTRR_CAP, 1, mtrr_msr_read, mtrr_msr_write},
	{MSR_SYSENTER_CS, 3, switched_read, switched_write},
	{MSR_MCG_CAP, 1, zero_read, refuse_write},
	{MSR_MCG_STATUS, 1, zero_read, ignore_write},
	{MSR_MISC_ENABLE, 1, misc_enable_read, misc_enable_write},
	{MSR_MTRR_VARIABLE, 2 * MTRR_VARIABLE, mtrr_msr_read, mtrr_msr_write},
	{MSR_MTRR_FIXED_64K, 1, mtrr_msr_read, mtrr_msr_write},
	{MSR_MTRR_FIXED_16K, 2, mtrr_msr_read, mtrr_msr_write},
	{MSR_MTRR_FIXED_4K, 8, mtrr_msr_read, mtrr_msr_write},
	{MSR_PAT, 1, switched_read, switched_write},
	{MSR_MTRR_DEFAULT, 1, mtrr_msr_read, mtrr_msr_write},
	{MSR_TSC_DEADLINE, 1, lapic_msr_read, lapic_msr_write},
	{LAPIC_MSR_BASE, LAPIC_MSR_END - LAPIC_MSR_BASE, lapic_msr_read, lapic_msr_write},
	{MSR_KVM_WALL, 2, clock_read, clock_write},
	{MSR_KVM_STEAL_TIME, 2, paravirtual_read, paravirtual_write},
	{MSR_EFER, 1, efer_read, efer_write},
	{MSR_STAR, 4, switched_read, switched_write},
	{MSR_FS_BASE, 2, segment_base_read, segment_base_write},
	{MSR_KERNEL_GS_BASE, 2, switched_read, switched_write},
	/* APM vol. 2, 13.2.1: no CPUID bit hides these; they do not count here. */
	{MSR_AMD_PERF_CTL, 2 * PERF_LEGACY, amd_read, amd_write},
	{MSR_AMD_SYSCFG, 1, amd_read, amd_write},
	{MSR_AMD_HWCR, 1, amd_read, amd_write},
	{MSR_AMD_NB_CFG, 2, amd_read, amd_write}, /* and PATCH_LOADER */
	{MSR_AMD_INT_PENDING, 1, amd_read, amd_write},
	{MSR_AMD_VM_CR, 1, amd_read, amd_write},
	{MSR_AMD_OSVW_LENGTH, 2, amd_read, amd_write},
	{MSR_AMD_LS_CFG, 1, amd_read, amd_write},
	{MSR_AMD_CACHE_CFG, 2, amd_read, amd_write},
	{MSR_AMD_DE_CFG, 2, amd_read, amd_write},
};

static const struct msr_entry *find(u32 msr)
{
	u32 low = 0;
	u32 high = ARRAY_SIZE(table);

	while (low < high) {
		u32 middle = (low + high) / 2;
		const struct msr_entry *e = &table[middle];

		if (msr - e->first < e->count)
			return e;
		if (msr < e->first)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

/* Says once for each MSR that the guest tried one that is not there; after UNKNOWN_LOGGED says
 * nothing. */
static void log_unknown(struct vcpu *v, u32 msr, bool write, u64 value)
{
	static u32 seen[UNKNOWN_LOGGED];
	static u32 count;
	bool known;
	u32 i = 0;

	machine_lock(v);
	while (i < count && seen[i] != msr)
		i++;
	known = i < count || count == UNKNOWN_LOGGED;
	if (!known)
		seen[count++] = msr;
	if (known)
		return;
	if (write)
		log_line("the guest wrote unknown MSR %x: %llx", msr, (unsigned long long)value);
	else
		log_line("the guest read unknown MSR %x", msr);
}

bool msr_read(struct vcpu *v, u32 msr, u64 *value)
{
	const struct msr_entry *e = find(msr);

	if (e && e->read(v, msr, value))
		return true;
	if (!e)
		log_unknown(v, msr, false, 0);
	return false;
}

bool msr_write(struct vcpu *v, u32 msr, u64 value)
{
	const struct msr_entry *e = find(msr);

	if (e && e->write(v, msr, value))
		return true;
	if (!e)
		log_unknown(v, msr, true, value);
	return false;
}

void msr_exit_read(struct vcpu *v)
{
	struct run_page *run = v->run;
	u64 value = 0;

	if (!msr_read(v, (u32)run->gpr[RCX], &value)) {
		vcpu_gp(v);
		return;
	}
	run->gpr[RDX] = value >> 32;
	vcpu_answer(v, (u32)value);
}

void msr_exit_write(struct vcpu *v)
{
	struct run_page *run = v->run;
	u32 msr = (u32)run->gpr[RCX];
	u64 value = (u32)run->gpr[RAX] | run->gpr[RDX] << 32;
	bool done;

	if (likely(msr - LAPIC_MSR_BASE < LAPIC_MSR_END - LAPIC_MSR_BASE ||
		    msr == MSR_TSC_DEADLINE))
		done = lapic_msr_write(v, msr, value);
	else
		done = msr_write(v, msr, value);
	if (done)
		vcpu_skip(v);
	else
		vcpu_gp(v);
}
