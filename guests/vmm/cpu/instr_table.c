/* The opcodes that the decoder knows. */
#include "guests/vmm/cpu/instr_table.h"

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
	Mt = OPERAND(AT_RM, WIDTH_T),
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

const struct row instr_rows[] = {
	ARITHMETIC(0x00, ADD), ROW(0x06, NONE, {NO_OPERAND}, NOT_64, .more = 1),
	ARITHMETIC(0x08, OR), ROW(0x0e, NONE, {NO_OPERAND}, NOT_64), ARITHMETIC(0x10, ADC),
	ROW(0x16, NONE, {NO_OPERAND}, NOT_64, .more = 1), ARITHMETIC(0x18, SBB),
	ROW(0x1e, NONE, {NO_OPERAND}, NOT_64, .more = 1), ARITHMETIC(0x20, AND),
	ROW(0x27, NONE, {NO_OPERAND}, NOT_64), ARITHMETIC(0x28, SUB),
	ROW(0x2f, NONE, {NO_OPERAND}, NOT_64), ARITHMETIC(0x30, XOR),
	ROW(0x37, NONE, {NO_OPERAND}, NOT_64), ARITHMETIC(0x38, CMP),
	ROW(0x3f, NONE, {NO_OPERAND}, NOT_64), ROW(0x40, INC, {Zv}, .more = 7),
	ROW(0x48, DEC, {Zv}, .more = 7), ROW(0x50, PUSH, {Zv}, STACK_64, .more = 7),
	ROW(0x58, POP, {Zv}, STACK_64, .more = 7), ROW(0x60, NONE, {NO_OPERAND}, NOT_64, .more = 1),
	ROW(0x63, MOVSX, {Gv, Ez}, ONLY_64), ROW(0x69, IMUL, {Gv, Ev, Iz}),
	ROW(0x6b, IMUL, {Gv, Ev, Ib}), ROW(0x6c, INS, {Yp}, .more = 1),
	ROW(0x6e, OUTS, {Xp}, .more = 1), ROW(0x80, ADD, {Eo, Io}, ADD_REG, .more = 1),
	ROW(0x82, ADD, {Eb, Ib}, ADD_REG | NOT_64), ROW(0x83, ADD, {Ev, Ib}, ADD_REG),
	ROW(0x84, TEST, {Eo, Go}, .more = 1), ROW(0x86, XCHG, {Eo, Go}, .more = 1),
	ROW(0x88, MOV, {Eo, Go}, .more = 1), ROW(0x8a, MOV, {Go, Eo}, .more = 1),
	ROW(0x8c, MOV, {Em, Sw}), ROW(0x8f, POP, {Ev}, STACK_64, .reg = BIT(0)), UNDEFINED(0x8f),
	ROW(0x90, XCHG, {Zv, Av}, .more = 7), ROW(0x9a, NONE, {NO_OPERAND}, NOT_64),
	ROW(0xa0, MOV, {Ao, Oo}, .more = 1), ROW(0xa2, MOV, {Oo, Ao}, .more = 1),
	ROW(0xa4, MOVS, {Yo, Xo}, .more = 1), ROW(0xa6, CMPS, {Xo, Yo}, .more = 1),
	ROW(0xa8, TEST, {Ao, Io}, .more = 1), ROW(0xaa, STOS, {Yo, Ao}, .more = 1),
	ROW(0xac, LODS, {Ao, Xo}, .more = 1), ROW(0xae, SCAS, {Ao, Yo}, .more = 1),
	ROW(0xb0, MOV, {Zb, Ib}, .more = 7), ROW(0xb8, MOV, {Zv, Iv}, .more = 7),
	ROW(0xc0, ROL, {Eo, Ib}, ADD_REG, .more = 1),
	ROW(0xc6, MOV, {Eo, Io}, .reg = BIT(0), .more = 1), UNDEFINED(0xc6, .reg = 0x7e, .more = 1),
	ROW(0xce, NONE, {NO_OPERAND}, NOT_64), ROW(0xd0, ROL, {Eo, I1}, ADD_REG, .more = 1),
	ROW(0xd2, ROL, {Eo, CL}, ADD_REG, .more = 1),
	ROW(0xd4, NONE, {NO_OPERAND}, NOT_64, .more = 2), ROW(0xd7, XLAT, {NO_OPERAND}),
	ROW(0xea, NONE, {NO_OPERAND}, NOT_64),
	ROW(0xf6, TEST, {Eo, Io}, .reg = BIT(0) | BIT(1), .more = 1),
	ROW(0xf6, NOT - 2, {Eo}, ADD_REG, .more = 1), UNDEFINED(0xfe, .reg = 0xfc),
	ROW(0xfe, INC, {Eo}, ADD_REG, .reg = BIT(0) | BIT(1), .more = 1),
	ROW(0xff, CALL, {Ev}, NEAR_64, .reg = BIT(2)), ROW(0xff, JMP, {Ev}, NEAR_64, .reg = BIT(4)),
	ROW(0xff, PUSH, {Ev}, STACK_64, .reg = BIT(6)), UNDEFINED(0xff, .reg = BIT(7)),
	ROW(0x100, SLDT, {Ew}, MEMORY | ADD_REG, .reg = 0x0f),
	ROW(0x101, SGDT, {Mt}, MEMORY | ADD_REG, .reg = 0x0f),
	ROW(0x101, SMSW, {Ew}, MEMORY, .reg = BIT(4)),
	ROW(0x101, LMSW, {Ew}, MEMORY, .reg = BIT(6)), UNDEFINED(0x104),
	UNDEFINED(0x10a, .more = 2), ROW(0x10d, NOP, {Eb}, MEMORY),
	ROW(0x110, MOVUPS, {Vx, Wx}, VEX, .prefix = NP | P66),
	ROW(0x110, MOVSS, {Vd, Wd}, VEX_MEMORY, .prefix = PF3),
	ROW(0x110, MOVSS, {Vq, Wq}, VEX_MEMORY, .prefix = PF2),
	ROW(0x111, MOVUPS, {Wx, Vx}, VEX, .prefix = NP | P66),
	ROW(0x111, MOVSS, {Wd, Vd}, VEX_MEMORY, .prefix = PF3),
	ROW(0x111, MOVSS, {Wq, Vq}, VEX_MEMORY, .prefix = PF2),
	ROW(0x112, MOVLPS, {Vq, Wq}, .prefix = NP),
	ROW(0x112, MOVLPS, {Vq, Wq}, MEMORY, .prefix = P66),
	ROW(0x113, MOVLPS, {Wq, Vq}, MEMORY | VEX_MEMORY, .prefix = NP | P66), UNDEFINED(0x113),
	ROW(0x116, MOVHPS, {Vq, Wq}, .prefix = NP),
	ROW(0x116, MOVHPS, {Vq, Wq}, MEMORY, .prefix = P66),
	ROW(0x117, MOVHPS, {Wq, Vq}, MEMORY | VEX_MEMORY, .prefix = NP | P66), UNDEFINED(0x117),
	ROW(0x118, NOP, {Eb}, .more = 1), ROW(0x11c, NOP, {Eb}, .more = 1), ROW(0x11f, NOP, {Ev}),
	UNDEFINED(0x124, .more = 3), ROW(0x128, MOVAPS, {Vx, Wx}, VEX, .prefix = NP | P66),
	UNDEFINED(0x128), ROW(0x129, MOVAPS, {Wx, Vx}, VEX, .prefix = NP | P66), UNDEFINED(0x129),
	ROW(0x12b, MOVAPS, {Wx, Vx}, VEX | MEMORY, .prefix = NP | P66), UNDEFINED(0x136),
	UNDEFINED(0x139), UNDEFINED(0x13b, .more = 4), ROW(0x140, CMOV, {Gv, Ev}, .more = 15),
	ROW(0x16e, MOVQ, {Vq, Ey}, VEX_MEMORY, .prefix = P66),
	ROW(0x16f, MOVAPS, {Vx, Wx}, VEX, .prefix = P66),
	ROW(0x16f, MOVUPS, {Vx, Wx}, VEX, .prefix = PF3),
	ROW(0x17e, MOVQ, {Ey, Vq}, VEX_MEMORY, .prefix = P66),
	ROW(0x17e, MOVQ, {Vq, Wq}, VEX_MEMORY, .prefix = PF3),
	ROW(0x17f, MOVAPS, {Wx, Vx}, VEX, .prefix = P66),
	ROW(0x17f, MOVUPS, {Wx, Vx}, VEX, .prefix = PF3), ROW(0x190, SETCC, {Eb}, .more = 15),
	ROW(0x1a3, BT, {Ev, Gv}), ROW(0x1a4, SHLD, {Ev, Gv, Ib}), ROW(0x1a5, SHLD, {Ev, Gv, CL}),
	UNDEFINED(0x1a6, .more = 1), ROW(0x1ab, BTS, {Ev, Gv}), ROW(0x1ac, SHRD, {Ev, Gv, Ib}),
	ROW(0x1ad, SHRD, {Ev, Gv, CL}), ROW(0x1ae, NOP, {Eb}, MEMORY, .prefix = NP, .reg = BIT(7)),
	ROW(0x1ae, NOP, {Eb}, MEMORY, .prefix = P66, .reg = BIT(6) | BIT(7)),
	ROW(0x1af, IMUL, {Gv, Ev}), ROW(0x1b0, CMPXCHG, {Eo, Go}, .more = 1),
	ROW(0x1b3, BTR, {Ev, Gv}), ROW(0x1b6, MOVZX, {Gv, Eb}), ROW(0x1b7, MOVZX, {Gv, Ew}),
	ROW(0x1b8, POPCNT, {Gv, Ev}, .prefix = PF3), UNDEFINED(0x1b8, .more = 1),
	ROW(0x1ba, BT - 4, {Ev, Ib}, ADD_REG, .reg = 0xf0), UNDEFINED(0x1ba),
	ROW(0x1bb, BTC, {Ev, Gv}), ROW(0x1bc, TZCNT, {Gv, Ev}, .prefix = PF3),
	ROW(0x1bc, BSF, {Gv, Ev}), ROW(0x1bd, LZCNT, {Gv, Ev}, .prefix = PF3),
	ROW(0x1bd, BSR, {Gv, Ev}), ROW(0x1be, MOVSX, {Gv, Eb}), ROW(0x1bf, MOVSX, {Gv, Ew}),
	ROW(0x1c0, XADD, {Eo, Go}, .more = 1), ROW(0x1c3, MOV, {Ey, Gy}, MEMORY, .prefix = NP),
	UNDEFINED(0x1c3), ROW(0x1c7, CMPXCHG_PAIR, {Ep}, MEMORY, .reg = BIT(1)),
	UNDEFINED(0x1c7, .reg = BIT(0) | BIT(2)),
	ROW(0x1d6, MOVQ, {Wq, Vq}, VEX_MEMORY, .prefix = P66),
	ROW(0x1e7, MOVAPS, {Wx, Vx}, VEX | MEMORY, .prefix = P66),
	ROW(0x1f0, MOVUPS, {Vx, Wx}, VEX | MEMORY, .prefix = PF2), UNDEFINED(0x1ff),
	ROW(0x22a, MOVAPS, {Vx, Wx}, VEX | MEMORY, .prefix = P66),
	ROW(0x2f0, MOVBE, {Gv, Ev}, MEMORY, .prefix = NP | P66),
	ROW(0x2f1, MOVBE, {Ev, Gv}, MEMORY, .prefix = NP | P66),
	ROW(0x2f9, MOV, {Ey, Gy}, MEMORY, .prefix = NP), /* MOVDIRI */
};

const size_t instr_row_count = ARRAY_SIZE(instr_rows);
