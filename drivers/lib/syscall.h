/*
 * The system calls as C functions; kernel/abi/syscall.h says what each does and returns.
 *
 * Each function enters the kernel's stub page (program.ld defines abi_stub) and is inlined, so that
 * a call costs no more than loading its registers. Outputs go through pointers that may be NULL
 * where the contract says so; they are written whatever the status, and mean something only with
 * the statuses that the manual names.
 */
#pragma once

#include "kernel/abi/syscall.h"

#define SYSCALL_LOST "rcx", "r11", "memory"

/* Words that ipc_call and ipc_reply_wait carry in registers, and how many more lie in the message
 * page. */
struct ipc_words {
	u64 word[4];
	u32 message_words; /* at most IPC_MAX_WORDS */
};

/* Calls `port` with `io`, which the reply replaces. OK, BAD_CPU, GONE, DEADLOCK. */
static inline status_t sys_ipc_call(cap_t port, struct ipc_words *io)
{
	u64 rax = SYS_IPC_CALL | (u64)io->message_words << 8;
	u64 rdi = port;
	u64 rsi = io->word[0];
	u64 rdx = io->word[1];
	register u64 r8 __asm__("r8") = io->word[2];
	register u64 r9 __asm__("r9") = io->word[3];

	asm volatile("call abi_stub"
		     : "+a"(rax), "+D"(rdi), "+S"(rsi), "+d"(rdx), "+r"(r8), "+r"(r9)
		     :
		     : "r10", SYSCALL_LOST);
	io->word[0] = rsi;
	io->word[1] = rdx;
	io->word[2] = r8;
	io->word[3] = r9;
	io->message_words = (u32)rdi;
	return (status_t)rax;
}

/* The shortest call: one word each way. The server sees whatever stands in the registers of the
 * other three. */
static inline status_t sys_ipc_call_word(cap_t port, u64 *word)
{
	u64 rax = SYS_IPC_CALL;
	u64 rdi = port;
	u64 rsi = *word;

	asm volatile("call abi_stub"
		     : "+a"(rax), "+D"(rdi), "+S"(rsi)
		     :
		     : "rdx", "r8", "r9", "r10", SYSCALL_LOST);
	*word = rsi;
	return (status_t)rax;
}

/*
 * Replies with `io` to the call being served, if any, and waits for the next or for `mask` or
 * `deadline`. OK: `io` is the call, *rdi its badge. EVENT: *rdi the bits. TIMEOUT. BAD_STATE.
 */
static inline status_t sys_ipc_reply_wait(
	u64 mask, cycles_t deadline, struct ipc_words *io, u64 *rdi_out)
{
	u64 rax = SYS_IPC_REPLY_WAIT | (u64)io->message_words << 8;
	u64 rdi = mask;
	u64 rsi = io->word[0];
	u64 rdx = io->word[1];
	register u64 r8 __asm__("r8") = io->word[2];
	register u64 r9 __asm__("r9") = io->word[3];
	register u64 r10 __asm__("r10") = deadline;

	asm volatile("call abi_stub"
		     : "+a"(rax), "+D"(rdi), "+S"(rsi), "+d"(rdx), "+r"(r8), "+r"(r9), "+r"(r10)
		     :
		     : SYSCALL_LOST);
	io->word[0] = rsi;
	io->word[1] = rdx;
	io->word[2] = r8;
	io->word[3] = r9;
	io->message_words = (u32)(rax >> 8) & 0xff;
	*rdi_out = rdi;
	return (status_t)(rax & 0xff);
}

/* Sets `bits` of `event`. OK, DENIED, GONE (its thread has died). */
static inline status_t sys_event_signal(cap_t event, u64 bits)
{
	u64 rax = SYS_EVENT_SIGNAL;
	u64 rdi = event;
	u64 rsi = bits;

	asm volatile("call abi_stub"
		     : "+a"(rax), "+D"(rdi), "+S"(rsi)
		     :
		     : "rdx", "r8", "r9", "r10", SYSCALL_LOST);
	return (status_t)rax;
}

/* Waits for bits of `mask` of the calling thread's event. EVENT: *bits, which are cleared; TIMEOUT.
 */
static inline status_t sys_event_wait(u64 mask, cycles_t deadline, u64 *bits)
{
	u64 rax = SYS_EVENT_WAIT;
	u64 rdi = mask;
	u64 rsi = deadline;

	asm volatile("call abi_stub"
		     : "+a"(rax), "+D"(rdi), "+S"(rsi)
		     :
		     : "rdx", "r8", "r9", "r10", SYSCALL_LOST);
	*bits = rdi;
	return (status_t)rax;
}

