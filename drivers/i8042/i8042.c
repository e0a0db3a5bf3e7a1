/* The keyboard controller: see i8042.h. */
#include "drivers/i8042/i8042.h"
#include "drivers/keyboard/keyboard.h"
#include "drivers/lib/lib.h"
#include "drivers/lib/port.h"

#define STATUS_OUTPUT 0x01 /* a byte can be read from the data port */
#define STATUS_INPUT  0x02 /* what was written is not taken yet */
#define STATUS_AUX    0x20 /* the byte is of the second port */
#define STATUS_NONE   0xff /* what an absent controller reads */

#define COMMAND_READ_CONFIG  0x20
#define COMMAND_WRITE_CONFIG 0x60
#define COMMAND_AUX_OFF      0xa7
#define COMMAND_TEST         0xaa
#define COMMAND_KEYBOARD_OFF 0xad
#define COMMAND_KEYBOARD_ON  0xae

#define CONFIG_KEYBOARD_IRQ 0x01
#define CONFIG_AUX_IRQ      0x02
#define CONFIG_KEYBOARD_OFF 0x10
#define CONFIG_AUX_OFF      0x20
#define CONFIG_TRANSLATE    0x40

#define KEYBOARD_LEDS_SET  0xed
#define KEYBOARD_SET       0xf0
#define KEYBOARD_TYPEMATIC 0xf3
#define KEYBOARD_ENABLE    0xf4
#define KEYBOARD_RESET     0xff
#define KEYBOARD_ACK       0xfa
#define KEYBOARD_RESEND    0xfe

#define TYPEMATIC 0x20 /* after 500 ms, 30 a second */
#define SET_2     2

#define STEP_US    50u
#define ACCEPT_US  50000u  /* for the controller to take or answer a byte */
#define ANSWER_US  50000u  /* for the keyboard to acknowledge; it has 20 ms */
#define RESET_US   800000u /* for its test */
#define TRIES      3u
#define FLUSH_MAX  64u
#define ROUNDS_MAX 64u

static u8 status(const struct i8042 *c)
{
	return port_in8(c->command);
}

/* Waits until the controller takes a byte. */
static bool ready(const struct i8042 *c)
{
	for (u32 us = 0; us < ACCEPT_US; us += STEP_US) {
		if (!(status(c) & STATUS_INPUT))
			return true;
		c->wait(STEP_US);
	}
	return false;
}

static bool send_command(const struct i8042 *c, u8 command)
{
	if (!ready(c))
		return false;
	port_out8(c->command, command);
	return true;
}

static bool send_data(const struct i8042 *c, u8 byte)
{
	if (!ready(c))
		return false;
	port_out8(c->data, byte);
	return true;
}

/* The next byte from the first port or the controller, within a time. */
static bool receive(const struct i8042 *c, u32 limit_us, u8 *byte)
{
	for (u32 us = 0; us < limit_us; us += STEP_US) {
		u8 s = status(c);

		if (s & STATUS_OUTPUT) {
			*byte = port_in8(c->data);
			if (!(s & STATUS_AUX))
				return true;
		} else {
			c->wait(STEP_US);
		}
	}
	return false;
}

static void flush(const struct i8042 *c)
{
	for (u32 i = 0; i < FLUSH_MAX && status(c) & STATUS_OUTPUT; i++) {
		port_in8(c->data);
		c->wait(STEP_US);
	}
}

static bool read_config(const struct i8042 *c, u8 *config)
{
	return send_command(c, COMMAND_READ_CONFIG) && receive(c, ACCEPT_US, config);
}

static bool write_config(struct i8042 *c, u8 config)
{
	c->config = config;
	return send_command(c, COMMAND_WRITE_CONFIG) && send_data(c, config);
}

/* Waits for the keyboard's answer; scan codes that come before it are kept, as many as fit. */
static bool answered(struct i8042 *c, u8 *answer)
{
	for (u32 i = 0; i < ROUNDS_MAX && receive(c, ANSWER_US, answer); i++) {
		if (*answer == KEYBOARD_ACK || *answer == KEYBOARD_RESEND)
			return true;
		if (c->kept_count < I8042_KEPT)
			c->kept[c->kept_count++] = *answer;
	}
	return false;
}

/* Sends a byte to the keyboard until it is acknowledged. */
static bool send(struct i8042 *c, u8 byte)
{
	u8 answer;

	for (u32 i = 0; i < TRIES; i++) {
		if (!send_data(c, byte) || !answered(c, &answer))
			return false;
		if (answer == KEYBOARD_ACK)
			return true;
	}
	return false;
}

static bool send_two(struct i8042 *c, u8 first, u8 second)
{
	return send(c, first) && send(c, second);
}

bool i8042_leds(struct i8042 *c, u8 leds)
{
	u8 lights = (u8)((leds & KEYBOARD_SCROLL_LOCK ? 1 : 0) |
			 (leds & KEYBOARD_NUM_LOCK ? 2 : 0) | (leds & KEYBOARD_CAPS_LOCK ? 4 : 0));

	return send_two(c, KEYBOARD_LEDS_SET, lights);
}

/* Resets the keyboard and tells it how to behave; false: there is none. One that fails its test is
 * used all the same. */
static bool start_keyboard(struct i8042 *c)
{
	u8 result;

	if (!send(c, KEYBOARD_RESET))
		return false;
	c->kept_count = 0;
	receive(c, RESET_US, &result);
	return send_two(c, KEYBOARD_SET, SET_2) && send_two(c, KEYBOARD_TYPEMATIC, TYPEMATIC) &&
	       send(c, KEYBOARD_ENABLE);
}

bool i8042_start(struct i8042 *c)
{
	u8 config;
	u8 result;

	c->kept_count = 0;
	if (status(c) == STATUS_NONE || !send_command(c, COMMAND_KEYBOARD_OFF) ||
		!send_command(c, COMMAND_AUX_OFF))
		return false;
	flush(c);
	if (!read_config(c, &config))
		return false;
	/* The test may set the configuration back; firmware that emulates the controller for a USB
	 * keyboard may not have it. */
	if (!send_command(c, COMMAND_TEST) || !receive(c, ACCEPT_US, &result))
		return false;
	config |= CONFIG_TRANSLATE | CONFIG_AUX_OFF;
	config &= (u8) ~(CONFIG_KEYBOARD_IRQ | CONFIG_AUX_IRQ | CONFIG_KEYBOARD_OFF);
	if (!write_config(c, config) || !send_command(c, COMMAND_KEYBOARD_ON) ||
		!read_config(c, &config))
		return false;
	c->translates = config & CONFIG_TRANSLATE;
	c->keyboard = start_keyboard(c);
	return write_config(c, c->config | CONFIG_KEYBOARD_IRQ);
}

bool i8042_read(struct i8042 *c, u8 *byte)
{
	if (c->kept_count > 0) {
		*byte = c->kept[0];
		memmove(c->kept, c->kept + 1, --c->kept_count);
		return true;
	}
	for (u32 i = 0; i < ROUNDS_MAX; i++) {
		u8 s = status(c);

		if (s == STATUS_NONE || !(s & STATUS_OUTPUT))
			return false;
		*byte = port_in8(c->data);
		if (!(s & STATUS_AUX))
			return true;
	}
	return false;
}
