/* A Linux program without a library: prints `tsc N`, the time-stamp counter as 16 hexadecimal digits. */
	.globl _start
_start:
	rdtsc
	shl $32, %rdx
	or %rdx, %rax
	lea digits(%rip), %rdi
	mov $16, %ecx
1:	rol $4, %rax
	mov %eax, %edx
	and $15, %edx
	cmp $10, %edx
	jb 2f
	add $('a' - '0' - 10), %edx
2:	add $'0', %edx
	mov %dl, (%rdi)
	inc %rdi
	dec %ecx
	jnz 1b
	mov $1, %eax /* write(1, text, 21) */
	mov $1, %edi
	lea text(%rip), %rsi
	mov $21, %edx
	syscall
	mov $60, %eax /* exit(0) */
	xor %edi, %edi
	syscall
	.data
text:	.ascii "tsc "
digits:	.ascii "0123456789abcdef\n"
