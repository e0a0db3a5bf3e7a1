/* Offsets and constants for assembly; checked against C in offsets.c. */
#pragma once

#define CPU_SCRATCH   8
#define CPU_STACK_TOP 16
#define CPU_CURRENT   24
#define CPU_RESCHED   32

#define T_RAX    0
#define T_RCX    8
#define T_RDX    16
#define T_RBX    24
#define T_RSP    32
#define T_RBP    40
#define T_RSI    48
#define T_RDI    56
#define T_R8     64
#define T_R9     72
#define T_R10    80
#define T_R11    88
#define T_R12    96
#define T_R13    104
#define T_R14    112
#define T_R15    120
#define T_RIP    128
#define T_RFLAGS 136
#define T_RESUME 144

#define ASM_SEL_USER_DATA 0x1b
#define ASM_SEL_USER_CODE 0x23
#define SYSCALLS          16
