/* A USB keyboard: see keys.h. Sections are of HID 1.11. */
#include "drivers/xhci/keys.h"
#include "drivers/xhci/controller.h"

#define HID_SET_REPORT   0x09u /* 7.2 */
#define HID_SET_IDLE     0x0au
#define HID_SET_PROTOCOL 0x0bu
#define HID_BOOT         0u
#define HID_OUTPUT       0x200u /* report type, with ID 0 */
#define LEDS_US          1000000u
#define ERROR_US         20000u /* from an error to the next try, */
#define ERRORS_MOST      10u

bool keys_start(struct keys *k, struct usb_device *d, u8 interface)
{
	*k = (struct keys){.device = d, .interface = interface, .leds = 0};
	if (!usb_do(d, USB_CLASS_INTERFACE, HID_SET_PROTOCOL, HID_BOOT, interface))
		return false;
	/* Without it, it reports more often than needed: no reason to refuse it. */
	usb_do(d, USB_CLASS_INTERFACE, HID_SET_IDLE, 0, interface);
	return !d->gone;
}

static bool is_good(const struct xhci_endpoint *e)
{
	return e->code == XHCI_CODE_SUCCESS || e->code == XHCI_CODE_SHORT;
}

void keys_listen(struct keys *k, u64 now, report_key *tell)
{
	struct xhci_endpoint *e = &k->device->endpoint[USB_IN];
	u8 report[REPORT_BYTES];

	if (e->ended && is_good(e)) {
		e->ended = false;
		k->listening = false;
		k->errors = 0;
		memcpy(report, k->device->small, sizeof(report));
		asm volatile("" ::: "memory"); /* the copy is looked at */
		if (e->left <= e->packet && e->packet - e->left >= REPORT_BYTES)
			report_take(&k->report, report, now, tell);
	}
	if (k->listening || k->device->gone || now < k->again)
		return;
	k->listening = true;
	usb_transfer(k->device, USB_IN, k->device->small_bus, e->packet);
}

/* 7.2.2, B.1; the answer is seen to later. */
static void set_leds(struct keys *k, u64 now, u8 leds)
{
	struct usb_request r = {.type = USB_CLASS_INTERFACE,
		.request = HID_SET_REPORT,
		.value = HID_OUTPUT,
		.index = k->interface,
		.length = 1};

	k->leds = leds;
	k->leds_until = now + LEDS_US;
	k->device->small[USB_SMALL] = leds;
	usb_request(k->device, &r, k->device->small_bus + USB_SMALL);
}

static void see_to_leds(struct keys *k, u64 now, u8 leds)
{
	const struct xhci_endpoint *e = &k->device->endpoint[USB_CONTROL];

	if (k->leds_until) {
		if (usb_ended(k->device, USB_CONTROL))
			k->dark = e->code != XHCI_CODE_SUCCESS;
		else if (e->trbs == 0) /* another request has waited for its end */
			k->dark = false;
		else if (now < k->leds_until)
			return;
		else
			k->dark = true;
		k->leds_until = 0;
		if (k->dark)
			usb_clear(k->device, USB_CONTROL);
	}
	if (!k->dark && k->leds != leds)
		set_leds(k, now, leds);
}

bool keys_turn(struct keys *k, u64 now, u8 leds, report_key *tell)
{
	struct xhci_endpoint *e = &k->device->endpoint[USB_IN];

	if (e->ended && !is_good(e)) {
		if (++k->errors > ERRORS_MOST)
			return false;
		k->again = ~0ull; /* keys_listen is called while this waits */
		k->listening = false;
		if (!usb_clear_halt(k->device, USB_IN))
			return false;
		k->again = now + ERROR_US;
	}
	keys_listen(k, now, tell);
	report_repeat(&k->report, now, tell);
	see_to_leds(k, now, leds);
	return true;
}

u64 keys_due(const struct keys *k)
{
	u64 due = k->report.repeating ? k->report.due : ~0ull;

	if (!k->listening && k->again < due)
		due = k->again;
	if (k->leds_until && k->leds_until < due)
		due = k->leds_until;
	return due;
}
