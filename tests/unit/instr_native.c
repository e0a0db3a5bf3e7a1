/*
 * The stub around an instruction on the processor: loads all registers, lets it run, stores them.
 * For 32-bit code it goes through a far return into the compatibility segment, and back.
 */
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "tests/unit/instr_native.h"

struct native_state *native;
u8 *memory;

static u8 *stub[2];   /* entry for 32-bit, 64-bit code */
static u8 *slot[2];   /* where the instruction goes */
static u8 *finish[2]; /* what follows it */

static u8 *emit_at;

static void emit(const char *hex, u32 number, unsigned size)
{
	for (char *end; *hex; hex = end)
		*emit_at++ = (u8)strtoul(hex, &end, 16);
	memcpy(emit_at, &number, size);
	emit_at += size;
}

static u32 low32(const void *pointer)
{
	return (u32)(uintptr_t)pointer;
}

/* mov reg, [absolute] with opcode 8b, and the reverse with 89. */
static void emit_moves(bool wide, u8 opcode)
{
	for (unsigned i = 0; i < (wide ? 16 : 8); i++) {
		/* The stack pointer last of all loads. */
		unsigned reg = opcode == 0x8b ? (i + 5) % (wide ? 16 : 8) : i;

		if (wide)
			*emit_at++ = reg < 8 ? 0x48 : 0x4c;
		*emit_at++ = opcode;
		*emit_at++ = (u8)((reg & 7) << 3 | (wide ? 4 : 5));
		if (wide)
			*emit_at++ = 0x25;
		emit("", low32(&native->gpr[reg]), 4);
	}
}

/* vmovdqu ymm, [absolute] with opcode 6f, and the reverse with 7f. */
static void emit_vectors(u8 opcode)
{
	for (unsigned i = 0; i < 16; i++) {
		emit(i < 8 ? "c5 fe" : "c5 7e", 0, 0);
		*emit_at++ = opcode;
		*emit_at++ = (u8)((i & 7) << 3 | 4);
		emit("25", low32(native->vector[i]), 4);
	}
}

static void emit_stub(bool wide)
{
	u8 *patch = NULL;

	stub[wide] = emit_at;
	emit("53 55 41 54 41 55 41 56 41 57", 0, 0);      /* push rbx, rbp, r12 to r15 */
	emit("48 89 24 25", low32(&native->host_rsp), 4); /* mov [], rsp */
	emit("b8", USER_DS, 4);                           /* mov eax, imm */
	emit("8e d8 8e c0 8e d0", 0, 0);                  /* mov ds, es, ss from eax */
	emit_vectors(0x6f);
	emit("ff 34 25", low32(&native->rflags), 4); /* push [] */
	emit("9d", 0, 0);                            /* popfq */
	if (!wide) {
		emit("6a", USER_CS_32, 1); /* push imm */
		patch = emit_at + 1;
		emit("68", 0, 4);    /* push imm */
		emit("48 cb", 0, 0); /* lretq */
		memcpy(patch, &(u32){low32(emit_at)}, 4);
	}
	emit_moves(wide, 0x8b);
	slot[wide] = emit_at;
	emit_at += 32; /* the instruction and a jump to finish */
	finish[wide] = emit_at;
	emit_moves(wide, 0x89);
	if (!wide) {
		emit("ea", low32(emit_at + 7), 4); /* ljmp imm16:imm32 */
		emit("", USER_CS_64, 2);
	}
	emit("48 8b 24 25", low32(&native->host_rsp), 4); /* mov rsp, [] */
	emit("9c", 0, 0);                                 /* pushfq */
	emit("8f 04 25", low32(&native->rflags), 4);      /* pop [] */
	emit_vectors(0x7f);
	emit("c5 f8 77 fc", 0, 0); /* vzeroupper, cld */
	emit("41 5f 41 5e 41 5d 41 5c 5d 5b c3", 0, 0);
}

static sigjmp_buf escape;

static void on_signal(int number)
{
	siglongjmp(escape, number);
}

bool native_prepare(void)
{
	static u8 stack[65536];
	stack_t alternative = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK | SA_NODEFER};
	static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
	u8 *area;

	if (native)
		return true;
	if (!__builtin_cpu_supports("avx"))
		return false;
	area = mmap(NULL, 16384, PROT_READ | PROT_WRITE | PROT_EXEC,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	memory = mmap((void *)MEMORY_START, MEMORY_SIZE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (area == MAP_FAILED || memory == MAP_FAILED)
		return false;
	native = (struct native_state *)area;
	emit_at = area + 4096;
	emit_stub(false);
	emit_stub(true);
	sigaltstack(&alternative, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &action, NULL);
	return syscall(SYS_arch_prctl, ARCH_SET_GS, GS_BASE) == 0;
}

u64 native_slot(bool wide)
{
	return low32(slot[wide]);
}

int native_run(bool wide, const u8 *bytes, unsigned length)
{
	u8 *end = slot[wide] + length;
	int number;

	memcpy(slot[wide], bytes, length);
	*end = 0xe9; /* jmp finish */
	memcpy(end + 1, &(u32){low32(finish[wide]) - low32(end) - 5}, 4);
	number = sigsetjmp(escape, 0);
	if (number == 0)
		((void (*)(void))(uintptr_t)stub[wide])();
	__asm__ volatile("cld");
	return number;
}
