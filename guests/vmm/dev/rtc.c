/* MC146818 and CMOS RAM: see rtc.h. */
#include "guests/vmm/dev/rtc.h"
#include "guests/vmm/dev/rtc_calendar.h"

#define SECOND       ((s64)DEVICE_NS_PER_SECOND)
#define HALF_SECOND  (SECOND / 2)
#define DAY_SECONDS  86400
#define RATE_FASTEST 3 /* the two rate codes below it repeat 8 and 9 */
#define RATE_REPEAT  7
#define NOON         12
#define C_FLAGS      (RTC_C_PF | RTC_C_AF | RTC_C_UF)
#define MIB          (1ull << 20)
#define GIB4         (1ull << 32)
#define UNIT_64K     16 /* shift */
#define KIB          10

static bool divider_held(const struct rtc *s)
{
	return (s->ram[RTC_A] & RTC_A_RESET) == RTC_A_RESET;
}

/* Whether the time registers stand still, so that the guest can set them. */
static bool is_stopped(const struct rtc *s)
{
	return s->ram[RTC_B] & RTC_B_SET || divider_held(s);
}

static u64 elapsed_ns(struct machine *m, const struct rtc *s)
{
	s64 ns = (s64)machine_now(m) - s->base_ns;

	return ns < 0 ? 0 : (u64)ns;
}

static s64 current_time(struct machine *m, const struct rtc *s)
{
	return s->base + (s64)(elapsed_ns(m, s) / DEVICE_NS_PER_SECOND);
}

/* Frequency of the periodic interrupt; 0 if there is none (MC146818A, table 5). */
static u64 periodic_hz(const struct rtc *s)
{
	unsigned rate = s->ram[RTC_A] & RTC_A_RATE;

	if (rate == 0 || (s->ram[RTC_A] & RTC_A_DIVIDER) != RTC_A_RUNNING)
		return 0;
	if (rate < RATE_FASTEST)
		rate += RATE_REPEAT;
	return RTC_CRYSTAL_HZ >> (rate - 1);
}

static u64 periods_done(struct machine *m, const struct rtc *s)
{
	return device_cycles(elapsed_ns(m, s), periodic_hz(s));
}

static u64 updates_done(struct machine *m, const struct rtc *s)
{
	return elapsed_ns(m, s) / DEVICE_NS_PER_SECOND;
}

/* Begins to count time from `base_ns`; what happened before has been dealt with. */
static void set_base(struct machine *m, struct rtc *s, s64 time, s64 base_ns)
{
	s->base = time;
	s->base_ns = base_ns;
	s->updates = updates_done(m, s);
	s->periods = periods_done(m, s);
	s->offset = current_time(m, s) - (s64)machine_wall_clock(m);
	s->synced = 1;
}

static u8 encode(const struct rtc *s, u32 value)
{
	return (u8)(s->ram[RTC_B] & RTC_B_BINARY ? value : value / 10 << 4 | value % 10);
}

static u8 decode(const struct rtc *s, u8 value)
{
	return (u8)(s->ram[RTC_B] & RTC_B_BINARY ? value : (value >> 4) * 10 + (value & 0xf));
}

static u8 encode_hour(const struct rtc *s, u32 hour)
{
	if (s->ram[RTC_B] & RTC_B_24H)
		return encode(s, hour);
	return (u8)(encode(s, hour % NOON ? hour % NOON : NOON) | (hour >= NOON ? RTC_HOUR_PM : 0));
}

static u8 decode_hour(const struct rtc *s, u8 value)
{
	if (s->ram[RTC_B] & RTC_B_24H)
		return decode(s, value);
	return (u8)(decode(s, value & (u8)~RTC_HOUR_PM) % NOON + (value & RTC_HOUR_PM ? NOON : 0));
}

