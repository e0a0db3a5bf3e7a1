/* What is plugged in: see fake_usb.h. Written from USB 2.0, 3.2 and HID 1.11, not from the driver.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/fake_usb.h"
#include "tests/unit/fake_xhci_hc.h"

struct fake_usb fake_usb[FAKE_USB_DEVICES];

u32 fake_usb_at(u32 parent, u32 port)
{
	for (u32 i = 1; i < FAKE_USB_DEVICES; i++) {
		if (fake_usb[i].kind != FAKE_NONE && fake_usb[i].parent == parent &&
			fake_usb[i].port == port)
			return i;
	}
	return 0;
}

/* Interface descriptors with an interrupt endpoint, of a hub or of a keyboard. */
static void describe(struct fake_usb *d)
{
	bool hub = d->kind == FAKE_HUB;
	u8 config[] = {9, 2, 0, 0, 1, 1, 0, 0x80, 50, 9, 4, 0, 0, 1, hub ? 9 : 3, hub ? 0 : 1,
		hub ? 0 : 1, 0, 9, 0x21, 0x11, 1, 0, 1, 0x22, 63, 0, 7, 5, 0x81, 3, 8, 0, 10, 6,
		0x30, 0, 0, 2, 0};

	config[2] = d->config_size = sizeof(config);
	if (hub)
		config[31] = 2;
	memcpy(d->config, config, sizeof(config));
}

static void connect(u32 i, bool there)
{
	struct fake_usb *d = &fake_usb[i];
	struct fake_usb_port *p;

	if (d->parent == 0) {
		fake_hc_connect(d->port, there ? d->speed : 0);
		return;
	}
	p = &fake_usb[d->parent].hub_port[d->port];
	p->status &= (u16)(fake_usb[d->parent].speed >= 4 ? ~0x3 : ~0x603);
	if (!(p->status & (fake_usb[d->parent].speed >= 4 ? 0x200 : 0x100)))
		return;
	if (there)
		p->status |= (u16)(1 | (d->speed == 2 ? 0x200 : d->speed == 3 ? 0x400 : 0));
	p->change |= 1;
}

u32 fake_usb_plug(enum fake_usb_kind kind, u32 parent, u32 port, u32 speed)
{
	u32 i = 1;

	while (i < FAKE_USB_DEVICES && fake_usb[i].kind != FAKE_NONE)
		i++;
	if (i == FAKE_USB_DEVICES)
		abort();
	fake_usb[i] = (struct fake_usb){.kind = kind,
		.parent = parent,
		.port = port,
		.speed = speed,
		.ports = 4,
		.protocol = 1,
		.idle = 125};
	describe(&fake_usb[i]);
	connect(i, true);
	return i;
}

void fake_usb_pull(u32 device)
{
	for (u32 i = 1; i < FAKE_USB_DEVICES; i++) {
		if (fake_usb[i].kind != FAKE_NONE && fake_usb[i].parent == device)
			fake_usb_pull(i);
	}
	connect(device, false);
	fake_usb[device].kind = FAKE_NONE;
	fake_hc_pulled(device);
}

void fake_usb_report(u32 device, u8 modifiers, u8 key, u8 second)
{
	struct fake_usb *d = &fake_usb[device];
	u8 report[8] = {modifiers, 0, key, second};

	if (d->count == FAKE_USB_REPORTS)
		return;
	memcpy(d->report[(d->first + d->count++) % FAKE_USB_REPORTS], report, 8);
}

u32 fake_usb_interrupt(u32 device, u8 *data, u32 size)
{
	struct fake_usb *d = &fake_usb[device];
	u32 bits = 0;

	if (d->configuration == 0 || d->mute)
		return 0;
	if (d->kind == FAKE_KEYBOARD) {
		if (d->count == 0)
			return 0;
		fake_xhci.rules += d->protocol != 0 || size < 8;
		memcpy(data, d->report[d->first], 8);
		d->first = (d->first + 1) % FAKE_USB_REPORTS;
		d->count--;
		return 8;
	}
	for (u32 port = 1; port <= d->ports; port++)
		bits |= d->hub_port[port].change ? 1u << port : 0;
	memcpy(data, &bits, 2);
	return bits ? 2 : 0;
}

