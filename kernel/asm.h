/* Offsets, constants and macros for assembly; syscall.c checks them against C. */
#pragma once

#define CPU_SCRATCH   8
#define CPU_STACK_TOP 16
#define CPU_CURRENT   24
#define CPU_RESCHED   32
#define CPU_LOADED    40

#define T_RIP    128
#define T_RFLAGS 136
#define T_RESUME 176

#define ASM_SEL_USER_DATA 0x1b
#define ASM_SEL_USER_CODE 0x23
#define SYSCALLS          16

#if defined(__ASSEMBLER__) && !defined(__cppcheck__)
/* clang-format off */
	/* GPR_rax and so on: offsets in struct msg_thread and in gpr[] of the run page, in the order of enum gpr */
	.set GPR_next, 0
	.irp r, rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
	.set GPR_\r, GPR_next
	.set GPR_next, GPR_next + 8
	.endr

	/* Stores and loads registers, in this order, at `offset`, where gpr[] begins, from register `base`. */
	.macro save_gpr offset, base, regs:vararg
	.irp r, \regs
	mov %\r, \offset + GPR_\r(\base)
	.endr
	.endm
	.macro load_gpr offset, base, regs:vararg
	.irp r, \regs
	mov \offset + GPR_\r(\base), %\r
	.endr
	.endm
/* clang-format on */
#endif
