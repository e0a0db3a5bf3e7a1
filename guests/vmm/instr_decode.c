/*
 * Instruction decoder: prefixes, then opcode tables whose entries name an operation and up to three
 * operands in the notation of the SDM's opcode maps (vol. 2D app. A.2), then the operands.
 */
#include "guests/vmm/instr.h"

enum place {
	AT_NOWHERE,
	AT_RM,
	AT_PAIR, /* AT_RM, in memory and twice the width */
	AT_REG,
	AT_OPCODE,
	AT_SELECTOR,
	AT_IMMEDIATE,
	AT_ONE,
	AT_RAX,
	AT_RCX,
	AT_ADDRESS,
	AT_SOURCE,
	AT_DEST,
	AT_VECTOR_REG,
	AT_VECTOR_RM
};

/* 1, 2, 4 or 8 bytes, or one of these. */
enum width {
	WIDTH_V = 9, /* the operand size: 2, 4, 8 */
	WIDTH_Z,     /* the same, at most 4 */
	WIDTH_O,     /* 1 if the opcode is even, else WIDTH_V */
	WIDTH_OZ,    /* 1 if the opcode is even, else WIDTH_Z */
	WIDTH_Y,     /* 4, or 8 with REX.W; twice that with Ep */
	WIDTH_X,     /* 16, or 32 with VEX.L */
	WIDTH_M,     /* 2 in memory, else WIDTH_V */
};

#define OPERAND(place, width) ((place) << 4 | (width))
#define OPERAND_PLACE(o)      ((o) >> 4)
#define OPERAND_WIDTH(o)      ((o)&15)

/* E, W: ModRM.rm; G, V: ModRM.reg; Z: low bits of the opcode; O: address; X, Y: strings. */
enum {
	NO_OPERAND,
	Eb = OPERAND(AT_RM, 1),
	Ew = OPERAND(AT_RM, 2),
	Ev = OPERAND(AT_RM, WIDTH_V),
	Ez = OPERAND(AT_RM, WIDTH_Z),
	Eo = OPERAND(AT_RM, WIDTH_O),
	Ey = OPERAND(AT_RM, WIDTH_Y),
	Em = OPERAND(AT_RM, WIDTH_M),
	Ep = OPERAND(AT_PAIR, WIDTH_Y),
	Gv = OPERAND(AT_REG, WIDTH_V),
	Go = OPERAND(AT_REG, WIDTH_O),
	Gy = OPERAND(AT_REG, WIDTH_Y),
	Zb = OPERAND(AT_OPCODE, 1),
	Zv = OPERAND(AT_OPCODE, WIDTH_V),
	Sw = OPERAND(AT_SELECTOR, 2),
	Ib = OPERAND(AT_IMMEDIATE, 1),
	Iz = OPERAND(AT_IMMEDIATE, WIDTH_Z),
	Iv = OPERAND(AT_IMMEDIATE, WIDTH_V),
	Io = OPERAND(AT_IMMEDIATE, WIDTH_OZ),
	I1 = OPERAND(AT_ONE, 1),
	Av = OPERAND(AT_RAX, WIDTH_V),
	Ao = OPERAND(AT_RAX, WIDTH_O),
	CL = OPERAND(AT_RCX, 1),
	Oo = OPERAND(AT_ADDRESS, WIDTH_O),
	Xo = OPERAND(AT_SOURCE, WIDTH_O),
	Xp = OPERAND(AT_SOURCE, WIDTH_OZ), /* INS and OUTS have no 8-byte form */
	Yo = OPERAND(AT_DEST, WIDTH_O),
	Yp = OPERAND(AT_DEST, WIDTH_OZ),
	Vd = OPERAND(AT_VECTOR_REG, 4),
	Vq = OPERAND(AT_VECTOR_REG, 8),
	Vx = OPERAND(AT_VECTOR_REG, WIDTH_X),
	Wd = OPERAND(AT_VECTOR_RM, 4),
	Wq = OPERAND(AT_VECTOR_RM, 8),
	Wx = OPERAND(AT_VECTOR_RM, WIDTH_X)
};

/* Operation of a row: the encoding is undefined. */
#define INVALID INSTR_OPERATIONS

