/* Fuzzes the keyboard controller's ports and port 0x92. */
#include "guests/vmm/dev/i8042.h"
#include "tests/fuzz/device_fuzz.h"

static const u16 ports[] = {I8042_DATA, I8042_COMMAND, I8042_PORT92};

static void init(void *state)
{
	i8042_init(state);
}

static void reset(struct machine *m, void *state)
{
	i8042_reset(m, state);
}

static u32 read(struct machine *m, void *state, u8 where, unsigned size)
{
	return i8042_read(m, state, ports[where % ARRAY_SIZE(ports)], size);
}

static void write(struct machine *m, void *state, u8 where, unsigned size, u32 value)
{
	i8042_write(m, state, ports[where % ARRAY_SIZE(ports)], size, value);
}

/* Reading the status changes nothing, and a command that waits is one that takes a byte. */
static void check(struct machine *m, void *state)
{
	const struct i8042 *s = state;
	u32 status = i8042_read(m, state, I8042_STATUS, 1);

	require(status == i8042_read(m, state, I8042_STATUS, 1));
	require(!(s->command && s->command < I8042_WRITE_RAM));
	(void)i8042_a20(s);
}

static const struct fuzz_device device = {sizeof(struct i8042), sizeof(struct i8042), I8042_MAGIC,
	I8042_VERSION, -1, init, reset, read, write, NULL, NULL, check};

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	return fuzz_device(&device, data, size);
}
