/* Cases: what a guest does with its x2APIC, with and without help of the hardware. */
#include "drivers/test/guest.h"

#define REGISTER(msr)   (((msr)&0xff) * 4) /* index in the APIC page */
#define BANK(msr)       (REGISTER((msr) + GUEST_VECTOR / 32))
#define MSR_X2_VERSION  0x803u
#define MSR_X2_TPR      0x808u
#define MSR_X2_EOI      0x80bu
#define MSR_X2_ISR      0x810u
#define MSR_X2_TMR      0x818u
#define MSR_X2_ICR      0x830u
#define MSR_X2_COUNT    0x839u
#define MSR_X2_SELF_IPI 0x83fu
#define WRMSR_EXITS     5u /* without help: TPR twice, ICR, SELF IPI, EOI */
#define HOST_US         500u
#define HOST_MOST       2000u

struct apic_counts {
	u32 reads, writes, icr, ends;
};

/* Does what the guest wants of its APIC, as a VMM does. */
static void apic_serve(struct apic_counts *n)
{
	u32 msr = (u32)run->gpr[1];
	u32 value = (u32)run->gpr[0];

	if (run->exit_kind == EXIT_EOI) {
		want(run->exit.eoi.vector == GUEST_VECTOR && !(apic[BANK(MSR_X2_ISR)] & 1));
		n->ends++;
		return;
	}
	guest_skip(2);
	if (run->exit_kind == EXIT_RDMSR) {
		n->reads++;
		run->gpr[0] = msr == MSR_X2_COUNT ? 0x1234 : apic[REGISTER(msr)];
		run->gpr[2] = 0;
		return;
	}
	n->writes++;
	n->icr += msr == MSR_X2_ICR;
	n->ends += msr == MSR_X2_EOI;
	if (msr == MSR_X2_TPR)
		apic[REGISTER(msr)] = value;
	else if (msr == MSR_X2_EOI)
		apic[BANK(MSR_X2_ISR)] &= ~1u;
	else if (msr == MSR_X2_SELF_IPI)
		__atomic_fetch_or(&run->pending.level[0], BIT(value), __ATOMIC_SEQ_CST);
	run->pending.control = 1;
	run->dirty |= GROUP_APIC;
}

/* Runs to an OUT to `port`. */
static bool apic_run(struct apic_counts *n, u8 port)
{
	u64 bits;

	for (u32 i = 0; i < 20 && !case_failed(); i++) {
		want_status(sys_vcpu_run(guest_vcpu, 0, tsc_now() + info->tsc_hz, &bits), OK);
		if (run->exit_kind == EXIT_IO) {
			want(run->exit.io.port == port);
			guest_skip(2);
			return !case_failed();
		}
		want(run->exit_kind == EXIT_RDMSR || run->exit_kind == EXIT_WRMSR ||
			run->exit_kind == EXIT_EOI);
		if (!case_failed())
			apic_serve(n);
	}
	return false;
}

/*
 * The x2APIC of a guest: a vector that the TPR holds back comes when the TPR is lowered, and its
 * end is told, for it is level-triggered. With RUN_X2APIC there may be fewer exits, but never for
 * registers that are the VMM's.
 */