/* Puts `time` into the time registers. */
static void time_to_registers(struct rtc *s, s64 time)
{
	struct rtc_calendar c = rtc_to_calendar(time);

	s->ram[RTC_SECONDS] = encode(s, c.second);
	s->ram[RTC_MINUTES] = encode(s, c.minute);
	s->ram[RTC_HOURS] = encode_hour(s, c.hour);
	s->ram[RTC_DAY_OF_WEEK] = encode(s, c.weekday);
	s->ram[RTC_DAY_OF_MONTH] = encode(s, c.day);
	s->ram[RTC_MONTH] = encode(s, c.month);
	s->ram[RTC_YEAR] = encode(s, c.year % 100);
	s->ram[RTC_CENTURY] = encode(s, c.year / 100);
}

static s64 registers_to_time(const struct rtc *s)
{
	struct rtc_calendar c = {
		.year = decode(s, s->ram[RTC_CENTURY]) * 100u + decode(s, s->ram[RTC_YEAR]),
		.month = decode(s, s->ram[RTC_MONTH]),
		.day = decode(s, s->ram[RTC_DAY_OF_MONTH]),
		.hour = decode_hour(s, s->ram[RTC_HOURS]),
		.minute = decode(s, s->ram[RTC_MINUTES]),
		.second = decode(s, s->ram[RTC_SECONDS]),
	};

	return rtc_from_calendar(&c);
}

static bool is_time_register(u8 index)
{
	switch (index) {
	case RTC_SECONDS:
	case RTC_MINUTES:
	case RTC_HOURS:
	case RTC_DAY_OF_WEEK:
	case RTC_DAY_OF_MONTH:
	case RTC_MONTH:
	case RTC_YEAR:
	case RTC_CENTURY:
		return true;
	default:
		return false;
	}
}

static bool alarm_is(const struct rtc *s, u8 index, u8 value)
{
	u8 alarm = s->ram[index];

	return (alarm & RTC_ALARM_ANY) == RTC_ALARM_ANY || alarm == value;
}

/* Whether the alarm went off in one of `seconds` seconds up to and with `time`. */
static bool alarm_within(const struct rtc *s, s64 time, u64 seconds)
{
	if (seconds > DAY_SECONDS)
		seconds = DAY_SECONDS; /* it repeats every day */
	for (u64 i = 0; i < seconds; i++) {
		s64 second = (time - (s64)i) % DAY_SECONDS;

		if (second < 0)
			second += DAY_SECONDS;
		if (alarm_is(s, RTC_SECONDS_ALARM, encode(s, (u32)(second % 60))) &&
			alarm_is(s, RTC_MINUTES_ALARM, encode(s, (u32)(second / 60 % 60))) &&
			alarm_is(s, RTC_HOURS_ALARM, encode_hour(s, (u32)(second / 3600))))
			return true;
	}
	return false;
}

static void update_line(struct machine *m, struct rtc *s)
{
	bool level = s->ram[RTC_C] & s->ram[RTC_B] & C_FLAGS;

	if (level)
		s->ram[RTC_C] |= RTC_C_IRQF;
	else
		s->ram[RTC_C] &= (u8)~RTC_C_IRQF;
	if (level == s->line)
		return;
	s->line = level;
	machine_line(m, RTC_LINE, level);
}

/* Asks for the next event that would set an enabled flag. */
static void schedule(struct machine *m, struct rtc *s)
{
	u8 missing = s->ram[RTC_B] & (u8)~s->ram[RTC_C];
	u64 due = MACHINE_NEVER;
	u64 hz = periodic_hz(s);

	if (missing & RTC_C_PF && hz)
		due = device_ns(s->periods + 1, hz);
	if (missing & (RTC_C_AF | RTC_C_UF) && !is_stopped(s)) {
		u64 second = (s->updates + 1) * DEVICE_NS_PER_SECOND;

		due = second < due ? second : due;
	}
	if (due != MACHINE_NEVER)
		due = (u64)((s64)due + s->base_ns);
	machine_arm(m, MACHINE_TIMER_RTC, due);
}

