/* Starts the other processors by INIT and SIPI; the code that they run is ap.S. */
#include "memory.h"
#include "processors.h"
#include "ap.h"
#include "x86.h"

#define ICR_LOW     0x300u /* in the xAPIC's page */
#define ICR_HIGH    0x310u
#define X2APIC_ICR  0x830u
#define ICR_INIT    0x4500u /* asserted */
#define ICR_START   0x4600u
#define ICR_PENDING BIT(12)
#define INIT_US     10000
#define START_US    200
#define START_TRIES 2
#define LIMIT_US    500000

extern u8 ap_start[], ap_end[], ap_cr3[], ap_cpu[];

static_assert(offsetof(struct boot_cpu, flags) == CPU_FLAGS);
static_assert(offsetof(struct boot_cpu, entry) == CPU_ENTRY);
static_assert(offsetof(struct boot_cpu, argument) == CPU_ARGUMENT);
static_assert(BOOT_CPU_WAITS == FLAG_WAITS);

static void icr_send(u32 apic_id, u32 command)
{
	u64 base = read_msr(MSR_APIC_BASE);
	paddr_t page = base & APIC_BASE_ADDRESS;

	if (base & APIC_BASE_X2APIC) {
		/* The WRMSR does not wait for earlier stores (SDM vol. 3, 11.12.3). */
		asm volatile("mfence; lfence" ::: "memory");
		write_msr(X2APIC_ICR, (u64)apic_id << 32 | command);
		return;
	}
	while (mmio_read32(page + ICR_LOW) & ICR_PENDING)
		asm volatile("pause");
	mmio_write32(page + ICR_HIGH, apic_id << 24);
	mmio_write32(page + ICR_LOW, command);
}

/* Waits until the processor is there, but no longer than so many microseconds. */
static bool wait_for(const struct boot_info *info, const struct boot_cpu *cpu, u64 us)
{
	u64 end = read_tsc() + us * (info->tsc_hz / 1000000);

	while (!(__atomic_load_n(&cpu->flags, __ATOMIC_ACQUIRE) & BOOT_CPU_WAITS)) {
		if (read_tsc() >= end)
			return false;
		asm volatile("pause");
	}
	return true;
}

void processors_start(struct boot_info *info, u64 cr3)
{
	u8 *page = (u8 *)info->ap_trampoline;
	u32 start = ICR_START | (u32)(info->ap_trampoline >> PAGE_SHIFT);

	memcpy(page, ap_start, (size_t)(ap_end - ap_start));
	memcpy(page + (ap_cr3 - ap_start), &cr3, sizeof(cr3));
	for (u32 i = 1; i < info->cpus; i++) {
		struct boot_cpu *cpu = &info->cpu[i];
		u64 at = (u64)cpu;
		bool there = false;

		memcpy(page + (ap_cpu - ap_start), &at, sizeof(at));
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		icr_send(cpu->apic_id, ICR_INIT);
		wait_for(info, cpu, INIT_US);
		for (u32 tries = 0; tries < START_TRIES && !there; tries++) {
			icr_send(cpu->apic_id, start);
			there = wait_for(info, cpu, START_US);
		}
		if (!there)
			wait_for(info, cpu, LIMIT_US);
	}
}
