/*
 * An xHCI controller: see fake_xhci.fake_hc. Written from xHCI 1.2, not from the driver. The stick
 * is in fake_stick.c.
 */
#include <string.h>

#include "tests/unit/fake_xhci_hc.h"

struct fake_xhci fake_xhci;
struct fake_hc fake_hc;

static u8 *memory(u64 bus, u64 size)
{
	return fake_memory(bus, size);
}

/* --- events --- */

static void event(u64 parameter, u32 status, u32 control)
{
	u32 words[4] = {
		(u32)parameter, (u32)(parameter >> 32), status, control | fake_hc.event_cycle};
	u8 *at;

	if (!(fake_hc.cmd & 1) || fake_hc.event_size == 0)
		return;
	at = memory(fake_hc.event_base + fake_hc.event_at * 16ull, 16);
	if (!at)
		return;
	memcpy(at, words, 16);
	if (++fake_hc.event_at == fake_hc.event_size) {
		fake_hc.event_at = 0;
		fake_hc.event_cycle ^= 1;
	}
	fake_hc.sts |= 8;
	fake_hc.iman |= 1;
	/* one interrupt until EHB is cleared (4.17.5) */
	if (!(fake_hc.erdp & 8) && fake_hc.iman & 2 && fake_hc.cmd & 4)
		fake_interrupt(0);
	fake_hc.erdp |= 8;
}

static u32 *context(u64 base, u32 n)
{
	u32 size = fake_xhci.wide_contexts ? 64 : 32;
	u8 *at = memory((base & ~63ull) + (u64)n * size, size);

	return (u32 *)(void *)at;
}

/* The context that the driver gave the slot for the controller's answers. */
static u64 output(u32 slot)
{
	u64 bus = 0;
	const u8 *at = memory(fake_hc.dcbaap + 8ull * slot, 8);

	if (at)
		memcpy(&bus, at, 8);
	return bus;
}

static void set_state(u32 slot, u32 id, u32 state)
{
	u32 *c = context(output(slot), id);

	fake_hc.slot[slot].ep[id].state = state;
	if (c)
		c[0] = (c[0] & ~7u) | state;
}

/* --- ports --- */

void fake_hc_connect(u32 port, u32 speed)
{
	u32 *p = &fake_hc.portsc[port];

	*p = (*p & ~0x3c03u) | 1u << 17 | speed << 10 | (speed ? 1 : 0);
	event(port << 24, 1u << 24, 34 << 10);
}

void fake_hc_pulled(u32 device)
{
	for (u32 i = 1; i <= FAKE_HC_SLOTS; i++) {
		if (fake_hc.slot[i].device == device)
			fake_hc.slot[i].device = 0;
	}
}

/* --- commands --- */

static u32 add_endpoint(u32 slot, u64 input, u32 id)
{
	const u32 *c = context(input, id + 1);
	u32 *to = context(output(slot), id);
	struct fake_endpoint *e = &fake_hc.slot[slot].ep[id];

	if (!c || !to)
		return 5;
	*e = (struct fake_endpoint){.type = c[1] >> 3 & 7, .packet = c[1] >> 16, .cycle = c[2] & 1};
	e->dequeue = (c[2] & ~15ull) | (u64)c[3] << 32;
	fake_xhci.rules += (c[1] >> 1 & 3) != 3 || c[4] == 0 || e->dequeue == 0;
	if (e->type == 7) /* milliseconds from 1 on, and what may come in one interval */
		fake_xhci.rules += (c[0] >> 16 & 0xff) < 3 || (c[0] >> 16 & 0xff) > 10 ||
				   c[4] >> 16 != e->packet;
	else
		fake_xhci.rules += e->type != (id == 1 ? 4u : id & 1 ? 6u : 2u);
	memcpy(to, c, 20);
	set_state(slot, id, 1);
	return 1;
}

/* The device that a slot context names; 0: there is none that could be addressed. */
static u32 find_device(const u32 *slot)
{
	u32 device = fake_usb_at(0, slot[1] >> 16 & 0xff);
	u32 route = slot[0] & 0xfffff;
	u32 tt = 0; /* the device whose port translates */
	u32 tt_port = 0;

	if (!device || !(fake_hc.portsc[fake_usb[device].port] & 2))
		return 0;
	for (; route; route >>= 4) {
		u32 hub = device;

		device = fake_usb_at(hub, route & 15);
		fake_xhci.rules += !fake_usb[hub].told;
		if (!device || !(fake_usb[hub].hub_port[route & 15].status & 2))
			return 0;
		if (fake_usb[hub].speed == 3 && fake_usb[device].speed < 3) {
			tt = hub;
			tt_port = route & 15;
		}
	}
	fake_xhci.rules += (slot[0] >> 20 & 15) != fake_usb[device].speed;
	fake_xhci.rules += (slot[2] >> 8 & 0xff) != tt_port || !(slot[2] & 0xff) != !tt;
	fake_xhci.rules += tt && fake_hc.slot[(slot[2] & 0xff) % (FAKE_HC_SLOTS + 1)].device != tt;
	return device;
}

