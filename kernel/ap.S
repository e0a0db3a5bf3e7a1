/*
 * Where an application processor starts: copied to the trampoline page below 1 MiB, in real mode, CS:IP = page:0. The BSP
 * filled in the words at the end. The kernel's own tables map the trampoline page one to one while CPUs start.
 */
	.section .rodata
	.globl ap_start, ap_end, ap_cr3, ap_entry, ap_stack, ap_cpu, ap_base
	.code16
ap_start:
	cli
	cld
	mov %cs, %ax
	mov %ax, %ds
	xor %ebx, %ebx
	mov %ax, %bx
	shl $4, %ebx /* linear address of this page */
	/* far pointers depend on the page: the BSP wrote its address into ap_base, so fix them here */
	mov %ebx, %eax
	add $(ap_gdt - ap_start), %eax
	mov %eax, ap_gdtr - ap_start + 2
	mov %ebx, %eax
	add $(ap_long - ap_start), %eax
	mov %eax, ap_far - ap_start
	lgdtl ap_gdtr - ap_start
	mov $0x000000a0, %eax /* PAE, PGE */
	mov %eax, %cr4
	mov ap_cr3 - ap_start, %eax
	mov %eax, %cr3
	mov $0xc0000080, %ecx
	rdmsr
	or $0x901, %eax /* NXE, LME, SCE */
	wrmsr
	mov $0x80010031, %eax /* PG, WP, NE, ET, PE */
	mov %eax, %cr0
	ljmpl *(ap_far - ap_start)
	.code64
ap_long:
	mov $0x10, %eax
	mov %eax, %ss
	mov %eax, %ds
	mov %eax, %es
	mov ap_stack(%rip), %rsp
	mov ap_cpu(%rip), %rdi
	mov ap_entry(%rip), %rax
	xor %ebp, %ebp
	call *%rax
	ud2
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
	.word 0x08
	.balign 8
ap_base:
	.quad 0
ap_cr3:
	.quad 0
ap_entry:
	.quad 0
ap_stack:
	.quad 0
ap_cpu:
	.quad 0
ap_end:
