/*
 * A guest that starts its other processors and has them send each other all that local APICs can,
 * in xAPIC and x2APIC mode, and once more with KVM's paravirtual end of interrupt. Each try prints
 * PASS or FAIL; `cpus=N` on the command line says how many processors there are, `shared` that they
 * share CPUs.
 */
#include "small.h"

#define PAGE          0x8000u /* where the others begin, and once more at PAGE_TWO */
#define PAGE_TWO      0x9000u
#define CPUS          8u
#define LAPIC         0xfee00000u
#define REG_ID        0x20u
#define REG_EOI       0xb0u
#define REG_LDR       0xd0u
#define REG_DFR       0xe0u
#define REG_SVR       0xf0u
#define REG_ICR       0x300u
#define REG_ICR_HIGH  0x310u
#define REG_LVT_TIMER 0x320u
#define MSR_X2APIC    0x800u
#define MSR_SELF_IPI  0x83fu
#define MSR_APIC_BASE 0x1bu
#define MSR_DEADLINE  0x6e0u
#define APIC_X2APIC   BIT(10)
#define SVR_ENABLE    0x1ffu
#define LVT_DEADLINE  BIT(18)
#define ICR_LOGICAL   BIT(11)
#define ICR_ASSERT    BIT(14)
#define ICR_SELF      BIT(18)
#define ICR_ALL       BIT(19)
#define ICR_OTHERS    (BIT(18) | BIT(19))
#define ICR_LOWEST    BIT(8)
#define ICR_NMI       (4u << 8)
#define ICR_INIT      (5u << 8)
#define ICR_STARTUP   (6u << 8)
#define MSR_STEAL     0x4b564d03u
#define MSR_PV_EOI    0x4b564d04u
#define LEAF_KVM      0x40000001u
#define KVM_STEAL     BIT(5)
#define KVM_PV_EOI    BIT(6)
#define KVM_PV_FLUSH  BIT(9)
#define PREEMPTED     1u
#define FLUSH_TLB     2u
#define VECTOR        0x41u
#define LOWER         0x31u
#define TIMER         0x42u
#define WAIT          10000000000ull /* TSC cycles: others may have the CPU meanwhile */
#define A_WHILE       (WAIT / 100)
#define TRIES         50u
#define ROUNDS        1000u

extern u8 ap_begin[], ap_end[], ap_cr3[], ap_entry[], ap_gdt[], ap_gdt_base[];
extern volatile u32 ap_came;
void count_ipi(void);
void count_nmi(void);
void smp_count_ipi(void);
void smp_count_nmi(void);

enum job { /* what the others do meanwhile */
	JOB_HALT,
	JOB_SPIN,
	JOB_X2APIC,
	JOB_DEADLINE,
	JOB_CLOCK,
	JOB_PARAVIRTUAL,
};

static volatile struct {
	u32 id;
	u32 ipis;
	u32 nmis;
	u32 skipped; /* ends of interrupts without an exit */
	u32 turns;   /* of its loop */
	u32 done;    /* the last job that it has begun */
} cpu[CPUS];
static volatile struct { /* what a hypervisor tells each processor */
	u64 steal;
	u32 version;
	u32 flags;
	u8 preempted;
	u8 reserved[47];
	u32 eoi;
} __attribute__((aligned(64))) paravirtual[CPUS];
static volatile u32 job;
static volatile u32 job_number;
static volatile u64 clock_last;
static volatile u32 clock_turn;
static volatile u32 clock_back;
static u32 cpus = 2;

static const char *phase = "";

static void verdict(const char *name, bool good)
{
	put_verdict(good);
	put_text("smp_");
	put_text(phase);
	put_text(name);
	put_text("\n");
}

static u64 now(void)
{
	u32 low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (u64)high << 32 | low;
}

static bool is_x2apic(void)
{
	return rdmsr(MSR_APIC_BASE) & APIC_X2APIC;
}

static u32 apic_read(u32 reg)
{
	return is_x2apic() ? (u32)rdmsr(MSR_X2APIC + reg / 16)
			   : *(volatile u32 *)(u64)(LAPIC + reg);
}

static void apic_write(u32 reg, u32 value)
{
	if (is_x2apic())
		wrmsr(MSR_X2APIC + reg / 16, value);
	else
		*(volatile u32 *)(u64)(LAPIC + reg) = value;
}