static u32 hub_feature(u32 i, u32 port, u32 feature, bool set)
{
	struct fake_usb *d = &fake_usb[i];
	struct fake_usb_port *p = &d->hub_port[port];
	bool super = d->speed >= 4;
	u32 child = fake_usb_at(i, port);

	if (port == 0 || port > d->ports) {
		fake_xhci.rules++;
		return 6;
	}
	switch (feature) {
	case 4:
		fake_xhci.rules += !set;
		p->change |= 16;
		if (p->status & 1)
			p->status |= 2;
		if (child)
			fake_usb[child].configuration = 0;
		return 1;
	case 8:
		fake_xhci.rules += !set;
		if (!(p->status & (super ? 0x200 : 0x100))) {
			p->status |= super ? 0x200 : 0x100;
			if (child)
				connect(child, true);
		}
		return 1;
	case 16:
	case 17:
	case 18:
	case 19:
	case 20:
		fake_xhci.rules += set || (super && feature != 16 && feature < 19);
		p->change &= (u16) ~(1u << (feature - 16));
		return 1;
	default:
		fake_xhci.rules += !super;
		return 6;
	}
}

static u32 hub_request(u32 i, const u8 *setup, u8 *data, u32 length, u32 *moved)
{
	struct fake_usb *d = &fake_usb[i];
	bool super = d->speed >= 4;
	u8 descriptor[12] = {super ? 12 : 9, super ? 0x2a : 0x29, (u8)d->ports, 0x20, 0, 50};
	u32 port = setup[4];

	switch (setup[0] << 8 | setup[1]) {
	case 0xa006:
		fake_xhci.rules += setup[3] != descriptor[1] || d->configuration == 0;
		*moved = length < descriptor[0] ? length : descriptor[0];
		memcpy(data, descriptor, *moved);
		return 1;
	case 0xa300:
		if (port == 0 || port > d->ports || length != 4)
			return 6;
		memcpy(data, &d->hub_port[port], 4);
		*moved = 4;
		return 1;
	case 0x2301:
	case 0x2303:
		return hub_feature(i, port, setup[2], setup[1] == 3);
	case 0x200c:
		fake_xhci.rules += !super;
		d->deep = true;
		return 1;
	default:
		return 6;
	}
}

static u32 keyboard_request(struct fake_usb *d, const u8 *setup, const u8 *data, u32 length)
{
	switch (setup[0] << 8 | setup[1]) {
	case 0x2109:
		fake_xhci.rules += setup[3] != 2 || setup[2] != 0 || length != 1;
		d->leds = data ? *data : 0;
		return 1;
	case 0x210a:
		d->idle = setup[3];
		return 1;
	case 0x210b:
		d->protocol = setup[2];
		return 1;
	default:
		return 6;
	}
}

static u32 standard(struct fake_usb *d, const u8 *setup, u8 *data, u32 length, u32 *moved)
{
	u8 device[18] = {18, 1, 0, 2, d->kind == FAKE_HUB ? 9 : 0, 0, 0, d->speed >= 4 ? 9 : 64, 1,
		0, 2, 0, 0, 0, 0, 0, 0, 1};
	u32 size = setup[3] == 1 ? sizeof(device) : setup[3] == 2 ? d->config_size : 0;

	if (d->speed == 2)
		device[7] = 8;
	switch (setup[0] << 8 | setup[1]) {
	case 0x8006:
		if (size == 0 || !data)
			return 6;
		*moved = size < length ? size : length;
		memcpy(data, setup[3] == 1 ? device : d->config, *moved);
		return 1;
	case 0x0009:
		d->configuration = setup[2];
		return d->configuration == d->config[5] ? 1 : 6;
	case 0x0201:
		fake_xhci.rules += setup[4] != d->config[29];
		d->halted = false;
		return 1;
	default:
		return 0;
	}
}

u32 fake_usb_request(u32 device, const u8 *setup, u8 *data, u32 length, u32 *moved)
{
	struct fake_usb *d = &fake_usb[device];
	u32 code;

	*moved = 0;
	if (d->kind == FAKE_NONE || d->mute)
		return 4;
	if (d->stalls) {
		d->stalls--;
		return 6;
	}
	if (d->kind <= FAKE_OTHER) {
		fake_stick.ours = d->kind == FAKE_STICK;
		fake_stick.super = d->speed >= 4;
		return fake_stick_request(setup, data, length, moved);
	}
	code = standard(d, setup, data, length, moved);
	if (code)
		return code;
	if (d->kind == FAKE_HUB)
		return hub_request(device, setup, data, length, moved);
	return keyboard_request(d, setup, data, length);
}
