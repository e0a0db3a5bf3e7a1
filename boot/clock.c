/* Measures the TSC and the LAPIC timer against the best timer that the machine has. */
#include "clock.h"
#include "date.h"
#include "print.h"
#include "timers.h"
#include "uefi.h"
#include "x86.h"

#define WINDOWS_PER_SECOND 40     /* a measurement takes 25 ms */
#define SAMPLE_TRIES       8      /* for each end of a window */
#define STUCK_READS        100000 /* a timer that stands still so long is none */
#define ATTEMPTS           6
#define AGREE_PARTS        4000 /* two measurements agree within one part in so many */
#define TRUST_PARTS        100  /* CPUID and measurement likewise */
#define MICROSECONDS       1000000u
#define HZ_LEAST           1000000u

/* All counters at one moment. */
struct sample {
	cycles_t tsc;
	u32 timer;
	u32 lapic;
};

struct rates {
	u64 tsc_hz;
	u64 lapic_hz;
};

/* Takes the sample that took the shortest: an SMI or a busy host makes the others worse. */
static struct sample sample_take(const struct timer *timer, const struct lapic_timer *lapic)
{
	struct sample best = {0};
	cycles_t shortest = ~0ull;

	for (u32 i = 0; i < SAMPLE_TRIES; i++) {
		cycles_t before = read_tsc();
		u32 ticks = timer->read(timer);
		u32 lapic_ticks = lapic_timer_read(lapic);
		cycles_t took = read_tsc() - before;

		if (took < shortest) {
			shortest = took;
			best = (struct sample){before + took / 2, ticks, lapic_ticks};
		}
	}
	return best;
}

/* Waits for `ticks` of the timer from `start` on; false if it stands still. */
static bool timer_wait(const struct timer *timer, u32 start, u32 ticks)
{
	for (u32 i = 0;; i++) {
		u32 passed = (timer->read(timer) - start) & timer->mask;

		if (passed >= ticks)
			return true;
		if (passed == 0 && i > STUCK_READS)
			return false;
	}
}

/* One window; false if the timer failed in it. */
static bool window_measure(const struct timer *timer, struct rates *rates)
{
	struct lapic_timer lapic;
	struct sample start, end;
	bool counts;
	u32 ticks;

	lapic_timer_start(&lapic);
	start = sample_take(timer, &lapic);
	counts = timer_wait(timer, start.timer, (u32)(timer->hz / WINDOWS_PER_SECOND));
	end = sample_take(timer, &lapic);
	lapic_timer_stop(&lapic);
	ticks = (end.timer - start.timer) & timer->mask;
	if (!counts || !ticks || (timer->overran && timer->overran(timer)))
		return false;
	rates->tsc_hz = (end.tsc - start.tsc) * timer->hz / ticks;
	rates->lapic_hz = (u64)(end.lapic - start.lapic) * timer->hz / ticks;
	return rates->tsc_hz >= HZ_LEAST;
}

static bool agree(u64 a, u64 b, u64 parts)
{
	u64 apart = a > b ? a - b : b - a;

	return apart <= b / parts;
}

/* Measures until two windows in a row agree. `start` starts the timer anew for each. */
static bool measure_with(bool (*start)(struct timer *, const struct boot_info *),
	const struct boot_info *info, struct rates *rates, const char **name)
{
	struct rates last = {0};

	for (u32 i = 0; i < ATTEMPTS; i++) {
		struct timer timer;
		u64 flags = interrupts_off();
		bool there = start(&timer, info);
		bool measured = there && window_measure(&timer, rates);

		if (there && timer.stop)
			timer.stop(&timer);
		interrupts_restore(flags);
		if (!there)
			return false;
		*name = timer.name;
		if (!measured)
			continue;
		if (last.tsc_hz && agree(rates->tsc_hz, last.tsc_hz, AGREE_PARTS)) {
			rates->tsc_hz = (rates->tsc_hz + last.tsc_hz) / 2;
			rates->lapic_hz = (rates->lapic_hz + last.lapic_hz) / 2;
			return true;
		}
		last = *rates;
	}
	return false;
}

/* The firmware's own delay: it is at least as long as asked for. */
static bool measure_with_stall(struct rates *rates)
{
	struct lapic_timer lapic;
	u32 window = MICROSECONDS / WINDOWS_PER_SECOND;
	EFI_TPL tpl = efi->RaiseTPL(TPL_HIGH_LEVEL);
	cycles_t start;
	bool stalled;

	lapic_timer_start(&lapic);
	start = read_tsc();
	stalled = !EFI_ERROR(efi->Stall(window));
	rates->tsc_hz = (read_tsc() - start) * WINDOWS_PER_SECOND;
	rates->lapic_hz = (u64)lapic_timer_read(&lapic) * WINDOWS_PER_SECOND;
	lapic_timer_stop(&lapic);
	efi->RestoreTPL(tpl);
	return stalled && rates->tsc_hz >= HZ_LEAST;
}

/* CPUID 15H: the TSC as a ratio of a crystal, if the processor says how fast that is. */
static u64 hz_from_cpuid(void)
{
	struct cpuid tsc;

	if (!cpuid_has(CPUID_TSC))
		return 0;
	tsc = cpuid(CPUID_TSC, 0);
	return tsc.eax && tsc.ebx ? (u64)tsc.ecx * tsc.ebx / tsc.eax : 0;
}

status_t clock_measure(struct boot_info *info)
{
	static bool (*const start[])(struct timer *, const struct boot_info *) = {
		timer_start_hpet, timer_start_pm, timer_start_pit};
	const char *name = "the firmware's delay";
	u64 told = hz_from_cpuid();
	struct rates rates;
	bool measured = false;

	for (u32 i = 0; i < ARRAY_SIZE(start) && !measured; i++)
		measured = measure_with(start[i], info, &rates, &name);
	if (!measured && !measure_with_stall(&rates)) {
		print("loader: error: the time stamp counter does not count.\n"
		      "loader: Bulkhead cannot run on this machine.\n");
		return STATUS_NOT_SUPPORTED;
	}
	/* a crystal is exact, but some firmwares and emulators name the wrong one */
	if (told && agree(rates.tsc_hz, told, TRUST_PARTS)) {
		rates.tsc_hz = told;
		name = "CPUID";
	}
	info->tsc_hz = rates.tsc_hz;
	info->lapic_hz = rates.lapic_hz;
	print("loader: TSC %lu kHz by %s, APIC timer %lu kHz\n", rates.tsc_hz / 1000, name,
		rates.lapic_hz / 1000);
	return STATUS_OK;
}

void clock_read_time(struct boot_info *info)
{
	EFI_TIME now;
	EFI_STATUS status = efi_table->RuntimeServices->GetTime(&now, NULL);
	cycles_t tsc = read_tsc();
	struct date date;

	if (!EFI_ERROR(status)) {
		date = (struct date){now.Year, now.Month, now.Day, now.Hour, now.Minute, now.Second,
			now.Nanosecond, now.TimeZone};
		if (date_to_unix(&date, &info->wall_clock)) {
			info->wall_tsc = tsc;
			return;
		}
	}
	info->wall_clock = 0;
	print("loader: the firmware does not know the time of day\n");
}
