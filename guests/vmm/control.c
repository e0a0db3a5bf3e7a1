/* Control registers and rarely used instructions (SDM vol. 3, 2.5, 4.1; vol. 2: MOV CR, LMSW,
 * XSETBV). */
#include "control.h"
#include "guests/vmm/cpu/emulate.h"
#include "vcpu.h"

#define CR0_DEFINED                                                                                \
	(CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | \
		CR0_PG)
#define CR8_MASK  0xfull
#define LMSW_MASK (CR0_PE | CR0_MP | CR0_EM | CR0_TS)

enum cr_special {
	CR_CLTS = 1,
	CR_LMSW = 2,
};

static bool in_64_bit_mode(const struct run_page *run)
{
	return (run->efer & EFER_LMA) && (run->cs.attributes & SEGMENT_L);
}

/* Each write returns false for #GP. */
static bool cr0_write(struct vcpu *v, u64 value)
{
	struct run_page *run = v->run;
	u64 changed;

	if (value >> 32)
		return false;
	value = (value & CR0_DEFINED) | CR0_ET;
	changed = run->cr0 ^ value;
	if (((value & CR0_PG) && !(value & CR0_PE)) || ((value & CR0_NW) && !(value & CR0_CD)))
		return false;
	if ((changed & CR0_PG) && (value & CR0_PG) && (run->efer & EFER_LME)) {
		if (!(run->cr4 & CR4_PAE) || (run->cs.attributes & SEGMENT_L))
			return false;
		run->efer |= EFER_LMA;
	}
	if ((changed & CR0_PG) && !(value & CR0_PG)) {
		if (in_64_bit_mode(run) || (run->cr4 & CR4_PCIDE))
			return false;
		run->efer &= ~EFER_LMA;
	}
	run->cr0 = value;
	return true;
}

static bool cr3_write(struct vcpu *v, u64 value)
{
	struct run_page *run = v->run;

	if (run->cr4 & CR4_PCIDE)
		value &= ~CR3_NO_FLUSH;
	if ((run->efer & EFER_LMA) && value >> v->cpuid->physical_bits)
		return false;
	run->cr3 = value;
	return true;
}

static bool cr4_write(struct vcpu *v, u64 value)
{
	struct run_page *run = v->run;
	u64 changed = run->cr4 ^ value;

	if (value & ~v->cpuid->cr4_allowed)
		return false;
	if ((changed & CR4_PAE) && (run->efer & EFER_LMA))
		return false;
	if ((changed & value & CR4_PCIDE) &&
		(!(run->efer & EFER_LMA) || (run->cr3 & CR3_PCID_MASK)))
		return false;
	run->cr4 = value;
	return true;
}

static bool cr8_write(struct vcpu *v, u64 value)
{
	if (value & ~CR8_MASK)
		return false;
	v->lapic->page->word[LAPIC_TPR / 4] = (u32)value << 4;
	v->run->dirty |= GROUP_APIC;
	return true;
}

static bool cr_write(struct vcpu *v, u32 number, u64 value)
{
	switch (number) {
	case 0:
		return cr0_write(v, value);
	case 3:
		return cr3_write(v, value);
	case 4:
		return cr4_write(v, value);
	case 8:
		return cr8_write(v, value);
	default:
		return false;
	}
}

static u64 cr_read(struct vcpu *v, u32 number)
{
	switch (number) {
	case 0:
		return v->run->cr0;
	case 3:
		return v->run->cr3;
	case 4:
		return v->run->cr4;
	case 8:
		return v->lapic->page->word[LAPIC_TPR / 4] >> 4 & CR8_MASK;
	default:
		return 0;
	}
}

void control_cr_exit(struct vcpu *v)
{
	struct run_page *run = v->run;
	u32 number = run->exit.cr.number;
	u64 value = run->exit.cr.value;
	u32 gpr = run->exit.cr.gpr & 15;

	vcpu_need(v, GROUP_RIP | GROUP_CR | GROUP_SEG);
	if (run->exit.cr.special == CR_CLTS) {
		number = 0;
		value = run->cr0 & ~CR0_TS;
	} else if (run->exit.cr.special == CR_LMSW) { /* cannot clear PE */
		number = 0;
		value = (run->cr0 & ~(LMSW_MASK & ~CR0_PE)) | (value & LMSW_MASK);
	} else if (run->exit.cr.special == EXIT_CR_DECODE) {
		if (!emulate_mov_cr(v, number, &gpr))
			return;
		value = in_64_bit_mode(run) ? run->gpr[gpr] : (u32)run->gpr[gpr];
	}
	if (run->exit.cr.special || run->exit.cr.write) {
		if (!cr_write(v, number, value)) {
			vcpu_gp(v);
			return;
		}
		run->dirty |= GROUP_CR;
	} else {
		value = cr_read(v, number);
		run->gpr[gpr] =
			in_64_bit_mode(run) ? value : (run->gpr[gpr] & ~0xffffffffull) | (u32)value;
	}
	vcpu_skip(v);
}

void control_xsetbv_exit(struct vcpu *v)
{
	struct run_page *run = v->run;
	u64 value = (u32)run->gpr[RAX] | run->gpr[RDX] << 32;
	u64 avx512 = value & XCR0_AVX512;

	vcpu_need(v, GROUP_RIP | GROUP_CR | GROUP_SEG | GROUP_XCR);
	if (!(run->cr4 & CR4_OSXSAVE)) {
		vcpu_ud(v);
		return;
	}
	if (vcpu_cpl(v) || (u32)run->gpr[RCX] || (value & ~v->cpuid->xcr0) || !(value & XCR0_X87) ||
		((value & XCR0_AVX) && !(value & XCR0_SSE)) ||
		(avx512 && (avx512 != XCR0_AVX512 || !(value & XCR0_AVX)))) {
		vcpu_gp(v);
		return;
	}
	run->xcr0 = value;
	run->dirty |= GROUP_XCR;
	vcpu_skip(v);
}

void control_instruction_exit(struct vcpu *v)
{
	struct run_page *run = v->run;
	u64 tsc;

	switch (run->exit.instruction.which) {
	case INSTR_RDPMC:
		vcpu_gp(v);
		break;
	case INSTR_RDTSCP:
		vcpu_need(v, GROUP_MSR);
		run->gpr[RCX] = (u32)run->tsc_aux;
		__attribute__((fallthrough));
	case INSTR_RDTSC:
		tsc = vcpu_tsc(v);
		run->gpr[RDX] = tsc >> 32;
		vcpu_answer(v, (u32)tsc);
		break;
	case INSTR_INVLPG: /* the kernel has seen it, and this machine keeps no translations */
		vcpu_skip(v);
		break;
	default:
		vcpu_ud(v);
		break;
	}
}
