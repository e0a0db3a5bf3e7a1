/* Several vCPUs: INIT, start-up IPIs, NMIs, vectors and the end of the machine between threads. */
#include "guests/vmm/pv/hypercall.h"
#include "guests/vmm/lock.h"
#include "guests/vmm/smp.h"
#include "tests/unit/machine_host.h"

#define VCPUS 3
#define BSP   (&host_machine.vcpu[0])
#define AP    (&host_machine.vcpu[1])
#define THIRD (&host_machine.vcpu[2])

static void setup(void)
{
	host_setup_smp(false, VCPUS);
	for (u32 i = 0; i < VCPUS; i++)
		lapic_write(&host_machine, &host_machine.lapic[i], LAPIC_SVR, 4, 0x1ff);
	memset(host.signals_to, 0, sizeof(host.signals_to));
}

/* Writes vCPU 0's ICR, as its own thread does. */
static void send(u32 to, u32 icr)
{
	lapic_write(&host_machine, BSP->lapic, LAPIC_ICR_HIGH, 4, to << 24);
	lapic_write(&host_machine, BSP->lapic, LAPIC_ICR, 4, icr);
}

#define ICR(delivery, vector)                                                                      \
	((u32)(delivery) << LAPIC_ICR_DELIVERY_SHIFT | LAPIC_ICR_ASSERT | (vector))

TEST(smp_starts_by_startup_ipi)
{
	setup();
	CHECK(AP->state->wait_startup && AP->pause && !BSP->pause);
	send(1, ICR(LAPIC_INIT, 0));
	CHECK_EQ(host.signals_to[2], BIT(VCPU_BIT_MAIL));
	vcpu_open_mail(AP);
	CHECK(AP->state->wait_startup);
	CHECK_EQ(AP->run->gpr[RDX], cpuid_find(AP->cpuid, 1)->regs.eax);
	send(1, ICR(LAPIC_STARTUP, 0x9a));
	vcpu_open_mail(AP);
	CHECK(!AP->state->wait_startup);
	CHECK_EQ(AP->run->cs.base, 0x9a000);
	CHECK_EQ(AP->run->cs.selector, 0x9a00);
	CHECK_EQ(AP->run->rip, 0);
	CHECK(AP->run->dirty & GROUP_SEG);
	CHECK(THIRD->state->wait_startup && !THIRD->post->mail);
	/* One that runs takes no second. */
	AP->run->rip = 0x1234;
	send(1, ICR(LAPIC_STARTUP, 0x10));
	vcpu_open_mail(AP);
	CHECK_EQ(AP->run->rip, 0x1234);
	CHECK_EQ(AP->run->cs.base, 0x9a000);
}

/* INIT after a start-up IPI that was not looked at yet: it has to be started again. */
TEST(smp_init_forgets_an_older_startup)
{
	setup();
	send(1, ICR(LAPIC_STARTUP, 0x9a));
	send(1, ICR(LAPIC_INIT, 0));
	vcpu_open_mail(AP);
	CHECK(AP->state->wait_startup);
	send(1, ICR(LAPIC_INIT, 0));
	send(1, ICR(LAPIC_STARTUP, 0x20));
	vcpu_open_mail(AP);
	CHECK(!AP->state->wait_startup);
	CHECK_EQ(AP->run->cs.base, 0x20000);
}

/* What INIT leaves and what it does not (SDM vol. 3, table 10-1). */
TEST(smp_init_keeps_msrs)
{
	setup();
	AP->state->wait_startup = 0;
	AP->run->lstar = 0x1234;
	AP->run->xcr0 = 7;
	AP->run->cr0 = 0x80000011;
	AP->run->efer = 0x500;
	AP->state->tsc_offset = 77;
	AP->state->mtrr.default_type = 6;
	send(1, ICR(LAPIC_INIT, 0));
	vcpu_open_mail(AP);
	CHECK(AP->pause && AP->state->wait_startup);
	CHECK_EQ(AP->run->lstar, 0x1234);
	CHECK_EQ(AP->run->xcr0, 7);
	CHECK_EQ(AP->run->cr0, 0x60000010);
	CHECK_EQ(AP->run->efer, 0);
	CHECK_EQ(AP->state->tsc_offset, 77);
	CHECK_EQ(AP->state->mtrr.default_type, 6);
}