/* Bits of a row. */
enum {
	NOT_64 = 1,   /* undefined in 64-bit mode */
	ONLY_64 = 2,  /* another instruction outside 64-bit mode */
	MEMORY = 4,   /* undefined when ModRM names a register */
	STACK_64 = 8, /* 64-bit mode's operand size is 8, or 2 with the prefix */
	NEAR_64 = 16, /* 64-bit mode's operand size is 8 */
	VEX = 32,     /* exists with VEX too */
	ADD_REG = 64, /* the operation is that of the row plus ModRM.reg */
};

/* Mandatory prefixes of a row, in the order of VEX.pp. */
enum {
	NP = 1,
	P66 = 2,
	PF3 = 4,
	PF2 = 8,
};

/* One or several opcodes. */
struct row {
	u16 opcode;    /* the map times 256, and the first opcode */
	u8 operation;  /* enum instr_operation, or INVALID; INSTR_NONE is unsupported */
	u8 operand[3]; /* from the list above */
	u8 bits;
	u8 more;   /* so many further opcodes */
	u8 prefix; /* only with these mandatory prefixes; 0: with any */
	u8 reg;    /* only with these values of ModRM.reg, bit by bit; 0: with any */
};

/* The operand and what follows in struct row. */
#define ROW(first, name, ...)                                                                      \
	{                                                                                          \
		.opcode = (first), .operation = INSTR_##name, .operand = __VA_ARGS__               \
	}
#define UNDEFINED(first, ...)                                                                      \
	{                                                                                          \
		.opcode = (first), .operation = INVALID, __VA_ARGS__                               \
	}

/* The six encodings that ADD, OR, ADC, SBB, AND, SUB, XOR and CMP have below 40. */
#define ARITHMETIC(first, name)                                                                    \
	ROW(first, name, {Eo, Go}, .more = 1), ROW((first) + 2, name, {Go, Eo}, .more = 1),        \
		ROW((first) + 4, name, {Ao, Io}, .more = 1)

/*
 * Neither the first nor the last opcode of a row is below that of the row before. Of several rows
 * for one opcode the first that fits counts.
 */
