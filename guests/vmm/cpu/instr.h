/*
 * Decoder and emulator for the instructions with which a guest reaches memory-mapped I/O, and for
 * its string I/O. The guest chooses every byte and every register: no input makes either function
 * do more than a bounded amount of work.
 *
 * Sources: Intel SDM vol. 2A ch. 2 (instruction format, VEX), ch. 3 and vol. 2B, 2C (instructions),
 * vol. 2D app. A (opcode maps); AMD APM vol. 3 ch. 1 (prefixes, where the SDM leaves them open).
 */
#pragma once

#include "kernel/abi/types.h"

#define INSTR_LENGTH_MAX 15   /* bytes; a longer instruction raises #GP */
#define INSTR_NO_NUMBER  0xff /* no base, no index, no segment override */

/* What decoding or executing came to. Decoding returns the first five. */
enum instr_status {
	INSTR_OK,
	INSTR_TRUNCATED,    /* the bytes end before the instruction does */
	INSTR_TOO_LONG,     /* longer than 15 bytes: the guest gets #GP(0) */
	INSTR_INVALID,      /* undefined encoding: the guest gets #UD */
	INSTR_UNSUPPORTED,  /* not one of ours: perhaps valid, perhaps not */
	INSTR_AGAIN,        /* a repeated string instruction has iterations left */
	INSTR_FAULT,        /* a callback refused, and itself knows why */
	INSTR_DIVIDE_ERROR, /* the guest gets #DE */
	INSTR_PROTECTION,   /* segment, branch target, misaligned operand: the guest gets #GP(0) */
	INSTR_STACK_FAULT,  /* limit of the stack segment: the guest gets #SS(0) */
};

/* Default size of the code segment: CS.L and CS.D. */
enum instr_mode {
	INSTR_MODE_16 = 2, /* bytes of an operand without prefixes, except in 64-bit mode */
	INSTR_MODE_32 = 4,
	INSTR_MODE_64 = 8,
};

/* Numbers as they are encoded; with REX, 8 to 15 follow. */
enum instr_gpr {
	INSTR_RAX,
	INSTR_RCX,
	INSTR_RDX,
	INSTR_RBX,
	INSTR_RSP,
	INSTR_RBP,
	INSTR_RSI,
	INSTR_RDI,
	INSTR_GPRS = 16,
};

enum instr_segment {
	INSTR_ES,
	INSTR_CS,
	INSTR_SS,
	INSTR_DS,
	INSTR_FS,
	INSTR_GS,
	INSTR_SEGMENTS,
};

