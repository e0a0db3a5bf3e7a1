/* The local APIC's timer: one-shot, periodic, deadline; masked and unmasked. */
#include "guests/vmm/dev/lapic.h"
#include "tests/unit/fake_machine.h"
#include "tests/unit/test.h"

static struct machine m;
static struct lapic state;
static struct lapic_page page;
static struct run_pending pending;
static struct lapic_view lapic = {&state, &page, &pending};

#define DIVIDE_1  0xb
#define DIVIDE_16 0x3

static void out(u32 offset, u32 value)
{
	lapic_write(&m, &lapic, offset, 4, value);
}

static u32 in(u32 offset)
{
	return lapic_read(&m, &lapic, offset, 4);
}

static void start(u32 lvt, u32 divide)
{
	const struct lapic_features features = {
		.address_bits = 40, .bsp = true, .x2apic = true, .tsc_deadline = true};

	fake_init(&m);
	m.now = 1000;
	lapic_init(&lapic, 0, features);
	out(LAPIC_SVR, 0x1ff);
	out(LAPIC_LVT_TIMER, lvt);
	out(LAPIC_TIMER_DIVIDE, divide);
	lapic_timer_next(&m, &lapic, 0);
}

static struct lapic_timer next(void)
{
	CHECK(state.todo & LAPIC_TODO_TIMER);
	return lapic_timer_next(&m, &lapic, 0);
}

TEST(divisors)
{
	static const struct {
		u32 code;
		u32 by;
	} divisors[] = {{0x0, 2}, {0x1, 4}, {0x2, 8}, {0x3, 16}, {0x8, 32}, {0x9, 64}, {0xa, 128},
		{0xb, 1}};

	for (unsigned i = 0; i < ARRAY_SIZE(divisors); i++) {
		start(0x40, divisors[i].code);
		out(LAPIC_TIMER_INITIAL, 1000);
		CHECK_EQ(next().time, 1000 + 1000 * divisors[i].by);
	}
}

TEST(one_shot)
{
	struct lapic_timer timer;

	start(0x40, DIVIDE_16);
	out(LAPIC_TIMER_INITIAL, 10000);
	timer = next();
	CHECK_EQ(timer.clock, LAPIC_TIMER_NS);
	CHECK_EQ(timer.time, 161000);
	CHECK_EQ(timer.vector, 0x40);
	CHECK(!timer.periodic);
	CHECK_EQ(in(LAPIC_TIMER_CURRENT), 10000);
	m.now += 16 * 4000;
	CHECK_EQ(in(LAPIC_TIMER_CURRENT), 6000);
	m.now += 16 * 6000;
	CHECK_EQ(in(LAPIC_TIMER_CURRENT), 0);
	lapic_timer_fired(&m, &lapic);
	CHECK_EQ(next().clock, LAPIC_TIMER_OFF);
	CHECK_EQ(in(LAPIC_TIMER_INITIAL), 10000);
	out(LAPIC_TIMER_INITIAL, 0xffffffff);
	CHECK_EQ(next().time, m.now + 16ull * 0xffffffff);
	out(LAPIC_TIMER_INITIAL, 0);
	CHECK_EQ(next().clock, LAPIC_TIMER_OFF);
	CHECK_EQ(in(LAPIC_TIMER_CURRENT), 0);
}

TEST(periodic)
{
	struct lapic_timer timer;

	start(0x20040, DIVIDE_1);
	out(LAPIC_TIMER_INITIAL, 1000000);
	timer = next();
	CHECK(timer.periodic);
	CHECK_EQ(timer.time, 1001000);
	m.now = 1001000 + 5;
	CHECK_EQ(in(LAPIC_TIMER_CURRENT), 1000000 - 5); /* it counts on by itself */
	lapic_timer_fired(&m, &lapic);
	CHECK_EQ(next().time, 2001000);
	m.now = 5501000; /* the VMM was away: one interrupt for all that were missed */
	lapic_timer_fired(&m, &lapic);
	CHECK_EQ(next().time, 6001000);
	out(LAPIC_LVT_TIMER, 0x40); /* to one-shot: the period that runs is the last */
	CHECK_EQ(next().time, 6001000);
	m.now = 6001000;
	lapic_timer_fired(&m, &lapic);
	CHECK_EQ(next().clock, LAPIC_TIMER_OFF);
}