/* The null system call: OK. */
static inline status_t sys_nop(void)
{
	u64 rax = SYS_SYS_CTL;
	u64 rsi = SYS_CTL_NOP;

	asm volatile("call abi_stub"
		     : "+a"(rax), "+S"(rsi)
		     :
		     : "rdi", "rdx", "r8", "r9", "r10", SYSCALL_LOST);
	return (status_t)rax;
}

/* Runs a guest CPU. OK: an exit is in the run page; EVENT: *bits; TIMEOUT; BAD_STATE. */
static inline status_t sys_vcpu_run(cap_t vcpu, u64 mask, cycles_t deadline, u64 *bits)
{
	u64 rax = SYS_VCPU_RUN;
	u64 rdi = vcpu;
	u64 rsi = mask;
	u64 rdx = deadline;

	asm volatile("call abi_stub"
		     : "+a"(rax), "+D"(rdi), "+S"(rsi), "+d"(rdx)
		     :
		     : "r8", "r9", "r10", SYSCALL_LOST);
	*bits = rdi;
	return (status_t)rax;
}

/* Outputs of the calls that are not on a hot path. */
struct syscall_out {
	u64 rdi;
	u64 rsi;
	u64 rdx;
};

/* Any system call: number, six arguments in the order RDI RSI RDX R8 R9 R10; `out` may be NULL. */
static inline status_t sys_any(
	u64 number, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f, struct syscall_out *out)
{
	u64 rax = number;
	register u64 r8 __asm__("r8") = d;
	register u64 r9 __asm__("r9") = e;
	register u64 r10 __asm__("r10") = f;

	asm volatile("call abi_stub"
		     : "+a"(rax), "+D"(a), "+S"(b), "+d"(c), "+r"(r8), "+r"(r9), "+r"(r10)
		     :
		     : SYSCALL_LOST);
	if (out)
		*out = (struct syscall_out){a, b, c};
	return (status_t)rax;
}

static inline status_t sys_vcpu_ctl(cap_t vcpu, enum vcpu_ctl_op op, u64 a, u64 b, u64 *rdi)
{
	struct syscall_out out;
	status_t s = sys_any(SYS_VCPU_CTL, vcpu, op, a, b, 0, 0, &out);

	if (rdi)
		*rdi = out.rdi;
	return s;
}

/* The message page holds struct msg_create_KIND. */
static inline status_t sys_obj_create(enum kind kind, cap_t payer, cap_t slot)
{
	return sys_any(SYS_OBJ_CREATE, kind, payer, slot, 0, 0, 0, NULL);
}

static inline status_t sys_obj_destroy(cap_t cap)
{
	return sys_any(SYS_OBJ_DESTROY, cap, 0, 0, 0, 0, 0, NULL);
}

/* `source` CAP_NULL empties the slot; `mask` is for events. */
static inline status_t sys_cap_grant(cap_t domain, cap_t slot, cap_t source, u64 rights, u64 mask)
{
	return sys_any(SYS_CAP_GRANT, domain, slot, source, rights, mask, 0, NULL);
}

static inline status_t sys_mem_map(
	cap_t space, cap_t mem, u64 address, u64 offset, u64 size, u64 flags)
{
	return sys_any(SYS_MEM_MAP, space, mem, address, offset, size, flags, NULL);
}

static inline status_t sys_mem_unmap(cap_t space, u64 address)
{
	return sys_any(SYS_MEM_UNMAP, space, address, 0, 0, 0, 0, NULL);
}

static inline status_t sys_vm_trap(
	cap_t vm, u64 first, u64 count, enum trap_disposition d, cap_t event)
{
	return sys_any(SYS_VM_TRAP, vm, first, count, d, event, 0, NULL);
}

static inline status_t sys_irq_ctl(cap_t irq, enum irq_ctl_op op)
{
	return sys_any(SYS_IRQ_CTL, irq, op, 0, 0, 0, 0, NULL);
}

static inline status_t sys_dev_ctl(cap_t cap, enum dev_ctl_op op, u64 function, u64 offset,
	u64 size, u64 value, struct syscall_out *out)
{
	return sys_any(SYS_DEV_CTL, cap, op, function, offset, size, value, out);
}

static inline status_t sys_thread_ctl(cap_t thread, enum thread_ctl_op op, u64 a, u64 b, u64 c)
{
	return sys_any(SYS_THREAD_CTL, thread, op, a, b, c, 0, NULL);
}

/* `sys` may be CAP_NULL for the operations that need none; `out` may be NULL. */
static inline status_t sys_sys_ctl(
	cap_t sys, enum sys_ctl_op op, u64 a, u64 b, u64 c, struct syscall_out *out)
{
	return sys_any(SYS_SYS_CTL, sys, op, a, b, c, 0, out);
}