/* ADD to CMP, ROL to SAR, BT to BTC, NOT to IDIV, INC to DEC: ordered as ModRM.reg numbers them. */
enum instr_operation {
	INSTR_NONE,
	INSTR_ADD,
	INSTR_OR,
	INSTR_ADC,
	INSTR_SBB,
	INSTR_AND,
	INSTR_SUB,
	INSTR_XOR,
	INSTR_CMP,
	INSTR_ROL,
	INSTR_ROR,
	INSTR_RCL,
	INSTR_RCR,
	INSTR_SHL,
	INSTR_SHR,
	INSTR_SAL, /* an undocumented second encoding of SHL */
	INSTR_SAR,
	INSTR_SHLD,
	INSTR_SHRD,
	INSTR_BT,
	INSTR_BTS,
	INSTR_BTR,
	INSTR_BTC,
	INSTR_NOT,
	INSTR_NEG,
	INSTR_MUL,
	INSTR_IMUL, /* with one, two or three operands */
	INSTR_DIV,
	INSTR_IDIV,
	INSTR_TEST,
	INSTR_INC,
	INSTR_DEC,
	INSTR_XCHG,
	INSTR_XADD,
	INSTR_CMPXCHG,
	INSTR_CMPXCHG_PAIR, /* CMPXCHG8B, CMPXCHG16B */
	INSTR_BSF,
	INSTR_BSR,
	INSTR_TZCNT,
	INSTR_LZCNT,
	INSTR_POPCNT,
	INSTR_MOV,
	INSTR_MOVZX,
	INSTR_MOVSX, /* also MOVSXD */
	INSTR_MOVBE,
	INSTR_XLAT,
	INSTR_CMOV,
	INSTR_SETCC,
	INSTR_PUSH,
	INSTR_POP,
	INSTR_CALL,
	INSTR_JMP,
	INSTR_RET,
	INSTR_PUSHF,
	INSTR_POPF,
	INSTR_PUSHA,
	INSTR_POPA,
	INSTR_ENTER,
	INSTR_LEAVE,
	INSTR_LOAD_POINTER, /* LES to LGS; from here to IRET segments are loaded */
	INSTR_CALL_FAR,
	INSTR_JMP_FAR,
	INSTR_RET_FAR,
	INSTR_IRET,
	INSTR_MOVS, /* the string instructions stay together, MOVS first and OUTS last */
	INSTR_CMPS,
	INSTR_SCAS,
	INSTR_LODS,
	INSTR_STOS,
	INSTR_INS,
	INSTR_OUTS,
	INSTR_MOVUPS, /* any whole vector register: MOVUPS, MOVUPD, MOVDQU, LDDQU and VEX forms */
	INSTR_MOVAPS, /* the same with an aligned operand; also MOVNTPS, MOVNTDQ, MOVNTDQA */
	INSTR_MOVSS,  /* MOVSS, MOVSD: a load clears the rest of the register, a move keeps it */
	INSTR_MOVQ,   /* MOVD, MOVQ, MOVNTQ: the rest of the register is cleared */
	INSTR_MOVLPS, /* MOVLPS, MOVLPD, MOVHLPS */
	INSTR_MOVHPS, /* MOVHPS, MOVHPD, MOVLHPS */
	INSTR_SLDT,   /* from here to LMSW with memory: registers need no emulation */
	INSTR_STR,
	INSTR_LLDT,
	INSTR_LTR,
	INSTR_SGDT,
	INSTR_SIDT,
	INSTR_LGDT,
	INSTR_LIDT,
	INSTR_SMSW,
	INSTR_LMSW,
	INSTR_NOP, /* NOP, PAUSE, prefetches, CLFLUSH, CLFLUSHOPT, CLWB */
	INSTR_OPERATIONS,
};

enum instr_kind {
	INSTR_KIND_NONE,
	INSTR_KIND_GPR,
	INSTR_KIND_GPR_HIGH, /* AH, CH, DH, BH: number is 0 to 3 */
	INSTR_KIND_SEGMENT,  /* the selector */
	INSTR_KIND_VECTOR,   /* XMM, or YMM when size is 32 */
	INSTR_KIND_MMX,
	INSTR_KIND_IMMEDIATE, /* struct instr: immediate, and selector where there are two */
	INSTR_KIND_MEMORY,    /* struct instr: memory */
	INSTR_KIND_SOURCE,    /* string at segment:rSI, the segment in struct instr: memory */
	INSTR_KIND_DEST,      /* string at ES:rDI */
};

struct instr_operand {
	u8 kind;   /* enum instr_kind */
	u8 size;   /* bytes; of an immediate those encoded, but of what moves on the stack, a
		      branch's distance or target, the operand size */
	u8 number; /* register */
};

/* segment:[base + index * scale + displacement], or [next rip + displacement]. */
struct instr_memory {
	u8 base;          /* enum instr_gpr, or INSTR_NO_NUMBER */
	u8 index;         /* enum instr_gpr, or INSTR_NO_NUMBER */
	u8 scale;         /* 1, 2, 4 or 8 */
	u8 segment;       /* enum instr_segment, override or default */
	u8 size;          /* of the address: 2, 4 or 8 bytes */
	bool rip;         /* relative to the next instruction */
	s64 displacement; /* sign-extended; only the low size bytes of the sum count */
};

