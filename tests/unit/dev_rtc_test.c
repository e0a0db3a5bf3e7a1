/* The real-time clock, its calendar, and the CMOS bytes that firmware reads. */
#include "guests/vmm/dev/rtc.h"
#include "guests/vmm/dev/rtc_calendar.h"
#include "tests/unit/fake_machine.h"
#include "tests/unit/test.h"
#include <time.h>

static struct machine m;
static struct rtc rtc;

#define SECOND 1000000000ull

static void out(u8 index, u8 value)
{
	rtc_write(&m, &rtc, RTC_INDEX, 1, index);
	rtc_write(&m, &rtc, RTC_DATA, 1, value);
}

static u8 in(u8 index)
{
	rtc_write(&m, &rtc, RTC_INDEX, 1, index);
	return (u8)rtc_read(&m, &rtc, RTC_DATA, 1);
}

static void start(void)
{
	const struct rtc_memory memory = {.below_4g = 256ull << 20, .cpus = 2};

	fake_init(&m);
	m.now = 5 * SECOND + 123456789;
	rtc_init(&rtc, &memory);
	rtc_reset(&m, &rtc);
}

/* Moves time on, calling the timer as it is asked for. */
static void run(u64 ns)
{
	u64 end = m.now + ns;

	while (m.armed[MACHINE_TIMER_RTC] <= end) {
		if (m.now < m.armed[MACHINE_TIMER_RTC])
			m.now = m.armed[MACHINE_TIMER_RTC];
		if (fake_due(&m, MACHINE_TIMER_RTC))
			rtc_timer(&m, &rtc);
	}
	m.now = end;
}

static void check_time(u8 year, u8 month, u8 day, u8 hour, u8 minute, u8 second)
{
	CHECK_EQ(in(RTC_YEAR), year);
	CHECK_EQ(in(RTC_MONTH), month);
	CHECK_EQ(in(RTC_DAY_OF_MONTH), day);
	CHECK_EQ(in(RTC_HOURS), hour);
	CHECK_EQ(in(RTC_MINUTES), minute);
	CHECK_EQ(in(RTC_SECONDS), second);
}

TEST(calendar_agrees_with_the_c_library)
{
	u64 seed = 7;

	for (unsigned i = 0; i < 100000; i++) {
		/* years 0 to 9999 */
		s64 t = (s64)(fake_random(&seed) % 315569520000ull) - 62167219200;
		struct rtc_calendar c = rtc_to_calendar(t);
		time_t host = t;
		struct tm tm;

		gmtime_r(&host, &tm);
		if (c.year != (u32)(tm.tm_year + 1900) || c.month != tm.tm_mon + 1 ||
			c.day != tm.tm_mday || c.weekday != tm.tm_wday + 1 ||
			c.hour != tm.tm_hour || c.minute != tm.tm_min || c.second != tm.tm_sec ||
			rtc_from_calendar(&c) != t) {
			CHECK_EQ(t, 0);
			return;
		}
	}
	rtc_to_calendar(INT64_MAX);
	rtc_to_calendar(INT64_MIN);
}

TEST(reads_the_wall_clock)
{
	start();
	check_time(0x24, 0x01, 0x01, 0x00, 0x00, 0x05);
	CHECK_EQ(in(RTC_CENTURY), 0x20);
	CHECK_EQ(in(RTC_DAY_OF_WEEK), 2); /* a Monday */
	CHECK_EQ(in(RTC_D), 0x80);
	CHECK_EQ(in(RTC_A), 0x26);
	CHECK_EQ(in(RTC_B), 0x02);
	run(3600 * SECOND * 23 + 59 * 60 * SECOND);
	check_time(0x24, 0x01, 0x01, 0x23, 0x59, 0x05);
	run(60 * SECOND);
	check_time(0x24, 0x01, 0x02, 0x00, 0x00, 0x05);
}

TEST(formats)
{
	start();
	run(13 * 3600 * SECOND);
	out(RTC_B, 0x06); /* binary */
	check_time(24, 1, 1, 13, 0, 5);
	CHECK_EQ(in(RTC_CENTURY), 20);
	out(RTC_B, 0x00); /* BCD, 12 hours */
	CHECK_EQ(in(RTC_HOURS), 0x81);
	out(RTC_B, 0x04);
	CHECK_EQ(in(RTC_HOURS), 0x81);
	run(11 * 3600 * SECOND);
	CHECK_EQ(in(RTC_HOURS), 12); /* midnight */
	run(12 * 3600 * SECOND);
	CHECK_EQ(in(RTC_HOURS), 0x8c); /* noon */
}