TEST(short_periods_coalesce)
{
	start(0x20040, DIVIDE_1);
	out(LAPIC_TIMER_INITIAL, 1);
	CHECK_EQ(next().time, 1001);
	m.now = 1001;
	lapic_timer_fired(&m, &lapic);
	CHECK(next().time > m.now + LAPIC_PERIOD_MIN_NS);
}

TEST(masked_time_passes_in_silence)
{
	start(0x10040, DIVIDE_1);
	out(LAPIC_TIMER_INITIAL, 5000);
	CHECK_EQ(next().clock, LAPIC_TIMER_OFF);
	m.now += 2000;
	CHECK_EQ(in(LAPIC_TIMER_CURRENT), 3000);
	m.now += 4000;
	out(LAPIC_LVT_TIMER, 0x40);
	CHECK_EQ(next().clock, LAPIC_TIMER_OFF); /* it expired while it was masked */
	out(LAPIC_LVT_TIMER, 0x10040);
	next();
	out(LAPIC_TIMER_INITIAL, 5000);
	next();
	m.now += 1000;
	out(LAPIC_LVT_TIMER, 0x40);
	CHECK_EQ(next().time, m.now + 4000);
	m.now += 4500; /* late, but not masked: it still comes */
	out(LAPIC_LVT_TIMER, 0x41);
	CHECK_EQ(next().clock, LAPIC_TIMER_NS);
	/* a masked periodic timer goes on with its beat */
	out(LAPIC_LVT_TIMER, 0x30040);
	next();
	out(LAPIC_TIMER_INITIAL, 1000);
	u64 since = m.now;
	next();
	m.now += 5500;
	out(LAPIC_LVT_TIMER, 0x20040);
	CHECK_EQ(next().time, since + 6000);
}

TEST(divide_changes_while_it_runs)
{
	start(0x40, DIVIDE_1);
	out(LAPIC_TIMER_INITIAL, 1000);
	m.now += 400;
	out(LAPIC_TIMER_DIVIDE, DIVIDE_16);
	CHECK_EQ(in(LAPIC_TIMER_CURRENT), 600);
	CHECK_EQ(next().time, m.now + 600 * 16);
}

TEST(illegal_vector_and_disabled)
{
	start(0x0f, DIVIDE_1);
	out(LAPIC_TIMER_INITIAL, 1000);
	CHECK_EQ(next().clock, LAPIC_TIMER_OFF);
	out(LAPIC_LVT_TIMER, 0x10);
	CHECK_EQ(next().vector, 0x10);
	out(LAPIC_SVR, 0xff);
	CHECK_EQ(next().clock, LAPIC_TIMER_OFF);
}

