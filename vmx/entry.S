/*
 * Into the guest and out of it (SDM vol. 3C, 27 and 28).
 *
 * The general registers go through run_page.gpr[]; RSP, RIP and RFLAGS through the VMCS. At an exit the hardware has
 * loaded the host's CRs, segments, GS base, MSRs and RSP = cpu->stack_top; nothing here depends on what the guest left in
 * a register, and no C runs before all of them are saved. An entry that is refused (VMfail) changes none of the host's
 * state, and goes the same way with vmx_vcpu.refused set.
 */
#include "kernel/asm.h"
#include "vmx/entry.h"

	.text
	.balign 64
/* void vmx_enter(struct vcpu *v, bool launched) */
	.globl vmx_enter
vmx_enter:
	mov ENTRY_VCPU_RUN(%rdi), %rax
	test %esi, %esi
	load_gpr ENTRY_RUN_GPR, %rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15, rax
	jz 1f
	vmresume
	jmp 2f
1:	vmlaunch

	/* Refused: CF or ZF says how. GS and the stack are still the kernel's; the stack is used up. */
2:	mov %gs:CPU_STACK_TOP, %rsp
	push %rax
	pushfq
	mov %gs:CPU_LOADED, %rax
	popq ENTRY_VCPU_REFUSED(%rax)
	pop %rax

/* HOST_RIP */
	.globl vmx_exited
vmx_exited:
	push %rax
	mov %gs:CPU_LOADED, %rax
	mov ENTRY_VCPU_RUN(%rax), %rax
	save_gpr ENTRY_RUN_GPR, %rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
	popq ENTRY_RUN_GPR + GPR_rax(%rax)
	mov %gs:CPU_LOADED, %rdi
	mov %cr2, %rax
	mov %rax, ENTRY_VCPU_CR2(%rdi)
	xor %ebp, %ebp
	call vcpu_exited
	ud2

	.section .note.GNU-stack, "", @progbits
