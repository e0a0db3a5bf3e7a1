/*
 * void kernel_enter(u64 cr3, u64 entry, u64 info)
 *
 * From the firmware's address space to the kernel's: no stack is touched after CR3 changes, since
 * the loader's may lie above what the temporary tables map. CR4.CET, PCIDE and PGE go off: the
 * first two would bind the kernel to the firmware's ways, the last keeps the firmware's
 * translations alive.
 */
#define CR4_PGE   (1 << 7)
#define CR4_PCIDE (1 << 17)
#define CR4_CET   (1 << 23)
#define MSR_EFER  0xc0000080
#define EFER_NXE  (1 << 11)

	.text
	.global kernel_enter
	.type kernel_enter, @function
kernel_enter:
	cli
	cld
	mov	%rdx, %r8
	mov	$MSR_EFER, %ecx
	rdmsr
	or	$EFER_NXE, %eax
	wrmsr
	mov	%cr4, %rax
	and	$~(CR4_PGE | CR4_PCIDE | CR4_CET), %rax
	mov	%rax, %cr4
	mov	%rdi, %cr3
	mov	%r8, %rdi
	jmp	*%rsi
	.size kernel_enter, . - kernel_enter

	.section .note.GNU-stack, "", @progbits