static u32 configure(u32 number, u64 input, bool address)
{
	const u32 *control = context(input, 0);
	const u32 *slot = context(input, 1);
	struct fake_slot *s = &fake_hc.slot[number];
	u32 last = 1;

	if (!control || !slot || input % 64 || output(number) % 64 || !output(number))
		return 5;
	fake_xhci.rules += !(control[1] & 1) || control[0] != 0;
	fake_xhci.rules += address ? control[1] != 3 : (control[1] & 2) || !s->addressed;
	if (address) {
		s->device = find_device(slot);
		s->port = slot[1] >> 16 & 0xff;
		if (s->device == 0 || fake_usb[s->device].mute)
			return 4;
	}
	fake_xhci.rules += (slot[1] >> 16 & 0xff) != s->port;
	if (slot[0] >> 26 & 1 && s->device) {
		fake_usb[s->device].told = true;
		fake_xhci.rules += fake_usb[s->device].kind != FAKE_HUB ||
				   slot[1] >> 24 != fake_usb[s->device].ports;
	}
	for (u32 id = 1; id < FAKE_HC_ENDPOINTS; id++) {
		if (control[1] >> id & 1 && add_endpoint(number, input, id) != 1)
			return 5;
		if (s->ep[id].state)
			last = id;
	}
	fake_xhci.rules += slot[0] >> 27 != last;
	s->addressed = true;
	return 1;
}

static u32 set_dequeue(u32 slot, u32 id, u64 pointer)
{
	struct fake_endpoint *e = &fake_hc.slot[slot].ep[id];

	if (e->state != 2 && e->state != 3)
		return 19; /* context state error */
	fake_xhci.rules += pointer & 14;
	e->dequeue = pointer & ~15ull;
	e->cycle = pointer & 1;
	e->rung = false;
	e->silent = false;
	return 1;
}

static u32 enable(u32 *slot)
{
	fake_xhci.rules += fake_hc.config == 0;
	for (u32 i = 1; i <= (fake_hc.config & 0xff) && i <= FAKE_HC_SLOTS; i++) {
		if (fake_hc.slot[i].enabled)
			continue;
		fake_hc.slot[i] = (struct fake_slot){.enabled = true};
		*slot = i;
		return 1;
	}
	return 9;
}

static u32 stop(u32 slot, u32 id)
{
	struct fake_endpoint *e = &fake_hc.slot[slot].ep[id];

	if (e->state != 1)
		return 19;
	set_state(slot, id, 3);
	if (e->rung)
		event(e->dequeue, 26u << 24, 32 << 10 | slot << 24 | id << 16 | 1u);
	return 1;
}

static u32 command(u64 parameter, u32 control, u32 *slot)
{
	u32 type = control >> 10 & 63;
	u32 id = control >> 16 & 31;
	struct fake_slot *s;

	*slot = control >> 24;
	if (type == 9)
		return enable(slot);
	if (*slot > FAKE_HC_SLOTS || !fake_hc.slot[*slot].enabled) {
		fake_xhci.rules++;
		return 11;
	}
	s = &fake_hc.slot[*slot];
	switch (type) {
	case 10:
		memset(s, 0, sizeof(*s));
		return 1;
	case 11:
		return configure(*slot, parameter, true);
	case 12:
		return configure(*slot, parameter, false);
	case 13:
		s->ep[1].packet = context(parameter, 2) ? context(parameter, 2)[1] >> 16 : 0;
		return 1;
	case 14:
		if (s->ep[id].state != 2)
			return 19;
		set_state(*slot, id, 3);
		return 1;
	case 15:
		return stop(*slot, id);
	case 16:
		return set_dequeue(*slot, id, parameter);
	default:
		fake_xhci.rules++;
		return 5;
	}
}

/* Reads the TRB that a ring's dequeue pointer is at, past links. False: it is not the
 * controller's. */
static bool fetch(u64 *at, u32 *cycle, u32 trb[4])
{
	for (u32 links = 0; links < 2; links++) {
		const u8 *from = memory(*at, 16);

		if (!from)
			return false;
		memcpy(trb, from, 16);
		if ((trb[3] & 1) != *cycle)
			return false;
		if ((trb[3] >> 10 & 63) != 6)
			return true;
		*at = trb[0] | (u64)trb[1] << 32;
		*cycle ^= trb[3] >> 1 & 1;
	}
	return false;
}

