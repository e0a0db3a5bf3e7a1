/*
 * Entry of a small guest: flat 32-bit protected mode with EBX = hvm_start_info (PVH), to 64-bit mode with the first
 * 4 GiB mapped one to one. Also the stubs of interrupts and exceptions.
 */
#define PTE_PW      0x3
#define PTE_PW_2M   0x83
#define CR0_PG_PE   0x80000001
#define CR0_WP      0x10000
#define CR4_PAE     0x20
#define MSR_EFER    0xc0000080
#define EFER_LME    0x100
#define SEL_CODE_64 0x08
#define SEL_DATA    0x10
#define STACK_SIZE  0x4000

	/* XEN_ELFNOTE_PHYS32_ENTRY */
	.section .note.pvh, "a", @note
	.balign	4
	.long	4, 4, 18
	.asciz	"Xen"
	.long	start_32

	.section .text.start, "ax"
	.code32
	.globl start_32
start_32:
	cld
	mov	$(stack + STACK_SIZE), %esp
	/* 2048 pages of 2 MiB */
	mov	$directories, %edi
	mov	$PTE_PW_2M, %eax
	xor	%ecx, %ecx
1:	mov	%eax, (%edi,%ecx,8)
	add	$0x200000, %eax
	inc	%ecx
	cmp	$2048, %ecx
	jne	1b
	/* four directories */
	mov	$(directories + PTE_PW), %eax
	xor	%ecx, %ecx
2:	mov	%eax, pdpt(,%ecx,8)
	add	$0x1000, %eax
	inc	%ecx
	cmp	$4, %ecx
	jne	2b
	movl	$(pdpt + PTE_PW), pml4
	mov	$pml4, %eax
	mov	%eax, %cr3
	mov	%cr4, %eax
	or	$CR4_PAE, %eax
	mov	%eax, %cr4
	mov	$MSR_EFER, %ecx
	rdmsr
	or	$EFER_LME, %eax
	wrmsr
	mov	%cr0, %eax
	or	$(CR0_PG_PE | CR0_WP), %eax
	mov	%eax, %cr0
	lgdt	small_gdt_pointer
	ljmp	$SEL_CODE_64, $start_64

	.code64
start_64:
	mov	$SEL_DATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	%eax, %fs
	mov	%eax, %gs
	mov	$(stack + STACK_SIZE), %rsp
	mov	%ebx, %edi
	call	small_start
1:	hlt
	jmp	1b

/* What is at the top of the stack when trap() is called: struct trap_frame of small.h. */
trap_common:
	push	%rax
	push	%rcx
	push	%rdx
	push	%rbx
	push	%rbp
	push	%rsi
	push	%rdi
	push	%r8
	push	%r9
	push	%r10
	push	%r11
	mov	%rsp, %rdi
	mov	%rsp, %rbx
	and	$-16, %rsp
	cld
	call	trap
	mov	%rbx, %rsp
	pop	%r11
	pop	%r10
	pop	%r9
	pop	%r8
	pop	%rdi
	pop	%rsi
	pop	%rbp
	pop	%rbx
	pop	%rdx
	pop	%rcx
	pop	%rax
	add	$16, %rsp
	iretq

/* 32 stubs of 16 bytes; 8, 10 to 14 and 17 find an error code on the stack. */
	.balign	16
	.globl trap_stubs
trap_stubs:
	.set	vector, 0
	.rept	32
	.balign	16
	.if	vector == 8 || (vector >= 10 && vector <= 14) || vector == 17
	.else
	push	$0
	.endif
	push	$vector
	jmp	trap_common
	.set	vector, vector + 1
	.endr

/* The quickest handler: counts, and ends the interrupt in x2APIC mode. */
	.balign	16
	.globl count_interrupt
count_interrupt:
	push	%rax
	push	%rcx
	push	%rdx
	incq	interrupts(%rip)
	mov	$0x80b, %ecx
	xor	%eax, %eax
	xor	%edx, %edx
	wrmsr
	pop	%rdx
	pop	%rcx
	pop	%rax
	iretq

	.data
	.balign	8
gdt:
	.quad	0
	.quad	0x00af9b000000ffff
	.quad	0x00cf93000000ffff
	.globl small_gdt_pointer
small_gdt_pointer:
	.word	. - gdt - 1
	.long	gdt
	.long	0
	.globl interrupts
	.balign	8
interrupts:
	.quad	0

	.bss
	.balign	4096
pml4:
	.skip	4096
pdpt:
	.skip	4096
directories:
	.skip	4 * 4096
stack:
	.skip	STACK_SIZE

	.section .note.GNU-stack, "", @progbits
