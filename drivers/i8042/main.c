/* The driver domain of a PC's keyboard: serves one `serial` session, which gives the bytes of keys.
 */
#include <libfdt.h>

#include "drivers/i8042/i8042.h"
#include "drivers/i8042/scan.h"
#include "drivers/keyboard/keyboard.h"
#include "drivers/lib/channel.h"
#include "drivers/lib/loop.h"
#include "drivers/lib/port.h"

#define POLL_US    10000ull  /* until the first interrupt has come */
#define CONTROL_US 100000ull /* afterwards, against a lost one: 16 bytes are kept */
#define BYTES_MAX  256u      /* in a turn */

static const struct start_info *start;
static struct channel channel;
static struct keyboard keyboard;
static struct scan scan;

/* Waits without losing an event. */
static void wait(u32 us)
{
	u64 end = tsc_now() + tsc_from_us(start->tsc_hz, us);
	u64 bits;

	while (tsc_now() < end)
		sys_event_wait(0, end, &bits);
}

/* The node's `layout`, or "us". */
static const char *layout(void)
{
	const struct start_resource *r = start_find(start, START_CONFIG, 0);
	const char *name;
	int size;

	if (!r || fdt_check_full((const void *)r->address, r->size) != 0)
		return "us";
	name = fdt_getprop((const void *)r->address, 0, "layout", &size);
	return name && size > 0 && name[size - 1] == 0 ? name : "us";
}

/* Hands on what was typed; a key that finds no room is lost as a whole. */
static void take(struct i8042 *c)
{
	u8 bytes[KEYBOARD_BYTES];
	u8 locks = keyboard.locks;
	struct scan_key key;
	u8 byte;

	for (u32 i = 0; i < BYTES_MAX && i8042_read(c, &byte); i++) {
		u32 n;

		if (!scan_byte(&scan, byte, &key))
			continue;
		n = keyboard_key(&keyboard, key.usage, key.pressed, bytes);
		if (n > 0 && channel_room(&channel) >= n)
			channel_write(&channel, bytes, n);
	}
	if (keyboard.locks != locks)
		i8042_leds(c, keyboard.locks);
}

static bool find_ports(struct i8042 *c)
{
	const struct start_resource *data = start_find(start, START_PORTS, 0);
	const struct start_resource *command = start_find(start, START_PORTS, 1);

	if (!data || !command)
		return false;
	c->data = (u16)data->value;
	c->command = (u16)command->value;
	return true;
}

int main(struct start_info *info);

int main(struct start_info *info)
{
	const struct start_resource *irq = start_find(info, START_IRQ, 0);
	const struct start_resource *session = start_find(info, START_SESSION, 0);
	struct i8042 c = {.wait = wait};
	u64 poll = POLL_US;
	bool was_broken = false;

	start = info;
	if (!find_ports(&c) || !session || session->role != START_SERVER) {
		log_line(session ? "no \"access\" to a keyboard controller: nothing to do"
				 : "nobody uses the keyboard");
		return 0;
	}
	channel = channel_open(session);
	if (!keyboard_init(&keyboard, layout()))
		log_line("there is no layout \"%.16s\": the keys are those of \"us\"", layout());
	if (!i8042_start(&c)) {
		log_line("there is no keyboard controller at port %#x", c.command);
		return 0;
	}
	scan.set2 = !c.translates;
	log_line("%s, scan code set %u, %s", c.keyboard ? "a keyboard" : "no keyboard yet",
		scan.set2 ? 2 : 1, irq ? "with interrupt" : "polled");
	i8042_leds(&c, keyboard.locks);
	loop_open(info, NULL);
	for (;;) {
		u64 bits;

		loop_look_at(&channel, &was_broken);
		take(&c);
		bits = loop_wait(tsc_now() + tsc_from_us(info->tsc_hz, poll));
		if (irq && bits & BIT(irq->bit)) {
			sys_irq_ctl(irq->cap, IRQ_CTL_ACK);
			poll = CONTROL_US;
		}
	}
}
