/* Fuzzes the interrupt controllers' registers, lines and acknowledge cycles. */
#include "guests/vmm/dev/pic.h"
#include "tests/fuzz/device_fuzz.h"

static const u16 ports[] = {PIC_MASTER_COMMAND, PIC_MASTER_DATA, PIC_SLAVE_COMMAND, PIC_SLAVE_DATA,
	PIC_ELCR_MASTER, PIC_ELCR_SLAVE};

static u16 port(u8 where)
{
	return ports[where % ARRAY_SIZE(ports)];
}

static void init(void *state)
{
	pic_init(state);
}

static void reset(struct machine *m, void *state)
{
	pic_reset(m, state);
}

static u32 read(struct machine *m, void *state, u8 where, unsigned size)
{
	return pic_read(m, state, port(where), size);
}

static void write(struct machine *m, void *state, u8 where, unsigned size, u32 value)
{
	pic_write(m, state, port(where), size, value);
}

static void outside(struct machine *m, void *state, const struct fuzz_op *op)
{
	if (op->where & 0x80)
		pic_ack(m, state);
	else
		pic_set_line(m, state, op->where, op->value & 1);
}

/* INTR is as the machine was told, and no field leaves its range. */
static void check(struct machine *m, void *state)
{
	const struct pic *s = state;

	require(pic_output(s) == m->intr);
	for (int i = 0; i < 2; i++)
		require(s->chip[i].lowest < 8 && s->chip[i].step <= PIC_WANT_ICW4);
	require(!(s->chip[0].elcr & ~PIC_ELCR_MASTER_MASK));
	require(!(s->chip[1].elcr & ~PIC_ELCR_SLAVE_MASK));
}

static const struct fuzz_device device = {sizeof(struct pic), sizeof(struct pic), PIC_MAGIC,
	PIC_VERSION, -1, init, reset, read, write, NULL, outside, check};

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	return fuzz_device(&device, data, size);
}