/* The bootstrap processor would begin in firmware, which is not there. */
TEST(smp_init_of_the_first_resets)
{
	setup();
	send(0, ICR(LAPIC_INIT, 0));
	CHECK_EQ(host_machine.stop, MACHINE_RESET);
	CHECK(BSP->pause);
	CHECK_EQ(host.signals_to[2], BIT(VCPU_BIT_MAIL));
	CHECK_EQ(host.signals_to[3], BIT(VCPU_BIT_MAIL));
}

/* A vector reaches a guest that runs without its VMM; a second one needs no second signal. */
TEST(smp_vectors_nudge)
{
	setup();
	send(2, ICR(LAPIC_FIXED, 0x51));
	CHECK_EQ(host.signals_to[3], BIT(VCPU_BIT_LOOK));
	CHECK_EQ(host.signals_to[2], 0);
	CHECK_EQ(THIRD->run->pending.vector[1], BIT(0x51 - 64));
	memset(host.signals_to, 0, sizeof(host.signals_to));
	send(2, ICR(LAPIC_FIXED, 0x52));
	CHECK_EQ(host.signals_to[3], 0);
	send(0, ICR(LAPIC_FIXED, 0x53));
	CHECK_EQ(host.signals_to[1], 0);
	CHECK_EQ(BSP->run->pending.vector[1], BIT(0x53 - 64));
	CHECK(!THIRD->post->mail && !BSP->post->mail);
}

TEST(smp_nmis_are_counted)
{
	setup();
	AP->state->wait_startup = 0;
	for (u32 i = 0; i < 5; i++)
		send(1, ICR(LAPIC_NMI, 0));
	CHECK_EQ(AP->state->nmis, 0);
	CHECK_EQ(host.signals_to[2], BIT(VCPU_BIT_MAIL));
	AP->run->valid = GROUP_RIP;
	AP->run->inject = 0;
	/* not in a handler, nor in a shadow: not even in that of STI (SDM vol. 3, 27.3.1.5) */
	for (u64 bit = 1; bit <= SHADOW_NMI; bit <<= 1) {
		AP->run->shadow = bit;
		machine_settle(AP);
		CHECK(!AP->run->inject);
		CHECK(AP->run->flags & RUN_NMI_WINDOW);
	}
	AP->run->shadow = SHADOW_STI;
	AP->run->rflags |= RFLAGS_IF;
	machine_settle(AP);
	CHECK(!AP->run->inject);
	CHECK(AP->run->flags & RUN_WINDOW && !(AP->run->flags & RUN_NMI_WINDOW));
	AP->run->shadow = 0;
	machine_settle(AP);
	CHECK(!(AP->run->flags & RUN_WINDOW));
	CHECK_EQ(AP->run->inject, INJECT_VALID | INJECT_TYPE_NMI | INJECT_VECTOR(2));
	CHECK_EQ(AP->state->nmis, 1);
	CHECK(AP->run->flags & RUN_NMI_WINDOW);
}

/* While one is in service, or about to be, one more waits (SDM vol. 3, 6.7.1). */
TEST(smp_nmis_in_a_handler)
{
	setup();
	AP->state->wait_startup = 0;
	AP->run->valid = GROUP_RIP;
	AP->run->shadow = SHADOW_NMI;
	for (u32 i = 0; i < 5; i++)
		send(1, ICR(LAPIC_NMI, 0));
	machine_settle(AP);
	CHECK_EQ(AP->state->nmis, 1);
	send(1, ICR(LAPIC_NMI, 0));
	machine_settle(AP);
	CHECK_EQ(AP->state->nmis, 1);
	AP->run->shadow = 0;
	machine_settle(AP);
	CHECK_EQ(AP->state->nmis, 0);
	CHECK(AP->run->inject & INJECT_VALID);
	for (u32 i = 0; i < 5; i++)
		send(1, ICR(LAPIC_NMI, 0));
	machine_settle(AP);
	CHECK_EQ(AP->state->nmis, 1);
}