static const struct row rows[] = {
	ARITHMETIC(0x00, ADD),
	ROW(0x06, NONE, {NO_OPERAND}, NOT_64, .more = 1),
	ARITHMETIC(0x08, OR),
	ROW(0x0e, NONE, {NO_OPERAND}, NOT_64),
	ARITHMETIC(0x10, ADC),
	ROW(0x16, NONE, {NO_OPERAND}, NOT_64, .more = 1),
	ARITHMETIC(0x18, SBB),
	ROW(0x1e, NONE, {NO_OPERAND}, NOT_64, .more = 1),
	ARITHMETIC(0x20, AND),
	ROW(0x27, NONE, {NO_OPERAND}, NOT_64),
	ARITHMETIC(0x28, SUB),
	ROW(0x2f, NONE, {NO_OPERAND}, NOT_64),
	ARITHMETIC(0x30, XOR),
	ROW(0x37, NONE, {NO_OPERAND}, NOT_64),
	ARITHMETIC(0x38, CMP),
	ROW(0x3f, NONE, {NO_OPERAND}, NOT_64),
	ROW(0x40, INC, {Zv}, .more = 7),
	ROW(0x48, DEC, {Zv}, .more = 7),
	ROW(0x50, PUSH, {Zv}, STACK_64, .more = 7),
	ROW(0x58, POP, {Zv}, STACK_64, .more = 7),
	ROW(0x60, NONE, {NO_OPERAND}, NOT_64, .more = 1),
	ROW(0x63, MOVSX, {Gv, Ez}, ONLY_64),
	ROW(0x69, IMUL, {Gv, Ev, Iz}),
	ROW(0x6b, IMUL, {Gv, Ev, Ib}),
	ROW(0x6c, INS, {Yp}, .more = 1),
	ROW(0x6e, OUTS, {Xp}, .more = 1),
	ROW(0x80, ADD, {Eo, Io}, ADD_REG, .more = 1),
	ROW(0x82, ADD, {Eb, Ib}, ADD_REG | NOT_64),
	ROW(0x83, ADD, {Ev, Ib}, ADD_REG),
	ROW(0x84, TEST, {Eo, Go}, .more = 1),
	ROW(0x86, XCHG, {Eo, Go}, .more = 1),
	ROW(0x88, MOV, {Eo, Go}, .more = 1),
	ROW(0x8a, MOV, {Go, Eo}, .more = 1),
	ROW(0x8c, MOV, {Em, Sw}),
	ROW(0x8f, POP, {Ev}, STACK_64, .reg = BIT(0)),
	UNDEFINED(0x8f),
	ROW(0x90, XCHG, {Zv, Av}, .more = 7),
	ROW(0x9a, NONE, {NO_OPERAND}, NOT_64),
	ROW(0xa0, MOV, {Ao, Oo}, .more = 1),
	ROW(0xa2, MOV, {Oo, Ao}, .more = 1),
	ROW(0xa4, MOVS, {Yo, Xo}, .more = 1),
	ROW(0xa6, CMPS, {Xo, Yo}, .more = 1),
	ROW(0xa8, TEST, {Ao, Io}, .more = 1),
	ROW(0xaa, STOS, {Yo, Ao}, .more = 1),
	ROW(0xac, LODS, {Ao, Xo}, .more = 1),
	ROW(0xae, SCAS, {Ao, Yo}, .more = 1),
	ROW(0xb0, MOV, {Zb, Ib}, .more = 7),
	ROW(0xb8, MOV, {Zv, Iv}, .more = 7),
	ROW(0xc0, ROL, {Eo, Ib}, ADD_REG, .more = 1),
	ROW(0xc6, MOV, {Eo, Io}, .reg = BIT(0), .more = 1),
	UNDEFINED(0xc6, .reg = 0x7e, .more = 1),
	ROW(0xce, NONE, {NO_OPERAND}, NOT_64),
	ROW(0xd0, ROL, {Eo, I1}, ADD_REG, .more = 1),
	ROW(0xd2, ROL, {Eo, CL}, ADD_REG, .more = 1),
	ROW(0xd4, NONE, {NO_OPERAND}, NOT_64, .more = 2),
	ROW(0xea, NONE, {NO_OPERAND}, NOT_64),
	ROW(0xf6, TEST, {Eo, Io}, .reg = BIT(0) | BIT(1), .more = 1),
	ROW(0xf6, NOT - 2, {Eo}, ADD_REG, .more = 1),
	UNDEFINED(0xfe, .reg = 0xfc),
	ROW(0xfe, INC, {Eo}, ADD_REG, .reg = BIT(0) | BIT(1), .more = 1),
	ROW(0xff, CALL, {Ev}, NEAR_64, .reg = BIT(2)),
	ROW(0xff, JMP, {Ev}, NEAR_64, .reg = BIT(4)),
	ROW(0xff, PUSH, {Ev}, STACK_64, .reg = BIT(6)),
	UNDEFINED(0xff, .reg = BIT(7)),
	UNDEFINED(0x104),
	UNDEFINED(0x10a, .more = 2),
	ROW(0x10d, NOP, {Eb}, MEMORY),
	ROW(0x110, MOVUPS, {Vx, Wx}, VEX, .prefix = NP | P66),
	ROW(0x110, MOVSS, {Vd, Wd}, .prefix = PF3),
	ROW(0x110, MOVSS, {Vq, Wq}, .prefix = PF2),
	ROW(0x111, MOVUPS, {Wx, Vx}, VEX, .prefix = NP | P66),
	ROW(0x111, MOVSS, {Wd, Vd}, .prefix = PF3),
	ROW(0x111, MOVSS, {Wq, Vq}, .prefix = PF2),
	ROW(0x112, MOVLPS, {Vq, Wq}, .prefix = NP),
	ROW(0x112, MOVLPS, {Vq, Wq}, MEMORY, .prefix = P66),
	ROW(0x113, MOVLPS, {Wq, Vq}, MEMORY, .prefix = NP | P66),
	UNDEFINED(0x113),
	ROW(0x116, MOVHPS, {Vq, Wq}, .prefix = NP),
	ROW(0x116, MOVHPS, {Vq, Wq}, MEMORY, .prefix = P66),
	ROW(0x117, MOVHPS, {Wq, Vq}, MEMORY, .prefix = NP | P66),
	UNDEFINED(0x117),
	ROW(0x118, NOP, {Eb}, .more = 1),
	ROW(0x11c, NOP, {Eb}, .more = 1),
	ROW(0x11f, NOP, {Ev}),
	UNDEFINED(0x124, .more = 3),
	ROW(0x128, MOVAPS, {Vx, Wx}, VEX, .prefix = NP | P66),
	UNDEFINED(0x128),
	ROW(0x129, MOVAPS, {Wx, Vx}, VEX, .prefix = NP | P66),
	UNDEFINED(0x129),
	ROW(0x12b, MOVAPS, {Wx, Vx}, VEX | MEMORY, .prefix = NP | P66),
	UNDEFINED(0x136),
	UNDEFINED(0x139),
	UNDEFINED(0x13b, .more = 4),
	ROW(0x140, CMOV, {Gv, Ev}, .more = 15),
	ROW(0x16e, MOVQ, {Vq, Ey}, .prefix = P66),
	ROW(0x16f, MOVAPS, {Vx, Wx}, VEX, .prefix = P66),
	ROW(0x16f, MOVUPS, {Vx, Wx}, VEX, .prefix = PF3),
	ROW(0x17e, MOVQ, {Ey, Vq}, .prefix = P66),
	ROW(0x17e, MOVQ, {Vq, Wq}, .prefix = PF3),
	ROW(0x17f, MOVAPS, {Wx, Vx}, VEX, .prefix = P66),
	ROW(0x17f, MOVUPS, {Wx, Vx}, VEX, .prefix = PF3),
	ROW(0x190, SETCC, {Eb}, .more = 15),
	ROW(0x1a3, BT, {Ev, Gv}),
	ROW(0x1a4, SHLD, {Ev, Gv, Ib}),
	ROW(0x1a5, SHLD, {Ev, Gv, CL}),
	UNDEFINED(0x1a6, .more = 1),
	ROW(0x1ab, BTS, {Ev, Gv}),
	ROW(0x1ac, SHRD, {Ev, Gv, Ib}),
	ROW(0x1ad, SHRD, {Ev, Gv, CL}),
	ROW(0x1ae, NOP, {Eb}, MEMORY, .prefix = NP, .reg = BIT(7)),
	ROW(0x1ae, NOP, {Eb}, MEMORY, .prefix = P66, .reg = BIT(6) | BIT(7)),
	ROW(0x1af, IMUL, {Gv, Ev}),
	ROW(0x1b0, CMPXCHG, {Eo, Go}, .more = 1),
	ROW(0x1b3, BTR, {Ev, Gv}),
	ROW(0x1b6, MOVZX, {Gv, Eb}),
	ROW(0x1b7, MOVZX, {Gv, Ew}),
	ROW(0x1b8, POPCNT, {Gv, Ev}, .prefix = PF3),
	UNDEFINED(0x1b8, .more = 1),
	ROW(0x1ba, BT - 4, {Ev, Ib}, ADD_REG, .reg = 0xf0),
	UNDEFINED(0x1ba),
	ROW(0x1bb, BTC, {Ev, Gv}),
	ROW(0x1bc, TZCNT, {Gv, Ev}, .prefix = PF3),
	ROW(0x1bc, BSF, {Gv, Ev}),
	ROW(0x1bd, LZCNT, {Gv, Ev}, .prefix = PF3),
	ROW(0x1bd, BSR, {Gv, Ev}),
	ROW(0x1be, MOVSX, {Gv, Eb}),
	ROW(0x1bf, MOVSX, {Gv, Ew}),
	ROW(0x1c0, XADD, {Eo, Go}, .more = 1),
	ROW(0x1c3, MOV, {Ey, Gy}, MEMORY, .prefix = NP),
	UNDEFINED(0x1c3),
	ROW(0x1c7, CMPXCHG_PAIR, {Ep}, MEMORY, .reg = BIT(1)),
	UNDEFINED(0x1c7, .reg = BIT(0) | BIT(2)),
	ROW(0x1d6, MOVQ, {Wq, Vq}, .prefix = P66),
	ROW(0x1e7, MOVAPS, {Wx, Vx}, VEX | MEMORY, .prefix = P66),
	ROW(0x1f0, MOVUPS, {Vx, Wx}, VEX | MEMORY, .prefix = PF2),
	UNDEFINED(0x1ff),
	ROW(0x22a, MOVAPS, {Vx, Wx}, VEX | MEMORY, .prefix = P66),
	ROW(0x2f0, MOVBE, {Gv, Ev}, MEMORY, .prefix = NP | P66),
	ROW(0x2f1, MOVBE, {Ev, Gv}, MEMORY, .prefix = NP | P66),
};

