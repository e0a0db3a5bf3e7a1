/* The instruction decoder against capstone on random bytes, and by hand where capstone is mute. */
#include <stdlib.h>
#include <capstone/capstone.h>
#include "guests/vmm/cpu/instr.h"
#include "tests/unit/instr_capstone.h"
#include "tests/unit/instr_random.h"
#include "tests/unit/test.h"

#define CASES 1200000 /* per mode */

static const cs_x86_op *memory_operand(const cs_x86 *x86)
{
	for (u8 i = 0; i < x86->op_count; i++)
		if (x86->operands[i].type == X86_OP_MEM)
			return &x86->operands[i];
	return NULL;
}

static bool is_string(u8 operation)
{
	return operation >= INSTR_MOVS && operation <= INSTR_OUTS;
}

/* The instruction as hexadecimal digits and as capstone has it, with why it is shown. */
static void complain(const u8 *bytes, const cs_insn *insn, const struct instr *in, const char *why)
{
	char hex[2 * INSTR_LENGTH_MAX + 1];
	static int complaints;

	if (complaints++ > 40)
		return;
	for (int i = 0; i < INSTR_LENGTH_MAX; i++)
		snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
	test_fail(__FILE__, __LINE__,
		"%s: mode %u, %s: capstone %s %s (%u), ours %u length %u size %u", why, in->mode,
		hex, insn ? insn->mnemonic : "none", insn ? insn->op_str : "",
		insn ? insn->size : 0, in->operation, in->length, in->size);
}

static bool is_pointer(u8 operation)
{
	return operation >= INSTR_LOAD_POINTER && operation <= INSTR_JMP_FAR;
}

static const char *compare_memory(const struct instr *in, const cs_insn *insn)
{
	const cs_x86_op *op = memory_operand(&insn->detail->x86);
	const struct instr_operand *operand = NULL;
	const struct instr_memory *memory = &in->memory;
	u64 mask = ~0ull >> (64 - 8 * memory->size);

	for (unsigned i = 0; i < in->operands; i++)
		if (in->operand[i].kind == INSTR_KIND_MEMORY)
			operand = &in->operand[i];
	if (!operand != !op)
		return "memory";
	if (!op)
		return NULL;
	if (op->size != operand->size && in->operation != INSTR_NOP && !is_pointer(in->operation))
		return "operand size";
	if (memory->rip ? op->mem.base != X86_REG_RIP && op->mem.base != X86_REG_EIP
			: capstone_gpr(op->mem.base) != memory->base)
		return "base";
	if (capstone_gpr(op->mem.index) != memory->index)
		return "index";
	if (memory->index != INSTR_NO_NUMBER && op->mem.scale != memory->scale)
		return "scale";
	if (((u64)op->mem.disp ^ (u64)memory->displacement) & mask)
		return "displacement";
	if (capstone_segment(op->mem.segment) != in->segment)
		return "segment";
	return NULL;
}

static const char *compare(const struct instr *in, const cs_insn *insn)
{
	u8 operation = capstone_operation(insn->id);
	const cs_x86 *x86 = &insn->detail->x86;

	if (insn->size != in->length)
		return "length";
	if (insn->id == X86_INS_MOVSD && in->map == 1)
		operation = INSTR_MOVSS;
	if (operation != in->operation)
		return "operation";
	if (is_string(operation))
		return NULL;
	if (x86->op_count && in->operands && x86->operands[0].size != in->size &&
		x86->operands[0].type == X86_OP_REG && in->operand[0].kind == INSTR_KIND_GPR)
		return "register size";
	return compare_memory(in, insn);
}

/* What the prefixes are, found independently of the decoder. */
struct prefixes {
	bool lock;
	bool mandatory; /* one of 66, F2 and F3 */
	bool apart;     /* two of those or of REX, or one that is not the last before REX */
	bool address;   /* 67 */
	bool fs_gs;
	u8 opcode; /* first byte, and the second if that is 0F */
	u8 second;
};

