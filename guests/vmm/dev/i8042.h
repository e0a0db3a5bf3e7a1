/*
 * 8042 keyboard controller with nothing plugged into it, and port 0x92.
 *
 * IBM PS/2 Hardware Interface Technical Reference, keyboard and auxiliary device controller.
 * A byte sent to the keyboard or the mouse is answered at once with the controller's own "no
 * answer" (0xFE with the time-out bit), so that drivers give up without waiting.
 */
#pragma once

#include "guests/vmm/dev/device.h"

#define I8042_MAGIC         DEVICE_MAGIC('8', '0', '4', '2')
#define I8042_VERSION       1
#define I8042_LINE_KEYBOARD 1
#define I8042_LINE_MOUSE    12

enum i8042_port {
	I8042_DATA = 0x60,
	I8042_STATUS = 0x64, /* read */
	I8042_COMMAND = 0x64,
	I8042_PORT92 = 0x92,
};

#define I8042_STS_OUTPUT  0x01u /* output buffer full */
#define I8042_STS_SYSTEM  0x04u
#define I8042_STS_COMMAND 0x08u
#define I8042_STS_UNLOCK  0x10u
#define I8042_STS_MOUSE   0x20u
#define I8042_STS_TIMEOUT 0x40u

#define I8042_CMD_KBD_INT       0x01u /* command byte */
#define I8042_CMD_MOUSE_INT     0x02u
#define I8042_CMD_SYSTEM        0x04u
#define I8042_CMD_KBD_DISABLE   0x10u
#define I8042_CMD_MOUSE_DISABLE 0x20u
#define I8042_CMD_TRANSLATE     0x40u
#define I8042_CMD_RESET_VALUE                                                                      \
	(I8042_CMD_KBD_DISABLE | I8042_CMD_MOUSE_DISABLE | I8042_CMD_TRANSLATE)

#define I8042_OUT_RESET      0x01u /* output port, active low */
#define I8042_OUT_A20        0x02u
#define I8042_OUT_KBD_FULL   0x10u
#define I8042_OUT_MOUSE_FULL 0x20u
#define I8042_IN_UNLOCKED    0x80u /* input port: the keyboard's lock is open */
#define I8042_P92_RESET      0x01u /* port 0x92 */
#define I8042_P92_A20        0x02u

enum i8042_command {
	I8042_READ_RAM = 0x20,  /* to 0x3f; 0x20 is the command byte */
	I8042_WRITE_RAM = 0x60, /* to 0x7f */
	I8042_MOUSE_OFF = 0xa7,
	I8042_MOUSE_ON = 0xa8,
	I8042_MOUSE_TEST = 0xa9,
	I8042_SELF_TEST = 0xaa,
	I8042_KBD_TEST = 0xab,
	I8042_KBD_OFF = 0xad,
	I8042_KBD_ON = 0xae,
	I8042_READ_INPUT = 0xc0,
	I8042_READ_OUTPUT = 0xd0,
	I8042_WRITE_OUTPUT = 0xd1,
	I8042_LOOP_KBD = 0xd2,
	I8042_LOOP_MOUSE = 0xd3,
	I8042_TO_MOUSE = 0xd4,
	I8042_A20_OFF = 0xdd,
	I8042_A20_ON = 0xdf,
	I8042_PULSE = 0xf0, /* to 0xff: bits 3:0 that are 0 pulse lines of the output port */
};

#define I8042_SELF_TEST_OK 0x55u
#define I8042_TEST_OK      0x00u
#define I8042_NO_ANSWER    0xfeu
#define I8042_RAM          32

struct i8042 {
	struct device_header header;
	u8 ram[I8042_RAM]; /* ram[0]: command byte */
	u8 status;
	u8 data;    /* output buffer */
	u8 command; /* one that waits for a data byte, or 0 */
	u8 output_port;
	u8 reserved[4];
};
DEVICE_STATE(struct i8042);

void i8042_init(struct i8042 *s);
void i8042_reset(struct machine *m, struct i8042 *s);
u32 i8042_read(struct machine *m, struct i8042 *s, u16 port, unsigned size);
void i8042_write(struct machine *m, struct i8042 *s, u16 port, unsigned size, u32 value);

/* Whether address line 20 is let through. For information: the machine has no use for it. */
bool i8042_a20(const struct i8042 *s);