/* What may be locked, if its destination is memory. SDM vol. 2A, LOCK. */
static const u64 lockable = BIT(INSTR_ADD) | BIT(INSTR_OR) | BIT(INSTR_ADC) | BIT(INSTR_SBB) |
			    BIT(INSTR_AND) | BIT(INSTR_SUB) | BIT(INSTR_XOR) | BIT(INSTR_NOT) |
			    BIT(INSTR_NEG) | BIT(INSTR_INC) | BIT(INSTR_DEC) | BIT(INSTR_BTS) |
			    BIT(INSTR_BTR) | BIT(INSTR_BTC) | BIT(INSTR_XCHG) | BIT(INSTR_XADD) |
			    BIT(INSTR_CMPXCHG) | BIT(INSTR_CMPXCHG_PAIR);
static_assert(INSTR_CMPXCHG_PAIR < 64, "operations are bits of lockable");

struct decoder {
	const u8 *bytes;
	size_t count; /* of bytes, at most INSTR_LENGTH_MAX */
	enum instr_status at_end;
	enum instr_status status; /* the first that is not INSTR_OK stays */
	struct instr *out;
	u8 operand_size;
	u8 vex_prefix;   /* VEX.pp */
	bool vex_long;   /* VEX.L */
	bool vex_source; /* VEX.vvvv names a register */
	bool have_modrm;
};

