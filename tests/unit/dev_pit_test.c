/* The i8254 and port 0x61. */
#include "guests/vmm/dev/pit.h"
#include "tests/unit/fake_machine.h"
#include "tests/unit/test.h"

static struct machine m;
static struct pit pit;

static void out(u16 port, u8 value)
{
	pit_write(&m, &pit, port, 1, value);
}

static u8 in(u16 port)
{
	return (u8)pit_read(&m, &pit, port, 1);
}

static void start(void)
{
	fake_init(&m);
	pit_init(&pit);
	pit_reset(&m, &pit);
	m.rises[0] = 0;
}

/* Moves time to `cycles` of the PIT's clock after `since`, calling the timer as it is asked for. */
static void run_to(u64 since, u64 cycles)
{
	u64 end = since + device_ns(cycles, PIT_HZ);

	while (m.armed[MACHINE_TIMER_PIT] <= end) {
		if (m.now < m.armed[MACHINE_TIMER_PIT])
			m.now = m.armed[MACHINE_TIMER_PIT];
		if (fake_due(&m, MACHINE_TIMER_PIT))
			pit_timer(&m, &pit);
	}
	m.now = end;
}

static u16 latched(unsigned channel)
{
	u8 low;

	out(PIT_CONTROL, (u8)(channel << 6));
	low = in((u16)(PIT_CHANNEL0 + channel));
	return (u16)(low | in((u16)(PIT_CHANNEL0 + channel)) << 8);
}

static void program(unsigned channel, u8 mode, u16 count)
{
	out(PIT_CONTROL, (u8)(channel << 6 | 0x30 | mode << 1));
	out((u16)(PIT_CHANNEL0 + channel), (u8)count);
	out((u16)(PIT_CHANNEL0 + channel), (u8)(count >> 8));
}

TEST(conversions_agree)
{
	u64 seed = 5;

	for (unsigned i = 0; i < 100000; i++) {
		u64 cycles = fake_random(&seed) >> (i % 40 + 20);

		if (device_cycles(device_ns(cycles, PIT_HZ), PIT_HZ) != cycles)
			CHECK(!"a count of cycles is kept");
	}
	CHECK_EQ(device_cycles(1000000000, PIT_HZ), PIT_HZ);
	CHECK_EQ(device_ns(PIT_HZ, PIT_HZ), 1000000000);
}

TEST(linux_calibrates_against_channel_2)
{
	/* quick_pit_calibrate: channel 2, mode 0, no speaker, gate on, only high bytes matter */
	u8 high;

	start();
	out(PIT_NMI_STATUS, (u8)((in(PIT_NMI_STATUS) & ~2) | 1));
	out(PIT_CONTROL, 0xb0);
	out(PIT_CHANNEL2, 0xff);
	out(PIT_CHANNEL2, 0xff);
	in(PIT_CHANNEL2);
	high = in(PIT_CHANNEL2);
	CHECK_EQ(high, 0xff);
	m.now += device_ns(0x100 * 3, PIT_HZ);
	in(PIT_CHANNEL2);
	CHECK_EQ(in(PIT_CHANNEL2), 0xff - 3);
	CHECK(!(in(PIT_NMI_STATUS)&PIT_NMI_OUTPUT2));
	m.now += device_ns(0x10000, PIT_HZ);
	CHECK(in(PIT_NMI_STATUS)&PIT_NMI_OUTPUT2);
}

TEST(pit_calibrate_by_output_2)
{
	/* pit_calibrate_tsc: latch value 11932 (10 ms), polls bit 5 of port 0x61 */
	start();
	out(PIT_NMI_STATUS, 1);
	program(2, 0, 11932);
	run_to(0, 11931);
	CHECK(!(in(PIT_NMI_STATUS)&PIT_NMI_OUTPUT2));
	run_to(0, 11932);
	CHECK(in(PIT_NMI_STATUS)&PIT_NMI_OUTPUT2);
	CHECK(m.now > 9990000 && m.now < 10010000);
}

TEST(gate_2_pauses_mode_0)
{
	start();
	out(PIT_NMI_STATUS, 1);
	program(2, 0, 1000);
	m.now = device_ns(300, PIT_HZ);
	out(PIT_NMI_STATUS, 0);
	CHECK_EQ(latched(2), 700);
	m.now += 5000000;
	CHECK_EQ(latched(2), 700);
	out(PIT_NMI_STATUS, 1);
	m.now += device_ns(200, PIT_HZ);
	CHECK_EQ(latched(2), 500);
	CHECK_EQ(in(PIT_NMI_STATUS)&0x0f, 1);
}

