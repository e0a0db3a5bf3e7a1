/* ACPI power management: see pm.h. */
#include "guests/vmm/dev/pm.h"

#define BYTE           8
#define HALF_BITS      (PM_TIMER_BITS - 1) /* the status bit is set when the top bit toggles */
#define TIMER_MASK     ((1u << PM_TIMER_BITS) - 1)
#define REGISTER_BYTES 2 /* of the status, enable and control registers */

static u64 timer_cycles(struct machine *m)
{
	return device_cycles(machine_now(m), PM_TIMER_HZ);
}

/* Sets the SCI line and the alarm for the PM timer's next toggle. */
static void update(struct machine *m, struct pm *s)
{
	bool sci = s->control & PM1_CNT_SCI;
	bool event = s->status & s->enable || s->gpe_status & s->gpe_enable;
	u64 due = MACHINE_NEVER;

	machine_line(m, PM_SCI_LINE, sci && event);
	if (sci && s->enable & PM1_STS_TIMER && !(s->status & PM1_STS_TIMER))
		due = device_ns((s->timer_seen + 1) << HALF_BITS, PM_TIMER_HZ);
	machine_arm(m, MACHINE_TIMER_PM, due);
}

static void catch_up(struct machine *m, struct pm *s)
{
	u64 halves = timer_cycles(m) >> HALF_BITS;

	if (halves > s->timer_seen)
		s->status |= PM1_STS_TIMER;
	s->timer_seen = halves;
}

void pm_timer(struct machine *m, struct pm *s)
{
	catch_up(m, s);
	update(m, s);
}

static u8 byte_of(u32 value, u32 index)
{
	return (u8)(value >> index * BYTE);
}

static u8 read_byte(const struct pm *s, u32 timer, u32 offset)
{
	u32 odd = offset % REGISTER_BYTES;

	if (offset >= PM_TIMER && offset < PM_TIMER + sizeof(timer))
		return byte_of(timer, offset - PM_TIMER);
	switch (offset - odd) {
	case PM1_STATUS:
		return byte_of(s->status, odd);
	case PM1_ENABLE:
		return byte_of(s->enable, odd);
	case PM1_CONTROL:
		return byte_of(s->control, odd);
	case PM_GPE0_STATUS:
		return byte_of(s->gpe_status, odd);
	case PM_GPE0_ENABLE:
		return byte_of(s->gpe_enable, odd);
	default:
		return 0;
	}
}

static u16 with_byte(u16 old, u32 index, u8 value)
{
	u16 mask = (u16)(0xffu << index * BYTE);

	return (u16)((old & ~mask) | (u32)value << index * BYTE);
}

/* SLP_EN is write-only: it acts, with the sleep type that is written with it. */
static void write_control(struct machine *m, struct pm *s, u32 odd, u8 value)
{
	u16 control = with_byte(s->control, odd, value);
	u16 type = (control & PM1_CNT_TYPE) >> PM1_CNT_SHIFT;

	s->control = control & PM1_CNT_WRITABLE;
	if (odd && control & PM1_CNT_SLEEP &&
		(type == PM_SLEEP_TYPE_OFF || type == PM_SLEEP_TYPE_S5))
		machine_power_off(m);
}

static void write_byte(struct machine *m, struct pm *s, u32 offset, u8 value)
{
	u32 odd = offset % REGISTER_BYTES;

	switch (offset - odd) {
	case PM1_STATUS:
		s->status &= (u16) ~((u32)value << odd * BYTE);
		break;
	case PM1_ENABLE:
		s->enable = with_byte(s->enable, odd, value) & PM1_EN_MASK;
		break;
	case PM1_CONTROL:
		write_control(m, s, odd, value);
		break;
	case PM_GPE0_STATUS:
		s->gpe_status &= (u16) ~((u32)value << odd * BYTE);
		break;
	case PM_GPE0_ENABLE:
		s->gpe_enable = with_byte(s->gpe_enable, odd, value);
		break;
	}
}

u32 pm_read(struct machine *m, struct pm *s, u16 port, unsigned size)
{
	u32 timer = (u32)timer_cycles(m) & TIMER_MASK;
	u32 value = 0;

	catch_up(m, s);
	for (unsigned i = 0; i < size; i++)
		value |= (u32)read_byte(s, timer, port + i) << i * BYTE;
	/* The PM timer is read in delay loops; nothing else there can change the line. */
	if (port != PM_TIMER)
		update(m, s);
	return value;
}

void pm_write(struct machine *m, struct pm *s, u16 port, unsigned size, u32 value)
{
	catch_up(m, s);
	for (unsigned i = 0; i < size; i++)
		write_byte(m, s, port + i, (u8)(value >> i * BYTE));
	update(m, s);
}

static void write_apm(struct machine *m, struct pm *s, u32 port, u8 value)
{
	if (port == PM_APM_STATUS)
		s->apm_status = value;
	if (port != PM_APM_CONTROL)
		return;
	s->apm_control = value;
	if (value == PM_ACPI_ENABLE)
		s->control |= PM1_CNT_SCI;
	else if (value == PM_ACPI_DISABLE)
		s->control &= (u16)~PM1_CNT_SCI;
	else
		return;
	catch_up(m, s);
	update(m, s);
}

u32 pm_apm_read(struct machine *m, struct pm *s, u16 port, unsigned size)
{
	u32 value = 0;

	(void)m;
	for (unsigned i = 0; i < size; i++) {
		u32 at = port + i;
		u8 byte = at == PM_APM_CONTROL  ? s->apm_control
			  : at == PM_APM_STATUS ? s->apm_status
						: DEVICE_NOTHING;

		value |= (u32)byte << i * BYTE;
	}
	return value;
}

void pm_apm_write(struct machine *m, struct pm *s, u16 port, unsigned size, u32 value)
{
	for (unsigned i = 0; i < size; i++)
		write_apm(m, s, port + i, (u8)(value >> i * BYTE));
}

void pm_enable_acpi(struct machine *m, struct pm *s)
{
	catch_up(m, s);
	s->control |= PM1_CNT_SCI;
	update(m, s);
}

void pm_power_button(struct machine *m, struct pm *s)
{
	catch_up(m, s);
	s->status |= PM1_STS_POWER;
	update(m, s);
}

void pm_init(struct pm *s)
{
	*s = (struct pm){.header = device_header(PM_MAGIC, PM_VERSION, sizeof(*s))};
}

void pm_reset(struct machine *m, struct pm *s)
{
	pm_init(s);
	s->timer_seen = timer_cycles(m) >> HALF_BITS;
	update(m, s);
}
