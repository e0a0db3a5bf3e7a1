/*
 * A vCPU's registers as GDB numbers them: org.gnu.gdb.i386.core, .sse and .segments (GDB manual,
 * appendix G.5.5), and behind them what only a system has. It is an x86-64 target in every mode.
 */
#include "debug.h"
#include "gdb.h"
#include "guests/vmm/vcpu.h"

enum {
	FIRST_GPR = 0,
	NUMBER_RIP = 16,
	NUMBER_EFLAGS = 17,
	FIRST_SEGMENT = 18,
	FIRST_ST = 24,
	FIRST_FCTRL = 32,
	FIRST_XMM = 40,
	NUMBER_MXCSR = 56,
	NUMBER_FS_BASE = 57,
	NUMBER_GS_BASE = 58,
	NUMBER_K_GS_BASE = 59,
	NUMBER_CR0 = 60,
	NUMBER_CR2 = 61,
	NUMBER_CR3 = 62,
	NUMBER_CR4 = 63,
	NUMBER_CR8 = 64,
	NUMBER_EFER = 65,
};
static_assert(NUMBER_EFER + 1 == GDB_REGISTERS);

/* Legacy area of an XSAVE image (SDM vol. 1, table 10-2) and the header behind it */
#define FPU_FCW       0
#define FPU_FSW       2
#define FPU_FTW       4 /* a bit for each register that is not empty */
#define FPU_FOP       6
#define FPU_FIP       8
#define FPU_FCS       12
#define FPU_FDP       16
#define FPU_FDS       20
#define FPU_MXCSR     24
#define FPU_ST        32
#define FPU_XMM       160
#define FPU_SLOT      16
#define FPU_XSTATE_BV 512

#define ST_SIZE      10
#define FCW_INIT     0x37f
#define MXCSR_INIT   0x1f80u
#define FSW_TOP(fsw) ((fsw) >> 11 & 7)
#define TAG_VALID    0u
#define TAG_ZERO     1u
#define TAG_SPECIAL  2u
#define TAG_EMPTY    3u
#define EXPONENT     0x7fffu
#define INTEGER_BIT  BIT(63)

/* RAX RBX RCX RDX RSI RDI RBP RSP R8-R15 */
static const u8 gpr_of[16] = {RAX, RBX, RCX, RDX, RSI, RDI, RBP, RSP, 8, 9, 10, 11, 12, 13, 14, 15};

static u16 selector_of(const struct run_page *run, u32 number)
{
	const struct run_segment *const segments[] = {
		&run->cs, &run->ss, &run->ds, &run->es, &run->fs, &run->gs};
	u32 index = number - FIRST_SEGMENT;

	return index < ARRAY_SIZE(segments) ? segments[index]->selector : 0;
}

/* A 64-bit register and its group, where the VMM has it as a field; NULL: it is none of those. */
static u64 *field_of(struct run_page *run, u32 number, u64 *group)
{
	*group = 0;
	if (number < NUMBER_RIP)
		return &run->gpr[gpr_of[number]];
	*group = number == NUMBER_RIP                                   ? GROUP_RIP
		 : number == NUMBER_FS_BASE || number == NUMBER_GS_BASE ? GROUP_SEG
		 : number == NUMBER_K_GS_BASE                           ? GROUP_MSR
									: GROUP_CR;
	switch (number) {
	case NUMBER_RIP:
		return &run->rip;
	case NUMBER_FS_BASE:
		return &run->fs.base;
	case NUMBER_GS_BASE:
		return &run->gs.base;
	case NUMBER_K_GS_BASE:
		return &run->kernel_gs_base;
	case NUMBER_CR0:
		return &run->cr0;
	case NUMBER_CR2:
		return &run->cr2;
	case NUMBER_CR3:
		return &run->cr3;
	case NUMBER_CR4:
		return &run->cr4;
	case NUMBER_EFER:
		return &run->efer;
	}
	return NULL;
}

/* The tag word of FSAVE, which GDB wants, from that of FXSAVE (SDM vol. 1, 10.5.1.1). */
static u32 full_tags(const u8 *fpu)
{
	u16 fsw;
	u32 tags = 0;

	memcpy(&fsw, fpu + FPU_FSW, sizeof(fsw));
	for (u32 i = 0; i < 8; i++) { /* physical register */
		const u8 *st = fpu + FPU_ST + ((i - FSW_TOP(fsw)) & 7) * FPU_SLOT;
		u64 mantissa;
		u16 exponent;
		u32 tag;

		memcpy(&mantissa, st, sizeof(mantissa));
		memcpy(&exponent, st + sizeof(mantissa), sizeof(exponent));
		exponent &= EXPONENT;
		if (!(fpu[FPU_FTW] & BIT(i)))
			tag = TAG_EMPTY;
		else if (!exponent && !mantissa)
			tag = TAG_ZERO;
		else if (!exponent || exponent == EXPONENT || !(mantissa & INTEGER_BIT))
			tag = TAG_SPECIAL;
		else
			tag = TAG_VALID;
		tags |= tag << i * 2;
	}
	return tags;
}

