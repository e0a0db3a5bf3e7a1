/* Entry of every ring-3 program: RDI is what the creator of the thread passed. */

	.section .text.start, "ax"
	.globl _start
_start:
	xor	%ebp, %ebp
	and	$-16, %rsp
	call	program_start
	mov	%eax, %edi
	call	program_exit
	ud2

/*
 * Entry of further threads (thread_start): RDI the argument, RSI the function. Returning from it ends the
 * program.
 */
	.globl thread_entry
thread_entry:
	xor	%ebp, %ebp
	and	$-16, %rsp
	call	*%rsi
	xor	%edi, %edi
	call	program_exit
	ud2

	/* The ABI that this program was built for: BOOT_NOTE_* and BULKHEAD_ABI of kernel/abi/boot.h. */
	.section .note.bulkhead, "a", @note
	.balign	4
	.long	2f - 1f
	.long	4f - 3f
	.long	1
1:	.asciz	"Bulkhead"
2:	.balign	4
3:	.long	1
4:	.balign	4

	.section .note.GNU-stack, "", @progbits