/* Sets the flags of all that happened since the last look. */
static void catch_up(struct machine *m, struct rtc *s)
{
	u64 updates;
	u64 periods;
	s64 drift;

	if (!s->synced) {
		set_base(m, s, (s64)machine_wall_clock(m), (s64)machine_now(m));
		return;
	}
	periods = periods_done(m, s);
	if (periods > s->periods)
		s->ram[RTC_C] |= RTC_C_PF;
	s->periods = periods;
	updates = updates_done(m, s);
	if (is_stopped(s)) {
		s->updates = updates;
		return;
	}
	if (updates > s->updates) {
		s->ram[RTC_C] |= RTC_C_UF;
		if (alarm_within(s, current_time(m, s), updates - s->updates))
			s->ram[RTC_C] |= RTC_C_AF;
	}
	s->updates = updates;
	/* After a long sleep, or when the host's clock was set. */
	drift = (s64)machine_wall_clock(m) + s->offset - current_time(m, s);
	if (drift < -1 || drift > 1)
		s->base += drift;
}

void rtc_timer(struct machine *m, struct rtc *s)
{
	catch_up(m, s);
	update_line(m, s);
	schedule(m, s);
}

/* The update that follows a release of the divider comes after half a second. */
static void write_a(struct machine *m, struct rtc *s, u8 value)
{
	bool was_held = divider_held(s);
	bool was_stopped = is_stopped(s);

	if (!was_stopped)
		time_to_registers(s, current_time(m, s));
	s->ram[RTC_A] = value & (u8)~RTC_A_UIP;
	if (was_held && !divider_held(s))
		set_base(m, s, registers_to_time(s), (s64)machine_now(m) - HALF_SECOND);
	s->periods = periods_done(m, s);
}

static void write_b(struct machine *m, struct rtc *s, u8 value)
{
	bool was_stopped = is_stopped(s);

	if (!was_stopped)
		time_to_registers(s, current_time(m, s));
	if (value & RTC_B_SET)
		value &= (u8)~RTC_B_UIE;
	s->ram[RTC_B] = value;
	/* SET leaves the divider alone: seconds go on beginning when they did. */
	if (was_stopped && !is_stopped(s))
		set_base(m, s, registers_to_time(s),
			(s64)machine_now(m) - (s64)(elapsed_ns(m, s) % DEVICE_NS_PER_SECOND));
}

static void write_time(struct machine *m, struct rtc *s, u8 index, u8 value)
{
	if (is_stopped(s)) {
		s->ram[index] = value;
		return;
	}
	time_to_registers(s, current_time(m, s));
	s->ram[index] = value;
	set_base(m, s, registers_to_time(s),
		(s64)machine_now(m) - (s64)(elapsed_ns(m, s) % DEVICE_NS_PER_SECOND));
}

static void write_data(struct machine *m, struct rtc *s, u8 index, u8 value)
{
	switch (index) {
	case RTC_A:
		write_a(m, s, value);
		break;
	case RTC_B:
		write_b(m, s, value);
		break;
	case RTC_C:
	case RTC_D:
		break;
	default:
		if (is_time_register(index))
			write_time(m, s, index, value);
		else
			s->ram[index] = value;
	}
}

static u8 read_a(struct machine *m, const struct rtc *s)
{
	u64 within = elapsed_ns(m, s) % DEVICE_NS_PER_SECOND;

	if (!is_stopped(s) && within >= DEVICE_NS_PER_SECOND - RTC_UIP_NS)
		return s->ram[RTC_A] | RTC_A_UIP;
	return s->ram[RTC_A];
}

static u8 read_data(struct machine *m, struct rtc *s, u8 index)
{
	u8 value;

	switch (index) {
	case RTC_A:
		return read_a(m, s);
	case RTC_C:
		value = s->ram[RTC_C];
		s->ram[RTC_C] = 0;
		return value;
	case RTC_D:
		return RTC_D_VALID;
	default:
		if (is_time_register(index) && !is_stopped(s))
			time_to_registers(s, current_time(m, s));
		return s->ram[index];
	}
}

