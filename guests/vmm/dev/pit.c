/* i8254 and port 0x61: see pit.h. */
#include "guests/vmm/dev/pit.h"

#define CHANNELS      3
#define BINARY_MODULO 0x10000u
#define BCD_MODULO    10000u
#define BYTE          8
#define DIGIT_BITS    4
#define DIGITS        4

/* OUT is high after power-on, as if in mode 3; which level it has is not defined. */
#define POWER_ON_MODE 3

/* Fields of the control word and of the status byte. */
#define MODE_SHIFT   1
#define ACCESS_SHIFT 4
#define SELECT_SHIFT 6
#define BACK_SELECT  1 /* bit of channel 0 in a read-back command */

static u32 modulo(const struct pit_channel *c)
{
	return c->bcd ? BCD_MODULO : BINARY_MODULO;
}

static bool is_periodic(const struct pit_channel *c)
{
	return c->mode == 2 || c->mode == 3;
}

static bool is_triggered(const struct pit_channel *c)
{
	return c->mode == 1 || c->mode == 5;
}

/* Lets a count that waited for the period's end take over. */
static void settle(struct pit_channel *c, u64 now)
{
	if (!is_periodic(c) || c->next == 0 || now < c->next_at)
		return;
	c->start = c->next_at;
	c->count = c->next;
	c->next = 0;
}

/* Clock cycles counted since the count was loaded or triggered. */
static u64 cycles(const struct pit_channel *c, u64 now)
{
	if (!c->running || now < c->start)
		return 0;
	if (!c->gate && !is_triggered(c))
		return is_periodic(c) ? 0 : c->paused;
	return device_cycles(now - c->start, PIT_HZ);
}

/* Level of OUT (8254 datasheet, "mode definitions"). */
static bool output(const struct pit_channel *c, u64 now)
{
	u64 done = cycles(c, now);

	if (!c->running)
		return c->mode != 0;
	switch (c->mode) {
	case 0:
	case 1:
		return done >= c->count;
	case 2:
		return !c->gate || done % c->count != c->count - 1;
	case 3:
		return !c->gate || done % c->count < (c->count + 1) / 2;
	default:
		return done != c->count;
	}
}

static u16 to_bcd(u32 value)
{
	u16 result = 0;

	for (unsigned i = 0; i < DIGITS; i++) {
		result |= (u16)(value % 10 << i * DIGIT_BITS);
		value /= 10;
	}
	return result;
}

static u32 from_bcd(u16 value)
{
	u32 result = 0;

	for (unsigned i = DIGITS; i-- > 0;)
		result = result * 10 + (value >> i * DIGIT_BITS & 0xf);
	return result % BCD_MODULO;
}

/* The counting element as it is read. */
static u16 current_count(const struct pit_channel *c, u64 now)
{
	u64 done = cycles(c, now);
	u32 value;

	switch (c->mode) {
	case 2:
		value = c->count - (u32)(done % c->count);
		break;
	case 3: /* it counts by two, twice in a period; an odd count begins one lower */
		done %= c->count;
		if (done >= (c->count + 1) / 2)
			done -= (c->count + 1) / 2;
		value = (c->count & ~1u) - 2 * (u32)done;
		break;
	default: /* it goes on below zero */
		value = (u32)((c->count + modulo(c) - done % modulo(c)) % modulo(c));
	}
	value %= modulo(c);
	return c->bcd ? to_bcd(value) : (u16)value;
}

static void set_line(struct machine *m, struct pit *s, bool level)
{
	if (s->line == level)
		return;
	s->line = level;
	machine_line(m, PIT_LINE, level);
}

/* Cycle count of the first interrupt of channel 0 after `done`; 0: none will come. */
static u64 next_edge(const struct pit_channel *c, u64 done)
{
	if (!c->running || is_triggered(c))
		return 0;
	switch (c->mode) {
	case 0:
		return done < c->count ? c->count : 0;
	case 4:
		return done <= c->count ? c->count + 1 : 0;
	default:
		return (done / c->count + 1) * c->count;
	}
}

/*
 * Asks for the time of channel 0's next rising edge. Falling edges are not waited for: the line
 * falls just before it rises again, so that a request lasts for as long as it may.
 */