struct instr {
	u8 length;    /* bytes, 1 to INSTR_LENGTH_MAX */
	u8 mode;      /* enum instr_mode */
	u8 operation; /* enum instr_operation */
	u8 condition; /* of CMOV and SETCC: the low four bits of the opcode */
	u8 size;      /* of operand 0, or the operand size where there is none; bytes */
	u8 map;       /* 0: one-byte opcodes, 1: 0F, 2: 0F 38 */
	u8 opcode;    /* last byte of the opcode */
	u8 modrm;     /* 0 where there is none */
	u8 rex;       /* REX in effect, or the equivalent of VEX's bits; 0 if none */
	u8 rep;       /* 0xf2 (REPNE), 0xf3 (REP), or 0; whichever came last */
	u8 segment;   /* override that has an effect: enum instr_segment or INSTR_NO_NUMBER */
	bool operand_prefix; /* 66 */
	bool address_prefix; /* 67 */
	bool lock;
	bool vex;
	u8 operands;                     /* 0 to 3 */
	struct instr_operand operand[3]; /* destination first */
	struct instr_memory memory;
	u64 immediate; /* sign-extended */
	u16 selector;  /* of an immediate far pointer; ENTER: the nesting level */
};

/* A descriptor table. */
struct instr_table {
	u64 base;
	u32 limit; /* last byte */
};

struct instr_cpu {
	u64 gpr[INSTR_GPRS]; /* by enum instr_gpr */
	u64 rip;             /* of the instruction itself */
	u64 rflags;
	u64 cr0;                        /* for SMSW */
	u64 base[INSTR_SEGMENTS];       /* bytes; in 64-bit mode only those of FS and GS count */
	u32 limit[INSTR_SEGMENTS];      /* last byte, expanded; without effect in 64-bit mode */
	u16 attributes[INSTR_SEGMENTS]; /* as in struct run_segment; only if is_protected */
	u16 selector[INSTR_SEGMENTS];
	u8 stack_size;     /* SS.B: 4 if set, else 2 bytes; without effect in 64-bit mode */
	u8 linear_bits;    /* 64-bit mode: width of canonical addresses, 48 or 57 */
	bool is_protected; /* CR0.PE, and not virtual-8086 mode */
	u8 cpl;            /* 3 in virtual-8086 mode */
	bool vme;          /* CR4.VME */

	/* for instr_loads_segment */
	bool long_mode;              /* EFER.LMA */
	struct instr_table table[2]; /* GDT, LDT; limit 0: there is none */
};

/* Bits of access, an argument of the memory callbacks. */
#define INSTR_ACCESS_LOCKED BIT(0) /* this read and the write that follows are one access */
#define INSTR_ACCESS_MODIFY BIT(1) /* a write to the same bytes follows: want the right to it */
#define INSTR_ACCESS_STACK  BIT(2) /* through SS: a non-canonical address is #SS, not #GP */
#define INSTR_ACCESS_SYSTEM                                                                        \
	BIT(3)                    /* the processor's own, to a descriptor: with ring 0's rights    \
				   */
#define INSTR_ACCESS_PROBE BIT(4) /* a write that moves nothing: is there the right to it? */

#define INSTR_MMX 16 /* number of MM0 for the callbacks */

/*
 * What an instruction reaches. Each int is 0, or anything else to stop the instruction with
 * INSTR_FAULT; the callback keeps in opaque what the guest is then to get. opaque is the argument
 * of instr_execute.
 */
struct instr_bus {
	/*
	 * Moves size bytes (1, 2, 4, 8, 16 or 32) at a linear address. Outside 64-bit mode it has
	 * 32 bits; in 64-bit mode it may be non-canonical. It may cross a page
	 * or, outside 64-bit mode, 4 GiB, behind which follows 0. A write that fails must have
	 * changed nothing.
	 */
	int (*read)(void *opaque, u64 linear, void *data, unsigned size, unsigned access);
	int (*write)(void *opaque, u64 linear, const void *data, unsigned size, unsigned access);

	/* INS and OUTS: size bytes (1, 2 or 4) of a port. May be NULL: then they are unsupported.
	 */
	int (*port_read)(void *opaque, u16 port, u32 *value, unsigned size);
	int (*port_write)(void *opaque, u16 port, u32 value, unsigned size);

	/*
	 * Moves the low size bytes (16 or 32) of vector register number (0 to 15). A write of 16
	 * leaves the rest of the register; one of 32 clears what lies above. With a number from
	 * INSTR_MMX on, and 8 bytes, MM0 to MM7, which the x87 registers become with it. May be
	 * NULL: then the moves that need them are unsupported.
	 */
	void (*vector_read)(void *opaque, unsigned number, void *data, unsigned size);
	void (*vector_write)(void *opaque, unsigned number, const void *data, unsigned size);

