/* Keyboard controller: see i8042.h. */
#include "guests/vmm/dev/i8042.h"

#define RAM_MASK     (I8042_RAM - 1u)
#define COMMAND_BYTE 0 /* in ram */
#define PULSE_MASK   0x0fu

/* Each output buffer's content asks for its own interrupt, if the command byte allows it. */
static void update(struct machine *m, const struct i8042 *s)
{
	bool full = s->status & I8042_STS_OUTPUT;
	bool mouse = s->status & I8042_STS_MOUSE;
	u8 enabled = s->ram[COMMAND_BYTE];

	machine_line(m, I8042_LINE_KEYBOARD, full && !mouse && enabled & I8042_CMD_KBD_INT);
	machine_line(m, I8042_LINE_MOUSE, full && mouse && enabled & I8042_CMD_MOUSE_INT);
}

static void empty(struct machine *m, struct i8042 *s)
{
	s->status &= (u8) ~(I8042_STS_OUTPUT | I8042_STS_MOUSE | I8042_STS_TIMEOUT);
	update(m, s);
}

/* Puts a byte into the output buffer; flags are I8042_STS_MOUSE and I8042_STS_TIMEOUT. */
static void put(struct machine *m, struct i8042 *s, u8 data, u8 flags)
{
	empty(m, s); /* an edge for each byte */
	s->data = data;
	s->status |= I8042_STS_OUTPUT | flags;
	update(m, s);
}

static void set_output_port(struct machine *m, struct i8042 *s, u8 value)
{
	if (!(value & I8042_OUT_RESET))
		machine_reset(m);
	s->output_port = value | I8042_OUT_RESET;
}

static void set_a20(struct i8042 *s, bool on)
{
	if (on)
		s->output_port |= I8042_OUT_A20;
	else
		s->output_port &= (u8)~I8042_OUT_A20;
}

bool i8042_a20(const struct i8042 *s)
{
	return s->output_port & I8042_OUT_A20;
}

static u8 read_output_port(const struct i8042 *s)
{
	bool full = s->status & I8042_STS_OUTPUT;
	bool mouse = s->status & I8042_STS_MOUSE;
	u8 value = s->output_port & (u8) ~(I8042_OUT_KBD_FULL | I8042_OUT_MOUSE_FULL);

	if (full)
		value |= mouse ? I8042_OUT_MOUSE_FULL : I8042_OUT_KBD_FULL;
	return value;
}

static void write_ram(struct machine *m, struct i8042 *s, u8 index, u8 value)
{
	s->ram[index & RAM_MASK] = value;
	if ((index & RAM_MASK) != COMMAND_BYTE)
		return;
	s->status &= (u8)~I8042_STS_SYSTEM;
	if (value & I8042_CMD_SYSTEM)
		s->status |= I8042_STS_SYSTEM;
	update(m, s);
}

static void set_disabled(struct i8042 *s, u8 bit, bool disabled)
{
	if (disabled)
		s->ram[COMMAND_BYTE] |= bit;
	else
		s->ram[COMMAND_BYTE] &= (u8)~bit;
}

static void self_test(struct machine *m, struct i8042 *s)
{
	write_ram(m, s, COMMAND_BYTE, I8042_CMD_RESET_VALUE | I8042_CMD_SYSTEM);
	put(m, s, I8042_SELF_TEST_OK, 0);
}

