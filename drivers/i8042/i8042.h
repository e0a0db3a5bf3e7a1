/*
 * The keyboard controller of a PC (i8042) and the keyboard at its first port. IBM PS/2 Hardware
 * Interface Technical Reference, "Keyboard and Auxiliary Device Controller" and "Keyboard". Pure
 * but for the ports (drivers/lib/port.h) and the waiting.
 */
#pragma once

#include "kernel/abi/types.h"

#define I8042_KEPT 16u

struct i8042 {
	u16 data;    /* ports: data, */
	u16 command; /* and status (read), command (write) */
	void (*wait)(u32 us);
	bool translates;     /* it turns set 2 into set 1 */
	bool keyboard;       /* one answered */
	u8 config;           /* its configuration byte, as last written */
	u8 kept[I8042_KEPT]; /* scan codes that came while an answer was awaited */
	u8 kept_count;
};

/*
 * Sets controller and keyboard up: only the first port works, with its interrupt; scan code set 2,
 * translated if the controller can. False: there is no such controller. A keyboard that does not
 * answer may be plugged in later; ->keyboard tells. Takes up to a second.
 */
bool i8042_start(struct i8042 *c);

/* The next scan code; false: there is none. What comes from the second port is dropped. */
bool i8042_read(struct i8042 *c, u8 *byte);

/* Lights LEDs, KEYBOARD_* of drivers/keyboard. False: the keyboard did not take it. */
bool i8042_leds(struct i8042 *c, u8 leds);
