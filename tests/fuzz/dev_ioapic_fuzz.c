/* Fuzzes the I/O APIC's registers, pins and ends of interrupts. */
#include "guests/vmm/dev/ioapic.h"
#include "tests/fuzz/device_fuzz.h"

static void init(void *state)
{
	ioapic_init(state);
}

static void reset(struct machine *m, void *state)
{
	ioapic_reset(m, state);
}

static u32 read(struct machine *m, void *state, u8 where, unsigned size)
{
	return ioapic_read(m, state, where, size);
}

static void write(struct machine *m, void *state, u8 where, unsigned size, u32 value)
{
	m->messages = 0;
	ioapic_write(m, state, where, size, value);
}

/* Lines, ends of interrupts, and an index with its datum, which chance would rarely find. */
static void outside(struct machine *m, void *state, const struct fuzz_op *op)
{
	m->messages = 0;
	switch (op->size % 4) {
	case 0:
		ioapic_set_pin(m, state, op->where, op->value & 1);
		break;
	case 1:
		ioapic_eoi(m, state, (u8)op->value);
		break;
	default:
		ioapic_write(m, state, IOAPIC_SELECT, 4, op->where % 64);
		ioapic_write(m, state, IOAPIC_DATA, 4, op->value);
		break;
	}
}

static void check(struct machine *m, void *state)
{
	const struct ioapic *s = state;
	u64 vectors[4];

	require(m->messages <= 2 * IOAPIC_PINS);
	for (u32 i = 0; i < m->messages && i < FAKE_MESSAGES; i++) {
		struct lapic_ipi ipi;

		require(lapic_parse_message(m->message[i].address, m->message[i].data, &ipi));
	}
	require(!(s->lines >> IOAPIC_PINS));
	ioapic_level_vectors(s, vectors);
}

static const struct fuzz_device device = {sizeof(struct ioapic), sizeof(struct ioapic),
	IOAPIC_MAGIC, IOAPIC_VERSION, -1, init, reset, read, write, NULL, outside, check};

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	return fuzz_device(&device, data, size);
}
