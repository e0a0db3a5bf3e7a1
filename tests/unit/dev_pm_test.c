/* ACPI power management: PM1, PM timer, GPE0 and the APM ports. */
#include "guests/vmm/dev/pm.h"
#include "tests/unit/fake_machine.h"
#include "tests/unit/test.h"

static struct machine m;
static struct pm pm;

#define HALF_NS 2343484437ull /* 2^23 cycles of the PM timer */

static void start(void)
{
	fake_init(&m);
	pm_init(&pm);
	pm_reset(&m, &pm);
}

static void out(u16 offset, u16 value)
{
	pm_write(&m, &pm, offset, 2, value);
}

static u16 in(u16 offset)
{
	return (u16)pm_read(&m, &pm, offset, 2);
}

TEST(timer_counts_at_3579545_hz)
{
	start();
	CHECK_EQ(pm_read(&m, &pm, PM_TIMER, 4), 0);
	m.now = 1000000000;
	CHECK_EQ(pm_read(&m, &pm, PM_TIMER, 4), 3579545);
	CHECK_EQ(pm_read(&m, &pm, PM_TIMER, 1), 3579545 & 0xff);
	CHECK_EQ(pm_read(&m, &pm, PM_TIMER + 1, 1), 3579545 >> 8 & 0xff);
	CHECK_EQ(pm_read(&m, &pm, PM_TIMER + 2, 2), 3579545 >> 16);
	m.now = 2 * HALF_NS + 1000;
	CHECK(pm_read(&m, &pm, PM_TIMER, 4) < 8); /* 24 bits */
	pm_write(&m, &pm, PM_TIMER, 4, 0x123456);
	CHECK(pm_read(&m, &pm, PM_TIMER, 4) < 8);
}

TEST(timer_status_at_each_toggle_of_its_top_bit)
{
	start();
	m.now = HALF_NS - 1000;
	CHECK_EQ(in(PM1_STATUS), 0);
	m.now = HALF_NS + 1000;
	CHECK_EQ(in(PM1_STATUS), PM1_STS_TIMER);
	out(PM1_STATUS, PM1_STS_TIMER);
	CHECK_EQ(in(PM1_STATUS), 0);
	m.now = 2 * HALF_NS + 1000;
	CHECK_EQ(in(PM1_STATUS), PM1_STS_TIMER);
}

TEST(timer_interrupts)
{
	start();
	out(PM1_ENABLE, PM1_STS_TIMER);
	CHECK_EQ(m.armed[MACHINE_TIMER_PM], MACHINE_NEVER); /* not in ACPI mode */
	pm_enable_acpi(&m, &pm);
	CHECK(m.armed[MACHINE_TIMER_PM] >= HALF_NS - 1 && m.armed[MACHINE_TIMER_PM] <= HALF_NS + 1);
	m.now = m.armed[MACHINE_TIMER_PM];
	pm_timer(&m, &pm);
	CHECK(m.line[9]);
	CHECK_EQ(m.armed[MACHINE_TIMER_PM], MACHINE_NEVER);
	out(PM1_STATUS, PM1_STS_TIMER);
	CHECK(!m.line[9]);
	CHECK(m.armed[MACHINE_TIMER_PM] > m.now);
}

TEST(acpi_mode_by_the_apm_port)
{
	/* Linux's acpi_hw_set_mode */
	start();
	CHECK_EQ(in(PM1_CONTROL), 0);
	pm_apm_write(&m, &pm, PM_APM_CONTROL, 1, PM_ACPI_ENABLE);
	CHECK_EQ(in(PM1_CONTROL), PM1_CNT_SCI);
	CHECK_EQ(pm_apm_read(&m, &pm, PM_APM_CONTROL, 1), PM_ACPI_ENABLE);
	pm_apm_write(&m, &pm, PM_APM_CONTROL, 2, 0x4200 | PM_ACPI_DISABLE);
	CHECK_EQ(in(PM1_CONTROL), 0);
	CHECK_EQ(pm_apm_read(&m, &pm, PM_APM_STATUS, 1), 0x42);
	CHECK_EQ(pm_apm_read(&m, &pm, PM_APM_CONTROL, 4), 0xffff4200 | PM_ACPI_DISABLE);
}

