/* Fuzzes the ACPI power management block and the APM ports under passing time. */
#include "guests/vmm/dev/pm.h"
#include "tests/fuzz/device_fuzz.h"

#define APM 0x80u /* bit of `where` */

static void init(void *state)
{
	pm_init(state);
}

static void reset(struct machine *m, void *state)
{
	pm_reset(m, state);
}

static u32 read(struct machine *m, void *state, u8 where, unsigned size)
{
	if (where & APM)
		return pm_apm_read(m, state, PM_APM_CONTROL + (where & 1), size);
	return pm_read(m, state, where % PM_BLOCK_SIZE, size);
}

static void write(struct machine *m, void *state, u8 where, unsigned size, u32 value)
{
	if (where & APM)
		pm_apm_write(m, state, PM_APM_CONTROL + (where & 1), size, value);
	else
		pm_write(m, state, where % PM_BLOCK_SIZE, size, value);
}

static void fire(struct machine *m, void *state)
{
	pm_timer(m, state);
}

static void outside(struct machine *m, void *state, const struct fuzz_op *op)
{
	if (op->where & 1)
		pm_enable_acpi(m, state);
	else
		pm_power_button(m, state);
}

/* The timer counts the machine's time, whatever else happens. */
static void check(struct machine *m, void *state)
{
	require(pm_read(m, state, PM_TIMER, 4) ==
		(device_cycles(m->now, PM_TIMER_HZ) & (BIT(PM_TIMER_BITS) - 1)));
}

static const struct fuzz_device device = {sizeof(struct pm), sizeof(struct pm), PM_MAGIC,
	PM_VERSION, MACHINE_TIMER_PM, init, reset, read, write, fire, outside, check};

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	return fuzz_device(&device, data, size);
}