enum {
	REX_B = 1,
	REX_X = 2,
	REX_R = 4,
	REX_W = 8
};

static void decoder_stop(struct decoder *d, enum instr_status status)
{
	if (d->status == INSTR_OK)
		d->status = status;
}

/* The next size bytes, little-endian, sign-extended; 0 at the end of the input. */
static u64 decoder_fetch(struct decoder *d, unsigned size)
{
	unsigned unused = (64 - 8 * size) & 63;
	u64 value = 0;

	if (size > d->count - d->out->length) {
		decoder_stop(d, d->at_end);
		return 0;
	}
	for (unsigned i = 0; i < size; i++)
		value |= (u64)d->bytes[d->out->length++] << 8 * i;
	return (u64)((s64)(value << unused) >> unused);
}

static u8 decoder_byte(struct decoder *d)
{
	return (u8)decoder_fetch(d, 1);
}

/*
 * Takes one byte if it is a prefix. REX counts only right before the opcode. In 64-bit mode the
 * overrides ES, CS, SS and DS are null prefixes and cancel no other override (APM vol. 3 1.2.4).
 */
static bool decode_prefix(struct instr *out, u8 byte)
{
	bool wide = out->mode == INSTR_MODE_64;

	switch (byte) {
	case 0x26:
	case 0x2e:
	case 0x36:
	case 0x3e:
		if (!wide)
			out->segment = byte >> 3 & 3;
		break;
	case 0x64:
	case 0x65:
		out->segment = byte == 0x64 ? INSTR_FS : INSTR_GS;
		break;
	case 0x66:
		out->operand_prefix = true;
		break;
	case 0x67:
		out->address_prefix = true;
		break;
	case 0xf0:
		out->lock = true;
		break;
	case 0xf2:
	case 0xf3:
		out->rep = byte;
		break;
	default:
		if (!wide || (byte & 0xf0) != 0x40)
			return false;
		out->rex = byte;
		return true;
	}
	out->rex = 0;
	return true;
}

/*
 * The rest of a VEX prefix that began with C4 or C5. R, X, B and vvvv are stored inverted.
 * SDM vol. 2A 2.3.5.
 */
static void decode_vex(struct decoder *d)
{
	struct instr *out = d->out;
	bool prefixes = out->lock || out->rep || out->operand_prefix || out->rex;
	u8 first = decoder_byte(d);
	u8 last = first;

	out->vex = true;
	out->map = 1;
	out->rex = (u8)~first >> 5 & REX_R;
	if (out->opcode == 0xc4) {
		last = decoder_byte(d);
		out->map = first & 31;
		out->rex = (u8)~first >> 5 | (last >> 4 & REX_W);
	}
	if (out->mode != INSTR_MODE_64)
		out->rex = 0;
	d->vex_prefix = last & 3;
	d->vex_long = last & 4;
	d->vex_source = (last >> 3 & 15) != 15;
	if (prefixes)
		decoder_stop(d, INSTR_INVALID);
}

