/* What is connected to an xHCI controller: see bus.h. */
#include "drivers/xhci/bus.h"
#include "drivers/xhci/setup.h"

#define SETTLE_US     100000u /* USB 2.0, 7.1.7.3 */
#define ALLOWED_US    4000000u
#define CALM_US       10000000u
#define RESTLESS_MOST 9u /* 51 s */
#define TRIES_MOST    4u

/* From now on devices have so long to answer, in all. */
static void allow_time(struct bus *b)
{
	b->xhci->until = bus_time(b) + ALLOWED_US;
}

static struct bus_port *port_of(struct bus *b, u32 parent, u32 port)
{
	return parent == BUS_ROOT ? &b->root[port - 1] : &b->device[parent].ports[port - 1];
}

/* --- removing --- */

static void remove_one(struct bus *b, u32 i)
{
	struct bus_device *d = &b->device[i];

	if (d->kind == DEVICE_KEYBOARD)
		report_end(&d->keys.report, b->key);
	if (d->kind == DEVICE_DISK) {
		b->storage->device = NULL;
		b->storage->ready = false;
	}
	d->kind = DEVICE_NONE;
	usb_release(&b->xhci->usb[i]);
	b->full = false;
}

/* A device, and what is behind it: hubs stand in a tree, for each was made after its parent. */
static void remove_device(struct bus *b, u32 i)
{
	bool gone[XHCI_DEVICES] = {false};
	bool more = true;

	gone[i] = true;
	while (more) {
		more = false;
		for (u32 k = 0; k < XHCI_DEVICES; k++) {
			const struct bus_device *d = &b->device[k];

			if (gone[k] || d->kind == DEVICE_NONE || d->parent == BUS_ROOT ||
				!gone[d->parent])
				continue;
			gone[k] = more = true;
		}
	}
	for (u32 k = 0; k < XHCI_DEVICES; k++) {
		if (gone[k])
			remove_one(b, k);
	}
}

/* The port failed or changed: it is left in peace for a while, longer each time. */
static void settle(struct bus *b, struct bus_port *p)
{
	u64 now = bus_time(b);

	if (now - p->since > CALM_US)
		p->restless = p->tries = 0;
	p->state = PORT_SETTLES;
	p->since = now;
	p->due = now + ((u64)SETTLE_US << p->restless);
	if (p->restless < RESTLESS_MOST)
		p->restless++;
}

/* A device does not work: it is tried again some times. */
static void drop(struct bus *b, u32 i)
{
	struct bus_port *p = port_of(b, b->device[i].parent, b->device[i].port);

	usb_log(&b->xhci->usb[i], "it does not work");
	remove_device(b, i);
	settle(b, p);
	if (++p->tries > TRIES_MOST)
		p->state = PORT_LEFT;
}

/* --- setting up --- */

static u32 free_device(const struct bus *b)
{
	u32 i = 0;

	while (i < XHCI_DEVICES && b->device[i].kind != DEVICE_NONE)
		i++;
	return i;
}

static void set_up(struct bus *b, u32 parent, u32 port)
{
	struct bus_port *p = port_of(b, parent, port);
	struct xhci *x = b->xhci;
	u32 i = free_device(b);
	enum setup o;

	p->state = PORT_LEFT;
	if (i >= x->slots) {
		if (!b->full)
			device_log(x->device, "more than %u devices: the rest is not used", i);
		b->full = true;
		return;
	}
	allow_time(b);
	o = setup_device(b, i, parent, port);
	allow_time(b);
	if (o == SETUP_USED) {
		p->state = PORT_USED;
		p->device = (u8)i;
		return;
	}
	if (o == SETUP_FAILED && p->tries < TRIES_MOST) {
		p->tries++;
		settle(b, p);
	} else if (o == SETUP_FAILED) {
		usb_log(&x->usb[i], "what is there does not work");
	}
	usb_release(&x->usb[i]);
}

/* --- ports --- */

/* Looks at a port that has `changed`, or is due. With *may a device may be set up, which is cleared
 * then. */
static void look(struct bus *b, u32 parent, u32 port, const struct hub_port *state, bool *may)
{
	struct bus_port *p = port_of(b, parent, port);
	bool changed = state->changed;

	if (p->state == PORT_USED && (changed || !state->connected)) {
		usb_log(&b->xhci->usb[p->device], "pulled out");
		remove_device(b, p->device);
		changed = true;
	}
	if (!state->connected) {
		p->state = PORT_EMPTY;
	} else if (changed || p->state == PORT_EMPTY) {
		p->tries = 0;
		settle(b, p);
	} else if (*may && p->state == PORT_SETTLES && bus_time(b) >= p->due) {
		*may = false;
		set_up(b, parent, port);
	}
}

static bool is_due(const struct bus *b, const struct bus_port *p)
{
	return p->state == PORT_SETTLES && bus_time(b) >= p->due;
}

static void look_at_root(struct bus *b, bool *may)
{
	for (u32 port = 1; port <= b->xhci->ports; port++) {
		struct hub_port state = {.changed = xhci_port_changed(b->xhci, port)};

		if (!state.changed && !(*may && is_due(b, &b->root[port - 1])))
			continue;
		state.connected = xhci_port_connected(b->xhci, port);
		look(b, BUS_ROOT, port, &state, may);
	}
}

