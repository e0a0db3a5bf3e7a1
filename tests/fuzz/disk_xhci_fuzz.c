/*
 * Fuzzes the driver of USB disks and keyboards: see disk_fuzz.h. Beside the disk there are hubs and
 * keyboards, that are plugged, pulled, and do not keep the rules. Where the driver waits, they
 * work.
 */
#include "drivers/xhci/xhci.h"
#include "tests/fuzz/disk_fuzz.h"
#include "tests/unit/fake_loop.h"
#include "tests/unit/fake_usb.h"
#include "tests/unit/fake_xhci_hc.h"

#define LONG_US 6000000u /* a driver that finds no disk would wait for ever */
#define OTHERS  256u     /* kinds of steps that are of what is around the disk */

static u64 worked; /* when the disk last had something to do */
static u32 shape;  /* of the input's first byte */

static void meanwhile(void)
{
	if (fake_xhci_step(FAKE_XHCI_GOOD))
		worked = fake_device.waited;
	if (fake_device.waited - worked <= LONG_US)
		return;
	fake_xhci_step(FAKE_XHCI_FATAL);
	worked = fake_device.waited;
}

/* A place where nothing is: of the root hub, or of a hub. */
static void plug(u32 n)
{
	static const enum fake_usb_kind kinds[] = {FAKE_KEYBOARD, FAKE_HUB, FAKE_OTHER, FAKE_STICK};
	u32 parent = n % 4 ? n % FAKE_USB_DEVICES : 0;
	u32 port = 1 + n / 4 % 4;
	u32 speed = 1 + n / 16 % 4;
	u32 count = 0;

	for (u32 i = 1; i < FAKE_USB_DEVICES; i++)
		count += fake_usb[i].kind != FAKE_NONE;
	if (count > FAKE_USB_DEVICES / 2 || fake_usb_at(parent, port) ||
		(parent && fake_usb[parent].kind != FAKE_HUB))
		return;
	/* another stick is one more like the first, and shares its state */
	fake_usb_plug(kinds[n % 13 ? n / 2 % 3 : 3], parent, port, speed);
}

/* Device `n`, or what is nearest behind it. */
static u32 device(u32 n)
{
	for (u32 i = 0; i < FAKE_USB_DEVICES; i++) {
		u32 k = (n + i) % FAKE_USB_DEVICES;

		if (fake_usb[k].kind != FAKE_NONE)
			return k;
	}
	return 0;
}

static bool step(u32 kind)
{
	u32 n = kind < FAKE_XHCI_ACTS ? 0 : (kind - FAKE_XHCI_ACTS) / 8;
	u32 i = device(n);
	struct fake_usb *d = &fake_usb[i];

	if (kind < FAKE_XHCI_ACTS)
		return fake_xhci_step((enum fake_xhci_act)kind);
	if (i == 0)
		return false;
	switch (kind % 8) {
	case 0:
		plug((u32)random());
		break;
	case 1:
		if (d->kind != FAKE_STICK || n % 2)
			fake_usb_pull(i);
		break;
	case 2:
		d->mute = !d->mute;
		break;
	case 3:
		d->stalls = n;
		break;
	case 4:
		d->config[(u32)random() % d->config_size] = (u8)random();
		break;
	case 5:
		d->halted = true;
		d->hub_port[n % 16].change ^= (u16)random();
		break;
	case 6:
		d->hub_port[n % 16].status ^= (u16)random();
		d->ports = n % 7 ? d->ports : (u32)random() % 256;
		d->ports = d->kind == FAKE_HUB && d->ports > 15 ? 15 : d->ports;
		break;
	default:
		fake_usb_report(i, (u8)random(), (u8)random(), (u8)random());
		fake_device.waited += 10000;
	}
	return true;
}

/* The disk alone, at the root hub. */
static void alone(void)
{
	memset(fake_usb, 0, sizeof(fake_usb));
	for (u32 i = 1; i <= FAKE_HC_PORTS; i++)
		fake_hc_connect(i, 0);
	for (u32 i = 1; i <= FAKE_HC_SLOTS; i++)
		fake_hc.slot[i].device = 0;
	fake_usb_plug(FAKE_STICK, 0, FAKE_XHCI_PORT, shape & 1 ? 4 : shape & 2 ? 3 : 1);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static const u32 no_rules; /* of a bus that changes under them */
	u32 hub;

	if (size < 2)
		return 0;
	shape = data[0];
	fake_xhci_init(shape & 1 ? 4 : shape & 2 ? 3 : 1);
	fake_xhci.wide_contexts = shape & 4;
	fake_xhci.no_cache = shape & 8;
	fake_device.idle = meanwhile;
	memset(&fake_loop, 0, sizeof(fake_loop));
	fake_loop.keyboard = shape & 16;
	worked = 0;
	heal = alone;
	if (shape & 32) {
		hub = fake_usb_plug(FAKE_HUB, 0, 2, shape & 64 ? 3 : 1);
		fake_usb_plug(FAKE_KEYBOARD, hub, 1, 2);
		hub = fake_usb_plug(FAKE_HUB, hub, 3, 1);
		fake_usb_plug(FAKE_KEYBOARD, hub, 2, 1);
	}
	if (shape & 32)
		run(data + 1, size - 1, &xhci_driver, step, FAKE_XHCI_ACTS + OTHERS, &no_rules);
	else
		run(data + 1, size - 1, &xhci_driver, step, FAKE_XHCI_ACTS, &fake_xhci.rules);
	return 0;
}
