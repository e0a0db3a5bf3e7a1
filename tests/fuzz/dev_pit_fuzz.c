/* Fuzzes the interval timer's registers under passing time. */
#include "guests/vmm/dev/pit.h"
#include "tests/fuzz/device_fuzz.h"

static u16 port(u8 where)
{
	return where % 5 < 4 ? PIT_CHANNEL0 + where % 5 : PIT_NMI_STATUS;
}

static void init(void *state)
{
	pit_init(state);
}

static void reset(struct machine *m, void *state)
{
	pit_reset(m, state);
}

static u32 read(struct machine *m, void *state, u8 where, unsigned size)
{
	return pit_read(m, state, port(where), size);
}

static void write(struct machine *m, void *state, u8 where, unsigned size, u32 value)
{
	pit_write(m, state, port(where), size, value);
}

static void fire(struct machine *m, void *state)
{
	pit_timer(m, state);
}

/* The line is as the machine was told, counts are ones that can be programmed, and time is past. */
static void check(struct machine *m, void *state)
{
	const struct pit *s = state;

	require(!!s->line == m->line[PIT_LINE]);
	require(s->due == MACHINE_NEVER || m->armed[MACHINE_TIMER_PIT] != MACHINE_NEVER);
	for (int i = 0; i < 3; i++) {
		const struct pit_channel *c = &s->channel[i];

		require(c->mode < PIT_MODES && c->latched <= 2);
		require(c->count && c->count <= 65536);
		require(!c->loaded || !c->bcd || c->count <= 10000);
		require(c->next <= (c->bcd ? 10000 : 65536));
		require(c->start <= m->now || c->mode == 2 || c->mode == 3);
	}
}

static const struct fuzz_device device = {sizeof(struct pit), sizeof(struct pit), PIT_MAGIC,
	PIT_VERSION, MACHINE_TIMER_PIT, init, reset, read, write, fire, NULL, check};

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	return fuzz_device(&device, data, size);
}
