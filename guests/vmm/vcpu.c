/* Exceptions, instruction ends and reset of a vCPU. */
#include "vcpu.h"
#include "guests/vmm/debug/debug.h"
#include "guests/vmm/cpu/emulate.h"

#define CPUID_LEAF_FEATURES 1
#define RESET_RIP           0xfff0u
#define RESET_CS            0xf000u
#define RESET_CS_BASE       0xffff0000u
#define RESET_LIMIT         0xffffu
#define RESET_PAT           0x0007040600070406ull
#define MISC_FAST_STRING    BIT(0)
#define MISC_NO_BTS         BIT(11)
#define MISC_NO_PEBS        BIT(12)

/* Exceptions that make a double fault of another one of them (SDM vol. 3, table 6-5). */
static bool contributory(u8 vector)
{
	return vector == VECTOR_DE || (vector >= VECTOR_TS && vector <= VECTOR_GP);
}

static void raise(struct vcpu *v, u8 vector, bool has_error, u32 error)
{
	struct run_page *run = v->run;
	u64 old = run->inject;
	u8 first = (u8)old;

	vcpu_need(v, GROUP_RIP | GROUP_CR);
	/* an exit put a delivery back that raised this exception */
	if ((old & INJECT_VALID) && (old & INJECT_TYPE_MASK) == INJECT_TYPE_EXCEPT) {
		if (first == VECTOR_DF) {
			vcpu_fail(v, "triple fault");
			return;
		}
		if ((contributory(first) && contributory(vector)) ||
			(first == VECTOR_PF && (contributory(vector) || vector == VECTOR_PF))) {
			vector = VECTOR_DF;
			has_error = true;
			error = 0;
		}
	}
	run->inject = INJECT_VALID | INJECT_TYPE_EXCEPT | INJECT_VECTOR(vector);
	if (has_error && (run->cr0 & CR0_PE)) /* real mode pushes no error codes */
		run->inject |= INJECT_ERROR | (u64)error << 32;
	run->inject_length = 0;
	if (vector != VECTOR_DB)
		run->rflags |= RFLAGS_RF; /* pushed with a fault (SDM vol. 3, 17.3.1.1) */
	run->shadow &= SHADOW_NMI;
	run->dirty |= GROUP_INJECT | GROUP_RIP;
}

void vcpu_raise(struct vcpu *v, u8 vector)
{
	raise(v, vector, false, 0);
}

void vcpu_raise_error(struct vcpu *v, u8 vector, u32 error)
{
	raise(v, vector, true, error);
}

void vcpu_page_fault(struct vcpu *v, u64 address, u32 error)
{
	vcpu_need(v, GROUP_CR);
	v->run->cr2 = address;
	v->run->dirty |= GROUP_CR;
	raise(v, VECTOR_PF, true, error);
}

void vcpu_complete(struct vcpu *v, u64 rip, bool trap)
{
	struct run_page *run = v->run;

	vcpu_need(v, GROUP_RIP);
	run->rip = rip;
	if (run->shadow & ~SHADOW_NMI)
		run->shadow &= SHADOW_NMI;
	if (run->rflags & RFLAGS_RF)
		run->rflags &= ~RFLAGS_RF;
	run->dirty |= GROUP_RIP;
	if (trap && !debug_stepped(v)) {
		vcpu_need(v, GROUP_DR);
		run->dr6 |= DR6_BS;
		run->dirty |= GROUP_DR;
		vcpu_raise(v, VECTOR_DB);
	}
}

void vcpu_skip_slow(struct vcpu *v)
{
	struct run_page *run = v->run;
	u64 length = run->exit_length;
	u64 rip;

	if (!length) {
		length = emulate_length(v);
		if (!length) {
			if (!v->machine->stop && !(run->dirty & GROUP_INJECT))
				vcpu_fail(v, "an instruction of unknown length");
			return;
		}
	}
	vcpu_need(v, GROUP_SEG | GROUP_CR);
	rip = run->rip + length;
	if (!((run->efer & EFER_LMA) && (run->cs.attributes & SEGMENT_L)))
		rip = (u32)rip;
	vcpu_complete(v, rip, run->rflags & RFLAGS_TF);
}

