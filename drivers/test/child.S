/*
 * What the test program's child domains run: one page that is copied and mapped at its own address, so that it has
 * no data and calls the entry stub directly. RDI is the thread's argument.
 */
#define SYS_IPC_CALL       0
#define SYS_IPC_REPLY_WAIT 1
#define SYS_EVENT_SIGNAL   2
#define SYS_EVENT_WAIT     3
#define SYS_VCPU_RUN       4
#define SYS_OBJ_CREATE     6
#define SYS_OBJ_DESTROY    7
#define SYS_SYS_CTL        15
#define SYS_CTL_EXIT       1

	.section .text.child, "ax"
	.balign	4096
	.globl	child_page
child_page:

/* Answers each call with word 0 plus one; the shortest server for the benchmark. */
	.globl	child_server
child_server:
1:	mov	$SYS_IPC_REPLY_WAIT, %eax
	xor	%edi, %edi
	mov	$-1, %r10
	call	abi_stub
	inc	%rsi
	jmp	1b

/* Answers with the same words and message words, word 3 replaced by the badge. */
	.globl	child_echo
child_echo:
	xor	%eax, %eax
1:	and	$0xff00, %eax
	or	$SYS_IPC_REPLY_WAIT, %eax
	xor	%edi, %edi
	mov	$-1, %r10
	call	abi_stub
	mov	%rdi, %r9
	jmp	1b

/* Takes one call and faults. */
	.globl	child_bad_server
child_bad_server:
	mov	$SYS_IPC_REPLY_WAIT, %eax
	xor	%edi, %edi
	mov	$-1, %r10
	call	abi_stub
	ud2

/* Calls port RDI once and ends with the status as its code. */
	.globl	child_caller
child_caller:
	mov	$SYS_IPC_CALL, %eax
	call	abi_stub
	movzbl	%al, %edi
	jmp	child_exit

/* Calls port RDI again and again. */
	.globl	child_calls
child_calls:
	mov	%edi, %ebx
1:	mov	$SYS_IPC_CALL, %eax
	mov	%ebx, %edi
	call	abi_stub
	jmp	1b

/* Takes calls, and makes one of its own for each: to the port in slot 20. */
	.globl	child_forward
child_forward:
	mov	$SYS_IPC_REPLY_WAIT, %eax
	xor	%edi, %edi
	mov	$-1, %r10
	call	abi_stub
	mov	$SYS_IPC_CALL, %eax
	mov	$20, %edi
	call	abi_stub
	jmp	child_forward

/* Makes and destroys a thread of CPU RDI again and again; slot 21 is its domain. */
	.globl	child_churn
child_churn:
	mov	%edi, %ebx
1:	mov	$0x1f000, %eax		/* CHILD_MESSAGE: struct msg_create_thread */
	mov	%ebx, (%rax)
	movl	$1, 4(%rax)		/* priority */
	movq	$child_exit, 24(%rax)	/* entry */
	movq	$0x700000, 56(%rax)	/* message */
	mov	$SYS_OBJ_CREATE, %eax
	mov	$2, %edi		/* KIND_THREAD */
	mov	$21, %esi
	mov	$22, %edx
	call	abi_stub
	mov	$SYS_OBJ_DESTROY, %eax
	mov	$22, %edi
	call	abi_stub
	jmp	1b

/* Waits for bit 0 of its event, sets bit 0 of event RDI, and so on. */
	.globl	child_echo_event
child_echo_event:
	mov	%edi, %ebx
1:	mov	$SYS_EVENT_WAIT, %eax
	mov	$1, %edi
	mov	$-1, %rsi
	call	abi_stub
	mov	$SYS_EVENT_SIGNAL, %eax
	mov	%ebx, %edi
	mov	$1, %esi
	call	abi_stub
	jmp	1b

/* Ends with code RDI. */
	.globl	child_exit
child_exit:
	mov	%rdi, %rdx
	mov	$SYS_SYS_CTL, %eax
	xor	%edi, %edi
	mov	$SYS_CTL_EXIT, %esi
	call	abi_stub
	ud2

/* Increments RBX for ever. */
	.globl	child_loop
child_loop:
	xor	%ebx, %ebx
1:	inc	%rbx
	jmp	1b

/* Exceptions: each ends in one, at its first or second instruction. */
	.globl	child_invalid_opcode
child_invalid_opcode:
	ud2

	.globl	child_divide
child_divide:
	xor	%ecx, %ecx
	div	%ecx

	.globl	child_breakpoint
child_breakpoint:
	int3

	.globl	child_interrupt
child_interrupt:
	int	$0x80

	.globl	child_hlt
child_hlt:
	hlt

	.globl	child_cli
child_cli:
	cli

	.globl	child_rdmsr
child_rdmsr:
	mov	$0xc0000080, %ecx
	rdmsr

	.globl	child_port
child_port:
	mov	$0xcf8, %edx
	in	%dx, %eax

	.globl	child_read	/* at RDI */
child_read:
	mov	(%rdi), %rax
	ud2

	.globl	child_write	/* at RDI */
child_write:
	mov	%rax, (%rdi)
	ud2

	.globl	child_jump	/* to RDI */
child_jump:
	jmp	*%rdi

	.globl	child_stack
child_stack:
	push	%rax
	jmp	child_stack

	.globl	child_fpu
child_fpu:
	pxor	%xmm0, %xmm0
	ud2

/* The same after RDI turns. */
	.globl	child_fpu_late
child_fpu_late:
1:	dec	%rdi
	jnz	1b
	jmp	child_fpu

/* Runs the vCPU in slot RDI to the end of 2^20 cycles, then the same. */
	.globl	child_fpu_run
child_fpu_run:
	rdtsc
	shl	$32, %rdx
	lea	0x100000(%rdx, %rax), %rdx
	xor	%esi, %esi
	mov	$SYS_VCPU_RUN, %eax
	call	abi_stub
	jmp	child_fpu

/* After RDI turns destroys what is in slot 20, then loops. */
	.globl	child_destroy_late
child_destroy_late:
1:	dec	%rdi
	jnz	1b
	mov	$SYS_OBJ_DESTROY, %eax
	mov	$20, %edi
	call	abi_stub
	jmp	child_loop

	.balign	4096
	.section .note.GNU-stack, "", @progbits
