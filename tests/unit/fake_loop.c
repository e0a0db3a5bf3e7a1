/* The main loop's waiting and a keyboard's session on the build host: see fake_loop.h. */
#include <string.h>

#include "drivers/lib/loop.h"
#include "tests/unit/fake_device.h"
#include "tests/unit/fake_loop.h"

struct fake_loop fake_loop;

#define STEP_US 10000u /* the device works at least as often */

u64 loop_wait_us(const struct start_info *info, u64 us)
{
	u64 bits;

	(void)info;
	for (u64 at = 0; at < us && !fake_device.interrupts; at += STEP_US)
		device_wait(NULL, us - at < STEP_US ? us - at : STEP_US);
	bits = fake_device.interrupts;
	fake_device.interrupts = 0;
	return bits;
}

void keyboard_session_key(struct keyboard_session *s, u8 usage, bool pressed)
{
	u8 bytes[KEYBOARD_BYTES];
	u32 n = keyboard_key(&s->keyboard, usage, pressed, bytes);

	fake_loop.keys++;
	if (n > sizeof(fake_loop.typed) - 1 - fake_loop.size)
		return;
	memcpy(fake_loop.typed + fake_loop.size, bytes, n);
	fake_loop.size += n;
	fake_loop.typed[fake_loop.size] = 0;
}

void keyboard_session_look(struct keyboard_session *s)
{
	(void)s;
}

void keyboard_session_open(struct keyboard_session *s, const struct start_info *info)
{
	(void)info;
	*s = (struct keyboard_session){.open = fake_loop.keyboard};
	keyboard_init(&s->keyboard, "us");
}