/* The index port cannot be read back. */
static u8 read_byte(struct machine *m, struct rtc *s, u16 port)
{
	u8 value;

	if (port != RTC_DATA)
		return DEVICE_NOTHING;
	catch_up(m, s);
	update_line(m, s);
	value = read_data(m, s, s->index & RTC_INDEX_MASK);
	update_line(m, s);
	schedule(m, s);
	return value;
}

static void write_byte(struct machine *m, struct rtc *s, u16 port, u8 value)
{
	if (port == RTC_INDEX)
		s->index = value;
	if (port != RTC_DATA)
		return;
	catch_up(m, s);
	write_data(m, s, s->index & RTC_INDEX_MASK, value);
	update_line(m, s);
	schedule(m, s);
}

u32 rtc_read(struct machine *m, struct rtc *s, u16 port, unsigned size)
{
	u32 value = 0;

	for (unsigned i = 0; i < size; i++)
		value |= (u32)read_byte(m, s, (u16)(port + i)) << i * 8;
	return value;
}

void rtc_write(struct machine *m, struct rtc *s, u16 port, unsigned size, u32 value)
{
	for (unsigned i = 0; i < size; i++)
		write_byte(m, s, (u16)(port + i), (u8)(value >> i * 8));
}

/* Stores `value`, or the highest that fits, in `bytes` registers, low byte first. */
static void put(struct rtc *s, u8 index, unsigned bytes, u64 value)
{
	u64 limit = (1ull << bytes * 8) - 1;

	if (value > limit)
		value = limit;
	for (unsigned i = 0; i < bytes; i++)
		s->ram[index + i] = (u8)(value >> i * 8);
}

static u64 above(u64 size, u64 start)
{
	return size > start ? size - start : 0;
}

static void put_checksum(struct rtc *s)
{
	u32 sum = 0;

	for (unsigned i = RTC_SUMMED; i <= RTC_SUMMED_LAST; i++)
		sum += s->ram[i];
	s->ram[RTC_CHECKSUM] = (u8)(sum >> 8);
	s->ram[RTC_CHECKSUM + 1] = (u8)sum;
}

void rtc_init(struct rtc *s, const struct rtc_memory *memory)
{
	u64 low = memory->below_4g < GIB4 ? memory->below_4g : GIB4;

	*s = (struct rtc){.header = device_header(RTC_MAGIC, RTC_VERSION, sizeof(*s))};
	s->ram[RTC_A] = RTC_A_INITIAL;
	s->ram[RTC_B] = RTC_B_24H;
	s->ram[RTC_EQUIPMENT] = RTC_EQUIPMENT_FPU;
	put(s, RTC_BASE_KIB, 2, RTC_BASE_KIB_VALUE);
	put(s, RTC_EXTENDED_KIB, 2, above(low, MIB) >> KIB);
	put(s, RTC_EXTENDED_KIB2, 2, above(low, MIB) >> KIB);
	put(s, RTC_ABOVE_16M, 2, above(low, 16 * MIB) >> UNIT_64K);
	put(s, RTC_ABOVE_4G, 3, memory->above_4g >> UNIT_64K);
	s->ram[RTC_BOOT_ORDER1] = RTC_BOOT_DISK_CDROM;
	s->ram[RTC_BOOT_ORDER2] = RTC_BOOT_NO_FLOPPY;
	put(s, RTC_CPUS, 1, memory->cpus ? memory->cpus - 1 : 0);
	put_checksum(s);
}

/* The RESET pin leaves time, mode and RAM alone (MC146818A, "RESET"). */
void rtc_reset(struct machine *m, struct rtc *s)
{
	catch_up(m, s);
	s->ram[RTC_B] &= (u8) ~(RTC_B_PIE | RTC_B_AIE | RTC_B_UIE | RTC_B_SQWE);
	s->ram[RTC_C] = 0;
	update_line(m, s);
	schedule(m, s);
}
