/*
 * Runs one instruction on the processor, in 64-bit or in 32-bit code, with registers, flags and
 * vector registers of the caller's choice.
 */
#pragma once

#include "guests/vmm/cpu/instr.h"

/* Low enough that 16-bit addresses reach it. */
#define MEMORY_START 0x8000ull
#define MEMORY_SIZE  0x4000ull
#define GS_BASE      0x1230ull

#define USER_CS_32 0x23 /* Linux */
#define USER_CS_64 0x33
#define USER_DS    0x2b

/* What the stub loads before the instruction and stores after it, in the low 2 GiB. */
struct native_state {
	u64 gpr[INSTR_GPRS];
	u64 rflags;
	u64 host_rsp;
	u8 vector[16][32];
};

extern struct native_state *native; /* of use after native_prepare */
extern u8 *memory;                  /* at MEMORY_START, MEMORY_SIZE bytes */

/* Maps memory and makes the stubs, once. False: there is no AVX, or the addresses are taken. */
bool native_prepare(void);

/* The address at which native_run will have the instruction. */
u64 native_slot(bool wide);

/*
 * Runs length bytes of one instruction, which goes on behind itself, with the state in *native,
 * and stores there what it left. Returns 0, or the signal that ended it.
 */
int native_run(bool wide, const u8 *bytes, unsigned length);