static struct prefixes prefixes_find(const u8 *bytes, enum instr_mode mode)
{
	struct prefixes found = {0};
	bool rex = false;
	size_t i = 0;

	for (; i < INSTR_LENGTH_MAX - 2; i++) {
		u8 byte = bytes[i];

		if (byte == 0x66 || byte == 0xf2 || byte == 0xf3) {
			found.apart |= found.mandatory;
			found.mandatory = true;
		} else if (byte == 0xf0 || (byte & 0xe7) == 0x26 || byte == 0x64 || byte == 0x65 ||
			   byte == 0x67) {
			found.apart |= found.mandatory;
			found.lock |= byte == 0xf0;
			found.address |= byte == 0x67;
			found.fs_gs |= byte == 0x64 || byte == 0x65;
		} else if (mode != INSTR_MODE_64 || (byte & 0xf0) != 0x40) {
			break;
		} else {
			found.apart |= rex;
			rex = true;
		}
	}
	found.opcode = bytes[i];
	found.second = found.opcode == 0x0f ? bytes[i + 1] : 0;
	return found;
}

/*
 * Where capstone 4.0.2 is wrong or silent, by what was said of its answer:
 * - with two of 66, F2 and F3, or one that is not the last prefix, it applies the wrong one;
 *   in 16-bit code it takes none of them for mandatory
 * - it ignores 66, F2 and F3 with instructions that they make undefined, or another
 * - with REX.W it takes 67 for 66, 66 for the operand size of PUSH and POP, and CLWB for XSAVEOPT
 * - in 64-bit mode it heeds 66 with near branches, as AMD's processors do
 * - it lets any instruction be locked, VEX follow any prefix, and in 32-bit code take any vvvv
 * - in 64-bit mode it shows segment overrides without effect, the last one even over FS or GS
 * - it knows no hint NOP but some, no move of a selector with REX.R, and MOVSXD only to 8 bytes
 * - with 66 it shows XCHG of eax
 * - it does not know MOVDIRI, nor of what size a far pointer is
 */
static bool capstone_errs(
	const char *why, const u8 *bytes, const struct instr *in, enum instr_status status)
{
	struct prefixes found = prefixes_find(bytes, in->mode);
	bool no_mandatory = in->mode == INSTR_MODE_16 && found.opcode == 0x0f;

	if (!strcmp(why, "refused")) {
		if (status == INSTR_INVALID)
			return found.lock || found.mandatory || found.address ||
			       found.opcode == 0xc4;
		if (found.second == 0x1a || found.second == 0x1b || found.second == 0x1e)
			return true; /* not hint NOPs to us: MPX, CET */
		if (found.second == 0x12 || found.second == 0x16 || found.second == 0x2b ||
			found.second == 0x38 || found.second == 0xae)
			return found.mandatory || found.address;
		return found.apart || (found.opcode == 0x0f && found.address);
	}
	if (!strcmp(why, "segment"))
		return in->mode == INSTR_MODE_64 &&
		       (!found.fs_gs || in->segment != INSTR_NO_NUMBER);
	if (!strcmp(why, "length"))
		return in->operand[0].kind == INSTR_KIND_IMMEDIATE &&
		       (found.apart ||
			       (in->mode == INSTR_MODE_64 && (found.mandatory || found.address)));
	if (found.apart || (no_mandatory && found.mandatory))
		return true;
	if (!strcmp(why, "register size"))
		return in->operation == INSTR_NOP || found.opcode == 0x63 ||
		       (in->operation == INSTR_XCHG && found.mandatory);
	if (!strcmp(why, "unknown to capstone") && in->map == 2 && in->opcode == 0xf9)
		return true;
	if (!strcmp(why, "unknown to capstone"))
		return in->operation == INSTR_NOP || (found.opcode & 0xfd) == 0x8c;
	if (!strcmp(why, "operand size"))
		return (found.address || found.mandatory) &&
		       (in->operation == INSTR_PUSH || in->operation == INSTR_POP);
	return found.opcode == 0x90 || (found.second == 0xae && found.mandatory) ||
	       (in->operation == INSTR_MOVQ && found.address);
}

