/* Cases: the entry itself, sys_ctl, and calls that this version does not have. */
#include "drivers/test/test.h"
#include "kernel/abi/boot.h"

static void null_call(void)
{
	want_status(sys_sys_ctl(CAP_NULL, SYS_CTL_NOP, 0, 0, 0, NULL), OK);
}

static void unknown_calls(void)
{
	for (u64 n = SYS_COUNT; n < 256; n++)
		want_status(sys_any(n, 0, 0, 0, 0, 0, 0, NULL), BAD_CALL);
	want_status(sys_sys_ctl(CAP_NULL, (enum sys_ctl_op)99, 0, 0, 0, NULL), BAD_CALL);
	want_status(sys_any(SYS_SYS_CTL, 0, ~0ull, 0, 0, 0, 0, NULL), BAD_CALL);
	want_status(sys_any(SYS_DEV_CTL, 0, 0, 0, 0, 0, 0, NULL), BAD_CAP);
}

/* RBX, RBP, R12-R15 and RSP are kept over a call. */
static void registers_kept(void)
{
	u64 wrong;

	asm volatile("push %%rbp\n\t"
		     "mov $0x1111, %%ebx\n\t"
		     "mov $0x2222, %%ebp\n\t"
		     "mov $0x3333, %%r12d\n\t"
		     "mov $0x4444, %%r13d\n\t"
		     "mov $0x5555, %%r14d\n\t"
		     "mov %%rsp, %%r15\n\t"
		     "mov %1, %%eax\n\t"
		     "xor %%edi, %%edi\n\t"
		     "xor %%esi, %%esi\n\t"
		     "call abi_stub\n\t"
		     "xor $0x1111, %%rbx\n\t"
		     "xor $0x2222, %%rbp\n\t"
		     "xor $0x3333, %%r12\n\t"
		     "xor $0x4444, %%r13\n\t"
		     "xor $0x5555, %%r14\n\t"
		     "xor %%rsp, %%r15\n\t"
		     "or %%rbx, %%rax\n\t"
		     "or %%rbp, %%rax\n\t"
		     "or %%r12, %%rax\n\t"
		     "or %%r13, %%rax\n\t"
		     "or %%r14, %%rax\n\t"
		     "or %%r15, %%rax\n\t"
		     "pop %%rbp"
		     : "=&a"(wrong)
		     : "i"(SYS_SYS_CTL)
		     : "rbx", "r12", "r13", "r14", "r15", "rcx", "rdx", "rsi", "rdi", "r8", "r9",
		     "r10", "r11", "memory", "cc");
	want(wrong == 0);
}

static void machine(void)
{
	const struct msg_machine *m = thread_message();

	memset(thread_message(), 0xff, sizeof(*m));
	want_status(sys_sys_ctl(CAP_NULL, SYS_CTL_MACHINE, 0, 0, 0, NULL), OK);
	want(m->tsc_hz == info->tsc_hz && m->tsc_hz > 0);
	want(m->cpus >= 1 && m->cpus <= 256);
	want(m->features.paddr_bits >= 32 && m->features.paddr_bits <= 52);
	want(m->image_bytes > 0 && m->image_bytes <= 256 * 1024);
}

static void pool(void)
{
	struct syscall_out out = {0};

	want_status(sys_sys_ctl(CAP_NULL, SYS_CTL_POOL, START_CAP_DOMAIN, 0, 0, &out), OK);
	want(out.rdi > 0 && out.rdi <= out.rsi);
	want_status(sys_sys_ctl(CAP_NULL, SYS_CTL_POOL, START_CAP_THREAD, 0, 0, NULL), BAD_KIND);
	want_status(sys_sys_ctl(CAP_NULL, SYS_CTL_POOL, 30000, 0, 0, NULL), BAD_CAP);
}

/* What needs the system capability is not to be had without. */
static void authority(void)
{
	static const enum sys_ctl_op ops[] = {SYS_CTL_LOG_READ, SYS_CTL_LOG_EVENT, SYS_CTL_PORTS,
		SYS_CTL_QUIET, SYS_CTL_PANIC, SYS_CTL_LOG_WRITE, SYS_CTL_DMA_FAULT};

	for (u32 i = 0; i < ARRAY_SIZE(ops); i++) {
		want_status(sys_sys_ctl(CAP_NULL, ops[i], 0, 0, 0, NULL), BAD_CAP);
		want_status(sys_sys_ctl(START_CAP_DOMAIN, ops[i], START_CAP_DOMAIN, 0, 1, NULL),
			BAD_KIND);
	}
	want_status(sys_obj_destroy(START_CAP_DOMAIN), DENIED);
	want_status(sys_obj_destroy(START_CAP_ROOT), DENIED);
	want_status(sys_irq_ctl(START_CAP_DOMAIN, IRQ_CTL_ACK), BAD_KIND);
	want_status(sys_irq_ctl(30000, IRQ_CTL_ACK), BAD_CAP);
	want_status(sys_irq_ctl(CAP_MAX, IRQ_CTL_ACK), BAD_CAP);
}

/* A program finds what its start page says. */
static void start_page(void)
{
	want(info->abi == BULKHEAD_ABI);
	want(info->resources <= START_MAX_RESOURCES);
	want(start_find(info, START_CONFIG, 0) != NULL);
	want(start_find(info, START_HEAP, 0) != NULL);
	want(start_find(info, START_STATE, 0) != NULL);
	want(thread_self()->message == START_MESSAGE);
	want((info->seed[0] | info->seed[1]) != 0);
}

const struct test_case system_cases[] = {
	{"null_call", null_call},
	{"unknown_calls", unknown_calls},
	{"registers_kept", registers_kept},
	{"machine", machine},
	{"pool_state", pool},
	{"authority", authority},
	{"start_page", start_page},
	{NULL, NULL},
};
