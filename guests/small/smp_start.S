/*
 * Where the other processors begin: real mode at a page below 1 MiB, to which smp.c copies this, to 64-bit mode in the
 * first processor's page tables. RAX is then the number of processors that came this way before.
 */
#define CR0_PG_PE   0x80000001
#define CR0_WP_NE   0x10020
#define CR4_PAE     0x20
#define MSR_EFER    0xc0000080
#define EFER_LME    0x100
#define SEL_CODE_64 0x08
#define SEL_DATA    0x10
#define AP_STACK    0x1000

	.text
	.code16
	.globl ap_begin, ap_end, ap_cr3, ap_entry
ap_begin:
	cli
	mov	%cs, %ax
	mov	%ax, %ds
	lgdtl	ap_gdt_pointer - ap_begin
	mov	$CR4_PAE, %eax
	mov	%eax, %cr4
	mov	ap_cr3 - ap_begin, %eax
	mov	%eax, %cr3
	mov	$MSR_EFER, %ecx
	rdmsr
	or	$EFER_LME, %eax
	wrmsr
	mov	ap_entry - ap_begin, %ebx
	mov	$(CR0_PG_PE | CR0_WP_NE), %eax
	mov	%eax, %cr0
	ljmpl	$SEL_CODE_64, $ap_64
	.balign	8
	.globl ap_gdt
ap_gdt:
	.quad	0
	.quad	0x00af9b000000ffff
	.quad	0x00cf93000000ffff
ap_gdt_pointer:
	.word	. - ap_gdt - 1
	.globl ap_gdt_base
ap_gdt_base:
	.long	0
ap_cr3:
	.long	0
ap_entry:
	.long	0
ap_end:

	.code64
ap_64:
	mov	$SEL_DATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	lgdt	small_gdt_pointer
	mov	$1, %eax
	lock xadd %eax, ap_came(%rip)
	lea	1(%rax), %ecx
	shl	$12, %ecx
	lea	ap_stacks(%rcx), %rsp
	mov	%eax, %edi
	call	*%rbx
1:	cli
	hlt
	jmp	1b

/* An interrupt of another processor, and an NMI: each counts for the processor that took it. */
	.globl count_ipi, count_nmi
	.balign	16
count_ipi:
	push	%rax
	push	%rcx
	push	%rdx
	push	%rsi
	push	%rdi
	push	%r8
	push	%r9
	push	%r10
	push	%r11
	call	smp_count_ipi
	pop	%r11
	pop	%r10
	pop	%r9
	pop	%r8
	pop	%rdi
	pop	%rsi
	pop	%rdx
	pop	%rcx
	pop	%rax
	iretq
	.balign	16
count_nmi:
	push	%rax
	push	%rcx
	push	%rdx
	call	smp_count_nmi
	pop	%rdx
	pop	%rcx
	pop	%rax
	iretq

	.data
	.balign	4
	.globl ap_came
ap_came:
	.long	0

	.bss
	.balign	4096
	.globl ap_stacks
ap_stacks:
	.skip	64 * AP_STACK

	.section .note.GNU-stack, "", @progbits