/* Prefixes, escapes and the last byte of the opcode. */
static void decode_opcode(struct decoder *d)
{
	struct instr *out = d->out;
	u8 byte;

	do
		byte = decoder_byte(d);
	while (d->status == INSTR_OK && decode_prefix(out, byte));
	out->opcode = byte;
	if (byte == 0x0f) {
		out->map = 1;
		out->opcode = decoder_byte(d);
		if (out->opcode == 0x38 || out->opcode == 0x3a) {
			out->map = out->opcode == 0x38 ? 2 : 3;
			out->opcode = decoder_byte(d);
		}
	} else if (byte == 0xc4 || byte == 0xc5) {
		/* Outside 64-bit mode they are LES and LDS, which have no register form. */
		if (out->length == d->count)
			decoder_stop(d, d->at_end);
		else if (out->mode == INSTR_MODE_64 || d->bytes[out->length] >= 0xc0) {
			decode_vex(d);
			out->opcode = decoder_byte(d);
		}
	}
}

static u8 decode_modrm(struct decoder *d)
{
	if (!d->have_modrm)
		d->out->modrm = decoder_byte(d);
	d->have_modrm = true;
	return d->out->modrm;
}

/* The first row for the opcode, or the first one behind where it would be. */
static const struct row *row_find(unsigned opcode)
{
	size_t low = 0;
	size_t high = ARRAY_SIZE(rows);

	while (low < high) {
		size_t middle = (low + high) / 2;

		if ((unsigned)rows[middle].opcode + rows[middle].more < opcode)
			low = middle + 1;
		else
			high = middle;
	}
	return &rows[low];
}

static bool row_fits(struct decoder *d, const struct row *row)
{
	const struct instr *out = d->out;
	unsigned repeat = out->rep == 0xf3 ? 2 : 3;
	unsigned prefix = out->vex ? d->vex_prefix : out->rep ? repeat : out->operand_prefix;

	if (row->prefix && !(row->prefix & BIT(prefix)))
		return false;
	return !row->reg || row->reg & BIT(decode_modrm(d) >> 3 & 7);
}

/* The row for the instruction, and its operation. Without one, returns NULL and stops d. */
static const struct row *decode_operation(struct decoder *d)
{
	struct instr *out = d->out;
	unsigned opcode = out->map * 256u + out->opcode;
	const struct row *end = rows + ARRAY_SIZE(rows);
	const struct row *row = row_find(opcode);
	bool wide = out->mode == INSTR_MODE_64;

	while (row < end && row->opcode <= opcode && !row_fits(d, row))
		row++;
	if (row == end || row->opcode > opcode) {
		decoder_stop(d, INSTR_UNSUPPORTED);
		return NULL;
	}
	if (row->operation == INVALID || (row->bits & NOT_64 && wide))
		decoder_stop(d, INSTR_INVALID);
	if (row->operation == INSTR_NONE || (row->bits & ONLY_64 && !wide) ||
		(out->vex && !(row->bits & VEX)))
		decoder_stop(d, INSTR_UNSUPPORTED);
	if (d->vex_source)
		decoder_stop(d, INSTR_INVALID);
	out->operation = row->operation;
	if (row->bits & ADD_REG)
		out->operation = (u8)(out->operation + (decode_modrm(d) >> 3 & 7));
	if (opcode == 0x90 && !(out->rex & REX_B))
		out->operation = INSTR_NOP;
	return d->status == INSTR_OK ? row : NULL;
}

static void decode_sizes(struct decoder *d, const struct row *row)
{
	struct instr *out = d->out;
	bool wide = out->mode == INSTR_MODE_64;
	u8 normal = out->mode == INSTR_MODE_16 ? 2 : 4;

	d->operand_size = out->operand_prefix ? 6 - normal : normal;
	if (out->rex & REX_W || (wide && row->bits & NEAR_64))
		d->operand_size = 8;
	if (wide && row->bits & STACK_64 && !out->operand_prefix)
		d->operand_size = 8;
	if (wide)
		out->memory.size = out->address_prefix ? 4 : 8;
	else
		out->memory.size = out->address_prefix ? 6 - normal : normal;
}