static void apic_send(u32 to, u32 icr)
{
	if (is_x2apic()) {
		wrmsr(MSR_X2APIC + REG_ICR / 16, (u64)to << 32 | icr);
		return;
	}
	apic_write(REG_ICR_HIGH, to << 24);
	apic_write(REG_ICR, icr);
}

static u32 apic_id(void)
{
	return is_x2apic() ? apic_read(REG_ID) : apic_read(REG_ID) >> 24;
}

static u32 my_index(void)
{
	return apic_id() % CPUS;
}

void smp_count_ipi(void)
{
	u32 i = my_index();

	cpu[i].ipis++;
	if (__atomic_fetch_and(&paravirtual[i].eoi, ~1u, __ATOMIC_RELAXED) & 1)
		cpu[i].skipped++;
	else
		apic_write(REG_EOI, 0);
}

void smp_count_nmi(void)
{
	cpu[my_index()].nmis++;
}

static void apic_enable(void)
{
	apic_write(REG_SVR, SVR_ENABLE);
	if (is_x2apic())
		return;
	apic_write(REG_DFR, ~0u);
	apic_write(REG_LDR, 1u << (24 + my_index()));
}

/* The TSC must not go back from one processor to the next. */
static void clock_round(u32 index)
{
	while (clock_turn < ROUNDS * cpus) {
		if (clock_turn % cpus != index) {
			__asm__ volatile("pause");
			continue;
		}
		clock_back += now() < clock_last;
		clock_last = now();
		clock_turn++;
	}
}

static void paravirtual_on(u32 index)
{
	wrmsr(MSR_STEAL, (u64)&paravirtual[index] | 1);
	if (cpuid(LEAF_KVM, 0).eax & KVM_PV_EOI)
		wrmsr(MSR_PV_EOI, (u64)&paravirtual[index].eoi | 1);
}

static void do_job(u32 index)
{
	switch (job) {
	case JOB_PARAVIRTUAL:
		paravirtual_on(index);
		break;
	case JOB_X2APIC:
		wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | APIC_X2APIC);
		apic_enable();
		break;
	case JOB_DEADLINE:
		apic_write(REG_LVT_TIMER, LVT_DEADLINE | TIMER);
		wrmsr(MSR_DEADLINE, now() + 100000);
		break;
	case JOB_CLOCK:
		clock_round(index);
		break;
	}
}

static void ap_main(u32 came)
{
	u32 index;

	(void)came;
	load_idt();
	apic_enable();
	index = my_index();
	cpu[index].id = apic_id();
	cpu[index].done = 0;
	__asm__ volatile("sti");
	for (;;) {
		cpu[index].turns++;
		if (cpu[index].done != job_number) {
			do_job(index);
			cpu[index].done = job_number;
		}
		/* The IPI of a new job must not come between the look and the HLT. */
		__asm__ volatile("cli");
		if (job == JOB_HALT && cpu[index].done == job_number)
			__asm__ volatile("sti\n\thlt");
		else
			__asm__ volatile("sti\n\tpause");
	}
}

/* Waits until `good` or for too long. */
#define WAIT_FOR(good)                                                                             \
	({                                                                                         \
		u64 end_ = now() + WAIT;                                                           \
		while (!(good) && now() < end_)                                                    \
			__asm__ volatile("pause");                                                 \
		good;                                                                              \
	})

static bool all_others(u32 field_offset, u32 value)
{
	for (u32 i = 1; i < cpus; i++) {
		if (*(volatile u32 *)((u64)&cpu[i] + field_offset) != value)
			return false;
	}
	return true;
}
#define OTHERS(field, value) all_others(__builtin_offsetof(__typeof__(cpu[0]), field), value)

static void give_job(enum job what)
{
	job = what;
	job_number++;
	apic_send(0, ICR_OTHERS | ICR_ASSERT | VECTOR); /* out of HLT */
}

static void zero_counts(void)
{
	for (u32 i = 0; i < CPUS; i++)
		cpu[i].ipis = cpu[i].nmis = 0;
}

static u32 sum_of_ipis(void)
{
	u32 sum = 0;

	for (u32 i = 0; i < cpus; i++)
		sum += cpu[i].ipis;
	return sum;
}

static void wait_a_while(void)
{
	for (u64 end = now() + A_WHILE; now() < end;)
		__asm__ volatile("pause");
}

