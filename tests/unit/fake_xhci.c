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
	u8 *at = memory(fake_hc.event_base + fake_hc.event_at * 16ull, 16);

	if (!(fake_hc.cmd & 1) || !at)
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

static u64 output(void)
{
	u64 bus = 0;
	const u8 *at = memory(fake_hc.dcbaap + 8 * FAKE_HC_SLOT, 8);

	if (at)
		memcpy(&bus, at, 8);
	return bus;
}

static void set_state(u32 id, u32 state)
{
	u32 *c = context(output(), id);

	fake_hc.ep[id].state = state;
	if (c)
		c[0] = (c[0] & ~7u) | state;
}

/* --- commands --- */

static u32 add_endpoint(u64 input, u32 id)
{
	const u32 *c = context(input, id + 1);
	u32 *to = context(output(), id);
	struct fake_endpoint *e = &fake_hc.ep[id];

	if (!c || !to)
		return 5;
	*e = (struct fake_endpoint){.type = c[1] >> 3 & 7, .packet = c[1] >> 16, .cycle = c[2] & 1};
	e->dequeue = (c[2] & ~15ull) | (u64)c[3] << 32;
	fake_xhci.rules += (c[1] >> 1 & 3) != 3 || c[4] == 0 || e->dequeue == 0;
	fake_xhci.rules += e->type != (id == 1 ? 4u : id & 1 ? 6u : 2u);
	memcpy(to, c, 20);
	set_state(id, 1);
	return 1;
}

static u32 configure(u64 input, bool address)
{
	const u32 *control = context(input, 0);
	const u32 *slot = context(input, 1);
	u32 last = 1;

	if (!control || !slot || input % 64 || output() % 64 || !output())
		return 5;
	fake_xhci.rules += !(control[1] & 1) || control[0] != 0;
	fake_xhci.rules += address ? control[1] != 3 : (control[1] & 2) || !fake_hc.addressed;
	fake_xhci.rules += (slot[1] >> 16 & 0xff) != fake_hc.slot_port;
	fake_xhci.rules += (slot[0] >> 20 & 15) != (fake_hc.portsc[fake_hc.slot_port] >> 10 & 15);
	for (u32 id = 1; id < FAKE_HC_ENDPOINTS; id++) {
		if (!(control[1] >> id & 1))
			continue;
		last = id;
		if (add_endpoint(input, id) != 1)
			return 5;
	}
	fake_xhci.rules += slot[0] >> 27 != last;
	fake_hc.addressed = true;
	return 1;
}

static u32 set_dequeue(u32 id, u64 pointer)
{
	if (fake_hc.ep[id].state != 2 && fake_hc.ep[id].state != 3)
		return 19; /* context state error */
	fake_xhci.rules += pointer & 14;
	fake_hc.ep[id].dequeue = pointer & ~15ull;
	fake_hc.ep[id].cycle = pointer & 1;
	fake_hc.ep[id].rung = false;
	fake_hc.ep[id].silent = false;
	return 1;
}