static bool look_at_hub(struct bus *b, u32 i, bool *may)
{
	struct bus_device *d = &b->device[i];
	struct hub_port state;

	if (!hub_turn(&d->hub, bus_time(b)))
		return false;
	for (u32 port = 1; port <= d->hub.facts.ports; port++) {
		if (!(d->hub.changed >> port & 1) && !(*may && is_due(b, &d->ports[port - 1])))
			continue;
		d->hub.changed &= ~(1u << port);
		if (!hub_port_read(&d->hub, port, &state))
			return false;
		look(b, i, port, &state, may);
	}
	return true;
}

static bool turn(struct bus *b, u32 i, bool *may)
{
	struct bus_device *d = &b->device[i];

	switch (d->kind) {
	case DEVICE_HUB:
		return look_at_hub(b, i, may);
	case DEVICE_KEYBOARD:
		return keys_turn(&d->keys, bus_time(b), *b->leds, b->key);
	case DEVICE_DISK:
		return storage_turn(b->storage, bus_time(b));
	default:
		return true;
	}
}

/* --- the bus --- */

bool bus_open(struct bus *b, struct xhci *x)
{
	b->xhci = x;
	b->page = device_alloc(x->device, PAGE_SIZE, PAGE_SIZE, &b->page_bus);
	bus_clear(b);
	return b->page;
}

void bus_clear(struct bus *b)
{
	for (u32 i = 0; i < XHCI_DEVICES; i++) {
		if (b->device[i].kind == DEVICE_KEYBOARD)
			report_end(&b->device[i].keys.report, b->key);
		b->device[i].kind = DEVICE_NONE;
	}
	if (b->storage) {
		b->storage->device = NULL;
		b->storage->ready = false;
	}
	memset(b->root, 0, sizeof(b->root));
	b->full = false;
}

/* A turn that has taken long ends, for the program has other work; the next begins with the devices
 * that had no turn. */
void bus_turn(struct bus *b)
{
	u64 began = bus_time(b);
	u32 first = b->next;
	bool may = true;

	look_at_root(b, &may);
	for (u32 n = 0; n < XHCI_DEVICES && bus_time(b) - began < ALLOWED_US; n++) {
		u32 i = (first + n) % XHCI_DEVICES;

		b->next = (i + 1) % XHCI_DEVICES;
		if (b->device[i].kind == DEVICE_NONE || b->xhci->usb[i].gone || b->xhci->lost)
			continue;
		allow_time(b);
		if (!turn(b, i, &may))
			drop(b, i);
	}
	b->xhci->until = 0;
}

/* True if something has happened that bus_turn has not seen yet, while it waited. */
static bool waits(const struct bus *b)
{
	const struct xhci *x = b->xhci;

	for (u32 port = 1; port <= x->ports; port++) {
		if (x->changed[port / 8] >> port % 8 & 1)
			return true;
	}
	for (u32 i = 0; i < XHCI_DEVICES; i++) {
		const struct xhci_endpoint *e = x->usb[i].endpoint;

		if (b->device[i].kind != DEVICE_NONE && !x->usb[i].gone &&
			(e[USB_IN].ended || e[USB_OUT].ended))
			return true;
	}
	return false;
}

static u64 sooner(u64 a, u64 b)
{
	return a < b ? a : b;
}

static u64 due_of(const struct bus_port *ports, u32 count, u64 due)
{
	for (u32 i = 0; i < count; i++) {
		if (ports[i].state == PORT_SETTLES)
			due = sooner(due, ports[i].due);
	}
	return due;
}

u64 bus_due(const struct bus *b)
{
	u64 due = due_of(b->root, b->xhci->ports, ~0ull);
	u64 now = bus_time(b);

	if (waits(b))
		return 0;
	for (u32 i = 0; i < XHCI_DEVICES; i++) {
		const struct bus_device *d = &b->device[i];

		if (d->kind == DEVICE_HUB) {
			due = sooner(due, hub_due(&d->hub));
			due = due_of(d->ports, d->hub.facts.ports, due);
		} else if (d->kind == DEVICE_KEYBOARD) {
			due = sooner(due, keys_due(&d->keys));
		} else if (d->kind == DEVICE_DISK && !b->storage->ready) {
			due = sooner(due, b->storage->again);
		}
	}
	if (due == ~0ull)
		return due;
	return due > now ? due - now : 0;
}

void bus_keyboards(struct bus *b)
{
	u64 now = bus_time(b);

	for (u32 i = 0; i < XHCI_DEVICES; i++) {
		if (b->device[i].kind == DEVICE_KEYBOARD)
			keys_listen(&b->device[i].keys, now, b->key);
	}
}

static u32 disk_of(const struct bus *b)
{
	u32 i = 0;

	while (i < XHCI_DEVICES && b->device[i].kind != DEVICE_DISK)
		i++;
	return i;
}

/* Removes the disk; what is at its port is in that state then. */
static void disk_leaves(struct bus *b, u8 state)
{
	u32 i = disk_of(b);
	struct bus_port *p;

	if (i == XHCI_DEVICES)
		return;
	p = port_of(b, b->device[i].parent, b->device[i].port);
	remove_device(b, i);
	p->state = state;
	p->due = bus_time(b);
}

void bus_disk_again(struct bus *b)
{
	disk_leaves(b, PORT_SETTLES);
}

void bus_disk_leave(struct bus *b)
{
	disk_leaves(b, PORT_LEFT);
}

const u8 *bus_disk_what(const struct bus *b)
{
	return b->device[disk_of(b)].what;
}