static void apic_guest(u64 flags)
{
	static const u8 code[] = {
		0x66, 0xb9, 0x03, 0x08, 0x00, 0x00, 0x0f, 0x32, /* mov ecx, 0x803; rdmsr */
		0x66, 0xa3, 0x00, 0x20,                         /* mov [0x2000], eax */
		0x66, 0xb9, 0x39, 0x08, 0x00, 0x00, 0x0f, 0x32, /* mov ecx, 0x839; rdmsr */
		0x66, 0xa3, 0x04, 0x20,                         /* mov [0x2004], eax */
		0x66, 0x31, 0xc0, 0x66, 0x31, 0xd2,             /* xor eax, eax; xor edx, edx */
		0x66, 0xb9, 0x30, 0x08, 0x00, 0x00, 0x0f, 0x30, /* mov ecx, 0x830; wrmsr */
		0xb0, 0x30,                                     /* mov al, 0x30 */
		0x66, 0xb9, 0x08, 0x08, 0x00, 0x00, 0x0f, 0x30, /* mov ecx, 0x808; wrmsr */
		0xfb, 0xb0, GUEST_VECTOR,                       /* sti; mov al, GUEST_VECTOR */
		0x66, 0xb9, 0x3f, 0x08, 0x00, 0x00, 0x0f, 0x30, /* mov ecx, 0x83f; wrmsr */
		0xe6, 0x80, 0xb0, 0x00,                         /* out 0x80, al; mov al, 0 */
		0x66, 0xb9, 0x08, 0x08, 0x00, 0x00, 0x0f, 0x30, /* mov ecx, 0x808; wrmsr */
		0x90, 0xe6, 0x82,                               /* nop; out 0x82, al */
	};
	static const u8 handler[] = {0xe6, 0x81, /* out 0x81, al */
		0x66, 0xb9, 0x0b, 0x08, 0x00, 0x00, 0x0f, 0x30,
		0xcf}; /* mov ecx, 0x80b; wrmsr; iret */
	struct apic_counts n = {0};

	if (!guest_begin(code, sizeof(code)))
		return;
	guest_handler(0x81);
	memcpy(guest_ram + GUEST_HANDLER, handler, sizeof(handler));
	run->flags = flags;
	apic[REGISTER(MSR_X2_VERSION)] = 0x50014;
	apic[BANK(MSR_X2_TMR)] = 1;
	run->dirty |= GROUP_APIC;
	if (!apic_run(&n, 0x80))
		return;
	want(*(u32 *)(guest_ram + 0x2000) == 0x50014 && *(u32 *)(guest_ram + 0x2004) == 0x1234);
	want(n.icr == 1 && n.ends == 0 && apic[REGISTER(MSR_X2_TPR)] == 0x30);
	if (!apic_run(&n, 0x81))
		return;
	want(apic[BANK(MSR_X2_ISR)] & 1 && apic[REGISTER(MSR_X2_TPR)] == 0);
	if (!apic_run(&n, 0x82))
		return;
	want(n.icr == 1 && n.ends == 1 && !(apic[BANK(MSR_X2_ISR)] & 1));
	want(flags & RUN_X2APIC ? n.reads >= 1 && n.writes <= WRMSR_EXITS
				: n.reads == 2 && n.writes == WRMSR_EXITS);
	log_line("x2APIC %s help: %u RDMSR, %u WRMSR exits",
		flags & RUN_X2APIC ? "with" : "without", n.reads, n.writes);
}

static void apic_exits(void)
{
	apic_guest(0);
}

static void apic_helped(void)
{
	apic_guest(RUN_X2APIC);
}

/* Runs to the next exit, while interrupts for the host come; returns how many did. */
static u32 run_interrupted(void)
{
	u32 count = 0;
	status_t s;
	u64 bits;

	do {
		s = sys_vcpu_run(
			guest_vcpu, 0, tsc_now() + tsc_from_us(info->tsc_hz, HOST_US), &bits);
		count += s == STATUS_TIMEOUT;
	} while (s == STATUS_TIMEOUT && count < HOST_MOST);
	want_status(s, OK);
	return count;
}

/* A vector that became pending while the guest keeps interrupts out is held back, though those for
 * the host are taken. */
static void apic_held(u64 flags)
{
	static const u8 code[] = {
		0xfb, 0x90, 0xfa,                               /* sti; nop; cli */
		0x66, 0x31, 0xc0, 0x66, 0x31, 0xd2,             /* xor eax, eax; xor edx, edx */
		0xb0, GUEST_VECTOR,                             /* mov al, GUEST_VECTOR */
		0x66, 0xb9, 0x3f, 0x08, 0x00, 0x00, 0x0f, 0x30, /* mov ecx, 0x83f; wrmsr */
		0x66, 0xb9, 0x00, 0x00, 0x20, 0x00,             /* mov ecx, 0x200000 */
		0x67, 0xe2, 0xfd,                               /* loop $ */
		0xe6, 0x82,                                     /* out 0x82, al */
		0xfb, 0x90, 0xe6, 0x80,                         /* sti; nop; out 0x80, al */
	};
	struct apic_counts n = {0};
	u32 interrupts;

	if (!guest_begin(code, sizeof(code)))
		return;
	guest_handler(0x81);
	run->flags = flags;
	interrupts = run_interrupted();
	if (!case_failed() && run->exit_kind == EXIT_WRMSR) {
		apic_serve(&n);
		interrupts = run_interrupted();
	}
	want(run->exit_kind == EXIT_IO && run->exit.io.port == 0x82);
	want(interrupts > 0);
	guest_skip(2);
	if (apic_run(&n, 0x81))
		apic_run(&n, 0x80);
}

static void apic_held_exits(void)
{
	apic_held(0);
}

static void apic_held_helped(void)
{
	apic_held(RUN_X2APIC);
}

const struct test_case apic_cases[] = {
	{"vcpu_x2apic_exits", apic_exits},
	{"vcpu_x2apic_helped", apic_helped},
	{"vcpu_x2apic_held_exits", apic_held_exits},
	{"vcpu_x2apic_held_helped", apic_held_helped},
	{NULL, NULL},
};