/* A component that the image says is in its initial state is made so. */
static void fpu_expand(struct vcpu *v)
{
	u8 *fpu = v->debug.fpu;
	const u16 fcw = FCW_INIT;
	const u32 mxcsr = MXCSR_INIT;
	u64 present;

	if (v->machine->fpu_size < DEBUG_FPU_SIZE)
		return;
	memcpy(&present, fpu + FPU_XSTATE_BV, sizeof(present));
	if (!(present & XCR0_X87)) {
		memset(fpu, 0, FPU_MXCSR);
		memset(fpu + FPU_ST, 0, FPU_XMM - FPU_ST);
		memcpy(fpu + FPU_FCW, &fcw, sizeof(fcw));
	}
	if (!(present & (XCR0_SSE | XCR0_AVX)))
		memcpy(fpu + FPU_MXCSR, &mxcsr, sizeof(mxcsr));
	if (!(present & XCR0_SSE))
		memset(fpu + FPU_XMM, 0, 16 * FPU_SLOT);
	present |= XCR0_X87 | XCR0_SSE;
	memcpy(fpu + FPU_XSTATE_BV, &present, sizeof(present));
}

/* FCTRL FSTAT FTAG FISEG FIOFF FOSEG FOOFF FOP, four bytes each for GDB */
static const struct {
	u8 offset;
	u8 size;
} control[8] = {{FPU_FCW, 2}, {FPU_FSW, 2}, {FPU_FTW, 0}, {FPU_FCS, 2}, {FPU_FIP, 4}, {FPU_FDS, 2},
	{FPU_FDP, 4}, {FPU_FOP, 2}};

/* Where a register of the FPU lies in the image, and its size there; 0: it is computed. */
static u32 fpu_place(u32 number, u32 *offset)
{
	if (number >= FIRST_ST && number < FIRST_FCTRL) {
		*offset = FPU_ST + (number - FIRST_ST) * FPU_SLOT;
		return ST_SIZE;
	}
	if (number >= FIRST_XMM && number < NUMBER_MXCSR) {
		*offset = FPU_XMM + (number - FIRST_XMM) * FPU_SLOT;
		return FPU_SLOT;
	}
	*offset = number == NUMBER_MXCSR ? FPU_MXCSR : control[number - FIRST_FCTRL].offset;
	return number == NUMBER_MXCSR ? 4 : control[number - FIRST_FCTRL].size;
}

static u32 size_of(u32 number)
{
	if (number >= GDB_REGISTERS)
		return 0;
	if (number >= FIRST_ST && number < FIRST_FCTRL)
		return ST_SIZE;
	if (number >= FIRST_XMM && number < NUMBER_MXCSR)
		return FPU_SLOT;
	if ((number >= NUMBER_EFLAGS && number < FIRST_XMM) || number == NUMBER_MXCSR)
		return 4;
	return 8;
}

static void fpu_read(struct vcpu *v, u32 number, void *value)
{
	u32 offset;
	u32 size = fpu_place(number, &offset);
	u32 tags;

	fpu_expand(v);
	tags = full_tags(v->debug.fpu);
	if (size)
		memcpy(value, v->debug.fpu + offset, size);
	else
		memcpy(value, &tags, sizeof(tags));
}

u32 gdb_register_read(struct vcpu *v, u32 number, void *value)
{
	struct run_page *run = v->run;
	u32 size = size_of(number);
	u64 word;
	u64 *field;
	u64 group;

	memset(value, 0, size);
	if (number >= FIRST_ST && number <= NUMBER_MXCSR) {
		if (v->debug.fpu_read)
			fpu_read(v, number, value);
		return size;
	}
	field = field_of(run, number, &group);
	if (field)
		word = *field;
	else if (number == NUMBER_EFLAGS)
		word = run->rflags;
	else if (number == NUMBER_CR8)
		word = v->lapic->page->word[LAPIC_TPR / 4] >> 4;
	else
		word = selector_of(run, number);
	memcpy(value, &word, size);
	return size;
}

static bool fpu_write(struct vcpu *v, u32 number, const void *value)
{
	u32 offset;
	u32 size = fpu_place(number, &offset);

	if (!v->debug.fpu_read || !size)
		return false;
	fpu_expand(v);
	memcpy(v->debug.fpu + offset, value, size);
	v->debug.fpu_dirty = true;
	return true;
}

/* Selectors, whose descriptors are not loaded, and what entries into the guest check stay. */
bool gdb_register_write(struct vcpu *v, u32 number, const void *value)
{
	struct run_page *run = v->run;
	u32 size = size_of(number);
	u8 now[GDB_REGISTER_SIZE];
	u64 word = 0;
	u64 *field;
	u64 group;

	if (!size)
		return false;
	gdb_register_read(v, number, now);
	if (memcmp(now, value, size) == 0)
		return true;
	if (number >= FIRST_ST && number <= NUMBER_MXCSR)
		return fpu_write(v, number, value);
	memcpy(&word, value, size);
	if (number == NUMBER_EFLAGS) {
		run->rflags = word | RFLAGS_FIXED;
		run->dirty |= GROUP_RIP;
		return true;
	}
	field = field_of(run, number, &group);
	if (!field || number == NUMBER_CR0 || number == NUMBER_CR4 || number == NUMBER_EFER)
		return false;
	*field = word;
	run->dirty |= group;
	if (number == NUMBER_RIP && run->activity == ACTIVITY_HLT) /* it goes on somewhere else */
		run->activity = ACTIVITY_ACTIVE;
	return true;
}