static void put_trampoline(u32 page)
{
	u8 *to = (u8 *)(u64)page;
	u64 cr3;

	__asm__ volatile("mov %%cr3, %0" : "=r"(cr3));
	for (u64 i = 0; i < (u64)(ap_end - ap_begin); i++)
		to[i] = ap_begin[i];
	*(u32 *)(to + (ap_cr3 - ap_begin)) = (u32)cr3;
	*(u32 *)(to + (ap_entry - ap_begin)) = (u32)(u64)ap_main;
	*(u32 *)(to + (ap_gdt_base - ap_begin)) = page + (u32)(ap_gdt - ap_begin);
}

static void try_start(void)
{
	u32 ids = 0;

	put_trampoline(PAGE);
	put_trampoline(PAGE_TWO);
	apic_send(0, ICR_OTHERS | ICR_ASSERT | ICR_INIT);
	apic_send(0, ICR_OTHERS | ICR_ASSERT | ICR_STARTUP | PAGE >> 12);
	apic_send(0, ICR_OTHERS | ICR_ASSERT | ICR_STARTUP | PAGE >> 12);
	verdict("start", WAIT_FOR(ap_came == cpus - 1));
	for (u32 i = 1; i < cpus; i++)
		ids += WAIT_FOR(cpu[i].id == i);
	verdict("ids", ids == cpus - 1);
	verdict("once", ap_came == cpus - 1);
}

static void try_ipis(enum job meanwhile)
{
	give_job(meanwhile);
	verdict("job", WAIT_FOR(OTHERS(done, job_number)));
	zero_counts();
	for (u32 i = 1; i < cpus; i++)
		apic_send(i, ICR_ASSERT | VECTOR);
	verdict("fixed", WAIT_FOR(OTHERS(ipis, 1)) && cpu[0].ipis == 0);
	apic_send(0, ICR_OTHERS | ICR_ASSERT | VECTOR);
	verdict("others", WAIT_FOR(OTHERS(ipis, 2)) && cpu[0].ipis == 0);
	apic_send(0, ICR_ALL | ICR_ASSERT | VECTOR);
	verdict("all", WAIT_FOR(OTHERS(ipis, 3) && cpu[0].ipis == 1));
	apic_send(0, ICR_SELF | ICR_ASSERT | VECTOR);
	verdict("self", WAIT_FOR(cpu[0].ipis == 2));
	/* The first 16 x2APICs are cluster 0, whose members' bits are those of a flat xAPIC here.
	 */
	apic_send((1u << cpus) - 2, ICR_LOGICAL | ICR_ASSERT | VECTOR);
	verdict("logical", WAIT_FOR(OTHERS(ipis, 4)) && cpu[0].ipis == 2);
	zero_counts();
	apic_send((1u << cpus) - 1, ICR_LOGICAL | ICR_LOWEST | ICR_ASSERT | VECTOR);
	(void)WAIT_FOR(sum_of_ipis() != 0);
	wait_a_while();
	verdict("lowest-priority", sum_of_ipis() == 1);
	for (u32 i = 1; i < cpus; i++)
		apic_send(i, ICR_ASSERT | ICR_NMI);
	verdict("nmi", WAIT_FOR(OTHERS(nmis, 1)) && cpu[0].nmis == 0);
}

/* INIT stops a processor in the middle of its loop; it begins anew only at the next start-up IPI.
 */
static void try_init(void)
{
	u32 last = cpus - 1;
	bool stands = false;
	u32 turns = 0;

	give_job(JOB_SPIN);
	verdict("spins", WAIT_FOR(cpu[last].done == job_number));
	apic_send(last, ICR_ASSERT | ICR_INIT);
	for (u32 i = 0; i < TRIES && !stands; i++) {
		turns = cpu[last].turns;
		wait_a_while();
		stands = cpu[last].turns == turns;
	}
	verdict("init-stops", stands);
	apic_send(last, ICR_ASSERT | ICR_STARTUP | PAGE_TWO >> 12);
	verdict("starts-again", WAIT_FOR(ap_came == cpus) && WAIT_FOR(cpu[last].turns > turns));
}

static void all_ways(const char *halted, const char *spinning)
{
	phase = halted;
	try_ipis(JOB_HALT);
	phase = spinning;
	try_ipis(JOB_SPIN);
	phase = "";
}

/*
 * A vector that has ended without an exit holds up no other: neither one of its own class, nor one
 * of a lower class, nor for a processor that halts.
 */
