/*
 * Entry of a Multiboot 1 kernel (specification 0.6.96, 3.1 and 3.2): flat 32-bit protected mode, EAX the loader's magic,
 * EBX its information. Keeps both and goes on as a small guest does, with an information of PVH that has nothing in it.
 */
#define HEADER_MAGIC 0x1badb002
#define HEADER_FLAGS 0x3 /* modules on pages, memory map */

	.section .multiboot, "a"
	.balign	4
	.long	HEADER_MAGIC
	.long	HEADER_FLAGS
	.long	-(HEADER_MAGIC + HEADER_FLAGS)

	.section .text.start, "ax"
	.code32
	.globl multiboot_entry
multiboot_entry:
	mov	%eax, multiboot_magic
	mov	%ebx, multiboot_information
	mov	$nothing, %ebx
	jmp	start_32

	.data
	.globl multiboot_magic, multiboot_information
	.balign	8
multiboot_magic:
	.long	0
multiboot_information:
	.long	0
nothing:
	.skip	56

	.section .note.GNU-stack, "", @progbits
