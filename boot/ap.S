/*
 * Where a processor starts that the loader starts: copied to the page below 1 MiB, entered in real mode with CS:IP = page:0. It
 * goes to 64-bit mode on the temporary tables, says so in its struct boot_cpu, and waits there until the kernel sends for it.
 */
#include "ap.h"

#define SELECTOR_CODE 0x08
#define SELECTOR_DATA 0x10
#define CR4_PAE       (1 << 5)
#define CR0_START     0x80010031 /* PG, WP, NE, ET, PE */
#define MSR_EFER      0xc0000080
#define EFER_START    0x901 /* NXE, LME, SCE */

	.section .rodata
	.globl ap_start, ap_end, ap_cr3, ap_cpu
	.hidden ap_start, ap_end, ap_cr3, ap_cpu
	.balign 16
	.code16
ap_start:
	cli
	cld
	mov	%cs, %ax
	mov	%ax, %ds
	xor	%ebx, %ebx
	mov	%ax, %bx
	shl	$4, %ebx	/* linear address of this page */
	/* what holds addresses depends on the page */
	lea	ap_gdt - ap_start(%ebx), %eax
	mov	%eax, ap_gdtr - ap_start + 2
	lea	ap_long - ap_start(%ebx), %eax
	mov	%eax, ap_far - ap_start
	lgdtl	ap_gdtr - ap_start
	mov	$CR4_PAE, %eax
	mov	%eax, %cr4
	mov	ap_cr3 - ap_start, %eax
	mov	%eax, %cr3
	mov	$MSR_EFER, %ecx
	rdmsr
	or	$EFER_START, %eax
	wrmsr
	mov	$CR0_START, %eax
	mov	%eax, %cr0
	ljmpl	*(ap_far - ap_start)

	.code64
ap_long:
	mov	$SELECTOR_DATA, %eax
	mov	%eax, %ss
	mov	%eax, %ds
	mov	%eax, %es
	mov	ap_cpu(%rip), %rbx
	orl	$FLAG_WAITS, CPU_FLAGS(%rbx)
1:	pause
	mov	CPU_ENTRY(%rbx), %rax
	test	%rax, %rax
	jz	1b
	mov	CPU_ARGUMENT(%rbx), %rdi
	jmp	*%rax

	.balign 8
ap_gdt:
	.quad 0
	.quad 0x00af9a000000ffff
	.quad 0x00cf92000000ffff
ap_gdtr:
	.word 23
	.long 0
	.balign 8
ap_far:
	.long 0
	.word SELECTOR_CODE
	.balign 8
ap_cr3:
	.quad 0
ap_cpu:
	.quad 0
ap_end:

	.section .note.GNU-stack, "", @progbits