TEST(power_button)
{
	start();
	pm_enable_acpi(&m, &pm);
	out(PM1_ENABLE, PM1_STS_POWER | PM1_STS_GLOBAL);
	pm_power_button(&m, &pm);
	CHECK(m.line[9]);
	CHECK_EQ(in(PM1_STATUS), PM1_STS_POWER);
	CHECK(m.line[9]); /* reading clears nothing */
	pm_write(&m, &pm, PM1_STATUS + 1, 1, PM1_STS_POWER >> 8);
	CHECK(!m.line[9]);
	CHECK_EQ(in(PM1_ENABLE), PM1_STS_POWER | PM1_STS_GLOBAL);
	out(PM1_ENABLE, 0xffff);
	CHECK_EQ(in(PM1_ENABLE), PM1_EN_MASK);
}

TEST(sleep_types)
{
	start();
	out(PM1_CONTROL, 5 << 10 | 1);
	CHECK_EQ(m.power_offs, 0);
	CHECK_EQ(in(PM1_CONTROL), 5 << 10 | 1);
	out(PM1_CONTROL, 0x2000 | 5 << 10 | 1);
	CHECK_EQ(m.power_offs, 1);
	CHECK_EQ(in(PM1_CONTROL), 5 << 10 | 1); /* SLP_EN reads 0 */
	out(PM1_CONTROL, 0x2000 | 1 << 10);
	CHECK_EQ(m.power_offs, 1); /* no S3 */
	out(PM1_CONTROL, 0x2000);  /* OVMF's way */
	CHECK_EQ(m.power_offs, 2);
	pm_write(&m, &pm, PM1_CONTROL, 1, 0x01);
	CHECK_EQ(m.power_offs, 2);
	pm_write(&m, &pm, PM1_CONTROL + 1, 1, 0x34);
	CHECK_EQ(m.power_offs, 3);
}

TEST(general_purpose_events_are_stubs)
{
	start();
	pm_enable_acpi(&m, &pm);
	out(PM_GPE0_ENABLE, 0xffff);
	CHECK_EQ(in(PM_GPE0_ENABLE), 0xffff);
	CHECK_EQ(in(PM_GPE0_STATUS), 0);
	CHECK(!m.line[9]);
	CHECK_EQ(pm_read(&m, &pm, 0x30, 4), 0);
	CHECK_EQ(pm_read(&m, &pm, 0xffff, 4), 0);
}

TEST(reset_clears)
{
	start();
	pm_enable_acpi(&m, &pm);
	out(PM1_ENABLE, PM1_STS_POWER);
	pm_power_button(&m, &pm);
	pm_reset(&m, &pm);
	CHECK(!m.line[9]);
	CHECK_EQ(in(PM1_STATUS) | in(PM1_ENABLE) | in(PM1_CONTROL), 0);
}

TEST(hammer)
{
	u64 seed = 6;

	start();
	for (unsigned i = 0; i < 200000; i++) {
		u64 r = fake_random(&seed);
		u16 port = r & 0x100 ? r & 0x3f : (u16)(r >> 16);
		unsigned size = fake_random_size(&seed);

		m.now += fake_random(&seed) >> (20 + (r >> 56) % 44);
		if (m.now > 1ull << 62)
			m.now = 0;
		switch (r >> 9 & 3) {
		case 0:
			pm_write(&m, &pm, port, size, (u32)(r >> 32));
			break;
		case 1:
			pm_read(&m, &pm, port, size);
			break;
		case 2:
			pm_apm_write(&m, &pm, PM_APM_CONTROL, size, (u32)(r >> 32));
			break;
		default:
			pm_apm_read(&m, &pm, port, size);
		}
		if (fake_due(&m, MACHINE_TIMER_PM))
			pm_timer(&m, &pm);
	}
}
