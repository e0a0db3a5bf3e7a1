/* Tests of the keyboard controller's driver against a model of controller and keyboard. */
#include <stdlib.h>

#include "drivers/i8042/i8042.h"
#include "drivers/keyboard/keyboard.h"
#include "drivers/lib/lib.h"
#include "drivers/lib/port.h"
#include "tests/unit/test.h"

static struct {
	bool absent, no_keyboard, no_translation, stuck, resends;
	u8 config, command, keyboard_command;
	u8 leds, set, typematic;
	bool enabled, port_off;
	u8 out[64];
	bool out_aux[64];
	u32 out_count;
	u64 us;
} chip;

static void answer(u8 byte, bool aux)
{
	if (chip.out_count < sizeof(chip.out)) {
		chip.out_aux[chip.out_count] = aux;
		chip.out[chip.out_count++] = byte;
	}
}

static void to_keyboard(u8 byte)
{
	u8 command = chip.keyboard_command;

	if (chip.no_keyboard)
		return;
	if (chip.resends) {
		chip.resends = false;
		answer(0xfe, false);
		return;
	}
	answer(0xfa, false);
	chip.keyboard_command = 0;
	if (command == 0xed)
		chip.leds = byte;
	else if (command == 0xf0)
		chip.set = byte;
	else if (command == 0xf3)
		chip.typematic = byte;
	else if (byte == 0xff)
		answer(0xaa, false);
	else if (byte == 0xf4)
		chip.enabled = true;
	else
		chip.keyboard_command = byte;
}

u32 port_read(u16 port, u32 size)
{
	u8 byte = 0;

	CHECK_EQ(size, 1);
	if (chip.absent)
		return 0xff;
	if (port == 0x64)
		return (chip.out_count ? 1 : 0) | (chip.stuck ? 2 : 0) |
		       (chip.out_count && chip.out_aux[0] ? 0x20 : 0);
	CHECK_EQ(port, 0x60);
	if (chip.out_count) {
		byte = chip.out[0];
		chip.out_count--;
		memmove(chip.out, chip.out + 1, chip.out_count);
		memmove(chip.out_aux, chip.out_aux + 1, chip.out_count);
	}
	return byte;
}

void port_write(u16 port, u32 size, u32 value)
{
	CHECK_EQ(size, 1);
	if (port == 0x60) {
		if (chip.command == 0x60)
			chip.config = (u8)(chip.no_translation ? value & ~0x40u : value);
		else
			to_keyboard((u8)value);
		chip.command = 0;
		return;
	}
	chip.command = (u8)value;
	CHECK(value != 0xfe); /* would reset the machine */
	if (value == 0x20)
		answer(chip.config, false);
	if (value == 0xaa)
		answer(0x55, false);
	if (value == 0xad || value == 0xae)
		chip.port_off = value == 0xad;
}

static void wait(u32 us)
{
	chip.us += us;
}

static struct i8042 c;

static void setup(void)
{
	memset(&chip, 0, sizeof(chip));
	chip.config = 0x77;
	c = (struct i8042){.data = 0x60, .command = 0x64, .wait = wait};
}

TEST(starts)
{
	u8 byte;

	setup();
	answer(0x1e, false); /* the firmware's rest */
	answer(0x08, true);
	CHECK(i8042_start(&c));
	CHECK(c.keyboard && c.translates && chip.enabled && !chip.port_off);
	CHECK_EQ(chip.set, 2);
	CHECK_EQ(chip.config & 0x73, 0x61); /* IRQ 1, translated; the second port is off */
	CHECK(!i8042_read(&c, &byte));
}

TEST(reads)
{
	u8 byte;

	setup();
	CHECK(i8042_start(&c));
	answer(0x1e, false);
	answer(0x55, true);
	answer(0x9e, false);
	CHECK(i8042_read(&c, &byte) && byte == 0x1e);
	CHECK(i8042_read(&c, &byte) && byte == 0x9e);
	CHECK(!i8042_read(&c, &byte));
}

TEST(leds_keep_what_is_typed)
{
	u8 byte;

	setup();
	CHECK(i8042_start(&c));
	answer(0x1e, false);
	CHECK(i8042_leds(&c, KEYBOARD_CAPS_LOCK));
	CHECK_EQ(chip.leds, 4);
	CHECK(i8042_read(&c, &byte) && byte == 0x1e);
	chip.resends = true;
	CHECK(i8042_leds(&c, KEYBOARD_NUM_LOCK | KEYBOARD_SCROLL_LOCK));
	CHECK_EQ(chip.leds, 3);
	for (int i = 0; i < 40; i++) /* more than can be kept */
		answer(0x1e, false);
	CHECK(i8042_leds(&c, 0));
}

TEST(without)
{
	setup();
	chip.absent = true;
	CHECK(!i8042_start(&c));
	setup();
	chip.stuck = true;
	CHECK(!i8042_start(&c));
	CHECK(chip.us < 1000000);
	setup();
	chip.no_keyboard = true;
	CHECK(i8042_start(&c));
	CHECK(!c.keyboard);
	CHECK_EQ(chip.config & 1, 1);
	CHECK(chip.us < 1000000);
	setup();
	chip.no_translation = true;
	CHECK(i8042_start(&c));
	CHECK(!c.translates);
}
