/*
 * VM entry and exit on AMD-V (APM vol. 2, 15.5). VMRUN saves and restores RIP, RSP, RAX, CS, SS, the tables and control registers of
 * the host; VMLOAD and VMSAVE switch FS, GS, TR, LDTR, the SYSCALL and SYSENTER MSRs. GIF is off from here to STGI, so that
 * neither an interrupt nor an NMI meets the guest's state; the host's IF is on during VMRUN, so that interrupts end the run.
 */
#include "kernel/asm.h"

#define V_HW_PA   16
#define V_HOST_PA 32

/* svm_enter_asm(RDI: struct vcpu, RSI: its run page's gpr[]) */
	.text
	.globl svm_enter_asm
svm_enter_asm:
	clgi
	push %rdi
	push %rsi
	push V_HOST_PA(%rdi)
	mov V_HW_PA(%rdi), %rax
	vmload %rax
	sti
	mov T_RCX(%rsi), %rcx
	mov T_RDX(%rsi), %rdx
	mov T_RBX(%rsi), %rbx
	mov T_RBP(%rsi), %rbp
	mov T_RDI(%rsi), %rdi
	mov T_R8(%rsi), %r8
	mov T_R9(%rsi), %r9
	mov T_R10(%rsi), %r10
	mov T_R11(%rsi), %r11
	mov T_R12(%rsi), %r12
	mov T_R13(%rsi), %r13
	mov T_R14(%rsi), %r14
	mov T_R15(%rsi), %r15
	mov T_RSI(%rsi), %rsi
	vmrun %rax
	vmsave %rax
	pop %rax
	vmload %rax
	pop %rax
	mov %rcx, T_RCX(%rax)
	mov %rdx, T_RDX(%rax)
	mov %rbx, T_RBX(%rax)
	mov %rbp, T_RBP(%rax)
	mov %rsi, T_RSI(%rax)
	mov %rdi, T_RDI(%rax)
	mov %r8, T_R8(%rax)
	mov %r9, T_R9(%rax)
	mov %r10, T_R10(%rax)
	mov %r11, T_R11(%rax)
	mov %r12, T_R12(%rax)
	mov %r13, T_R13(%rax)
	mov %r14, T_R14(%rax)
	mov %r15, T_R15(%rax)
	pop %rdi
	cli
	stgi
	mov %gs:CPU_STACK_TOP, %rsp
	xor %ebp, %ebp
	call vcpu_exited
	ud2