/* Whether the supported set has it, going by what capstone says. */
static bool must_accept(const cs_insn *insn)
{
	const cs_x86 *x86 = &insn->detail->x86;

	if (!capstone_operation(insn->id) || !memory_operand(x86))
		return false;
	if (insn->id == X86_INS_CMPSD && x86->opcode[0] == 0x0f)
		return false;
	if (x86->op_count == 3 && capstone_vector_half(insn->id))
		return false; /* VEX loads of a half that take the other half from a register */
	for (u8 i = 0; i < x86->op_count; i++) {
		x86_reg reg = x86->operands[i].type == X86_OP_REG ? x86->operands[i].reg : 0;
		bool load = i == 0 && capstone_segment(reg) != INSTR_NO_NUMBER;

		if ((reg >= X86_REG_MM0 && reg <= X86_REG_MM7) || load)
			return false;
	}
	return true;
}

static void random_bytes(u8 *bytes, enum instr_mode mode)
{
	static const u8 prefixes[] = {
		0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};
	size_t n = 0;

	for (size_t i = 0; i < INSTR_LENGTH_MAX; i++)
		bytes[i] = (u8)random_next();
	if (one_in(8))
		return;
	while (one_in(3))
		bytes[n++ % 4] = prefixes[random_next() % ARRAY_SIZE(prefixes)];
	n %= 4;
	if (mode == INSTR_MODE_64 && one_in(2))
		bytes[n++] = 0x40 | (random_next() & 15);
	if (one_in(2)) {
		bytes[n++] = 0x0f;
		if (one_in(16)) {
			bytes[n++] = 0x38;
			bytes[n++] = one_in(2) ? 0xf0 | (random_next() & 1) : 0x2a;
		}
	} else if (one_in(8)) {
		bytes[n++] = 0xc5;
		bytes[n++] |= mode == INSTR_MODE_64 ? 0x78 : 0xf8;
	}
}

/* The decoder needs all bytes of an instruction and looks at no others. */
static void check_extent(const u8 *bytes, const struct instr *in)
{
	u8 *copy = malloc(in->length); /* AddressSanitizer sees what lies beyond */
	size_t cut = random_next() % in->length;
	struct instr again;

	memcpy(copy, bytes, in->length);
	CHECK_EQ(instr_decode(copy, in->length, in->mode, &again), INSTR_OK);
	/* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): instr_decode clears it first */
	CHECK(!memcmp(in, &again, sizeof(again)));
	free(copy);
	CHECK_EQ(instr_decode(bytes, cut, in->mode, &again), INSTR_TRUNCATED);
}

static void against_capstone(enum instr_mode mode, cs_mode theirs)
{
	csh handle;
	cs_insn *insn;
	unsigned accepted = 0;
	unsigned excused = 0;

	random_state = 0x9e3779b97f4a7c15ull + mode;
	CHECK_EQ(cs_open(CS_ARCH_X86, theirs, &handle), CS_ERR_OK);
	cs_option(handle, CS_OPT_DETAIL, CS_OPT_ON);
	insn = cs_malloc(handle);
	for (unsigned i = 0; i < CASES; i++) {
		u8 bytes[INSTR_LENGTH_MAX];
		const u8 *code = bytes;
		size_t size = sizeof(bytes);
		uint64_t address = 0;
		struct instr in;
		enum instr_status status;
		bool known;
		const char *why = NULL;

		random_bytes(bytes, mode);
		status = instr_decode(bytes, sizeof(bytes), mode, &in);
		known = cs_disasm_iter(handle, &code, &size, &address, insn);
		if (status == INSTR_OK) {
			accepted++;
			why = known ? compare(&in, insn) : "unknown to capstone";
		} else if (known && must_accept(insn)) {
			why = "refused";
		}
		if (why && capstone_errs(why, bytes, &in, status))
			excused++;
		else if (why)
			complain(bytes, known ? insn : NULL, &in, why);
		if (status == INSTR_OK)
			check_extent(bytes, &in);
	}
	printf("%u bytes: %u of %u accepted, capstone excused from %u\n", mode, accepted, CASES,
		excused);
	cs_free(insn, 1);
	cs_close(&handle);
}