static void write_command(struct machine *m, struct i8042 *s, u8 command)
{
	s->status |= I8042_STS_COMMAND;
	s->command = 0;
	if (command >= I8042_PULSE) {
		if (!(command & PULSE_MASK & I8042_OUT_RESET))
			machine_reset(m);
		return;
	}
	if ((command & ~RAM_MASK) == I8042_READ_RAM) {
		put(m, s, s->ram[command & RAM_MASK], 0);
		return;
	}
	if ((command & ~RAM_MASK) == I8042_WRITE_RAM) {
		s->command = command;
		return;
	}
	switch (command) {
	case I8042_MOUSE_OFF:
	case I8042_MOUSE_ON:
		set_disabled(s, I8042_CMD_MOUSE_DISABLE, command == I8042_MOUSE_OFF);
		break;
	case I8042_KBD_OFF:
	case I8042_KBD_ON:
		set_disabled(s, I8042_CMD_KBD_DISABLE, command == I8042_KBD_OFF);
		break;
	case I8042_MOUSE_TEST:
	case I8042_KBD_TEST:
		put(m, s, I8042_TEST_OK, 0);
		break;
	case I8042_SELF_TEST:
		self_test(m, s);
		break;
	case I8042_READ_INPUT:
		put(m, s, I8042_IN_UNLOCKED, 0);
		break;
	case I8042_READ_OUTPUT:
		put(m, s, read_output_port(s), 0);
		break;
	case I8042_A20_OFF:
	case I8042_A20_ON:
		set_a20(s, command == I8042_A20_ON);
		break;
	case I8042_WRITE_OUTPUT:
	case I8042_LOOP_KBD:
	case I8042_LOOP_MOUSE:
	case I8042_TO_MOUSE:
		s->command = command;
		break;
	}
}

/* A byte for the command that waits for one, or for the keyboard, which is not there. */
static void write_data(struct machine *m, struct i8042 *s, u8 value)
{
	u8 command = s->command;

	s->status &= (u8)~I8042_STS_COMMAND;
	s->command = 0;
	switch (command) {
	case 0:
		set_disabled(s, I8042_CMD_KBD_DISABLE, false);
		put(m, s, I8042_NO_ANSWER, I8042_STS_TIMEOUT);
		break;
	case I8042_WRITE_OUTPUT:
		set_output_port(m, s, value);
		break;
	case I8042_LOOP_KBD:
		put(m, s, value, 0);
		break;
	case I8042_LOOP_MOUSE:
		put(m, s, value, I8042_STS_MOUSE);
		break;
	case I8042_TO_MOUSE:
		set_disabled(s, I8042_CMD_MOUSE_DISABLE, false);
		put(m, s, I8042_NO_ANSWER, I8042_STS_MOUSE | I8042_STS_TIMEOUT);
		break;
	default:
		write_ram(m, s, command, value);
	}
}

static u8 read_byte(struct machine *m, struct i8042 *s, u16 port)
{
	switch (port) {
	case I8042_DATA:
		if (s->status & I8042_STS_OUTPUT)
			empty(m, s);
		return s->data;
	case I8042_STATUS:
		return s->status;
	case I8042_PORT92:
		return i8042_a20(s) ? I8042_P92_A20 : 0;
	default:
		return DEVICE_NOTHING;
	}
}

static void write_byte(struct machine *m, struct i8042 *s, u16 port, u8 value)
{
	switch (port) {
	case I8042_DATA:
		write_data(m, s, value);
		break;
	case I8042_COMMAND:
		write_command(m, s, value);
		break;
	case I8042_PORT92:
		set_a20(s, value & I8042_P92_A20);
		if (value & I8042_P92_RESET)
			machine_reset(m);
		break;
	}
}

u32 i8042_read(struct machine *m, struct i8042 *s, u16 port, unsigned size)
{
	u32 value = 0;

	for (unsigned i = 0; i < size; i++)
		value |= (u32)read_byte(m, s, (u16)(port + i)) << i * 8;
	return value;
}

void i8042_write(struct machine *m, struct i8042 *s, u16 port, unsigned size, u32 value)
{
	for (unsigned i = 0; i < size; i++)
		write_byte(m, s, (u16)(port + i), (u8)(value >> i * 8));
}

void i8042_init(struct i8042 *s)
{
	*s = (struct i8042){
		.header = device_header(I8042_MAGIC, I8042_VERSION, sizeof(*s)),
		.ram[COMMAND_BYTE] = I8042_CMD_RESET_VALUE,
		.status = I8042_STS_UNLOCK,
		.output_port = I8042_OUT_RESET | I8042_OUT_A20,
	};
}

void i8042_reset(struct machine *m, struct i8042 *s)
{
	i8042_init(s);
	update(m, s);
}
