/* What capstone calls operations and registers, in the numbers of the decoder. */
#pragma once

#include <capstone/capstone.h>
#include "kernel/abi/types.h"

/* The operation of a mnemonic (x86_insn), or INSTR_NONE. */
u8 capstone_operation(unsigned id);

/* The encoding's number of a general-purpose or a segment register, or INSTR_NO_NUMBER. */
u8 capstone_gpr(x86_reg reg);
u8 capstone_segment(x86_reg reg);

/* VMOVLPS and its kin? */
bool capstone_vector_half(unsigned id);