static void commands(void)
{
	u32 trb[4];

	while (fake_hc.cmd & 1 && fake_device.started &&
		fetch(&fake_hc.command, &fake_hc.command_cycle, trb)) {
		u64 at = fake_hc.command;
		u32 slot;
		u32 code;

		fake_hc.command += 16;
		if (fake_xhci.mute)
			continue;
		code = command(trb[0] | (u64)trb[1] << 32, trb[3], &slot);
		event(at, code << 24, 33 << 10 | slot << 24);
	}
}

/* --- control transfers --- */

static void transfer_event(u32 slot, u32 id, u64 at, u32 code, u32 left)
{
	event(at, code << 24 | left, 32 << 10 | slot << 24 | id << 16);
}

static void control_transfer(u32 slot)
{
	struct fake_endpoint *e = &fake_hc.slot[slot].ep[1];
	u32 device = fake_hc.slot[slot].device;
	u8 setup[8] = {0};
	u32 trb[4];
	u32 moved = 0;
	u32 code = 0;
	u32 length = 0;

	while (e->state == 1 && !fake_usb[device].mute && fetch(&e->dequeue, &e->cycle, trb)) {
		u32 type = trb[3] >> 10 & 63;
		u64 at = e->dequeue;

		if (type == 2) {
			memcpy(setup, trb, 8);
			length = setup[6] | (u32)setup[7] << 8;
			fake_xhci.rules += !(trb[3] & 64) || trb[2] != 8;
			fake_xhci.rules += (trb[3] >> 16 & 3) != (length == 0              ? 0u
									 : setup[0] & 0x80 ? 3u
											   : 2u);
			if (length == 0)
				code = fake_usb_request(device, setup, NULL, 0, &moved);
		} else if (type == 3) {
			u64 bus = trb[0] | (u64)trb[1] << 32;
			u8 *data = memory(bus, trb[2] & 0x1ffff);

			fake_xhci.rules += (trb[2] & 0x1ffff) != length ||
					   bus / 65536 != (bus + length - 1) / 65536;
			code = data ? fake_usb_request(device, setup, data, length, &moved) : 4;
		} else {
			fake_xhci.rules += type != 4 || !(trb[3] & 32);
			fake_xhci.rules += !!(trb[3] & 0x10000) == (length && setup[0] & 0x80);
		}
		if (code > 1)
			set_state(slot, 1, 2);
		else
			e->dequeue += 16;
		if (code > 1 || type == 4)
			transfer_event(slot, 1, at, code, 0);
	}
}

/* --- interrupt transfers --- */

/* What a device has to say goes to where the driver waits for it. */
static void interrupt_transfer(u32 slot, u32 id)
{
	struct fake_endpoint *e = &fake_hc.slot[slot].ep[id];
	u32 device = fake_hc.slot[slot].device;
	u64 at = e->dequeue;
	u32 cycle = e->cycle;
	u8 data[64];
	u32 trb[4];
	u32 room;
	u32 size;
	u8 *to;

	if (e->type != 7 || e->state != 1 || !e->rung || !fetch(&at, &cycle, trb))
		return;
	if (device == 0 || fake_usb[device].halted) {
		set_state(slot, id, 2);
		e->rung = false;
		transfer_event(slot, id, at, device ? 6 : 4, 0);
		return;
	}
	room = trb[2] & 0x1ffff;
	to = memory(trb[0] | (u64)trb[1] << 32, room);
	size = fake_usb_interrupt(device, data, sizeof(data));
	if (size == 0 || !to)
		return;
	fake_xhci.rules += room < size || !(trb[3] & 32);
	size = size < room ? size : room;
	memcpy(to, data, size);
	e->dequeue = at + 16;
	e->cycle = cycle;
	e->rung = false;
	transfer_event(slot, id, at, size < room ? 13 : 1, room - size);
}

static void interrupts(void)
{
	for (u32 slot = 1; slot <= FAKE_HC_SLOTS && fake_hc.cmd & 1; slot++) {
		for (u32 id = 2; id < 4 && fake_hc.slot[slot].enabled; id++)
			interrupt_transfer(slot, id);
	}
}

/* --- bulk transfers --- */