#define REG(name, bits, more) "<reg name=\"" name "\" bitsize=\"" bits "\"" more "/>\n"
#define WORD(name)            REG(name, "64", " type=\"int64\"")
#define HALF(name)            REG(name, "32", " type=\"int32\"")
#define FPU_HALF(name)        REG(name, "32", " type=\"int\" group=\"float\"")
#define ST(n)                 REG("st" n, "80", " type=\"i387_ext\"")
#define XMM(n)                REG("xmm" n, "128", " type=\"vec128\" group=\"vector\"")
#define FLAG(name, bit)       "<field name=\"" name "\" start=\"" bit "\" end=\"" bit "\"/>\n"

const char gdb_target_xml[] =
	"<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n<target>\n"
	"<architecture>i386:x86-64</architecture>\n"
	"<feature name=\"org.gnu.gdb.i386.core\">\n"
	"<flags id=\"i386_eflags\" size=\"4\">\n" FLAG("CF", "0") FLAG("PF", "2") FLAG(
		"AF", "4") FLAG("ZF", "6") FLAG("SF", "7") FLAG("TF", "8") FLAG("IF",
		"9") FLAG("DF", "10") FLAG("OF", "11") FLAG("NT", "14") FLAG("RF", "16") FLAG("VM",
		"17") FLAG("AC", "18") FLAG("VIF", "19") FLAG("VIP",
		"20") FLAG("ID", "21") "</flags>\n" WORD("rax") WORD("rbx") WORD("rcx") WORD("rdx") WORD("rsi") WORD("rdi") REG("rbp",
		"64", " type=\"data_ptr\"") REG("rsp", "64", " type=\"data_ptr\"")
		WORD("r8") WORD("r9") WORD("r10") WORD("r11") WORD("r12") WORD("r13") WORD(
			"r14") WORD("r15") REG("rip", "64", " type=\"code_ptr\"") REG("eflags",
			"32",
			" type=\"i386_eflags\"") HALF("cs") HALF("ss") HALF("ds") HALF("es") HALF("fs")
			HALF("gs") ST("0") ST("1") ST("2") ST("3") ST("4") ST("5") ST("6") ST("7") FPU_HALF(
				"fctrl") FPU_HALF("fstat") FPU_HALF("ftag") FPU_HALF("fiseg")
				FPU_HALF("fioff") FPU_HALF("foseg") FPU_HALF("fooff") FPU_HALF(
					"fop") "</feature>\n"
					       "<feature "
					       "name=\"org.gnu.gdb.i386.sse\">\n"
					       "<vector id=\"v4f\" "
					       "type=\"ieee_single\" "
					       "count=\"4\"/>\n"
					       "<vector id=\"v2d\" "
					       "type=\"ieee_double\" "
					       "count=\"2\"/>\n"
					       "<vector id=\"v16i8\" "
					       "type=\"int8\" count=\"16\"/>\n"
					       "<vector id=\"v4i32\" "
					       "type=\"int32\" count=\"4\"/>\n"
					       "<vector id=\"v2i64\" "
					       "type=\"int64\" count=\"2\"/>\n"
					       "<union id=\"vec128\">\n"
					       "<field name=\"v4_float\" "
					       "type=\"v4f\"/>\n<field "
					       "name=\"v2_double\" "
					       "type=\"v2d\"/>\n"
					       "<field name=\"v16_int8\" "
					       "type=\"v16i8\"/>\n<field "
					       "name=\"v4_int32\" "
					       "type=\"v4i32\"/>\n"
					       "<field name=\"v2_int64\" "
					       "type=\"v2i64\"/>\n<field "
					       "name=\"uint128\" "
					       "type=\"uint128\"/>\n"
					       "</union>\n" XMM("0") XMM("1") XMM(
						       "2") XMM("3") XMM("4") XMM("5") XMM("6") XMM("7")
						       XMM("8") XMM("9") XMM("10") XMM("11") XMM(
							       "12") XMM("13") XMM("14") XMM("15") REG("mxcsr",
							       "32",
							       " type="
							       "\"int\" "
							       "group="
							       "\"vector"
							       "\"") "</"
								     "feat"
								     "ure>"
								     "\n"
								     "<fea"
								     "ture"
								     " nam"
								     "e="
								     "\"or"
								     "g."
								     "gnu."
								     "gdb."
								     "i386"
								     ".seg"
								     "ment"
								     "s\">"
								     "\n" WORD("fs_base") WORD(
									     "gs_base") "</"
											"feature>\n"
											"<feature "
											"name="
											"\"bulkhead"
											".x86."
											"system\">"
											"\n" WORD("k_gs_base") WORD(
												"cr"
												"0") WORD("cr2")
												WORD("cr3") WORD(
													"cr4") WORD("cr8")
													WORD("efer") "</feature>\n</target>\n";
