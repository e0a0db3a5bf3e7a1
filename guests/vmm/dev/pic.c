/* The pair of 8259A interrupt controllers: see pic.h. */
#include "guests/vmm/dev/pic.h"

#define INPUTS 8
#define NONE   INPUTS
#define MASTER 0
#define SLAVE  1

static u8 input_bit(unsigned input)
{
	return (u8)(1u << (input % INPUTS));
}

/* Inputs that are sensed by level; the master's cascade input always is, so no request is lost. */
static u8 level_inputs(const struct pic_chip *c)
{
	return c->icw1 & PIC_ICW1_LTIM ? 0xff : c->elcr;
}

/* Returns how many inputs stand above the first of `bits` in priority: 0 to 7, or NONE. */
static unsigned rank_of(const struct pic_chip *c, u8 bits)
{
	unsigned rank = 0;

	while (rank < INPUTS && !(bits & input_bit(c->lowest + 1u + rank)))
		rank++;
	return rank;
}

static unsigned input_of(const struct pic_chip *c, unsigned rank)
{
	return (c->lowest + 1u + rank) % INPUTS;
}

/* Returns the input whose request the chip passes on, or NONE. */
static unsigned chip_request(const struct pic_chip *c, bool master)
{
	unsigned rank = rank_of(c, c->irr & (u8)~c->imr);
	u8 blocking = c->isr;

	if (rank == NONE || c->step != PIC_READY)
		return NONE;
	if (c->special_mask)
		blocking &= (u8)~c->imr;
	/* In special fully nested mode the slave may interrupt its own service. */
	if (master && c->icw4 & PIC_ICW4_SFNM)
		blocking &= (u8)~input_bit(PIC_CASCADE);
	return rank < rank_of(c, blocking) ? input_of(c, rank) : NONE;
}

/* Carries the slave's output to the master, and the master's to the processor. */
static void update(struct machine *m, struct pic *s)
{
	struct pic_chip *master = &s->chip[MASTER];
	bool level;

	if (chip_request(&s->chip[SLAVE], false) != NONE)
		master->irr |= input_bit(PIC_CASCADE);
	else
		master->irr &= (u8)~input_bit(PIC_CASCADE);
	level = chip_request(master, true) != NONE;
	if (level == s->output)
		return;
	s->output = level;
	machine_intr(m, level);
}

/* Takes the chip's request into service, and returns its input; NONE if there is none. */
static unsigned chip_ack(struct pic_chip *c, bool master)
{
	unsigned input = chip_request(c, master);

	if (input == NONE)
		return NONE;
	if (!(level_inputs(c) & input_bit(input)))
		c->irr &= (u8)~input_bit(input);
	if (!(c->icw4 & PIC_ICW4_AEOI))
		c->isr |= input_bit(input);
	else if (c->rotate_aeoi)
		c->lowest = (u8)input;
	return input;
}

u8 pic_ack(struct machine *m, struct pic *s)
{
	struct pic_chip *c = &s->chip[MASTER];
	unsigned input = chip_ack(c, true);

	if (input == PIC_CASCADE) {
		c = &s->chip[SLAVE];
		input = chip_ack(c, false);
	}
	if (input == NONE)
		input = PIC_SPURIOUS;
	update(m, s);
	return (u8)((c->icw2 & PIC_ICW2_BASE) | input);
}

bool pic_output(const struct pic *s)
{
	return s->output;
}

static void chip_set_line(struct pic_chip *c, unsigned input, bool level)
{
	u8 bit = input_bit(input);
	bool was = c->lines & bit;

	if (!level) {
		/* The input must stay active until the acknowledge (8259A, "edge triggered mode").
		 */
		c->lines &= (u8)~bit;
		c->irr &= (u8)~bit;
		return;
	}
	c->lines |= bit;
	if (!was || level_inputs(c) & bit)
		c->irr |= bit;
}

void pic_set_line(struct machine *m, struct pic *s, u32 line, bool level)
{
	if (line >= 2 * INPUTS || line == PIC_CASCADE)
		return;
	chip_set_line(&s->chip[line / INPUTS], line % INPUTS, level);
	update(m, s);
}

/* Level-triggered inputs request what their lines say. */
static void sense_levels(struct pic_chip *c)
{
	u8 level = level_inputs(c);

	c->irr = (u8)((c->irr & ~level) | (c->lines & level));
}

static void write_icw1(struct pic_chip *c, u8 value)
{
	c->icw1 = value;
	c->irr = 0; /* the edge sense circuit is reset: an input must rise anew */
	c->isr = 0;
	c->imr = 0;
	c->lowest = PIC_SPURIOUS;
	c->special_mask = 0;
	c->rotate_aeoi = 0;
	c->read_isr = 0;
	c->poll = 0;
	if (!(value & PIC_ICW1_IC4))
		c->icw4 = 0;
	c->step = PIC_WANT_ICW2;
	sense_levels(c);
}

/* Returns the in-service input that a non-specific EOI ends, or NONE. */
static unsigned highest_in_service(const struct pic_chip *c)
{
	u8 bits = c->isr;
	unsigned rank;

	if (c->special_mask)
		bits &= (u8)~c->imr;
	rank = rank_of(c, bits);
	return rank == NONE ? NONE : input_of(c, rank);
}

