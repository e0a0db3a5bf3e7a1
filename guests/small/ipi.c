/*
 * The cost of an interrupt from one vCPU to another, in x2APIC mode: the median of ROUNDS halves of
 * a round there and back, from the write to ICR to the end of the handler that takes the answer.
 * Prints `bench ipi-halted CYCLES` (each vCPU waits in HLT) and `bench ipi-running CYCLES` (each
 * waits in a loop of PAUSE).
 */
#include "small.h"

#define PAGE          0x8000u /* where the other processor begins */
#define ROUNDS        1000u
#define WARM_UP       100u
#define VECTOR        0x41u
#define MSR_APIC_BASE 0x1bu
#define MSR_ID        0x802u
#define MSR_EOI       0x80bu
#define MSR_SVR       0x80fu
#define MSR_ICR       0x830u
#define APIC_X2APIC   BIT(10)
#define APIC_ENABLE   BIT(11)
#define SVR_ENABLE    0x1ffu
#define ICR_ASSERT    BIT(14)
#define ICR_INIT      (5u << 8)
#define ICR_STARTUP   (6u << 8)

extern u8 ap_begin[], ap_end[], ap_cr3[], ap_entry[], ap_gdt[], ap_gdt_base[];
void count_ipi(void);
void smp_count_ipi(void);
void smp_count_nmi(void);

static u32 sample[ROUNDS];
static volatile u32 answers; /* that the first processor took */
static volatile bool ready;  /* the second takes interrupts */
static volatile bool spin;   /* both wait in a loop of PAUSE, else in HLT */

static u32 now(void)
{
	u32 low;

	__asm__ volatile("rdtsc" : "=a"(low) : : "rdx");
	return low;
}

static void apic_enable(void)
{
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | APIC_X2APIC | APIC_ENABLE);
	wrmsr(MSR_SVR, SVR_ENABLE);
}

static void send(u32 to, u32 icr)
{
	wrmsr(MSR_ICR, (u64)to << 32 | ICR_ASSERT | icr);
}

/* The second processor sends its answer before it ends the interrupt, so the first never waits for
 * that. */
void smp_count_ipi(void)
{
	if ((u32)rdmsr(MSR_ID))
		send(0, VECTOR);
	else
		answers++;
	wrmsr(MSR_EOI, 0);
}

void smp_count_nmi(void)
{
}

/* Lets interrupts come, and waits a little. No interrupt comes between the caller's look and the
 * HLT; behind PAUSE they must find the shadow of STI gone, which QEMU's PAUSE keeps. */
static void rest(void)
{
	if (spin)
		__asm__ volatile("sti\n\tnop\n\tpause\n\tcli");
	else
		__asm__ volatile("sti\n\thlt\n\tcli");
}

static _Noreturn void ap_main(u32 came)
{
	(void)came;
	load_idt();
	apic_enable();
	ready = true;
	for (;;)
		rest();
}

static void start_second(void)
{
	u8 *to = (u8 *)(u64)PAGE;
	u64 cr3;

	__asm__ volatile("mov %%cr3, %0" : "=r"(cr3));
	for (u64 i = 0; i < (u64)(ap_end - ap_begin); i++)
		to[i] = ap_begin[i];
	*(u32 *)(to + (ap_cr3 - ap_begin)) = (u32)cr3;
	*(u32 *)(to + (ap_entry - ap_begin)) = (u32)(u64)ap_main;
	*(u32 *)(to + (ap_gdt_base - ap_begin)) = PAGE + (u32)(ap_gdt - ap_begin);
	send(1, ICR_INIT);
	send(1, ICR_STARTUP | PAGE >> 12);
	while (!ready)
		__asm__ volatile("pause");
}

static void median(const char *key)
{
	for (u32 i = 1; i < ROUNDS; i++) { /* insertion sort: nearly sorted, nearly equal */
		u32 value = sample[i];
		u32 k = i;

		for (; k > 0 && sample[k - 1] > value; k--)
			sample[k] = sample[k - 1];
		sample[k] = value;
	}
	put_text("bench ");
	put_text(key);
	put_text(" ");
	put_number(sample[ROUNDS / 2] / 2);
	put_text("\n");
}

static void measure(const char *key)
{
	for (u32 i = 0; i < WARM_UP + ROUNDS; i++) {
		u32 before = answers;
		u32 from = now();

		send(1, VECTOR);
		while (answers == before)
			rest();
		if (i >= WARM_UP)
			sample[i - WARM_UP] = now() - from;
	}
	median(key);
}

void small_main(const char *cmdline)
{
	(void)cmdline;
	__asm__ volatile("cli");
	set_gate(VECTOR, count_ipi);
	apic_enable();
	start_second();
	measure("ipi-halted");
	spin = true;
	measure("ipi-running");
	put_text("bench done\n");
}