u32 vcpu_cpl(struct vcpu *v)
{
	vcpu_need(v, GROUP_SEG | GROUP_CR | GROUP_RIP);
	if (!(v->run->cr0 & CR0_PE))
		return 0;
	if (v->run->rflags & RFLAGS_VM)
		return 3;
	return v->run->ss.attributes >> SEGMENT_DPL_SHIFT & 3;
}

void vcpu_set_tsc_offset(struct vcpu *v, u64 offset)
{
	v->state->tsc_offset = offset;
	v->run->tsc_offset = offset;
	v->run->dirty |= GROUP_TSC;
	v->lapic->state->todo |= LAPIC_TODO_TIMER; /* a TSC deadline moves with it */
}

/* What reset and INIT have in common. */
static void reset_registers(struct vcpu *v)
{
	const struct run_segment data = {
		0, (u16)(SEGMENT_P | SEGMENT_S | SEGMENT_DATA_TYPE), RESET_LIMIT, 0};
	const struct cpuid_entry *features = cpuid_find(v->cpuid, CPUID_LEAF_FEATURES);
	struct run_page *run = v->run;

	memset(run->gpr, 0, sizeof(run->gpr));
	run->gpr[RDX] = features ? features->regs.eax : 0;
	run->rip = RESET_RIP;
	run->rflags = RFLAGS_FIXED;
	run->shadow = 0;
	run->activity = ACTIVITY_ACTIVE;
	run->inject = 0;
	run->flags = RUN_HLT_WAIT | (v->shares_cpu ? RUN_PAUSE_EXIT : 0) |
		     (v->machine->hardware_interrupts ? RUN_HARDWARE : 0);
	run->exceptions = 0;
	run->timer = 0;
	run->cr0 = CR0_ET | CR0_NW | CR0_CD;
	run->cr2 = run->cr3 = run->cr4 = run->efer = 0;
	run->es = run->ss = run->ds = run->fs = run->gs = data;
	run->cs = (struct run_segment){RESET_CS, (u16)(SEGMENT_P | SEGMENT_S | SEGMENT_CODE_TYPE),
		RESET_LIMIT, RESET_CS_BASE};
	run->ldtr = (struct run_segment){0, (u16)(SEGMENT_P | SEGMENT_LDT_TYPE), RESET_LIMIT, 0};
	run->tr = (struct run_segment){0, (u16)(SEGMENT_P | SEGMENT_TSS32_TYPE), RESET_LIMIT, 0};
	run->gdtr = run->idtr = (struct run_segment){.limit = RESET_LIMIT};
	memset(run->dr, 0, sizeof(run->dr));
	run->dr6 = DR6_FIXED;
	run->dr7 = DR7_FIXED;
	v->state->timer_set = 0;
	v->state->periodic = TIME_NEVER;
	v->state->nmis = 0;
	v->state->steal_msr = 0;
	v->state->eoi_msr = 0;
	v->state->eoi_armed = 0;
}

void vcpu_init_signal(struct vcpu *v)
{
	/* MSRs and XCR0 must be current in the page before all of it is called dirty. */
	vcpu_need(v, GROUP_ALL_REG);
	reset_registers(v);
	v->run->dirty |= GROUP_ALL_REG | GROUP_INJECT | GROUP_CONTROL | GROUP_APIC;
}

void vcpu_reset(struct vcpu *v)
{
	struct run_page *run = v->run;

	memset(v->state, 0, sizeof(*v->state));
	reset_registers(v);
	run->star = run->lstar = run->cstar = run->sfmask = run->kernel_gs_base = 0;
	run->sysenter_cs = run->sysenter_esp = run->sysenter_eip = 0;
	run->pat = RESET_PAT;
	run->tsc_aux = run->spec_ctrl = 0;
	run->xcr0 = XCR0_X87;
	run->valid = GROUP_ALL_REG;
	run->dirty = GROUP_ALL_REG | GROUP_INJECT | GROUP_CONTROL | GROUP_APIC;
	v->state->misc_enable = MISC_FAST_STRING | MISC_NO_BTS | MISC_NO_PEBS;
}