/* SDM vol. 2A table 2-1. */
static void decode_memory_16(struct decoder *d, u8 mod, u8 rm)
{
	static const u8 bases[] = {INSTR_RBX, INSTR_RBX, INSTR_RBP, INSTR_RBP, INSTR_RSI, INSTR_RDI,
		INSTR_RBP, INSTR_RBX};
	static const u8 indexes[] = {INSTR_RSI, INSTR_RDI, INSTR_RSI, INSTR_RDI};
	struct instr_memory *memory = &d->out->memory;

	if (mod == 0 && rm == 6) {
		memory->displacement = (s64)decoder_fetch(d, 2);
		return;
	}
	memory->base = bases[rm];
	if (rm < ARRAY_SIZE(indexes))
		memory->index = indexes[rm];
	if (mod)
		memory->displacement = (s64)decoder_fetch(d, mod);
}

/* SDM vol. 2A tables 2-2, 2-3 and 2-5, 2.2.1.6 (relative to rip). */
static void decode_memory_32(struct decoder *d, u8 mod, u8 rm)
{
	struct instr_memory *memory = &d->out->memory;
	u8 rex = d->out->rex;
	u8 base = rm;
	bool sib = rm == 4;

	if (sib) {
		u8 byte = decoder_byte(d);
		u8 index = (byte >> 3 & 7) | (rex & REX_X ? 8 : 0);

		base = byte & 7;
		memory->scale = (u8)(1 << (byte >> 6));
		if (index != INSTR_RSP)
			memory->index = index;
	}
	if (mod == 0 && base == 5) {
		memory->rip = !sib && d->out->mode == INSTR_MODE_64;
		memory->displacement = (s64)decoder_fetch(d, 4);
		return;
	}
	memory->base = base | (rex & REX_B ? 8 : 0);
	if (mod)
		memory->displacement = (s64)decoder_fetch(d, mod == 1 ? 1 : 4);
}

/* The segment of the memory operand: the override, or SS with rSP and rBP as base, or DS. */
static void decode_segment(struct instr *out)
{
	u8 base = out->memory.base;

	if (out->segment != INSTR_NO_NUMBER)
		out->memory.segment = out->segment;
	else
		out->memory.segment = base == INSTR_RSP || base == INSTR_RBP ? INSTR_SS : INSTR_DS;
}

static u8 decode_width(const struct decoder *d, u8 width)
{
	if ((width == WIDTH_O || width == WIDTH_OZ) && !(d->out->opcode & 1))
		return 1;
	switch (width) {
	case WIDTH_V:
	case WIDTH_O:
		return d->operand_size;
	case WIDTH_Z:
	case WIDTH_OZ:
		return d->operand_size == 2 ? 2 : 4;
	case WIDTH_Y:
		return d->out->rex & REX_W ? 8 : 4;
	case WIDTH_X:
		return d->vex_long ? 32 : 16;
	case WIDTH_M:
		return d->out->modrm >= 0xc0 ? d->operand_size : 2;
	default:
		return width;
	}
}

static void operand_gpr(const struct instr *out, struct instr_operand *operand, u8 number)
{
	operand->kind = INSTR_KIND_GPR;
	operand->number = number;
	if (operand->size == 1 && !out->rex && number >= 4) {
		operand->kind = INSTR_KIND_GPR_HIGH;
		operand->number = number - 4;
	}
}

