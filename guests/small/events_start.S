/*
 * Handlers of events.c. That of NMIs notes where each came, sends itself another from within the first, and leaves
 * through the one IRET, nmi_iret.
 */
#define LAPIC     0xfee00000
#define REG_ID    0x20
#define REG_EOI   0xb0
#define REG_ICR   0x300
#define ICR_NMI   0x4400
#define FRAME_RIP 16

	.text
	.globl events_nmi
events_nmi:
	push	%rax
	push	%rdx
	mov	nmi_count(%rip), %eax
	mov	FRAME_RIP(%rsp), %rdx
	mov	%rdx, nmi_rip(,%rax,8)
	incl	nmi_count(%rip)
	test	%eax, %eax
	jnz	1f
	mov	$LAPIC, %eax
	movl	$ICR_NMI, REG_ICR(%rax)
	mov	REG_ID(%rax), %edx		/* an exit at which it must not come */
1:	pop	%rdx
	pop	%rax
	.globl nmi_iret
nmi_iret:
	iretq

	.globl events_interrupt
events_interrupt:
	push	%rax
	incl	interrupt_count(%rip)
	mov	$LAPIC, %eax
	movl	$0, REG_EOI(%rax)
	pop	%rax
	iretq

	.bss
	.balign	8
	.globl nmi_rip, nmi_count, interrupt_count
nmi_rip:
	.skip	8 * 4
nmi_count:
	.skip	4
interrupt_count:
	.skip	4

	.section .note.GNU-stack, "", @progbits