/* The second of two was posted when the first had been found, but not yet taken out. */
TEST(smp_nmi_between)
{
	setup();
	AP->state->wait_startup = 0;
	AP->post->mail = MAIL_NMI_TWO;
	vcpu_open_mail(AP);
	CHECK_EQ(AP->state->nmis, 1);
}

/* The deadline of the devices is the first vCPU's; a periodic timer is each one's own. */
TEST(smp_deadlines)
{
	setup();
	machine_settle(BSP);
	CHECK_EQ(AP->deadline, TIME_NEVER);
	machine_arm(&host_machine, MACHINE_TIMER_PIT, machine_now(&host_machine) + 1000000);
	CHECK(BSP->post->mail & MAIL_REARM);
	machine_settle(BSP);
	CHECK(BSP->deadline < TIME_NEVER);
	AP->state->wait_startup = 0;
	lapic_write(&host_machine, AP->lapic, LAPIC_TIMER_DIVIDE, 4, 0xb);
	lapic_write(&host_machine, AP->lapic, LAPIC_LVT_TIMER, 4, LAPIC_LVT_PERIODIC | 0x66);
	lapic_write(&host_machine, AP->lapic, LAPIC_TIMER_INITIAL, 4, 1000000);
	machine_settle(AP);
	CHECK_EQ(AP->deadline, AP->run->timer);
	CHECK(AP->deadline < TIME_NEVER);
}

TEST(smp_lock)
{
	setup();
	machine_lock(BSP);
	CHECK_EQ(host_machine.lock.word, LOCK_HELD);
	/* Another thread that gave up spinning. */
	host_machine.lock.waiters = BIT(1) | BIT(2);
	host_machine.lock.word = LOCK_WANTED;
	machine_unlock(BSP);
	CHECK_EQ(host_machine.lock.word, LOCK_OPEN);
	CHECK_EQ(host_machine.lock.waiters, 0);
	CHECK_EQ(host.signals_to[2], BIT(VCPU_BIT_LOCK));
	CHECK_EQ(host.signals_to[3], BIT(VCPU_BIT_LOCK));
	CHECK_EQ(host.signals_to[1], 0);
}

static s64 hypercall(struct vcpu *v, u64 number, u64 rbx, u64 rcx, u64 rdx, u64 rsi)
{
	v->run->gpr[RAX] = number;
	v->run->gpr[RBX] = rbx;
	v->run->gpr[RCX] = rcx;
	v->run->gpr[RDX] = rdx;
	v->run->gpr[RSI] = rsi;
	v->run->rip = 0x5000;
	host_exit(v, EXIT_HYPERCALL, 3);
	CHECK_EQ(v->run->rip, 0x5003);
	return (s64)v->run->gpr[RAX];
}