static void decode_operand(struct decoder *d, struct instr_operand *operand, u8 descriptor)
{
	struct instr *out = d->out;
	u8 place = OPERAND_PLACE(descriptor);
	u8 reg = (out->modrm >> 3 & 7) | (out->rex & REX_R ? 8 : 0);
	u8 low = (place == AT_OPCODE ? out->opcode & 7 : out->modrm & 7) |
		 (out->rex & REX_B ? 8 : 0);

	operand->size = decode_width(d, OPERAND_WIDTH(descriptor));
	switch (place) {
	case AT_PAIR:
		operand->size *= 2;
		operand->kind = INSTR_KIND_MEMORY;
		break;
	case AT_RM:
	case AT_VECTOR_RM:
		operand->number = low;
		if (out->modrm < 0xc0)
			operand->kind = INSTR_KIND_MEMORY;
		else if (place == AT_VECTOR_RM)
			operand->kind = INSTR_KIND_VECTOR;
		else
			operand_gpr(out, operand, low);
		break;
	case AT_REG:
		operand_gpr(out, operand, reg);
		break;
	case AT_OPCODE:
		operand_gpr(out, operand, low);
		break;
	case AT_RAX:
		operand_gpr(out, operand, INSTR_RAX);
		break;
	case AT_RCX:
		operand_gpr(out, operand, INSTR_RCX);
		break;
	case AT_VECTOR_REG:
		operand->kind = INSTR_KIND_VECTOR;
		operand->number = reg;
		break;
	case AT_SELECTOR:
		operand->kind = INSTR_KIND_SEGMENT;
		operand->number = reg & 7;
		if (operand->number >= INSTR_SEGMENTS)
			decoder_stop(d, INSTR_INVALID);
		break;
	case AT_IMMEDIATE:
		operand->kind = INSTR_KIND_IMMEDIATE;
		out->immediate = decoder_fetch(d, operand->size);
		break;
	case AT_ONE:
		operand->kind = INSTR_KIND_IMMEDIATE;
		out->immediate = 1;
		break;
	case AT_ADDRESS:
		operand->kind = INSTR_KIND_MEMORY;
		out->memory.displacement = (s64)decoder_fetch(d, out->memory.size);
		break;
	case AT_SOURCE:
		operand->kind = INSTR_KIND_SOURCE;
		out->memory.base = INSTR_RSI;
		break;
	case AT_DEST:
		operand->kind = INSTR_KIND_DEST;
		break;
	}
}

static bool row_has_modrm(const struct row *row)
{
	static const u32 places = BIT(AT_RM) | BIT(AT_PAIR) | BIT(AT_REG) | BIT(AT_SELECTOR) |
				  BIT(AT_VECTOR_REG) | BIT(AT_VECTOR_RM);
	u32 used = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(row->operand); i++)
		used |= BIT(OPERAND_PLACE(row->operand[i]));
	return used & places;
}

/* ModRM with SIB and displacement, then the operands in order, of which one may be immediate. */
static void decode_operands(struct decoder *d, const struct row *row)
{
	struct instr *out = d->out;

	if (row_has_modrm(row)) {
		u8 modrm = decode_modrm(d);

		if (modrm < 0xc0 && out->memory.size == 2)
			decode_memory_16(d, modrm >> 6, modrm & 7);
		else if (modrm < 0xc0)
			decode_memory_32(d, modrm >> 6, modrm & 7);
		else if (row->bits & MEMORY)
			decoder_stop(d, INSTR_INVALID);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(row->operand) && row->operand[i]; i++) {
		decode_operand(d, &out->operand[i], row->operand[i]);
		out->operands++;
	}
	out->size = out->operands ? out->operand[0].size : d->operand_size;
	decode_segment(out);
	if (out->lock &&
		(out->operand[0].kind != INSTR_KIND_MEMORY || out->operation > INSTR_CMPXCHG_PAIR ||
			!(lockable & BIT(out->operation))))
		decoder_stop(d, INSTR_INVALID);
}

enum instr_status instr_decode(
	const u8 *bytes, size_t count, enum instr_mode mode, struct instr *out)
{
	bool cut = count < INSTR_LENGTH_MAX;
	struct decoder d = {
		.bytes = bytes,
		.count = cut ? count : INSTR_LENGTH_MAX,
		.at_end = cut ? INSTR_TRUNCATED : INSTR_TOO_LONG,
		.out = out,
	};
	const struct row *row;

	__builtin_memset(out, 0, sizeof(*out));
	out->mode = (u8)mode;
	out->segment = INSTR_NO_NUMBER;
	out->memory = (struct instr_memory){
		.base = INSTR_NO_NUMBER, .index = INSTR_NO_NUMBER, .scale = 1};

	decode_opcode(&d);
	if (d.status != INSTR_OK)
		return d.status;
	row = decode_operation(&d);
	if (row) {
		out->condition = out->opcode & 15;
		decode_sizes(&d, row);
		decode_operands(&d, row);
	}
	return d.status;
}
