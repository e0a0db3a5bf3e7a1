/*
 * Instructions of the guest that the VMM must look at: their bytes, their length, and their
 * execution against memory-mapped devices, RAM and ports. Everything that the guest controls goes
 * through its own page tables and the bounds of its RAM.
 */
#pragma once

#include "guests/vmm/cpu/instr.h"
#include "guests/vmm/vcpu.h"

/* EXIT_MEMORY: an access to guest-physical memory that is not mapped. */
void emulate_memory_exit(struct vcpu *v);

/* EXIT_IO of a string instruction. */
void emulate_string_io(struct vcpu *v);

/*
 * Length of the instruction at RIP that exited, where the hardware did not say: one of those that
 * exit by themselves (CPUID, HLT, MSRs, I/O, CRs, task switches, ...). 0: it is none of them, or
 * the guest got a fault.
 */
u32 emulate_length(struct vcpu *v);

/*
 * The general register of the MOV to control register `number` at RIP, and the instruction's length
 * into the run page. False: another instruction stands there now, or the guest got a fault.
 */
bool emulate_mov_cr(struct vcpu *v, u32 number, u32 *gpr);

/* Copies up to `max` bytes at RIP without any effect on the guest; returns how many could be read.
 */
u32 emulate_peek(struct vcpu *v, u8 *bytes, u32 max);

/* Likewise the bytes of the instruction at RIP behind its prefixes, and zeroes behind those. */
u32 emulate_peek_opcode(struct vcpu *v, u8 bytes[INSTR_LENGTH_MAX]);
