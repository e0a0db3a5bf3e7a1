/*
 * Costs of what a guest does that leaves it: for each, the median of ROUNDS differences of the TSC,
 * the instructions of the measurement itself (`bench empty`) included. Prints lines `bench KEY
 * CYCLES`.
 */
#include "small.h"

#define ROUNDS         1000u
#define WARM_UP        100u
#define LAPIC_ID       0xfee00020u
#define IOAPIC_SELECT  0xfec00000u
#define AHEAD          100000u /* cycles: when the timer fires, the guest runs for long */
#define POST_PORT      0x80u
#define NOTHING_PORT   0xb000u
#define DOORBELL_PORT  0xc000u
#define VECTOR         0x40u
#define MSR_APIC_BASE  0x1bu
#define APIC_X2APIC    BIT(10)
#define APIC_ENABLE    BIT(11)
#define MSR_TSC_ADJUST 0x3bu
#define MSR_DEADLINE   0x6e0u
#define MSR_SVR        0x80fu
#define MSR_EOI        0x80bu
#define MSR_LVT_TIMER  0x832u
#define MSR_SELF_IPI   0x83fu
#define SVR_ENABLE     0x1ffu
#define LVT_DEADLINE   BIT(18)
#define CR0_WP         BIT(16)
#define VENDOR_AMD     0x68747541u /* "Auth" */
#define VENDOR_HYGON   0x6f677948u /* "Hygo" */

static u32 sample[ROUNDS];

static u32 median(void)
{
	for (u32 i = 1; i < ROUNDS; i++) { /* insertion sort: nearly sorted, nearly equal */
		u32 value = sample[i];
		u32 k = i;

		for (; k > 0 && sample[k - 1] > value; k--)
			sample[k] = sample[k - 1];
		sample[k] = value;
	}
	return sample[ROUNDS / 2];
}

static void report(const char *key)
{
	put_text("bench ");
	put_text(key);
	put_text(" ");
	put_number(median());
	put_text("\n");
}

/* Measures `text`; nothing stands between the two RDTSCs but it and one MOV. RSI, RAX, RDX are
 * lost. */
#define MEASURE(key, text, inputs, ...)                                                            \
	do {                                                                                       \
		for (u32 round_ = 0; round_ < WARM_UP + ROUNDS; round_++) {                        \
			u32 cycles_;                                                               \
			__asm__ volatile("rdtsc\n\tmov %%eax, %%esi\n\t" text                      \
					 "\n\trdtsc\n\tsub %%esi, %%eax"                           \
					 : "=&a"(cycles_)                                          \
					 : inputs                                                  \
					 : "rdx", "rsi", "memory", "cc", ##__VA_ARGS__);           \
			if (round_ >= WARM_UP)                                                     \
				sample[round_ - WARM_UP] = cycles_;                                \
		}                                                                                  \
		report(key);                                                                       \
	} while (0)

static void measure_exits(void)
{
	u32 vendor = cpuid(0, 0).ebx;
	u64 cr0;

	MEASURE("empty", "", NO_INPUTS);
	MEASURE("cpuid", "xor %%eax, %%eax\n\tcpuid", NO_INPUTS, "rbx", "rcx");
	MEASURE("cpuid-features", "mov $1, %%eax\n\tcpuid", NO_INPUTS, "rbx", "rcx");
	if (vendor == VENDOR_AMD || vendor == VENDOR_HYGON)
		MEASURE("hypercall", "mov $100, %%eax\n\tvmmcall", NO_INPUTS);
	else
		MEASURE("hypercall", "mov $100, %%eax\n\tvmcall", NO_INPUTS);
	MEASURE("port-read-nothing", "mov %1, %%edx\n\tin %%dx, %%al", "i"(NOTHING_PORT));
	MEASURE("port-write-post", "out %%al, %1", "i"(POST_PORT));
	MEASURE("doorbell", "mov %1, %%edx\n\tout %%ax, %%dx", "i"(DOORBELL_PORT));
	MEASURE("mmio-read-lapic", "mov %1, %%eax", "m"(*(volatile u32 *)LAPIC_ID));
	MEASURE("mmio-read-ioapic", "mov %1, %%eax", "m"(*(volatile u32 *)IOAPIC_SELECT));
	MEASURE("mmio-write-ioapic", "movl $0, %1", "m"(*(volatile u32 *)IOAPIC_SELECT));
	MEASURE("wrmsr-tsc-adjust",
		"mov %1, %%ecx\n\txor %%eax, %%eax\n\txor %%edx, %%edx\n\twrmsr",
		"i"(MSR_TSC_ADJUST), "rcx");
	__asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
	MEASURE("cr0-wp", "mov %1, %%cr0\n\tmov %2, %%cr0", "r"(cr0 & ~CR0_WP) COMMA "r"(cr0));
}

static u64 now(void)
{
	u32 low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (u64)high << 32 | low;
}

/*
 * What a TSC-deadline timer costs: the write that arms it, and the time from the deadline to the
 * end of the handler, in a guest that runs meanwhile.
 */
static void measure_timer(void)
{
	for (u32 i = 0; i < WARM_UP + ROUNDS; i++) {
		u64 before = *(volatile u64 *)&interrupts;
		u64 from = now();
		u64 deadline = from + AHEAD;
		u64 armed;

		wrmsr(MSR_DEADLINE, deadline);
		armed = now();
		while (*(volatile u64 *)&interrupts == before)
			;
		if (i >= WARM_UP)
			sample[i - WARM_UP] = (u32)(armed - from + now() - deadline);
	}
	report("timer");
}

static void measure_interrupts(void)
{
	set_gate(VECTOR, count_interrupt);
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | APIC_X2APIC | APIC_ENABLE);
	wrmsr(MSR_SVR, SVR_ENABLE);
	MEASURE("eoi", "mov %1, %%ecx\n\txor %%eax, %%eax\n\txor %%edx, %%edx\n\twrmsr",
		"i"(MSR_EOI), "rcx");
	__asm__ volatile("sti");
	MEASURE("self-ipi",
		"mov interrupts, %%r8\n\tmov %1, %%ecx\n\tmov %2, %%eax\n\txor %%edx, %%edx\n\t"
		"wrmsr\n2:\tcmp interrupts, %%r8\n\tje 2b",
		"i"(MSR_SELF_IPI)COMMA "i"(VECTOR), "rcx", "r8");
	wrmsr(MSR_LVT_TIMER, LVT_DEADLINE | VECTOR);
	/* a deadline that has passed: at once */
	MEASURE("deadline",
		"mov interrupts, %%r8\n\tmov %1, %%ecx\n\tmov $1, %%eax\n\txor %%edx, %%edx\n\t"
		"wrmsr\n2:\tcmp interrupts, %%r8\n\tje 2b",
		"i"(MSR_DEADLINE), "rcx", "r8");
	measure_timer();
	__asm__ volatile("cli");
}

void small_main(const char *cmdline)
{
	(void)cmdline;
	measure_exits();
	measure_interrupts();
	put_text("bench done\n");
}
