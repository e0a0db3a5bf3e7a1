/* The main loop of a network card's driver: see run.h. */
#include "drivers/netcard/run.h"
#include "drivers/lib/loop.h"

#define TIMEOUT_S   5u           /* after which a frame will not be transmitted any more */
#define RESETS_MAX  3u           /* without a frame sent or received between them */
#define WILD_FIRST  0x1000000ull /* bus addresses for wild_dma: 16 MiB and on, where RAM is */
#define WILD_STEP   0x200000ull
#define WILD_PLACES 64u
#define WILD_BYTES  60u /* a frame of the least size: there is no station that it is for */

static const struct card_driver *driver;
static struct device device;
static struct card_server server;
static const struct start_resource *session;
static u64 damages; /* that root was told of */
static u32 resets;
static u64 done_at_reset;
static bool link_told;

/* What the card has done. */
static bool poll(u64 bits)
{
	bool before = server.link;

	if (!driver->poll(&server, bits))
		return false;
	if (server.link != before || !link_told)
		device_log(&device, "the link is %s", server.link ? "up" : "down");
	link_told = true;
	return true;
}

/* The card does not do what it should: it is started anew. */
static void recover(void)
{
	u64 done = server.sent + server.received;

	if (done != done_at_reset)
		resets = 0;
	done_at_reset = done;
	do {
		if (++resets > RESETS_MAX) {
			device_log(&device, "%u resets did not help: given up", RESETS_MAX);
			device_fail(&device);
		}
		device_log(&device, "it is reset");
		if (!card_server_again(&server))
			device_fail(&device);
	} while (!poll(0));
}

/* Waits for an event, or until the oldest frame is too old. */
static u64 wait(void)
{
	cycles_t timeout = TIMEOUT_S * device.info->tsc_hz;
	cycles_t deadline = TIME_NEVER;
	u64 since;
	u64 bits;

	if (card_server_oldest(&server, &since))
		deadline = since + timeout;
	bits = loop_wait(deadline);
	if (bits != 0 || deadline == TIME_NEVER || tsc_now() < deadline)
		return bits;
	/* what it has finished, but not told of, counts */
	if (!poll(0) || (card_server_oldest(&server, &since) && tsc_now() >= since + timeout)) {
		device_log(&device, "a frame was not transmitted in %u s", TIMEOUT_S);
		recover();
	}
	return 0;
}

/* Tells the client what the turn asked for. A client that is away looks when it comes back. */
static void tell(void)
{
	if (server.damages != damages) {
		damages = server.damages;
		loop_peer_broken(session->cap);
	}
	if (!server.signal)
		return;
	server.signal = false;
	sys_event_signal(session->cap, session->value);
}

/* A fault to order: the card is told to send what lies where the driver has no memory. */
static void wild_dma(u32 number)
{
	struct card_frame f = {.size = WILD_BYTES,
		.pieces = 1,
		.piece = {{WILD_FIRST + number % WILD_PLACES * WILD_STEP, WILD_BYTES}}};

	device_log(&device, "it is told to read at bus address %#lx", f.piece[0].bus);
	card_server_own(&server, &f);
	driver->kick();
}

static bool open_session(const struct start_info *info, const struct card_facts *facts)
{
	const struct start_resource *r;
	u64 bus = 0;

	for (u32 i = 0; (r = start_find(info, START_SESSION, i)) != NULL; i++) {
		if (r->role != START_SERVER || strcmp(r->protocol, "net") != 0 ||
			r->size < NET_DATA + PAGE_SIZE)
			continue;
		if (session) { /* a card has one cable */
			device_log(&device, "%s: the card is %s's", r->name, session->name);
			continue;
		}
		if (device_session(
			    &device, r, NET_DATA, ALIGN_DOWN(r->size - NET_DATA, PAGE_SIZE), &bus))
			session = r;
	}
	if (session)
		card_server_init(&server, facts, &driver->operations, (void *)session->address,
			ALIGN_DOWN(session->size, PAGE_SIZE), bus);
	return session != NULL;
}

/* A card that has no address gets one, another at each start. */
static void choose_mac(struct card_facts *f, const struct start_info *info)
{
	static const u8 none[sizeof(f->mac)];

	if (memcmp(f->mac, none, sizeof(none)) != 0)
		return;
	memcpy(f->mac, &info->seed[0], sizeof(f->mac));
	f->mac[0] = (u8)((f->mac[0] | 2) & ~1); /* locally administered, of one station */
}

int card_run(struct start_info *info, const struct card_driver *of)
{
	static const struct loop_faults faults = {.wild_dma = wild_dma};
	struct card_facts facts = {0};
	const u8 *mac = facts.mac;
	u64 bits = 0;

	driver = of;
	if (!device_open(&device, info, 0))
		return 1;
	if (!driver->open(&device, &facts))
		device_fail(&device);
	choose_mac(&facts, info);
	if (!card_facts_ok(&facts)) {
		device_log(&device, "what it says of itself makes no sense");
		device_fail(&device);
	}
	device_log(&device, "a card with the address %02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1],
		mac[2], mac[3], mac[4], mac[5]);
	if (!open_session(info, &facts)) {
		device_log(&device, "no switch that uses it: nothing to do");
		device_stop(&device);
		return 0;
	}
	if (!driver->operations.start(0))
		device_fail(&device);
	loop_open(info, &faults);
	loop_watch_device(&server.sent, &server.received);
	for (;;) {
		bool again;

		if (!poll(bits))
			recover();
		again = card_server_round(&server, tsc_now());
		if (server.failed)
			device_fail(&device);
		driver->kick();
		tell();
		bits = again ? loop_wait(0) : wait();
	}
}
