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

/* The other processors; RDI: struct cpu. */
	.globl ap_entry
ap_entry:
	mov kernel_ptable(%rip), %rax /* its first word is the root */
	mov %rax, %cr3
	mov CPU_STACK_TOP(%rdi), %rsp
	xor %ebp, %ebp
	cld
	call ap_main
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
	save_gpr 0, %rsp, rax, rbx, rbp, r12, r13, r14, r15
	mov %gs:CPU_SCRATCH, %r11
	mov %r11, GPR_rsp(%rsp)
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
	load_gpr 0, %rbx, rax, rdi, rsi, rdx, r8, r9, rbp, r12, r13, r14, r15, rsp, rbx
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
	pushq GPR_rsp(%rbx)
	pushq T_RFLAGS(%rbx)
	pushq $ASM_SEL_USER_CODE
	pushq T_RIP(%rbx)
	movb $0, T_RESUME(%rbx)
	load_gpr 0, %rbx, rax, rcx, rdx, rbp, rsi, rdi, r8, r9, r11, r12, r13, r14, r15
	xor %r10d, %r10d
	swapgs
	.globl gs_clear_iret
gs_clear_iret:
	wrgsbase %r10
	load_gpr 0, %rbx, r10, rbx
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

	/* As interrupt_from_kernel, interrupt_ist and panic_regs know them, but for RSP */
	.macro push_gprs
	.irp r, rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
	push %\r
	.endr
	.endm
	.macro pop_gprs
	.irp r, r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax
	pop %\r
	.endr
	.endm

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
	save_gpr 0, %rbx, rax, rcx, rdx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
	popq GPR_rbx(%rbx)
	pop %rdi /* vector */
	pop %rsi /* error code */
	popq T_RIP(%rbx)
	pop %rax /* CS */
	popq T_RFLAGS(%rbx)
	popq GPR_rsp(%rbx)
interrupt_saved:
	movb $1, T_RESUME(%rbx)
	mov %gs:CPU_STACK_TOP, %rsp
	xor %ebp, %ebp
	call interrupt_user
	jmp cpu_resume

interrupt_kernel:
	cmpq $return_iret, 16(%rsp)
	je return_refused
	push_gprs
	cld
	mov %rsp, %rdi
	call interrupt_from_kernel /* returns if the kernel was idle or taking interrupts: start over */
	jmp cpu_resume

/*
 * IRET to ring 3 faulted: a program can leave a RIP that is not canonical, where the processor checks it only on the way back. GS is
 * ring 3's already; the thread still has all its registers, and the fault becomes its own.
 */
return_refused:
	swapgs
	pop %rdi /* vector */
	pop %rsi /* error code */
	mov %gs:CPU_CURRENT, %rbx
	jmp interrupt_saved

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
	push_gprs
	cld
	mov %rsp, %rdi
	mov 176(%rsp), %rsi /* above the frame: struct cpu, put there by cpu_init */
	/* #DB in ring 3 is an ordinary fault of a thread: go on as from interrupt_common. */
	testb $3, 144(%rsp)
	jz 1f
	cmpl $1, 120(%rsp)
	je 2f
1:	call interrupt_ist
	pop_gprs
	add $16, %rsp
	iretq
2:	pop_gprs
	jmp interrupt_common

/* void interrupts_take(void): lets the interrupt in that ended a guest's run; comes back by cpu_resume or here. */
	.globl interrupts_take
interrupts_take:
	sti
	nop
	nop
	cli
	ret