/* Carries out a TD of the endpoint. Its TRBs are parts of one transfer. */
static void transfer(u32 slot, u32 id, enum fake_xhci_act act)
{
	struct fake_endpoint *e = &fake_hc.slot[slot].ep[id];
	u64 dequeue = e->dequeue;
	u32 cycle = e->cycle;
	u64 at = dequeue;
	u32 trb[4];
	u32 code = 1;
	u32 left = 0;
	bool was_data = fake_stick.stage == STICK_DATA;

	while (fetch(&dequeue, &cycle, trb)) {
		u64 bus = trb[0] | (u64)trb[1] << 32;
		u32 size = trb[2] & 0x1ffff;
		u8 *data = memory(bus, size);
		u32 moved;

		at = dequeue;
		fake_xhci.rules += (trb[3] >> 10 & 63) != 1 || !(trb[3] & 4) || size == 0;
		fake_xhci.rules += bus / 65536 != (bus + size - 1) / 65536;
		fake_xhci.rules += !(trb[3] & 16) == !(trb[3] & 32);
		fake_xhci.rules += !(trb[3] & 16) != !(trb[2] >> 17 & 31);
		if (!data)
			return;
		moved = fake_stick_stage(data, size, id & 1, act);
		dequeue += 16;
		if (moved < size && was_data) {
			code = 13;
			left = size - moved;
			while (trb[3] & 16 && fetch(&dequeue, &cycle, trb))
				dequeue += 16;
			break;
		}
		if (!(trb[3] & 16))
			break;
	}
	if (was_data)
		fake_stick.stage = STICK_STATUS;
	e->dequeue = dequeue;
	e->cycle = cycle;
	e->rung = false;
	transfer_event(slot, id, at, code, left);
}

static void unplug(void)
{
	u32 port = fake_usb[FAKE_USB_STICK].port;

	fake_stick.stage = STICK_COMMAND;
	fake_hc_pulled(FAKE_USB_STICK);
	fake_hc_connect(port, fake_usb[FAKE_USB_STICK].speed);
}

/* What goes wrong at the endpoint. */
static bool wrong(u32 slot, u32 id, enum fake_xhci_act act)
{
	struct fake_endpoint *ep = fake_hc.slot[slot].ep;
	u64 at = ep[id].dequeue;

	switch (act) {
	case FAKE_XHCI_STALL:
	case FAKE_XHCI_ERROR:
		set_state(slot, id, 2);
		if (act == FAKE_XHCI_STALL && fake_stick.stage == STICK_DATA) {
			fake_stick.stage = STICK_STATUS;
			fake_stick.halted[id & 1] = true;
		}
		ep[id].rung = false;
		transfer_event(slot, id, at, act == FAKE_XHCI_STALL ? 6 : 4, 0);
		return true;
	case FAKE_XHCI_STRAY:
		transfer_event(slot, id, at + 16 * 5, 1, 0);
		transfer_event(slot, 7 - id, ep[7 - id].dequeue - 16, 1, 0); /* the other's last */
		transfer_event(slot + 1, id, at, 1, 0);
		event(at, 1u << 24, 33 << 10 | slot << 24);
		return false;
	case FAKE_XHCI_SILENT:
		ep[id].silent = true;
		return true;
	case FAKE_XHCI_FAIL:
	case FAKE_XHCI_ATTENTION:
		if (fake_stick.stage == STICK_STATUS)
			fake_stick_fail(act == FAKE_XHCI_FAIL ? 3 : 6);
		return false;
	default:
		return false;
	}
}

/* The slot of the stick; 0: it has none. */
static u32 stick_slot(void)
{
	u32 i = FAKE_HC_SLOTS;

	while (i > 0 && fake_usb[fake_hc.slot[i].device].kind != FAKE_STICK)
		i--;
	return i;
}

bool fake_xhci_step(enum fake_xhci_act act)
{
	u32 slot = stick_slot();

	if (act == FAKE_XHCI_UNPLUG) {
		unplug();
		return true;
	}
	if (act == FAKE_XHCI_FATAL) {
		fake_hc.sts |= 4 | 1;
		fake_hc.cmd &= ~1u;
		fake_interrupt(0);
		return true;
	}
	interrupts();
	for (u32 id = 2; id < FAKE_HC_ENDPOINTS && slot; id++) {
		struct fake_endpoint *e = &fake_hc.slot[slot].ep[id];
		u32 trb[4];
		u64 at = e->dequeue;
		u32 cycle = e->cycle;

		if (!(fake_hc.cmd & 1) || e->state != 1 || !e->rung || e->silent ||
			!fetch(&at, &cycle, trb))
			continue;
		if (!wrong(slot, id, act))
			transfer(slot, id, act);
		return true;
	}
	return false;
}

void fake_hc_doorbell(u32 slot, u32 value)
{
	struct fake_endpoint *e;

	if (slot == 0) {
		commands();
		return;
	}
	if (slot > FAKE_HC_SLOTS || value == 0 || value >= FAKE_HC_ENDPOINTS ||
		fake_hc.slot[slot].ep[value].state == 0) {
		fake_xhci.rules++;
		return;
	}
	e = &fake_hc.slot[slot].ep[value];
	if (e->state == 3)
		set_state(slot, value, 1);
	e->rung = true;
	if (value == 1)
		control_transfer(slot);
}
