/*
 * A boot sector, in real mode: what a BIOS leaves behind is there. The timer interrupts it, and its handler counts; a software
 * interrupt fails, for there are no services. Then it switches the machine off.
 */
#define COM1          0x3f8
#define COM1_STATUS   0x3fd
#define COM1_EMPTY    0x20
#define PM1_CONTROL   0x604
#define PM1_POWER_OFF 0x3400
#define TICKS         0x46c /* the BIOS data area's count of the timer's interrupts */
#define WANTED        3
#define SIGNATURE_AT  510

	.text
	.code16
	.globl	_start
_start:
	sti
1:	hlt
	cmpw	$WANTED, TICKS
	jb	1b
	cli
	mov	$ticks, %si
	call	put
	clc
	int	$0x13 /* disk services */
	mov	$served, %si
	jnc	2f
	mov	$pass, %si
2:	call	put
	mov	$PM1_CONTROL, %dx
	mov	$PM1_POWER_OFF, %ax
	out	%ax, %dx
3:	hlt
	jmp	3b

put:	mov	$COM1_STATUS, %dx
4:	in	%dx, %al
	test	$COM1_EMPTY, %al
	jz	4b
	lodsb
	test	%al, %al
	jz	5f
	mov	$COM1, %dx
	out	%al, %dx
	jmp	put
5:	ret

ticks:	.asciz	"sector: the timer ticks\n"
served:	.asciz	"sector: FAIL: a service that is not there\n"
pass:	.asciz	"sector: PASS\n"

	.org	SIGNATURE_AT
	.byte	0x55, 0xaa

	.section .note.GNU-stack, "", @progbits