TEST(smp_hypercall_sends_to_many)
{
	setup();
	CHECK_EQ(hypercall(BSP, HYPERCALL_SEND_IPI, 3, 0, 1, 0x61), 2);
	CHECK_EQ(AP->run->pending.vector[1], BIT(0x61 - 64));
	CHECK_EQ(THIRD->run->pending.vector[1], BIT(0x61 - 64));
	CHECK_EQ(BSP->run->pending.vector[1], 0);
	CHECK_EQ(host.signals_to[2], BIT(VCPU_BIT_LOOK));
	/* The second word begins 64 IDs further; nobody is there, nor where the sum overflows. */
	CHECK_EQ(hypercall(BSP, HYPERCALL_SEND_IPI, 0, ~0ull, 1, 0x62), 0);
	CHECK_EQ(hypercall(BSP, HYPERCALL_SEND_IPI, ~0ull, ~0ull, 0xfffffff0, 0x62), 0);
	CHECK_EQ(hypercall(BSP, HYPERCALL_SEND_IPI, 7, 0, 0, LAPIC_INIT << 8), HYPERCALL_INVALID);
	CHECK_EQ(hypercall(BSP, HYPERCALL_SEND_IPI, 2, 0, 0, LAPIC_NMI << 8), 1);
	CHECK(AP->post->mail & MAIL_NMI);
	CHECK_EQ(hypercall(BSP, 99, 0, 0, 0, 0), HYPERCALL_NO_SYS);
	BSP->run->ss.attributes |= 3 << 5; /* ring 3 */
	CHECK_EQ(hypercall(BSP, HYPERCALL_SEND_IPI, 3, 0, 1, 0x63), HYPERCALL_NO_PERM);
	CHECK_EQ(hypercall(BSP, HYPERCALL_KICK_CPU, 0, 1, 0, 0), HYPERCALL_NO_PERM);
	CHECK(!(AP->post->mail & MAIL_UNHALT));
}

TEST(smp_kick_ends_hlt)
{
	setup();
	AP->state->wait_startup = 0;
	AP->run->valid = GROUP_RIP;
	AP->run->activity = ACTIVITY_HLT;
	CHECK_EQ(hypercall(BSP, HYPERCALL_KICK_CPU, 0, 1, 0, 0), 0);
	CHECK_EQ(host.signals_to[2], BIT(VCPU_BIT_MAIL));
	vcpu_open_mail(AP);
	CHECK_EQ(AP->run->activity, ACTIVITY_ACTIVE);
	CHECK(AP->run->flags & RUN_HLT_WAIT);
	/* One that comes before the HLT makes that none. */
	hypercall(BSP, HYPERCALL_KICK_CPU, 0, 1, 0, 0);
	vcpu_open_mail(AP);
	CHECK(!(AP->run->flags & RUN_HLT_WAIT));
	AP->run->rip = 0x5000;
	exit_export(AP->run);
	host_exit(AP, EXIT_HLT, 1);
	CHECK_EQ(AP->run->rip, 0x5001);
	CHECK_EQ(AP->run->activity, ACTIVITY_ACTIVE);
	CHECK(AP->run->flags & RUN_HLT_WAIT);
	CHECK(!AP->state->unhalted);
	host_exit(AP, EXIT_HLT, 1);
	CHECK_EQ(AP->run->activity, ACTIVITY_HLT);
}

/* The hardware may serve MSRs only in x2APIC mode, which INIT does not end. */
TEST(smp_x2apic_flag_follows_the_mode)
{
	u64 base = LAPIC_DEFAULT_BASE | LAPIC_BASE_ENABLE;

	setup();
	machine_settle(AP);
	CHECK(!(AP->run->flags & RUN_X2APIC));
	CHECK(lapic_wrmsr(
		&host_machine, AP->lapic, LAPIC_MSR_APIC_BASE, 0, base | LAPIC_BASE_X2APIC));
	AP->run->dirty = 0;
	machine_settle(AP);
	CHECK(AP->run->flags & RUN_X2APIC);
	CHECK(AP->run->dirty & GROUP_CONTROL);
	CHECK(!(BSP->run->flags & RUN_X2APIC));
	send(1, ICR(LAPIC_INIT, 0));
	AP->run->dirty = 0;
	machine_settle(AP);
	CHECK(AP->state->wait_startup);
	CHECK(AP->run->flags & RUN_X2APIC);
	CHECK(AP->run->dirty & GROUP_CONTROL);
	CHECK(lapic_wrmsr(&host_machine, AP->lapic, LAPIC_MSR_APIC_BASE, 0, LAPIC_DEFAULT_BASE));
	machine_settle(AP);
	CHECK(!(AP->run->flags & RUN_X2APIC));
}
