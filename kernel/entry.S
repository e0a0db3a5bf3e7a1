/*
 * All ways into and out of the kernel, but for VM exits (vmx/ and svm/ have their own).
 *
 * The kernel keeps no stack between entries: each entry starts at the top of the CPU's one stack, with the interrupted
 * program saved in its struct thread, and ends in cpu_resume, which picks a thread and leaves for it.
 */
#include "kernel/asm.h"

	.section .text.boot, "ax"
	.globl kernel_entry
kernel_entry:
	lea boot_stack_top(%rip), %rsp
	xor %ebp, %ebp
	cld
	call kernel_main
	ud2

	.section .note.bulkhead, "a"
	.balign 4
	.long 9, 4, 1 /* name size, descriptor size, BOOT_NOTE_TYPE */
	.asciz "Bulkhead"
	.balign 4
	.long 1 /* BULKHEAD_ABI */

	.bss
	.balign 4096
	.skip 8192
boot_stack_top:

	.text

/* The stub page of ring 3 (ABI_STUB): how a program enters is the kernel's choice. */
	.section .rodata
	.balign 4096
	.globl stub_page
stub_page:
	syscall
	ret
	.balign 4096
	.text

/*
 * SYSCALL. RAX number, RDI RSI RDX R10 R8 R9 arguments, which stay in registers (R10 becomes RCX, as in C calls); RCX and R11
 * user RIP and RFLAGS. Callee-saved registers are saved at once, for the call may switch threads.
 */
	.balign 64
	.globl syscall_entry
syscall_entry:
	swapgs
	mov %rsp, %gs:CPU_SCRATCH
	mov %gs:CPU_CURRENT, %rsp
	mov %rcx, T_RIP(%rsp)
	mov %r11, T_RFLAGS(%rsp)
	mov %rax, T_RAX(%rsp)
	mov %rbx, T_RBX(%rsp)
	mov %rbp, T_RBP(%rsp)
	mov %r12, T_R12(%rsp)
	mov %r13, T_R13(%rsp)
	mov %r14, T_R14(%rsp)
	mov %r15, T_R15(%rsp)
	mov %gs:CPU_SCRATCH, %r11
	mov %r11, T_RSP(%rsp)
	mov %gs:CPU_STACK_TOP, %rsp
	movzbl %al, %eax
	mov %r10, %rcx
	cmp $SYSCALLS, %eax
	jae 1f
	call *syscalls(,%rax,8)
	/* Whoever makes another thread current without asking to reschedule has found it in a system call too. */
	.globl syscall_return
syscall_return:
	cmpq $0, %gs:CPU_RESCHED
	jne cpu_resume
	mov %gs:CPU_CURRENT, %rbx
	.globl return_sysret
return_sysret:
	mov T_RIP(%rbx), %rcx
	mov T_RFLAGS(%rbx), %r11
	mov T_RAX(%rbx), %rax
	mov T_RDI(%rbx), %rdi
	mov T_RSI(%rbx), %rsi
	mov T_RDX(%rbx), %rdx
	mov T_R8(%rbx), %r8
	mov T_R9(%rbx), %r9
	mov T_RBP(%rbx), %rbp
	mov T_R12(%rbx), %r12
	mov T_R13(%rbx), %r13
	mov T_R14(%rbx), %r14
	mov T_R15(%rbx), %r15
	mov T_RSP(%rbx), %rsp
	mov T_RBX(%rbx), %rbx
	xor %r10d, %r10d
	swapgs
	.globl gs_clear_sysret
gs_clear_sysret: /* what a program left there is not the next one's to read; cpu_patch takes it out where it does not exist */
	wrgsbase %r10
	sysretq

1:	call syscall_bad
	jmp syscall_return

/* void return_sysret_to(struct thread *t): leaves for a thread that entered by a system call. */
	.globl return_sysret_to
return_sysret_to:
	mov %rdi, %rbx
	jmp return_sysret

/* void return_to(struct thread *t): leaves for ring 3 as t->resume says. */
	.globl return_to
return_to:
	mov %rdi, %rbx
	cmpb $0, T_RESUME(%rbx)
	je return_sysret
	mov %gs:CPU_STACK_TOP, %rsp
	pushq $ASM_SEL_USER_DATA
	pushq T_RSP(%rbx)
	pushq T_RFLAGS(%rbx)
	pushq $ASM_SEL_USER_CODE
	pushq T_RIP(%rbx)
	movb $0, T_RESUME(%rbx)
	mov T_RAX(%rbx), %rax
	mov T_RCX(%rbx), %rcx
	mov T_RDX(%rbx), %rdx
	mov T_RBP(%rbx), %rbp
	mov T_RSI(%rbx), %rsi
	mov T_RDI(%rbx), %rdi
	mov T_R8(%rbx), %r8
	mov T_R9(%rbx), %r9
	mov T_R11(%rbx), %r11
	mov T_R12(%rbx), %r12
	mov T_R13(%rbx), %r13
	mov T_R14(%rbx), %r14
	mov T_R15(%rbx), %r15
	xor %r10d, %r10d
	swapgs
	.globl gs_clear_iret
gs_clear_iret:
	wrgsbase %r10
	mov T_R10(%rbx), %r10
	mov T_RBX(%rbx), %rbx
	.globl return_iret
return_iret:
	iretq

/* void idle_wait(void): sleeps until an interrupt; interrupt_common comes back through cpu_resume. */
	.globl idle_wait
idle_wait:
	mov %gs:CPU_STACK_TOP, %rsp
	sti
1:	hlt
	jmp 1b

