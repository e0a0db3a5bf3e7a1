/*
 * Into the guest and out of it (SDM vol. 3C, 27 and 28).
 *
 * The general registers go through run_page.gpr[]; RSP, RIP and RFLAGS through the VMCS. At an exit the hardware has
 * loaded the host's CRs, segments, GS base, MSRs and RSP = cpu->stack_top; nothing here depends on what the guest left in
 * a register, and no C runs before all of them are saved. An entry that is refused (VMfail) changes none of the host's
 * state, and goes the same way with vmx_vcpu.refused set.
 */
#include "vmx/entry.h"

#define GPR(n) (ENTRY_RUN_GPR + 8 * (n))

	.text
	.balign 64
/* void vmx_enter(struct vcpu *v, bool launched) */
	.globl vmx_enter
vmx_enter:
	mov ENTRY_VCPU_RUN(%rdi), %rax
	test %esi, %esi
	mov GPR(1)(%rax), %rcx
	mov GPR(2)(%rax), %rdx
	mov GPR(3)(%rax), %rbx
	mov GPR(5)(%rax), %rbp
	mov GPR(6)(%rax), %rsi
	mov GPR(7)(%rax), %rdi
	mov GPR(8)(%rax), %r8
	mov GPR(9)(%rax), %r9
	mov GPR(10)(%rax), %r10
	mov GPR(11)(%rax), %r11
	mov GPR(12)(%rax), %r12
	mov GPR(13)(%rax), %r13
	mov GPR(14)(%rax), %r14
	mov GPR(15)(%rax), %r15
	mov GPR(0)(%rax), %rax
	jz 1f
	vmresume
	jmp 2f
1:	vmlaunch

	/* Refused: CF or ZF says how. GS and the stack are still the kernel's; the stack is used up. */
2:	mov %gs:ENTRY_CPU_STACK_TOP, %rsp
	push %rax
	pushfq
	mov %gs:ENTRY_CPU_VCPU, %rax
	popq ENTRY_VCPU_REFUSED(%rax)
	pop %rax

/* HOST_RIP */
	.globl vmx_exited
vmx_exited:
	push %rax
	mov %gs:ENTRY_CPU_VCPU, %rax
	mov ENTRY_VCPU_RUN(%rax), %rax
	mov %rcx, GPR(1)(%rax)
	mov %rdx, GPR(2)(%rax)
	mov %rbx, GPR(3)(%rax)
	mov %rbp, GPR(5)(%rax)
	mov %rsi, GPR(6)(%rax)
	mov %rdi, GPR(7)(%rax)
	mov %r8, GPR(8)(%rax)
	mov %r9, GPR(9)(%rax)
	mov %r10, GPR(10)(%rax)
	mov %r11, GPR(11)(%rax)
	mov %r12, GPR(12)(%rax)
	mov %r13, GPR(13)(%rax)
	mov %r14, GPR(14)(%rax)
	mov %r15, GPR(15)(%rax)
	popq GPR(0)(%rax)
	mov %gs:ENTRY_CPU_VCPU, %rdi
	mov %cr2, %rax
	mov %rax, ENTRY_VCPU_CR2(%rdi)
	xor %ebp, %ebp
	call vcpu_exited
	ud2

	.section .note.GNU-stack, "", @progbits