static void write_ocw2(struct pic_chip *c, u8 value)
{
	unsigned input = value & PIC_OCW2_LEVEL;

	switch ((enum pic_ocw2)(value >> PIC_OCW2_SHIFT)) {
	case PIC_ROTATE_AEOI_CLEAR:
		c->rotate_aeoi = 0;
		break;
	case PIC_ROTATE_AEOI_SET:
		c->rotate_aeoi = 1;
		break;
	case PIC_EOI:
	case PIC_EOI_ROTATE:
		input = highest_in_service(c);
		if (input == NONE)
			break;
		c->isr &= (u8)~input_bit(input);
		if (value >> PIC_OCW2_SHIFT == PIC_EOI_ROTATE)
			c->lowest = (u8)input;
		break;
	case PIC_EOI_SPECIFIC:
		c->isr &= (u8)~input_bit(input);
		break;
	case PIC_EOI_SPECIFIC_ROTATE:
		c->isr &= (u8)~input_bit(input);
		c->lowest = (u8)input;
		break;
	case PIC_SET_PRIORITY:
		c->lowest = (u8)input;
		break;
	case PIC_NO_OPERATION:
		break;
	}
}

static void write_ocw3(struct pic_chip *c, u8 value)
{
	if (value & PIC_OCW3_POLL)
		c->poll = 1;
	if (value & PIC_OCW3_RR)
		c->read_isr = (value & PIC_OCW3_RIS) != 0;
	if (value & PIC_OCW3_ESMM)
		c->special_mask = (value & PIC_OCW3_SMM) != 0;
}

static void write_command(struct pic_chip *c, u8 value)
{
	if (value & PIC_ICW1)
		write_icw1(c, value);
	else if (value & PIC_OCW3)
		write_ocw3(c, value);
	else
		write_ocw2(c, value);
}

static void write_data(struct pic_chip *c, u8 value)
{
	bool want_icw4 = c->icw1 & PIC_ICW1_IC4;

	switch ((enum pic_init_step)c->step) {
	case PIC_WANT_ICW2:
		c->icw2 = value;
		if (!(c->icw1 & PIC_ICW1_SNGL))
			c->step = PIC_WANT_ICW3;
		else
			c->step = want_icw4 ? PIC_WANT_ICW4 : PIC_READY;
		break;
	case PIC_WANT_ICW3: /* how the chips are wired is fixed */
		c->step = want_icw4 ? PIC_WANT_ICW4 : PIC_READY;
		break;
	case PIC_WANT_ICW4:
		c->icw4 = value;
		c->step = PIC_READY;
		break;
	case PIC_READY:
		c->imr = value;
		break;
	}
}

static u8 poll(struct pic_chip *c, bool master)
{
	unsigned input = chip_ack(c, master);

	c->poll = 0;
	return input == NONE ? 0 : (u8)(PIC_POLL_VALID | input);
}

static u8 read_byte(struct machine *m, struct pic *s, u16 port)
{
	bool slave = port == PIC_SLAVE_COMMAND || port == PIC_SLAVE_DATA;
	struct pic_chip *c = &s->chip[slave];
	u8 value;

	switch (port) {
	case PIC_MASTER_COMMAND:
	case PIC_SLAVE_COMMAND:
	case PIC_MASTER_DATA:
	case PIC_SLAVE_DATA:
		if (c->poll) {
			value = poll(c, !slave);
			update(m, s);
			return value;
		}
		if (port == PIC_MASTER_DATA || port == PIC_SLAVE_DATA)
			return c->imr;
		return c->read_isr ? c->isr : c->irr;
	case PIC_ELCR_MASTER:
		return s->chip[MASTER].elcr;
	case PIC_ELCR_SLAVE:
		return s->chip[SLAVE].elcr;
	default:
		return DEVICE_NOTHING;
	}
}

static void write_byte(struct machine *m, struct pic *s, u16 port, u8 value)
{
	switch (port) {
	case PIC_MASTER_COMMAND:
		write_command(&s->chip[MASTER], value);
		break;
	case PIC_MASTER_DATA:
		write_data(&s->chip[MASTER], value);
		break;
	case PIC_SLAVE_COMMAND:
		write_command(&s->chip[SLAVE], value);
		break;
	case PIC_SLAVE_DATA:
		write_data(&s->chip[SLAVE], value);
		break;
	case PIC_ELCR_MASTER:
		s->chip[MASTER].elcr = value & PIC_ELCR_MASTER_MASK;
		sense_levels(&s->chip[MASTER]);
		break;
	case PIC_ELCR_SLAVE:
		s->chip[SLAVE].elcr = value & PIC_ELCR_SLAVE_MASK;
		sense_levels(&s->chip[SLAVE]);
		break;
	default:
		return;
	}
	update(m, s);
}

u32 pic_read(struct machine *m, struct pic *s, u16 port, unsigned size)
{
	u32 value = 0;

	for (unsigned i = 0; i < size; i++)
		value |= (u32)read_byte(m, s, (u16)(port + i)) << i * 8;
	return value;
}

void pic_write(struct machine *m, struct pic *s, u16 port, unsigned size, u32 value)
{
	for (unsigned i = 0; i < size; i++)
		write_byte(m, s, (u16)(port + i), (u8)(value >> i * 8));
}

static void power_on(struct pic *s)
{
	for (unsigned i = 0; i < ARRAY_SIZE(s->chip); i++) {
		s->chip[i] = (struct pic_chip){
			.lines = s->chip[i].lines, /* the devices' business */
			.lowest = PIC_SPURIOUS,
			.imr = 0xff, /* undefined in the datasheet: quiet until ICW1 */
		};
	}
}

void pic_init(struct pic *s)
{
	*s = (struct pic){.header = device_header(PIC_MAGIC, PIC_VERSION, sizeof(*s))};
	power_on(s);
}

void pic_reset(struct machine *m, struct pic *s)
{
	power_on(s);
	update(m, s);
}