TEST(capstone_16)
{
	against_capstone(INSTR_MODE_16, CS_MODE_16);
}

TEST(capstone_32)
{
	against_capstone(INSTR_MODE_32, CS_MODE_32);
}

TEST(capstone_64)
{
	against_capstone(INSTR_MODE_64, CS_MODE_64);
}

/* Decodes hexadecimal digits that may have spaces between them. */
static enum instr_status decode_hex(const char *hex, enum instr_mode mode, struct instr *in)
{
	u8 bytes[32];
	size_t count = 0;
	char *end;

	for (; *hex; hex = end)
		bytes[count++] = (u8)strtoul(hex, &end, 16);
	return instr_decode(bytes, count, mode, in);
}

TEST(length_limit)
{
	struct instr in;

	CHECK_EQ(decode_hex("66 66 66 66 66 66 66 66 66 66 66 66 66 88 00", 8, &in), INSTR_OK);
	CHECK_EQ(in.length, 15);
	CHECK_EQ(decode_hex("66 66 66 66 66 66 66 66 66 66 66 66 66 66 88 00", 8, &in),
		INSTR_TOO_LONG);
	CHECK_EQ(decode_hex("66 66 66 66 66 66 66 66 66 66 66 66 66 66", 8, &in), INSTR_TRUNCATED);
	CHECK_EQ(decode_hex("2e 2e 2e 2e 2e 2e 2e 2e 2e 2e 2e 2e 2e 2e 2e 2e", 2, &in),
		INSTR_TOO_LONG);
	CHECK_EQ(instr_decode(NULL, 0, INSTR_MODE_64, &in), INSTR_TRUNCATED);
}