	/*
	 * SLDT to LIDT, and LMSW, beside their memory operand: a selector, limit or machine status
	 * word, and of a table its base. Given by the callback to stores, to the callback by loads.
	 * May be NULL: then they are unsupported.
	 */
	int (*system)(void *opaque, enum instr_operation operation, u16 *word, u64 *base);

	/*
	 * Keeps the exception, with its error code, because of which INSTR_FAULT follows. May be
	 * NULL: then what loads segments is unsupported.
	 */
	void (*fault)(void *opaque, u8 vector, u32 error);

	u32 max_iterations; /* of a repeated string instruction in one call; 0 counts as 1 */
};

/*
 * Decodes one instruction.
 *
 * bytes, count: what was fetched at rip; bytes beyond the instruction are not looked at
 * mode:         default size of the code segment
 * out:          the instruction; of use only after INSTR_OK
 *
 * Returns INSTR_OK, INSTR_TRUNCATED, INSTR_TOO_LONG, INSTR_INVALID or INSTR_UNSUPPORTED. The last
 * two can come before the length of the instruction is known. In real and virtual-8086 mode the
 * caller turns an instruction with vex set into #UD. TZCNT, LZCNT, POPCNT, MOVBE and the vector
 * moves are taken to exist and to be enabled in CR0, CR4 and XCR0.
 * In 64-bit mode a near CALL, JMP or RET ignores the operand-size prefix, and a far CALL or JMP
 * heeds REX.W, as on Intel processors.
 *
 * SDM vol. 2A 2.1 to 2.3, vol. 2D app. A; APM vol. 3 1.2.
 */
enum instr_status instr_decode(
	const u8 *bytes, size_t count, enum instr_mode mode, struct instr *out);

/* Is it one that loads a segment register, and so needs the tables in struct instr_cpu? */
static inline bool instr_loads_segment(const struct instr *in)
{
	return (in->operation >= INSTR_LOAD_POINTER && in->operation <= INSTR_IRET) ||
	       (in->operands && in->operand[0].kind == INSTR_KIND_SEGMENT &&
		       in->operation != INSTR_PUSH);
}

/* Base, limit in bytes, and attributes (struct run_segment) of an 8-byte descriptor. */
void instr_descriptor(u64 raw, u64 *base, u32 *limit, u16 *attributes);

/*
 * Executes one instruction.
 *
 * in:     from instr_decode, which returned INSTR_OK
 * cpu:    registers before, and after: rip then stands behind the instruction, wrapped to the
 *         mode's size, unless it jumped
 * bus:    memory, ports and vector registers; read and write are not NULL
 * opaque: passed on to the callbacks
 *
 * Returns
 *   INSTR_OK            done
 *   INSTR_AGAIN         bus->max_iterations of a repeated string instruction are done, rip still
 *                       stands at it, and executing it once more goes on
 *   INSTR_FAULT         a callback refused
 *   INSTR_DIVIDE_ERROR  #DE
 *   INSTR_PROTECTION    #GP(0)
 *   INSTR_STACK_FAULT   #SS(0)
 *   INSTR_UNSUPPORTED   a callback that it needs is NULL; a gate or a task, in a far CALL, JMP or
 *                       IRET
 * After any but the first two cpu is as before, but for finished iterations of a string
 * instruction, which count. Flags that the manuals leave undefined have some value. Segments are
 * checked outside 64-bit mode: limit, and in protected mode type and presence (SDM vol. 3, 5.3 and
 * 5.4). The right to a port is not checked, nor are RFLAGS.TF and RF acted upon. If writing memory
 * fails in INS, the datum has been read from the port and is lost: look whether the destination
 * can be written before executing INS.
 *
 * IRET does not end the blocking of NMIs, and a load of SS blocks no interrupts: see to both.
 *
 * SDM vol. 2A ch. 3, vol. 2B ch. 4, vol. 2C ch. 5; vol. 1 7.3.9.1 (REP); vol. 3 5.5 to 5.8.
 */
enum instr_status instr_execute(
	const struct instr *in, struct instr_cpu *cpu, const struct instr_bus *bus, void *opaque);
