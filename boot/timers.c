/* HPET (IA-PC HPET 1.0a, 2.3), ACPI PM timer (4.8.3.3), 8254 channel 2, LAPIC timer (SDM
 * 3A, 11.5.4). */
#include "timers.h"
#include "x86.h"

#define HPET_PERIOD     0x004 /* femtoseconds for each tick */
#define HPET_CONFIG     0x010
#define HPET_COUNTER    0x0f0
#define HPET_ENABLE     BIT(0)
#define HPET_PERIOD_MAX 100000000u /* the specification's slowest */
#define FEMTOSECONDS    1000000000000000ull

#define PM_HZ      3579545u
#define PM_BITS_24 0xffffffu

#define PIT_HZ           1193182u
#define PIT_COUNTER      0x42 /* of channel 2 */
#define PIT_COMMAND      0x43
#define PIT_MODE0        0xb0 /* channel 2, both bytes, interrupt on terminal count, binary */
#define PIT_LATCH        0x80 /* channel 2 */
#define PIT_MAX          0xffffu
#define SPEAKER_PORT     0x61
#define SPEAKER_GATE     BIT(0)
#define SPEAKER_DATA     BIT(1)
#define SPEAKER_OUT      BIT(5)
#define SPEAKER_WRITABLE 0x0f

#define LAPIC_LVT_TIMER 0x320
#define LAPIC_INITIAL   0x380
#define LAPIC_CURRENT   0x390
#define LAPIC_DIVIDE    0x3e0
#define LAPIC_DIVIDE_1  0xb
#define LAPIC_MASKED    BIT(16)
#define LAPIC_VECTOR    0xff /* of a masked timer: any valid one */
#define LAPIC_START     0xffffffffu
#define X2APIC_BASE     0x800 /* MSR; registers are 16 bytes apart in memory, one here */

static u32 hpet_read(const struct timer *timer)
{
	return mmio_read32(timer->place + HPET_COUNTER);
}

static void hpet_stop(const struct timer *timer)
{
	mmio_write32(timer->place + HPET_CONFIG, timer->saved);
}

bool timer_start_hpet(struct timer *timer, const struct boot_info *info)
{
	u32 period = info->hpet ? mmio_read32(info->hpet + HPET_PERIOD) : 0;

	if (!period || period > HPET_PERIOD_MAX)
		return false;
	*timer = (struct timer){.name = "HPET",
		.hz = FEMTOSECONDS / period,
		.place = info->hpet,
		.mask = ~0u,
		.read = hpet_read,
		.stop = hpet_stop,
		.saved = mmio_read32(info->hpet + HPET_CONFIG)};
	mmio_write32(info->hpet + HPET_CONFIG, timer->saved | (u32)HPET_ENABLE);
	return true;
}

static u32 pm_read(const struct timer *timer)
{
	return in32((u16)timer->place);
}

bool timer_start_pm(struct timer *timer, const struct boot_info *info)
{
	if (!info->power.pm_timer)
		return false;
	*timer = (struct timer){.name = "the ACPI PM timer",
		.hz = PM_HZ,
		.place = info->power.pm_timer,
		.mask = info->power.pm_timer_32bit ? ~0u : PM_BITS_24,
		.read = pm_read};
	return true;
}

/* The counter goes down. */
static u32 pit_read(const struct timer *timer)
{
	u32 low;

	(void)timer;
	out8(PIT_COMMAND, PIT_LATCH);
	low = in8(PIT_COUNTER);
	return PIT_MAX - (low | (u32)in8(PIT_COUNTER) << 8);
}

static void pit_stop(const struct timer *timer)
{
	out8(SPEAKER_PORT, (u8)timer->saved);
}

/* The output goes high at the end of the count, and the counter then starts over. */
static bool pit_overran(const struct timer *timer)
{
	(void)timer;
	return (in8(SPEAKER_PORT) & SPEAKER_OUT) != 0;
}

bool timer_start_pit(struct timer *timer, const struct boot_info *info)
{
	u8 saved = in8(SPEAKER_PORT) & SPEAKER_WRITABLE;

	(void)info;
	*timer = (struct timer){.name = "the 8254",
		.hz = PIT_HZ,
		.mask = PIT_MAX,
		.read = pit_read,
		.stop = pit_stop,
		.overran = pit_overran,
		.saved = saved};
	out8(SPEAKER_PORT, (u8)((saved & ~SPEAKER_DATA) | SPEAKER_GATE));
	out8(PIT_COMMAND, PIT_MODE0);
	out8(PIT_COUNTER, PIT_MAX & 0xff);
	out8(PIT_COUNTER, PIT_MAX >> 8);
	return true;
}

static u32 lapic_read(const struct lapic_timer *timer, u32 offset)
{
	return timer->base ? mmio_read32(timer->base + offset)
			   : (u32)read_msr(X2APIC_BASE + (offset >> 4));
}

static void lapic_write(const struct lapic_timer *timer, u32 offset, u32 value)
{
	if (timer->base)
		mmio_write32(timer->base + offset, value);
	else
		write_msr(X2APIC_BASE + (offset >> 4), value);
}

void lapic_timer_start(struct lapic_timer *timer)
{
	u64 apic_base = read_msr(MSR_APIC_BASE);

	*timer = (struct lapic_timer){.there = (apic_base & APIC_BASE_ENABLED) != 0};
	if (!timer->there)
		return;
	if (!(apic_base & APIC_BASE_X2APIC))
		timer->base = apic_base & APIC_BASE_ADDRESS;
	timer->lvt = lapic_read(timer, LAPIC_LVT_TIMER);
	timer->divide = lapic_read(timer, LAPIC_DIVIDE);
	timer->initial = lapic_read(timer, LAPIC_INITIAL);
	lapic_write(timer, LAPIC_LVT_TIMER, LAPIC_MASKED | LAPIC_VECTOR);
	lapic_write(timer, LAPIC_DIVIDE, LAPIC_DIVIDE_1);
	lapic_write(timer, LAPIC_INITIAL, LAPIC_START);
}

u32 lapic_timer_read(const struct lapic_timer *timer)
{
	return timer->there ? LAPIC_START - lapic_read(timer, LAPIC_CURRENT) : 0;
}

void lapic_timer_stop(const struct lapic_timer *timer)
{
	if (!timer->there)
		return;
	lapic_write(timer, LAPIC_INITIAL, 0);
	lapic_write(timer, LAPIC_DIVIDE, timer->divide);
	lapic_write(timer, LAPIC_LVT_TIMER, timer->lvt);
	lapic_write(timer, LAPIC_INITIAL, timer->initial);
}
