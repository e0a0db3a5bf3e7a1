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
	load_gpr 0, %rsi, rcx, rdx, rbx, rbp, rdi, r8, r9, r10, r11, r12, r13, r14, r15, rsi
	vmrun %rax
	vmsave %rax
	pop %rax
	vmload %rax
	pop %rax
	save_gpr 0, %rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
	pop %rdi
	cli
	stgi
	mov %gs:CPU_STACK_TOP, %rsp
	xor %ebp, %ebp
	call vcpu_exited
	ud2