TEST(gate_2_triggers_mode_1)
{
	start();
	program(2, 1, 100);
	CHECK(in(PIT_NMI_STATUS)&PIT_NMI_OUTPUT2);
	m.now += device_ns(500, PIT_HZ);
	CHECK(in(PIT_NMI_STATUS)&PIT_NMI_OUTPUT2);
	out(PIT_NMI_STATUS, 1);
	CHECK(!(in(PIT_NMI_STATUS)&PIT_NMI_OUTPUT2));
	m.now += device_ns(60, PIT_HZ);
	out(PIT_NMI_STATUS, 0);
	out(PIT_NMI_STATUS, 1); /* again, for the full time */
	m.now += device_ns(60, PIT_HZ);
	CHECK(!(in(PIT_NMI_STATUS)&PIT_NMI_OUTPUT2));
	m.now += device_ns(40, PIT_HZ);
	CHECK(in(PIT_NMI_STATUS)&PIT_NMI_OUTPUT2);
}

TEST(mode_2_interrupts_periodically)
{
	start();
	program(0, 2, 1193); /* about 1 kHz */
	run_to(0, 1193 * 100 - 1);
	CHECK_EQ(m.rises[0], 99);
	run_to(0, 1193 * 100);
	CHECK_EQ(m.rises[0], 100);
	CHECK_EQ(latched(0), 1193);
	run_to(0, 1193 * 100 + 1);
	CHECK_EQ(latched(0), 1192);
	run_to(0, 1193 * 101 - 1);
	CHECK_EQ(latched(0), 1);
}

TEST(mode_3_counts_by_two)
{
	start();
	program(0, 3, 0); /* 65536 */
	CHECK_EQ(latched(0), 0);
	run_to(0, 1);
	CHECK_EQ(latched(0), 0xfffe);
	run_to(0, 0x7fff);
	CHECK_EQ(latched(0), 2);
	run_to(0, 0x8001);
	CHECK_EQ(latched(0), 0xfffe);
	run_to(0, 0x10000);
	CHECK_EQ(m.rises[0], 1);
	program(0, 3, 5);
	static const u16 expected[] = {4, 2, 0, 4, 2, 4};
	u64 since = m.now;
	for (unsigned i = 0; i < ARRAY_SIZE(expected); i++) {
		m.now = since + device_ns(i, PIT_HZ);
		CHECK_EQ(latched(0), expected[i]);
	}
}

TEST(mode_0_interrupts_once)
{
	start();
	program(0, 0, 100);
	CHECK(!m.line[0]);
	run_to(0, 99);
	CHECK(!m.line[0]);
	run_to(0, 100000);
	CHECK(m.line[0]);
	CHECK_EQ(m.rises[0], 1);
	CHECK_EQ(latched(0), (u16)(100 - 100000));
	out(PIT_CHANNEL0, 50); /* the first byte of a new count stops it and lowers OUT */
	CHECK(!m.line[0]);
	CHECK_EQ(m.armed[MACHINE_TIMER_PIT], MACHINE_NEVER);
	out(PIT_CHANNEL0, 0);
	run_to(m.now, 50);
	CHECK_EQ(m.rises[0], 2);
}

TEST(mode_4_one_shot)
{
	/* Linux's pit_set_oneshot and pit_next_event */
	start();
	out(PIT_CONTROL, 0x38);
	CHECK_EQ(m.armed[MACHINE_TIMER_PIT], MACHINE_NEVER);
	out(PIT_CHANNEL0, 0xe8);
	out(PIT_CHANNEL0, 0x03);
	run_to(0, 1000);
	CHECK_EQ(m.rises[0], 0);
	run_to(0, 1001);
	CHECK_EQ(m.rises[0], 1);
	run_to(0, 200000);
	CHECK_EQ(m.rises[0], 1);
	out(PIT_CHANNEL0, 0xe8);
	out(PIT_CHANNEL0, 0x03);
	run_to(m.now, 2000);
	CHECK_EQ(m.rises[0], 2);
}

TEST(new_count_waits_for_the_period)
{
	start();
	program(0, 2, 1000);
	run_to(0, 400);
	out(PIT_CHANNEL0, 0xd0); /* 2000 */
	out(PIT_CHANNEL0, 0x07);
	CHECK_EQ(latched(0), 600);
	run_to(0, 1000);
	CHECK_EQ(m.rises[0], 1);
	CHECK_EQ(latched(0), 2000);
	run_to(0, 2999);
	CHECK_EQ(m.rises[0], 1);
	run_to(0, 3001);
	CHECK_EQ(m.rises[0], 2);
}

TEST(late_timer_coalesces)
{
	start();
	program(0, 2, 1000);
	m.now = device_ns(5500, PIT_HZ);
	CHECK(fake_due(&m, MACHINE_TIMER_PIT));
	pit_timer(&m, &pit);
	CHECK_EQ(m.rises[0], 1);
	CHECK_EQ(m.armed[MACHINE_TIMER_PIT], device_ns(6000, PIT_HZ));
}

