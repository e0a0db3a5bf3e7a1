/*
 * The decoder's opcode table: rows that name an operation and up to three operands in the notation
 * of the SDM's opcode maps (vol. 2D app. A.2).
 */
#pragma once

#include "guests/vmm/cpu/instr.h"

/* Where an operand is; E, G and so on of the opcode maps. */
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
	AT_VECTOR_RM,
	AT_MMX_REG,
	AT_MMX_RM,
	AT_OPCODE_SELECTOR, /* bits 5:3 of the opcode */
	AT_WIDENED,         /* AT_IMMEDIATE that counts with the operand size */
	AT_FRAME,           /* the same, and a second one of a byte */
	AT_POINTER,         /* a far pointer */
};

/* 1, 2, 4 or 8 bytes, or one of these. */
enum width {
	WIDTH_T = 6, /* limit and base of a table: 6, in 64-bit mode 10 */
	WIDTH_V = 9, /* the operand size: 2, 4, 8 */
	WIDTH_Z,     /* the same, at most 4 */
	WIDTH_O,     /* 1 if the opcode is even, else WIDTH_V */
	WIDTH_OZ,    /* 1 if the opcode is even, else WIDTH_Z */
	WIDTH_Y,     /* 4, or 8 with REX.W; twice that with Ep */
	WIDTH_X,     /* 16, or 32 with VEX.L */
	WIDTH_M,     /* 2 in memory, else WIDTH_V */
	WIDTH_P,     /* a far pointer: 2 more than WIDTH_V */
};

#define OPERAND(place, width) ((place) << 8 | (width))
#define OPERAND_PLACE(o)      ((o) >> 8)
#define OPERAND_WIDTH(o)      ((o)&0xff)

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
	VEX_MEMORY =
		128, /* exists with VEX too; between registers it is another instruction then */
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
	u16 opcode;     /* the map times 256, and the first opcode */
	u8 operation;   /* enum instr_operation, or INVALID; INSTR_NONE is unsupported */
	u16 operand[3]; /* as instr_table.c lists them: OPERAND(), or 0 */
	u8 bits;
	u8 more;   /* so many further opcodes */
	u8 prefix; /* only with these mandatory prefixes; 0: with any */
	u8 reg;    /* only with these values of ModRM.reg, bit by bit; 0: with any */
};

/*
 * Neither the first nor the last opcode of a row is below that of the row before. Of several rows
 * for one opcode the first that fits counts.
 */
extern const struct row instr_rows[];
extern const size_t instr_row_count;