/*
 * Exceptions and interrupts. Each stub pushes an error code where the CPU does not, and the vector. From ring 3 the frame
 * goes into the thread; from the kernel (idle: interrupts are on only there and at the one instruction of
 * interrupts_take) it stays on the stack for the panic, if it is an exception.
 */
	.macro vector_stub n
	.balign 16
	.if \n == 8 || (\n >= 10 && \n <= 14) || \n == 17 || \n == 21 || \n == 29 || \n == 30
	nop
	nop
	.else
	pushq $0
	.endif
	pushq $\n
	jmp interrupt_common
	.endm

	.balign 16
	.globl vector_stubs
vector_stubs:
	.set i, 0
	.rept 256
	vector_stub i
	.set i, i + 1
	.endr

/* Stack: vector, error, RIP, CS, RFLAGS, RSP, SS */
interrupt_common:
	testb $3, 24(%rsp)
	jz interrupt_kernel
	/* Ring 3's AC would lift SMAP, and its DF turn string instructions round: gates clear neither. */
	pushq $2
	popfq
	swapgs
	push %rbx
	mov %gs:CPU_CURRENT, %rbx
	mov %rax, T_RAX(%rbx)
	mov %rcx, T_RCX(%rbx)
	mov %rdx, T_RDX(%rbx)
	mov %rbp, T_RBP(%rbx)
	mov %rsi, T_RSI(%rbx)
	mov %rdi, T_RDI(%rbx)
	mov %r8, T_R8(%rbx)
	mov %r9, T_R9(%rbx)
	mov %r10, T_R10(%rbx)
	mov %r11, T_R11(%rbx)
	mov %r12, T_R12(%rbx)
	mov %r13, T_R13(%rbx)
	mov %r14, T_R14(%rbx)
	mov %r15, T_R15(%rbx)
	pop %rax
	mov %rax, T_RBX(%rbx)
	pop %rdi /* vector */
	pop %rsi /* error code */
	pop %rax
	mov %rax, T_RIP(%rbx)
	pop %rax /* CS */
	pop %rax
	mov %rax, T_RFLAGS(%rbx)
	pop %rax
	mov %rax, T_RSP(%rbx)
	movb $1, T_RESUME(%rbx)
	mov %gs:CPU_STACK_TOP, %rsp
	xor %ebp, %ebp
	call interrupt_user
	jmp cpu_resume

interrupt_kernel:
	cmpq $return_iret, 16(%rsp)
	je return_refused
	push %rax
	push %rcx
	push %rdx
	push %rbx
	push %rbp
	push %rsi
	push %rdi
	push %r8
	push %r9
	push %r10
	push %r11
	push %r12
	push %r13
	push %r14
	push %r15
	cld
	mov %rsp, %rdi
	call interrupt_from_kernel /* true: the kernel was idle or taking interrupts: start over */
	test %al, %al
	jnz cpu_resume
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %r11
	pop %r10
	pop %r9
	pop %r8
	pop %rdi
	pop %rsi
	pop %rbp
	pop %rbx
	pop %rdx
	pop %rcx
	pop %rax
	add $16, %rsp
	iretq

/*
 * IRET to ring 3 faulted: a program can leave a RIP that is not canonical, where the processor checks it only on the way back. GS is
 * ring 3's already; the thread still has all its registers, and the fault becomes its own.
 */
return_refused:
	swapgs
	pop %rdi /* vector */
	pop %rsi /* error code */
	mov %gs:CPU_CURRENT, %rbx
	movb $1, T_RESUME(%rbx)
	mov %gs:CPU_STACK_TOP, %rsp
	xor %ebp, %ebp
	call interrupt_user
	jmp cpu_resume

/*
 * NMI, #DB, #DF, #MC have stacks of their own and may hit any instruction of an entry path, also between SYSCALL and
 * SWAPGS, so they take their CPU from the top of that stack and never touch GS. They return to just where they came from.
 */
	.macro ist_stub name, vector, error
	.balign 16
	.globl \name
\name:
	.if !\error
	pushq $0
	.endif
	pushq $\vector
	jmp ist_common
	.endm
	ist_stub nmi_entry, 2, 0
	ist_stub debug_entry, 1, 0
	ist_stub double_fault_entry, 8, 1
	ist_stub machine_check_entry, 18, 0

ist_common:
	push %rax
	push %rcx
	push %rdx
	push %rbx
	push %rbp
	push %rsi
	push %rdi
	push %r8
	push %r9
	push %r10
	push %r11
	push %r12
	push %r13
	push %r14
	push %r15
	cld
	mov %rsp, %rdi
	mov 176(%rsp), %rsi /* above the frame: struct cpu, put there by cpu_init */
	/* #DB in ring 3 is an ordinary fault of a thread: go on as from interrupt_common. */
	testb $3, 144(%rsp)
	jz 1f
	cmpl $1, 120(%rsp)
	je 2f
1:	call interrupt_ist
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %r11
	pop %r10
	pop %r9
	pop %r8
	pop %rdi
	pop %rsi
	pop %rbp
	pop %rbx
	pop %rdx
	pop %rcx
	pop %rax
	add $16, %rsp
	iretq
2:	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %r11
	pop %r10
	pop %r9
	pop %r8
	pop %rdi
	pop %rsi
	pop %rbp
	pop %rbx
	pop %rdx
	pop %rcx
	pop %rax
	jmp interrupt_common

/* void interrupts_take(void): lets the interrupt in that ended a guest's run; comes back by cpu_resume or here. */
	.globl interrupts_take
interrupts_take:
	sti
	nop
	nop
	cli
	ret