TEST(update_in_progress)
{
	unsigned polls = 0;

	start();
	/* Linux waits for the rise and the fall of UIP */
	while (!(in(RTC_A)&RTC_A_UIP) && polls++ < 2000000)
		m.now += 1000;
	u64 rise = m.now;
	u8 second = in(RTC_SECONDS);
	while (in(RTC_A)&RTC_A_UIP && polls++ < 2000000)
		m.now += 1000;
	CHECK(polls < 1100000);
	CHECK(m.now - rise >= 2226000 && m.now - rise <= 2229000);
	CHECK_EQ(in(RTC_SECONDS), second + 1);
	out(RTC_B, 0x82);
	run(SECOND - 1000000);
	CHECK(!(in(RTC_A)&RTC_A_UIP));
}

TEST(set_by_the_guest_is_kept)
{
	start();
	/* Linux's mc146818_set_time */
	u8 control = in(RTC_B);
	u8 select = in(RTC_A);
	out(RTC_B, control | RTC_B_SET);
	out(RTC_A, select | 0x70);
	out(RTC_YEAR, 0x99);
	out(RTC_MONTH, 0x12);
	out(RTC_DAY_OF_MONTH, 0x31);
	out(RTC_HOURS, 0x23);
	out(RTC_MINUTES, 0x59);
	out(RTC_SECONDS, 0x59);
	out(RTC_CENTURY, 0x19);
	run(5 * SECOND);
	check_time(0x99, 0x12, 0x31, 0x23, 0x59, 0x59);
	out(RTC_B, control);
	out(RTC_A, select);
	run(SECOND / 2 - 1000000);
	check_time(0x99, 0x12, 0x31, 0x23, 0x59, 0x59);
	run(2000000); /* the first update comes half a second after the divider's start */
	check_time(0x00, 0x01, 0x01, 0x00, 0x00, 0x00);
	CHECK_EQ(in(RTC_CENTURY), 0x20);
	CHECK(rtc.offset < -700000000);
	rtc_reset(&m, &rtc);
	check_time(0x00, 0x01, 0x01, 0x00, 0x00, 0x00);
	m.wall += 100; /* the host's clock is set; its seconds begin elsewhere */
	CHECK_EQ(in(RTC_MINUTES), 1);
	CHECK(in(RTC_SECONDS) >= 0x39 && in(RTC_SECONDS) <= 0x40);
}

TEST(set_without_the_set_bit)
{
	start();
	out(RTC_MINUTES, 0x30);
	check_time(0x24, 0x01, 0x01, 0x00, 0x30, 0x05);
	run(SECOND);
	check_time(0x24, 0x01, 0x01, 0x00, 0x30, 0x06);
}

TEST(update_interrupt)
{
	start();
	in(RTC_C);
	out(RTC_B, 0x12);
	run(10 * SECOND);
	CHECK_EQ(m.rises[8], 1); /* it stays until register C is read */
	CHECK(m.line[8]);
	CHECK_EQ(in(RTC_C), RTC_C_IRQF | RTC_C_UF | RTC_C_PF);
	CHECK(!m.line[8]);
	CHECK_EQ(in(RTC_C), 0);
	run(SECOND);
	CHECK_EQ(m.rises[8], 2);
	out(RTC_B, 0x92); /* SET clears UIE */
	CHECK_EQ(in(RTC_B), 0x82);
	CHECK(!m.line[8]);
}

TEST(periodic_interrupt)
{
	start();
	in(RTC_C);
	out(RTC_B, 0x42);
	u64 end = m.now + SECOND;
	while (m.armed[MACHINE_TIMER_RTC] <= end) {
		m.now = m.armed[MACHINE_TIMER_RTC];
		if (fake_due(&m, MACHINE_TIMER_RTC))
			rtc_timer(&m, &rtc);
		CHECK(m.line[8]);
		in(RTC_C);
	}
	CHECK_EQ(m.rises[8], 1024);
	out(RTC_A, 0x2f); /* 2 Hz */
	m.now = end;
	in(RTC_C);
	m.rises[8] = 0;
	run(SECOND / 2 + 1);
	CHECK_EQ(m.rises[8], 1);
	out(RTC_A, 0x20); /* none */
	in(RTC_C);
	run(10 * SECOND);
	CHECK_EQ(m.rises[8], 1);
	CHECK_EQ(m.armed[MACHINE_TIMER_RTC], MACHINE_NEVER);
}