static u32 command(u64 parameter, u32 control, u32 *slot)
{
	u32 type = control >> 10 & 63;
	u32 id = control >> 16 & 31;

	*slot = control >> 24;
	if (type == 9) {
		fake_xhci.rules += fake_hc.slot_port != 0 || fake_hc.config == 0;
		*slot = FAKE_HC_SLOT;
		for (u32 i = 1; i <= FAKE_HC_PORTS; i++) {
			if (fake_hc.portsc[i] & 2)
				fake_hc.slot_port = i;
		}
		fake_hc.addressed = false;
		return 1;
	}
	fake_xhci.rules += *slot != FAKE_HC_SLOT || fake_hc.slot_port == 0;
	switch (type) {
	case 10:
		fake_hc.portsc[fake_hc.slot_port] &= ~2u;
		fake_hc.slot_port = 0;
		memset(fake_hc.ep, 0, sizeof(fake_hc.ep));
		return 1;
	case 11:
		return configure(parameter, true);
	case 12:
		return configure(parameter, false);
	case 13:
		fake_hc.ep[1].packet = context(parameter, 2) ? context(parameter, 2)[1] >> 16 : 0;
		return 1;
	case 14:
		if (fake_hc.ep[id].state != 2)
			return 19;
		set_state(id, 3);
		return 1;
	case 15:
		if (fake_hc.ep[id].state != 1)
			return 19;
		set_state(id, 3);
		if (fake_hc.ep[id].rung)
			event(fake_hc.ep[id].dequeue, 26u << 24,
				32 << 10 | FAKE_HC_SLOT << 24 | id << 16 | 1u);
		return 1;
	case 16:
		return set_dequeue(id, parameter);
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

static u32 device_request(const u8 *setup, u8 *data, u32 length, u32 *moved)
{
	fake_stick.ours = fake_hc.slot_port == FAKE_XHCI_PORT;
	fake_stick.super = (fake_hc.portsc[fake_hc.slot_port] >> 10 & 15) >= 4;
	return fake_stick_request(setup, data, length, moved);
}

static void control_transfer(void)
{
	struct fake_endpoint *e = &fake_hc.ep[1];
	u8 setup[8];
	u32 trb[4];
	u32 moved = 0;
	u32 code = 0;
	u32 length = 0;

	while (e->state == 1 && fetch(&e->dequeue, &e->cycle, trb)) {
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
				code = device_request(setup, NULL, 0, &moved);
		} else if (type == 3) {
			u64 bus = trb[0] | (u64)trb[1] << 32;
			u8 *data = memory(bus, trb[2] & 0x1ffff);

			fake_xhci.rules += (trb[2] & 0x1ffff) != length ||
					   bus / 65536 != (bus + length - 1) / 65536;
			code = device_request(setup, data, length, &moved);
		} else {
			fake_xhci.rules += type != 4 || !(trb[3] & 32);
			fake_xhci.rules += !!(trb[3] & 0x10000) == (length && setup[0] & 0x80);
		}
		if (code == 6)
			set_state(1, 2);
		else
			e->dequeue += 16;
		if (code == 6 || type == 4)
			event(at, code << 24, 32 << 10 | FAKE_HC_SLOT << 24 | 1 << 16);
	}
}

/* --- bulk transfers --- */

static void transfer_event(u32 id, u64 at, u32 code, u32 left)
{
	event(at, code << 24 | left, 32 << 10 | FAKE_HC_SLOT << 24 | id << 16);
}

/* Carries out a TD of the endpoint. Its TRBs are parts of one transfer. */
static void transfer(u32 id, enum fake_xhci_act act)
{
	struct fake_endpoint *e = &fake_hc.ep[id];
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
	transfer_event(id, at, code, left);
}

static void unplug(void)
{
	u32 *port = &fake_hc.portsc[FAKE_XHCI_PORT];

	*port = (*port & ~3u) | 1 | 1u << 17;
	fake_stick.stage = STICK_COMMAND;
	event(FAKE_XHCI_PORT << 24, 1u << 24, 34 << 10);
}

/* What goes wrong at the endpoint. */
static bool wrong(u32 id, enum fake_xhci_act act)
{
	u64 at = fake_hc.ep[id].dequeue;

	switch (act) {
	case FAKE_XHCI_STALL:
	case FAKE_XHCI_ERROR:
		set_state(id, 2);
		if (act == FAKE_XHCI_STALL && fake_stick.stage == STICK_DATA) {
			fake_stick.stage = STICK_STATUS;
			fake_stick.halted[id & 1] = true;
		}
		fake_hc.ep[id].rung = false;
		transfer_event(id, at, act == FAKE_XHCI_STALL ? 6 : 4, 0);
		return true;
	case FAKE_XHCI_STRAY:
		transfer_event(id, at + 16 * 5, 1, 0);
		transfer_event(
			7 - id, fake_hc.ep[7 - id].dequeue - 16, 1, 0); /* the other's last */
		event(at, 1u << 24, 32 << 10 | (FAKE_HC_SLOT + 1) << 24 | id << 16);
		event(at, 1u << 24, 33 << 10 | FAKE_HC_SLOT << 24);
		return false;
	case FAKE_XHCI_SILENT:
		fake_hc.ep[id].silent = true;
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

bool fake_xhci_step(enum fake_xhci_act act)
{
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
	for (u32 id = 2; id < FAKE_HC_ENDPOINTS; id++) {
		struct fake_endpoint *e = &fake_hc.ep[id];
		u32 trb[4];
		u64 at = e->dequeue;
		u32 cycle = e->cycle;

		if (!(fake_hc.cmd & 1) || e->state != 1 || !e->rung || e->silent ||
			!fetch(&at, &cycle, trb))
			continue;
		if (!wrong(id, act))
			transfer(id, act);
		return true;
	}
	return false;
}

void fake_hc_doorbell(u32 slot, u32 value)
{
	if (slot == 0) {
		commands();
		return;
	}
	if (slot != FAKE_HC_SLOT || value == 0 || value >= FAKE_HC_ENDPOINTS ||
		fake_hc.ep[value].state == 0) {
		fake_xhci.rules++;
		return;
	}
	if (fake_hc.ep[value].state == 3)
		set_state(value, 1);
	fake_hc.ep[value].rung = true;
	if (value == 1)
		control_transfer();
}