static void schedule(struct machine *m, struct pit *s, u64 now)
{
	struct pit_channel *c = &s->channel[0];
	u64 edge = next_edge(c, cycles(c, now));

	s->due = edge ? c->start + device_ns(edge, PIT_HZ) : MACHINE_NEVER;
	if (c->next && is_periodic(c) && s->due > c->next_at)
		s->due = c->next_at;
	if (edge && is_periodic(c) && s->due < now + PIT_PERIOD_MIN_NS &&
		c->count < device_cycles(PIT_PERIOD_MIN_NS, PIT_HZ))
		s->due = now + PIT_PERIOD_MIN_NS;
	machine_arm(m, MACHINE_TIMER_PIT, s->due);
}

void pit_timer(struct machine *m, struct pit *s)
{
	u64 now = machine_now(m);

	if (s->due == MACHINE_NEVER)
		return;
	if (now >= s->due) {
		if (s->channel[0].mode != 0)
			set_line(m, s, false);
		set_line(m, s, true);
		settle(&s->channel[0], now);
		schedule(m, s, now);
	} else {
		machine_arm(m, MACHINE_TIMER_PIT, s->due);
	}
}

/* An interrupt that is due comes before an access changes what it follows from. */
static void catch_up(struct machine *m, struct pit *s, u64 now)
{
	if (s->due != MACHINE_NEVER && now >= s->due)
		pit_timer(m, s);
	for (unsigned i = 0; i < CHANNELS; i++)
		settle(&s->channel[i], now);
}

/* The channel was programmed: channel 0's line follows OUT. */
static void programmed(struct machine *m, struct pit *s, unsigned number, u64 now)
{
	if (number != 0)
		return;
	set_line(m, s, output(&s->channel[0], now));
	schedule(m, s, now);
}

static void load(struct pit_channel *c, u16 raw, u64 now)
{
	u32 count = c->bcd ? from_bcd(raw) : raw;

	if (count == 0)
		count = modulo(c);
	c->loaded = 1;
	if (is_triggered(c) && c->running) {
		c->next = count;
	} else if (is_periodic(c) && c->running && c->gate) {
		u64 periods = cycles(c, now) / c->count + 1;

		c->next = count;
		c->next_at = c->start + device_ns(periods * c->count, PIT_HZ);
	} else {
		c->count = count;
		c->start = now;
		c->paused = 0;
		c->next = 0;
		c->running = !is_triggered(c);
	}
}

static void write_count(struct machine *m, struct pit *s, unsigned number, u8 value, u64 now)
{
	struct pit_channel *c = &s->channel[number];

	switch ((enum pit_access)c->access) {
	case PIT_LATCH: /* no mode was set yet */
		return;
	case PIT_LOW:
		load(c, value, now);
		break;
	case PIT_HIGH:
		load(c, (u16)(value << BYTE), now);
		break;
	case PIT_LOW_HIGH:
		if (c->write_high) {
			load(c, (u16)(value << BYTE | c->low), now);
		} else {
			c->low = value;
			if (c->mode == 0)
				c->running = 0; /* the first byte disables counting */
		}
		c->write_high = !c->write_high;
		break;
	}
	programmed(m, s, number, now);
}

static u8 pick(u16 value, bool high)
{
	return (u8)(high ? value >> BYTE : value);
}

static u8 read_count(struct pit_channel *c, u64 now)
{
	bool high;

	if (c->status_latched) {
		c->status_latched = 0;
		return c->status;
	}
	if (c->latched) {
		high = c->access == PIT_HIGH || (c->access == PIT_LOW_HIGH && c->latched == 1);
		c->latched--;
		return pick(c->latch, high);
	}
	high = c->access == PIT_HIGH || (c->access == PIT_LOW_HIGH && c->read_high);
	if (c->access == PIT_LOW_HIGH)
		c->read_high = !c->read_high;
	return pick(current_count(c, now), high);
}

static void latch_count(struct pit_channel *c, u64 now)
{
	if (c->latched)
		return;
	c->latch = current_count(c, now);
	c->latched = c->access == PIT_LOW_HIGH ? 2 : 1;
}

static void latch_status(struct pit_channel *c, u64 now)
{
	if (c->status_latched)
		return;
	c->status = (u8)((output(c, now) ? PIT_STATUS_OUTPUT : 0) |
			 (!c->loaded || c->next ? PIT_STATUS_NULL : 0) | c->access << ACCESS_SHIFT |
			 c->mode << MODE_SHIFT | c->bcd);
	c->status_latched = 1;
}