TEST(statuses)
{
	static const struct {
		const char *hex;
		enum instr_status status[3]; /* 16-, 32-, 64-bit code */
	} cases[] = {
		{"06", {INSTR_OK, INSTR_OK, INSTR_INVALID}},
		{"27", {INSTR_UNSUPPORTED, INSTR_UNSUPPORTED, INSTR_INVALID}},
		{"60", {INSTR_OK, INSTR_OK, INSTR_INVALID}},
		{"9a", {INSTR_TRUNCATED, INSTR_TRUNCATED, INSTR_INVALID}},
		{"82 00 01", {INSTR_OK, INSTR_OK, INSTR_INVALID}},
		{"63 00", {INSTR_UNSUPPORTED, INSTR_UNSUPPORTED, INSTR_OK}},
		{"c5 00", {INSTR_OK, INSTR_OK, INSTR_TRUNCATED}},
		{"c5 f8 11 00", {INSTR_OK, INSTR_OK, INSTR_OK}},
		{"c5 f0 11 00", {INSTR_INVALID, INSTR_INVALID, INSTR_INVALID}}, /* VEX.vvvv */
		{"66 c5 f8 11 00", {INSTR_INVALID, INSTR_INVALID, INSTR_INVALID}},
		{"c5 f8 58 00", {INSTR_UNSUPPORTED, INSTR_UNSUPPORTED, INSTR_UNSUPPORTED}},
		{"0f 0b", {INSTR_INVALID, INSTR_INVALID, INSTR_INVALID}},
		{"0f a2", {INSTR_UNSUPPORTED, INSTR_UNSUPPORTED, INSTR_UNSUPPORTED}},
		{"ff 38", {INSTR_INVALID, INSTR_INVALID, INSTR_INVALID}},
		{"ff 18", {INSTR_OK, INSTR_OK, INSTR_OK}},
		{"ff d8", {INSTR_INVALID, INSTR_INVALID, INSTR_INVALID}},
		{"0f b2 c0", {INSTR_INVALID, INSTR_INVALID, INSTR_INVALID}},
		{"fe 10", {INSTR_INVALID, INSTR_INVALID, INSTR_INVALID}},
		{"8f 08", {INSTR_INVALID, INSTR_INVALID, INSTR_INVALID}},
		{"8c 30", {INSTR_INVALID, INSTR_INVALID, INSTR_INVALID}}, /* no such register */
		{"8e 18", {INSTR_OK, INSTR_OK, INSTR_OK}},
		{"8e 08", {INSTR_INVALID, INSTR_INVALID, INSTR_INVALID}}, /* CS */
		{"f0 01 00", {INSTR_OK, INSTR_OK, INSTR_OK}},
		{"f0 01 c0", {INSTR_INVALID, INSTR_INVALID, INSTR_INVALID}},
		{"f0 03 00", {INSTR_INVALID, INSTR_INVALID, INSTR_INVALID}},
		{"f0 39 00", {INSTR_INVALID, INSTR_INVALID, INSTR_INVALID}},
		{"f0 88 00", {INSTR_INVALID, INSTR_INVALID, INSTR_INVALID}},
		{"f0 0f a3 00", {INSTR_INVALID, INSTR_INVALID, INSTR_INVALID}},
		{"f0 0f ab 00", {INSTR_OK, INSTR_OK, INSTR_OK}},
		{"0f c7 c8", {INSTR_INVALID, INSTR_INVALID, INSTR_INVALID}},
		{"0f c3 c0", {INSTR_INVALID, INSTR_INVALID, INSTR_INVALID}},
		{"c5 fa 10 00", {INSTR_OK, INSTR_OK, INSTR_OK}},
		{"c5 fa 10 c0", {INSTR_UNSUPPORTED, INSTR_UNSUPPORTED, INSTR_UNSUPPORTED}},
		{"c5 f8 12 00", {INSTR_UNSUPPORTED, INSTR_UNSUPPORTED, INSTR_UNSUPPORTED}},
		{"c5 fd 7e 00", {INSTR_INVALID, INSTR_INVALID, INSTR_INVALID}}, /* VEX.L */
		{"0f 38 f9 00", {INSTR_OK, INSTR_OK, INSTR_OK}},
		{"0f 38 f9 c0", {INSTR_INVALID, INSTR_INVALID, INSTR_INVALID}},
		{"f2 0f 38 f0 00", {INSTR_UNSUPPORTED, INSTR_UNSUPPORTED, INSTR_UNSUPPORTED}},
	};
	static const enum instr_mode modes[] = {INSTR_MODE_16, INSTR_MODE_32, INSTR_MODE_64};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		for (size_t j = 0; j < ARRAY_SIZE(modes); j++) {
			struct instr in;
			enum instr_status status = decode_hex(cases[i].hex, modes[j], &in);

			if (status != cases[i].status[j])
				test_fail(__FILE__, __LINE__, "%s in mode %u: %u", cases[i].hex,
					modes[j], status);
		}
}