TEST(tsc_deadline)
{
	struct lapic_timer timer;
	u64 value;

	start(0x40, DIVIDE_1);
	CHECK(lapic_wrmsr(&m, &lapic, LAPIC_MSR_TSC_DEADLINE, 100, 5000));
	CHECK(lapic_rdmsr(&m, &lapic, LAPIC_MSR_TSC_DEADLINE, 100, &value));
	CHECK_EQ(value, 0); /* not in deadline mode */
	out(LAPIC_LVT_TIMER, 0x40040);
	CHECK_EQ(next().clock, LAPIC_TIMER_OFF);
	CHECK(lapic_wrmsr(&m, &lapic, LAPIC_MSR_TSC_DEADLINE, 100, 5000));
	timer = next();
	CHECK_EQ(timer.clock, LAPIC_TIMER_TSC);
	CHECK_EQ(timer.time, 5000);
	CHECK(!timer.periodic);
	CHECK(lapic_rdmsr(&m, &lapic, LAPIC_MSR_TSC_DEADLINE, 4999, &value));
	CHECK_EQ(value, 5000);
	CHECK(lapic_rdmsr(&m, &lapic, LAPIC_MSR_TSC_DEADLINE, 5000, &value));
	CHECK_EQ(value, 0);
	lapic_timer_fired(&m, &lapic);
	CHECK_EQ(next().clock, LAPIC_TIMER_OFF);
	out(LAPIC_TIMER_INITIAL, 1000); /* ignored in this mode */
	CHECK_EQ(in(LAPIC_TIMER_CURRENT), 0);
	CHECK_EQ(in(LAPIC_TIMER_INITIAL), 0);
	CHECK(lapic_wrmsr(&m, &lapic, LAPIC_MSR_TSC_DEADLINE, 6000, 9000));
	CHECK(lapic_wrmsr(&m, &lapic, LAPIC_MSR_TSC_DEADLINE, 6000, 0));
	CHECK_EQ(next().clock, LAPIC_TIMER_OFF);
	CHECK(lapic_wrmsr(&m, &lapic, LAPIC_MSR_TSC_DEADLINE, 6000, 9000));
	out(LAPIC_LVT_TIMER, 0x40); /* a change of mode disarms */
	out(LAPIC_LVT_TIMER, 0x40040);
	CHECK_EQ(next().clock, LAPIC_TIMER_OFF);
}

TEST(masked_deadline)
{
	start(0x50040, DIVIDE_1);
	CHECK(lapic_wrmsr(&m, &lapic, LAPIC_MSR_TSC_DEADLINE, 100, 5000));
	CHECK_EQ(lapic_timer_next(&m, &lapic, 100).clock, LAPIC_TIMER_OFF);
	out(LAPIC_LVT_TIMER, 0x40040);
	CHECK_EQ(lapic_timer_next(&m, &lapic, 200).time, 5000);
	out(LAPIC_LVT_TIMER, 0x50040);
	lapic_timer_next(&m, &lapic, 300);
	out(LAPIC_LVT_TIMER, 0x40040);
	CHECK_EQ(lapic_timer_next(&m, &lapic, 5000).clock, LAPIC_TIMER_OFF);
}

TEST(a_newer_timer_outlives_the_older_ones_end)
{
	/* the timer fires, and the exit that tells it is the guest's next programming */
	start(0x40040, DIVIDE_1);
	CHECK(lapic_wrmsr(&m, &lapic, LAPIC_MSR_TSC_DEADLINE, 100, 5000));
	next();
	CHECK(lapic_wrmsr(&m, &lapic, LAPIC_MSR_TSC_DEADLINE, 5100, 9000));
	lapic_timer_fired(&m, &lapic);
	CHECK_EQ(next().time, 9000);
	lapic_timer_fired(&m, &lapic);
	CHECK_EQ(next().clock, LAPIC_TIMER_OFF);

	start(0x40, DIVIDE_1);
	out(LAPIC_TIMER_INITIAL, 1000);
	next();
	m.now += 1500;
	out(LAPIC_TIMER_INITIAL, 2000);
	lapic_timer_fired(&m, &lapic);
	CHECK_EQ(next().time, m.now + 2000);
	m.now += 2000;
	out(LAPIC_LVT_TIMER, 0x41); /* another vector for the next one, not this one again */
	lapic_timer_fired(&m, &lapic);
	CHECK_EQ(next().clock, LAPIC_TIMER_OFF);
}

TEST(no_deadline_without_the_feature)
{
	u64 value;

	start(0x40, DIVIDE_1);
	state.has_deadline = 0;
	CHECK(!lapic_wrmsr(&m, &lapic, LAPIC_MSR_TSC_DEADLINE, 0, 1));
	CHECK(!lapic_rdmsr(&m, &lapic, LAPIC_MSR_TSC_DEADLINE, 0, &value));
	out(LAPIC_LVT_TIMER, 0x40040);
	CHECK_EQ(in(LAPIC_LVT_TIMER), 0x40);
}
