/* Fuzzes the real-time clock's registers under passing time. */
#include "guests/vmm/dev/rtc.h"
#include "tests/fuzz/device_fuzz.h"

#define LINE 8

static u16 port(u8 where)
{
	return RTC_INDEX + (where & 1);
}

static void init(void *state)
{
	rtc_init(state, &(struct rtc_memory){.below_4g = 64u << 20, .cpus = 1});
}

static void reset(struct machine *m, void *state)
{
	rtc_reset(m, state);
}

static u32 read(struct machine *m, void *state, u8 where, unsigned size)
{
	return rtc_read(m, state, port(where), size);
}

static void write(struct machine *m, void *state, u8 where, unsigned size, u32 value)
{
	rtc_write(m, state, port(where), size, value);
}

static void fire(struct machine *m, void *state)
{
	rtc_timer(m, state);
}

/* Select one of the clock's registers and access it: two steps that chance would rarely find. */
static void outside(struct machine *m, void *state, const struct fuzz_op *op)
{
	rtc_write(m, state, RTC_INDEX, 1, op->where % 16);
	if (op->size & 1)
		rtc_write(m, state, RTC_DATA, 1, op->value & 0xff);
	else
		rtc_read(m, state, RTC_DATA, 1);
}

static void check(struct machine *m, void *state)
{
	const struct rtc *s = state;

	require(!!s->line == m->line[LINE]);
	require(!s->synced || s->base_ns <= (s64)m->now);
}

static const struct fuzz_device device = {sizeof(struct rtc), sizeof(struct rtc), RTC_MAGIC,
	RTC_VERSION, MACHINE_TIMER_RTC, init, reset, read, write, fire, outside, check};

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	return fuzz_device(&device, data, size);
}