TEST(prefixes)
{
	struct instr in;

	/* In 64-bit mode DS neither counts nor cancels FS; otherwise the last one counts. */
	CHECK_EQ(decode_hex("64 3e 8b 00", INSTR_MODE_64, &in), INSTR_OK);
	CHECK_EQ(in.memory.segment, INSTR_FS);
	CHECK_EQ(decode_hex("64 3e 8b 00", INSTR_MODE_32, &in), INSTR_OK);
	CHECK_EQ(in.memory.segment, INSTR_DS);
	/* REX counts only before the opcode, and gives SPL for AH. */
	CHECK_EQ(decode_hex("48 66 88 20", INSTR_MODE_64, &in), INSTR_OK);
	CHECK_EQ(in.operand[1].kind, INSTR_KIND_GPR_HIGH);
	CHECK_EQ(in.operand[1].number, 0);
	CHECK_EQ(decode_hex("66 40 88 20", INSTR_MODE_64, &in), INSTR_OK);
	CHECK_EQ(in.operand[1].kind, INSTR_KIND_GPR);
	CHECK_EQ(in.operand[1].number, INSTR_RSP);
	/* R12 and R13 as base take DS, RSP and RBP take SS. */
	CHECK_EQ(decode_hex("41 8b 45 00", INSTR_MODE_64, &in), INSTR_OK);
	CHECK_EQ(in.memory.segment, INSTR_DS);
	CHECK_EQ(decode_hex("8b 45 00", INSTR_MODE_64, &in), INSTR_OK);
	CHECK_EQ(in.memory.segment, INSTR_SS);
	/* Near branches are 8 bytes wide in 64-bit mode, whatever the prefix; pushes heed it. */
	CHECK_EQ(decode_hex("66 ff 10", INSTR_MODE_64, &in), INSTR_OK);
	CHECK_EQ(in.size, 8);
	CHECK_EQ(decode_hex("66 ff 30", INSTR_MODE_64, &in), INSTR_OK);
	CHECK_EQ(in.size, 2);
	/* 90 is XCHG with REX.B only. */
	CHECK_EQ(decode_hex("90", INSTR_MODE_64, &in), INSTR_OK);
	CHECK_EQ(in.operation, INSTR_NOP);
	CHECK_EQ(decode_hex("41 90", INSTR_MODE_64, &in), INSTR_OK);
	CHECK_EQ(in.operation, INSTR_XCHG);
}

TEST(forms_16)
{
	struct instr in;

	CHECK_EQ(decode_hex("8a 42 fe", INSTR_MODE_16, &in), INSTR_OK); /* [bp + si - 2] */
	CHECK_EQ(in.memory.base, INSTR_RBP);
	CHECK_EQ(in.memory.index, INSTR_RSI);
	CHECK_EQ(in.memory.displacement, -2ll);
	CHECK_EQ(in.memory.segment, INSTR_SS);
	CHECK_EQ(in.memory.size, 2);
	CHECK_EQ(decode_hex("8b 06 34 12", INSTR_MODE_16, &in), INSTR_OK); /* [0x1234] */
	CHECK_EQ(in.memory.base, INSTR_NO_NUMBER);
	CHECK_EQ(in.memory.displacement, 0x1234);
	CHECK_EQ(in.memory.segment, INSTR_DS);
	CHECK_EQ(in.size, 2);
	CHECK_EQ(decode_hex("67 66 8b 04 8b", INSTR_MODE_16, &in), INSTR_OK); /* [ebx + ecx * 4] */
	CHECK_EQ(in.memory.base, INSTR_RBX);
	CHECK_EQ(in.memory.index, INSTR_RCX);
	CHECK_EQ(in.memory.scale, 4);
	CHECK_EQ(in.memory.size, 4);
	CHECK_EQ(in.size, 4);
	CHECK_EQ(decode_hex("67 8a 07", INSTR_MODE_32, &in), INSTR_OK); /* [bx] */
	CHECK_EQ(in.memory.base, INSTR_RBX);
	CHECK_EQ(in.memory.size, 2);
	CHECK_EQ(decode_hex("26 a3 00 b8", INSTR_MODE_16, &in), INSTR_OK); /* mov es:[0xb800], ax */
	CHECK_EQ(in.operand[0].kind, INSTR_KIND_MEMORY);
	CHECK_EQ(in.memory.displacement & 0xffff, 0xb800);
	CHECK_EQ(in.memory.segment, INSTR_ES);
}