static void try_skipped_ends(void)
{
	u32 skipped = cpu[0].skipped;

	zero_counts();
	for (u32 i = 0; i < TRIES; i++) {
		apic_send(0, ICR_SELF | ICR_ASSERT | VECTOR);
		(void)WAIT_FOR(cpu[0].ipis == 2 * i + 1);
		apic_send(0, ICR_SELF | ICR_ASSERT | LOWER);
		(void)WAIT_FOR(cpu[0].ipis == 2 * i + 2);
	}
	verdict("lower", cpu[0].ipis == 2 * TRIES);
	verdict("skipped", cpu[0].skipped > skipped + TRIES);
	/* Two at once: one class above the other. */
	__asm__ volatile("cli");
	apic_send(0, ICR_SELF | ICR_ASSERT | VECTOR);
	apic_send(0, ICR_SELF | ICR_ASSERT | LOWER);
	__asm__ volatile("sti");
	verdict("both", WAIT_FOR(cpu[0].ipis == 2 * TRIES + 2));
	give_job(JOB_HALT);
	verdict("job", WAIT_FOR(OTHERS(done, job_number)));
	zero_counts();
	for (u32 i = 0; i < TRIES; i++) {
		apic_send(0, ICR_OTHERS | ICR_ASSERT | (i % 2 ? LOWER : VECTOR));
		(void)WAIT_FOR(OTHERS(ipis, i + 1));
	}
	verdict("halted", OTHERS(ipis, TRIES));
}

/* Somebody spins on the CPU of another, so each is kept from running now and then, and says so. */
static void try_sharing(void)
{
	u64 end = now() + WAIT;
	u8 asked = 0;

	give_job(JOB_SPIN);
	while (!asked && now() < end) {
		u8 away = PREEMPTED;

		for (u32 i = 1; i < cpus && !asked; i++) {
			if (__atomic_compare_exchange_n(&paravirtual[i].preempted, &away,
				    PREEMPTED | FLUSH_TLB, false, __ATOMIC_SEQ_CST,
				    __ATOMIC_SEQ_CST))
				asked = (u8)i;
			away = PREEMPTED;
		}
		__asm__ volatile("pause");
	}
	verdict("away", asked);
	verdict("flushed", asked && WAIT_FOR(!(paravirtual[asked].preempted & FLUSH_TLB)));
	verdict("steal", WAIT_FOR(paravirtual[0].steal + paravirtual[1].steal != 0) &&
				 !(paravirtual[0].version & 1));
}

static void try_paravirtual(bool shared)
{
	u32 features = cpuid(LEAF_KVM, 0).eax;

	phase = "pv_";
	verdict("offered", features & KVM_STEAL);
	verdict("offered-flush", !(features & KVM_PV_FLUSH) == !shared);
	paravirtual_on(0);
	give_job(JOB_PARAVIRTUAL);
	verdict("on", WAIT_FOR(OTHERS(done, job_number)));
	if (features & KVM_PV_EOI) /* not where the hardware ends interrupts without exits */
		try_skipped_ends();
	if (shared)
		try_sharing();
	all_ways("pv_halt_", "pv_spin_");
}

void small_main(const char *cmdline)
{
	for (u32 n = 2; n <= CPUS; n++) {
		const char word[] = {'c', 'p', 'u', 's', '=', (char)('0' + n), 0};

		if (has_word(cmdline, word))
			cpus = n;
	}
	set_gate(2, count_nmi);
	set_gate(VECTOR, count_ipi);
	set_gate(TIMER, count_ipi);
	set_gate(LOWER, count_ipi);
	apic_enable();
	__asm__ volatile("sti");
	try_start();
	all_ways("xapic_halt_", "xapic_spin_");
	try_init();
	give_job(JOB_CLOCK);
	clock_round(0);
	verdict("clock", clock_back == 0);
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | APIC_X2APIC);
	apic_enable();
	give_job(JOB_X2APIC); /* an xAPIC takes it as well */
	verdict("x2apic", WAIT_FOR(OTHERS(done, job_number)));
	all_ways("x2apic_halt_", "x2apic_spin_");
	zero_counts();
	give_job(JOB_DEADLINE);
	verdict("deadline", WAIT_FOR(OTHERS(done, job_number)) && WAIT_FOR(OTHERS(ipis, 2)));
	try_paravirtual(has_word(cmdline, "shared"));
	put_sum("smp");
	power_off();
}
