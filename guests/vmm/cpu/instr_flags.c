/* What POPF and IRET change of RFLAGS (SDM vol. 2A, IRET; vol. 2B, POPF; vol. 3, 20.3). */
#include "guests/vmm/cpu/instr_parts.h"

#define IOPL_SHIFT 12

static unsigned iopl(const struct instr_cpu *cpu)
{
	return (cpu->rflags & FLAGS_IOPL) >> IOPL_SHIFT;
}

bool flags_virtual(const struct instr_cpu *cpu)
{
	return !cpu->is_protected && (cpu->rflags & FLAG_VM) && iopl(cpu) < 3;
}

u64 flags_allowed(const struct instr_cpu *cpu, unsigned cpl, unsigned size)
{
	u64 flags = FLAGS_ARITHMETIC | FLAG_TF | FLAG_DF | FLAG_NT;

	if (size >= 4)
		flags |= FLAG_AC | FLAG_ID;
	if (cpl <= iopl(cpu))
		flags |= FLAG_IF;
	if (cpl == 0)
		flags |= FLAGS_IOPL;
	return flags;
}

enum instr_status flags_load(struct instr_cpu *cpu, u64 value, unsigned size)
{
	if (flags_virtual(cpu)) {
		if (!cpu->vme || size != 2 || (value & FLAG_TF) ||
			((value & FLAG_IF) && (cpu->rflags & FLAG_VIP)))
			return INSTR_PROTECTION;
		flag_set(cpu, FLAG_VIF, value & FLAG_IF);
	}
	flags_set(cpu, flags_allowed(cpu, cpu->cpl, size), value);
	return INSTR_OK;
}
