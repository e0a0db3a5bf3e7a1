/* The local APIC (SDM vol. 3, 11): xAPIC or x2APIC mode, IPIs, the one-shot timer. */
#include "kernel/kernel.h"

#define REG_EOI        0xb0
#define REG_LDR        0xd0
#define REG_DFR        0xe0
#define REG_SVR        0xf0
#define REG_ICR        0x300
#define REG_ICR_HIGH   0x310
#define REG_LVT_TIMER  0x320
#define REG_LVT_LINT0  0x350
#define REG_LVT_LINT1  0x360
#define REG_LVT_ERROR  0x370
#define REG_TIMER_INIT 0x380
#define REG_TIMER_DIV  0x3e0
#define REG_TPR        0x80

#define SVR_ENABLE       BIT(8)
#define LVT_MASKED       BIT(16)
#define LVT_NMI          (4u << 8)
#define LVT_TSC_DEADLINE (2u << 17)
#define DIVIDE_BY_1      0xb
#define ICR_ASSERT       (1u << 14)
#define ICR_PENDING      BIT(12)
#define APIC_BASE_X2APIC BIT(10)
#define APIC_BASE_ENABLE BIT(11)

static volatile u32 *registers;
static u64 ratio; /* timer ticks for each TSC cycle, 32.32 fixed point */

static u32 lapic_read(u32 reg)
{
	if (features.x2apic)
		return (u32)read_msr(MSR_X2APIC + (reg >> 4));
	return registers[reg / 4];
}

static void lapic_write(u32 reg, u32 value)
{
	if (features.x2apic)
		write_msr(MSR_X2APIC + (reg >> 4), value);
	else
		registers[reg / 4] = value;
}

void lapic_init_bsp(void)
{
	if (!features.x2apic)
		registers = device_map(boot->lapic, PAGE_SIZE, MEM_CACHE_UC);
}

void lapic_init_cpu(void)
{
	u64 base = read_msr(MSR_APIC_BASE) | APIC_BASE_ENABLE;

	/* From disabled to x2APIC there is no direct way (SDM vol. 3, 11.12.5). */
	write_msr(MSR_APIC_BASE, base);
	if (features.x2apic) {
		write_msr(MSR_APIC_BASE, base | APIC_BASE_X2APIC);
	} else {
		lapic_write(REG_DFR, ~0u);
		lapic_write(REG_LDR, 0);
	}
	lapic_write(REG_TPR, 0);
	lapic_write(REG_SVR, (u32)SVR_ENABLE | VECTOR_SPURIOUS);
	lapic_write(REG_LVT_LINT0, (u32)LVT_MASKED);
	lapic_write(REG_LVT_LINT1, LVT_NMI);
	lapic_write(REG_LVT_ERROR, VECTOR_ERROR);
	lapic_write(REG_TIMER_DIV, DIVIDE_BY_1);
	if (features.tsc_deadline) {
		lapic_write(REG_LVT_TIMER, LVT_TSC_DEADLINE | VECTOR_TIMER);
		/* The MSR write must not overtake the mode's (SDM vol. 3, 11.5.4.1). */
		__asm__ volatile("mfence" ::: "memory");
		return;
	}
	if (!boot->lapic_hz)
		panic("the loader could not measure the local APIC's timer");
	ratio = (boot->lapic_hz << 20) / (boot->tsc_hz >> 12);
	lapic_write(REG_LVT_TIMER, VECTOR_TIMER);
}

void lapic_eoi(void)
{
	lapic_write(REG_EOI, 0);
}

static void send(u32 apic_id, u32 command)
{
	if (features.x2apic) {
		/* Makes earlier stores visible first: the WRMSR is not serialising (SDM vol.
		 * 3, 11.12.3). */
		__asm__ volatile("mfence; lfence" ::: "memory");
		write_msr(MSR_X2APIC + (REG_ICR >> 4), (u64)apic_id << 32 | command);
		return;
	}
	while (lapic_read(REG_ICR) & ICR_PENDING)
		cpu_pause();
	lapic_write(REG_ICR_HIGH, apic_id << 24);
	lapic_write(REG_ICR, command);
}

void lapic_ipi(u32 apic_id, u32 vector)
{
	send(apic_id, ICR_ASSERT | vector);
}

void lapic_timer_arm(cycles_t deadline)
{
	cycles_t now;
	u64 ticks;

	if (features.tsc_deadline) {
		write_msr(MSR_TSC_DEADLINE, deadline == TIME_NEVER ? 0 : deadline);
		return;
	}
	if (deadline == TIME_NEVER) {
		lapic_write(REG_TIMER_INIT, 0);
		return;
	}
	now = rdtsc();
	ticks = deadline > now ? deadline - now : 0;
	if (ticks > BIT(30))
		ticks = BIT(30); /* fires early, and is armed anew */
	ticks = (ticks * ratio >> 32) + 1;
	lapic_write(REG_TIMER_INIT, ticks > ~0u ? ~0u : (u32)ticks);
}

/*
 * Makes the APIC look at its IRR again. A processor always does; QEMU 7.2 with a thread for each
 * CPU can lose the request when it comes in the middle of a VMRUN or an exit, and the CPU would
 * then sleep on it (tests/README.md). x2APIC mode is not affected: that emulator has none.
 */
void lapic_refresh(void)
{
	if (!features.x2apic)
		lapic_write(REG_TPR, 0);
}