static void read_back(struct pit *s, u8 value, u64 now)
{
	for (unsigned i = 0; i < CHANNELS; i++) {
		if (!(value >> (i + BACK_SELECT) & 1))
			continue;
		if (!(value & PIT_BACK_NO_COUNT))
			latch_count(&s->channel[i], now);
		if (!(value & PIT_BACK_NO_STATUS))
			latch_status(&s->channel[i], now);
	}
}

static void write_control(struct machine *m, struct pit *s, u8 value, u64 now)
{
	unsigned number = value >> SELECT_SHIFT;
	unsigned mode = (value & PIT_CONTROL_MODE) >> MODE_SHIFT;
	struct pit_channel *c;

	if (number == PIT_READ_BACK) {
		read_back(s, value, now);
		return;
	}
	c = &s->channel[number];
	if ((value & PIT_CONTROL_ACCESS) >> ACCESS_SHIFT == PIT_LATCH) {
		latch_count(c, now);
		return;
	}
	*c = (struct pit_channel){
		.count = c->count,
		.gate = c->gate,
		.mode = (u8)(mode >= PIT_MODES ? mode - 4 : mode), /* 6 and 7 are 2 and 3 */
		.access = (value & PIT_CONTROL_ACCESS) >> ACCESS_SHIFT,
		.bcd = value & PIT_CONTROL_BCD,
	};
	programmed(m, s, number, now);
}

static void set_gate(struct pit_channel *c, bool gate, u64 now)
{
	bool rises = gate && !c->gate;

	if (!gate && c->gate)
		c->paused = cycles(c, now);
	c->gate = gate;
	if (!rises || !c->loaded)
		return;
	if (is_triggered(c) || is_periodic(c)) {
		if (c->next)
			c->count = c->next;
		c->next = 0;
		c->start = now;
		c->running = 1;
	} else if (c->running) {
		c->start = now - device_ns(c->paused, PIT_HZ);
	}
}

static u8 read_status61(const struct pit *s, u64 now)
{
	u8 value = s->control61;

	if (now / PIT_REFRESH_NS % 2)
		value |= PIT_NMI_REFRESH;
	if (output(&s->channel[2], now))
		value |= PIT_NMI_OUTPUT2;
	return value;
}

static u8 read_byte(struct machine *m, struct pit *s, u16 port)
{
	u64 now = machine_now(m);

	catch_up(m, s, now);
	switch (port) {
	case PIT_CHANNEL0:
	case PIT_CHANNEL1:
	case PIT_CHANNEL2:
		return read_count(&s->channel[port - PIT_CHANNEL0], now);
	case PIT_NMI_STATUS:
		return read_status61(s, now);
	default:
		return DEVICE_NOTHING;
	}
}

static void write_byte(struct machine *m, struct pit *s, u16 port, u8 value)
{
	u64 now = machine_now(m);

	catch_up(m, s, now);
	switch (port) {
	case PIT_CHANNEL0:
	case PIT_CHANNEL1:
	case PIT_CHANNEL2:
		write_count(m, s, port - PIT_CHANNEL0, value, now);
		break;
	case PIT_CONTROL:
		write_control(m, s, value, now);
		break;
	case PIT_NMI_STATUS:
		s->control61 = value & PIT_NMI_WRITABLE;
		set_gate(&s->channel[2], value & PIT_NMI_GATE2, now);
		break;
	}
}

u32 pit_read(struct machine *m, struct pit *s, u16 port, unsigned size)
{
	u32 value = 0;

	for (unsigned i = 0; i < size; i++)
		value |= (u32)read_byte(m, s, (u16)(port + i)) << i * BYTE;
	return value;
}

void pit_write(struct machine *m, struct pit *s, u16 port, unsigned size, u32 value)
{
	for (unsigned i = 0; i < size; i++)
		write_byte(m, s, (u16)(port + i), (u8)(value >> i * BYTE));
}

static void power_on(struct pit *s)
{
	for (unsigned i = 0; i < CHANNELS; i++)
		s->channel[i] = (struct pit_channel){
			.count = BINARY_MODULO, .gate = i != 2, .mode = POWER_ON_MODE};
	s->due = MACHINE_NEVER;
	s->line = 1;
	s->control61 = 0;
}

void pit_init(struct pit *s)
{
	*s = (struct pit){.header = device_header(PIT_MAGIC, PIT_VERSION, sizeof(*s))};
	power_on(s);
}

void pit_reset(struct machine *m, struct pit *s)
{
	power_on(s);
	machine_line(m, PIT_LINE, s->line);
	machine_arm(m, MACHINE_TIMER_PIT, MACHINE_NEVER);
}