TEST(alarm)
{
	start();
	in(RTC_C);
	out(RTC_HOURS_ALARM, 0x00);
	out(RTC_MINUTES_ALARM, 0x01);
	out(RTC_SECONDS_ALARM, 0x00);
	out(RTC_B, 0x22);
	run(54 * SECOND);
	CHECK_EQ(m.rises[8], 0);
	run(SECOND);
	CHECK_EQ(m.rises[8], 1);
	CHECK_EQ(in(RTC_C), RTC_C_IRQF | RTC_C_AF | RTC_C_UF | RTC_C_PF);
	run(3600 * SECOND);
	CHECK_EQ(m.rises[8], 1);
	out(RTC_HOURS_ALARM, 0xff); /* any hour, any minute */
	out(RTC_MINUTES_ALARM, 0xc0);
	run(61 * SECOND);
	CHECK_EQ(m.rises[8], 2);
}

TEST(alarm_is_seen_after_a_long_sleep)
{
	start();
	out(RTC_HOURS_ALARM, 0x12);
	in(RTC_C);
	m.now += 11 * 3600 * SECOND;
	CHECK(!(in(RTC_C)&RTC_C_AF));
	m.now += 3 * 3600 * SECOND;
	CHECK(in(RTC_C)&RTC_C_AF);
	m.now += 1000 * 86400 * SECOND;
	CHECK(in(RTC_C)&RTC_C_AF);
}

TEST(cmos_for_firmware)
{
	const struct rtc_memory large = {.below_4g = 3ull << 30, .above_4g = 5ull << 30, .cpus = 8};
	u32 sum = 0;

	start();
	CHECK_EQ(in(0x15) | in(0x16) << 8, 640);
	CHECK_EQ(in(0x17) | in(0x18) << 8, 0xffff);
	CHECK_EQ(in(0x30) | in(0x31) << 8, 0xffff);
	CHECK_EQ(in(0x34) | in(0x35) << 8, (256 - 16) * 16);
	CHECK_EQ(in(0x5b) | in(0x5c) << 8 | in(0x5d) << 16, 0);
	CHECK_EQ(in(0x5f), 1);
	CHECK_EQ(in(0x3d), 0x32);
	CHECK_EQ(in(0x38), 1);
	for (u8 i = 0x10; i <= 0x2d; i++)
		sum += in(i);
	CHECK_EQ(in(0x2e) << 8 | in(0x2f), sum);
	rtc_init(&rtc, &large);
	CHECK_EQ(in(0x34) | in(0x35) << 8, (3072 - 16) * 16);
	CHECK_EQ(in(0x5b) | in(0x5c) << 8 | in(0x5d) << 16, 5 << 14);
	CHECK_EQ(in(0x5f), 7);
	out(0x0f, 0x0a); /* the shutdown code survives a reset */
	rtc_reset(&m, &rtc);
	CHECK_EQ(in(0x0f), 0x0a);
	out(0x8f, 0x05); /* with the NMI bit in the index */
	CHECK_EQ(in(0x0f), 0x05);
	rtc_write(&m, &rtc, RTC_INDEX, 2, 0x770f); /* both ports at once */
	CHECK_EQ(in(0x0f), 0x77);
	CHECK_EQ(rtc_read(&m, &rtc, RTC_INDEX, 1), 0xff);
}

TEST(hammer)
{
	u64 seed = 4;

	start();
	for (unsigned i = 0; i < 200000; i++) {
		u64 r = fake_random(&seed);
		unsigned size = fake_random_size(&seed);

		m.now += fake_random(&seed) >> (20 + (r >> 56) % 44);
		if (m.now > 1ull << 62)
			m.now = 0;
		if (r & 1)
			rtc_write(&m, &rtc, RTC_INDEX, 1, r >> 8 & (r & 0x80 ? 0x0f : 0xff));
		if (r & 2)
			rtc_write(&m, &rtc, (u16)(RTC_INDEX + (r >> 2 & 1)), size, (u32)(r >> 32));
		else
			rtc_read(&m, &rtc, (u16)(RTC_INDEX + (r >> 2 & 1)), size);
		if (fake_due(&m, MACHINE_TIMER_RTC))
			rtc_timer(&m, &rtc);
		if (m.armed[MACHINE_TIMER_RTC] <= m.now) {
			CHECK_EQ(m.armed[MACHINE_TIMER_RTC], m.now);
			break;
		}
	}
}