TEST(short_periods_coalesce)
{
	unsigned calls = 0;

	start();
	program(0, 2, 2);
	while (m.now < 10000000) {
		m.now = m.armed[MACHINE_TIMER_PIT];
		pit_timer(&m, &pit);
		calls++;
	}
	CHECK(calls <= 10000000 / PIT_PERIOD_MIN_NS + 1);
	CHECK(calls > 100);
}

TEST(read_back)
{
	start();
	program(0, 2, 5000);
	run_to(0, 10);
	out(PIT_CONTROL, 0xc2); /* count and status of channel 0 */
	run_to(0, 20);
	out(PIT_CONTROL, 0xc2); /* ignored: both are latched */
	CHECK_EQ(in(PIT_CHANNEL0), PIT_STATUS_OUTPUT | 0x30 | 2 << 1);
	CHECK_EQ(in(PIT_CHANNEL0), 4990 & 0xff);
	CHECK_EQ(in(PIT_CHANNEL0), 4990 >> 8);
	CHECK_EQ(in(PIT_CHANNEL0), 4980 & 0xff);
	CHECK_EQ(in(PIT_CHANNEL0), 4980 >> 8);
	out(PIT_CONTROL, 0x30);
	out(PIT_CONTROL, 0xe2); /* status only */
	CHECK_EQ(in(PIT_CHANNEL0), PIT_STATUS_NULL | 0x30);
}

TEST(bcd)
{
	start();
	out(PIT_CONTROL, 0x35);
	out(PIT_CHANNEL0, 0x00);
	out(PIT_CHANNEL0, 0x10); /* 1000 */
	run_to(0, 1);
	CHECK_EQ(latched(0), 0x0999);
	run_to(0, 1000);
	CHECK_EQ(m.rises[0], 1);
	out(PIT_CONTROL, 0x31);
	out(PIT_CHANNEL0, 0x00);
	out(PIT_CHANNEL0, 0x00); /* 10000 */
	u64 since = m.now;
	run_to(since, 10001);
	CHECK_EQ(latched(0), 0x9999);
	out(PIT_CHANNEL0, 0xff); /* no digits: some count */
	out(PIT_CHANNEL0, 0xff);
	run_to(m.now, 3);
}

TEST(single_bytes)
{
	start();
	out(PIT_CONTROL, 0x14); /* low byte only, mode 2 */
	out(PIT_CHANNEL0, 100);
	run_to(0, 30);
	CHECK_EQ(in(PIT_CHANNEL0), 70);
	CHECK_EQ(in(PIT_CHANNEL0), 70);
	out(PIT_CONTROL, 0x24); /* high byte only */
	out(PIT_CHANNEL0, 2);
	CHECK_EQ(in(PIT_CHANNEL0), 2);
	out(PIT_CONTROL, 0x00);
	CHECK_EQ(in(PIT_CHANNEL0), 2);
}

TEST(refresh_toggles)
{
	u8 before;
	unsigned toggles = 0;

	start();
	before = in(PIT_NMI_STATUS)&PIT_NMI_REFRESH;
	for (unsigned i = 0; i < 1000; i++) {
		m.now += 1000;
		toggles += (in(PIT_NMI_STATUS)&PIT_NMI_REFRESH) != before;
		before = in(PIT_NMI_STATUS)&PIT_NMI_REFRESH;
	}
	CHECK(toggles >= 65 && toggles <= 67); /* 1 ms */
}

TEST(reset_is_quiet)
{
	start();
	program(0, 2, 1000);
	pit_reset(&m, &pit);
	CHECK_EQ(m.armed[MACHINE_TIMER_PIT], MACHINE_NEVER);
	run_to(0, 5000);
	CHECK_EQ(m.rises[0], 0);
	CHECK_EQ(pit_read(&m, &pit, PIT_CONTROL, 1), 0xff);
}

TEST(hammer)
{
	static const u16 ports[] = {0x40, 0x41, 0x42, 0x43, 0x43, 0x61, 0x3e, 0xffff};
	u64 seed = 3;

	start();
	for (unsigned i = 0; i < 200000; i++) {
		u64 r = fake_random(&seed);
		u16 port = ports[r % ARRAY_SIZE(ports)];
		unsigned size = fake_random_size(&seed);

		m.now += fake_random(&seed) >> (20 + (r >> 56) % 44);
		if (m.now > 1ull << 62)
			m.now = 0; /* as after a restored snapshot */
		if (r & 0x100)
			pit_write(&m, &pit, port, size, (u32)(r >> 32));
		else
			pit_read(&m, &pit, port, size);
		if (fake_due(&m, MACHINE_TIMER_PIT))
			pit_timer(&m, &pit);
		if (m.armed[MACHINE_TIMER_PIT] <= m.now) {
			CHECK(!"the timer is in the future");
			break;
		}
	}
}
