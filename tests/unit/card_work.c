/* A network card's driver at work: see card_work.h. */
#include <string.h>

#include "tests/unit/card_work.h"

/* So that the bounce memory lies where the fake has its bus address. */
#define SESSION_SKIP (BLOCK_DATA - NET_DATA)
#define SLOT         2048u
#define SLOTS_BYTES  ((u64)NET_QUEUE * SLOT)
#define NUMBER_AT    14u
#define KIND_AT      18u
#define CSUM_START   34u
#define CSUM_FIELD   16u
#define CSUM_AT      (CSUM_START + CSUM_FIELD)
#define HEADER       ((u32)sizeof(struct net_header))

static void frame_make(u8 *frame, u32 bytes, u32 number, bool csum)
{
	for (u32 i = 0; i < bytes; i++)
		frame[i] = (u8)(number * 7 + i * 3);
	memcpy(frame + NUMBER_AT, &number, sizeof(number));
	frame[KIND_AT] = csum;
}

/* Ones' complement sum of the words behind the network header and of the pseudo header's, which
 * was in the field before: 0xffff when it was finished. */
static u32 sum_of(const u8 *frame, u32 bytes, const u8 before[2])
{
	u64 sum = (u64)before[0] << 8 | before[1];

	for (u32 i = CSUM_START; i < bytes; i++)
		sum += (i - CSUM_START) % 2 ? frame[i] : (u32)frame[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (u32)sum;
}

/* True if it is a frame as it was made, of number `least` or later; *least is set behind it. */
static bool frame_good(const u8 *frame, u32 bytes, u32 *least)
{
	u8 expected[WORK_FRAME_MAX];
	u32 number;
	bool csum;

	if (bytes < WORK_FRAME_MIN || bytes > WORK_FRAME_MAX)
		return false;
	memcpy(&number, frame + NUMBER_AT, sizeof(number));
	csum = frame[KIND_AT] == 1;
	frame_make(expected, bytes, number, csum);
	if (csum) {
		if (sum_of(frame, bytes, expected + CSUM_AT) != 0xffff)
			return false;
		memcpy(expected + CSUM_AT, frame + CSUM_AT, 2);
	}
	if (number - *least >= BIT(31) || memcmp(frame, expected, bytes) != 0)
		return false;
	*least = number + 1;
	return true;
}

bool card_work_start(struct card_work *w, const struct card_driver *driver)
{
	u8 *memory = fake_session(0) + SESSION_SKIP;

	memset(w, 0, sizeof(*w));
	memset(memory, 0, FAKE_SESSION_SIZE - SESSION_SKIP);
	w->driver = driver;
	fake_device_memory(&w->device);
	if (!driver->open(&w->device, &w->facts) || !card_facts_ok(&w->facts))
		return false;
	card_server_init(&w->server, &w->facts, &driver->operations, memory,
		FAKE_SESSION_SIZE - SESSION_SKIP, fake_session_bus(0));
	w->client = net_open(memory, FAKE_SESSION_SIZE - SESSION_SKIP);
	net_client_start(&w->client);
	return driver->operations.start(0);
}

void card_work_reset(struct card_work *w)
{
	if (w->dead)
		return;
	w->resets++;
	w->dead = !card_server_again(&w->server);
}

void card_work_turn(struct card_work *w)
{
	u64 bits = fake_device.interrupts;

	if (w->dead)
		return;
	w->now++;
	fake_device.interrupts = 0;
	for (u32 i = 0; i < 3 && !w->dead && !w->driver->poll(&w->server, i ? 0 : bits); i++)
		card_work_reset(w);
	if (w->dead)
		return;
	card_server_round(&w->server, w->now);
	w->dead = w->server.failed;
	w->driver->kick();
}

/* The slot of the entry at index `at` of `free`. */
static u64 slot_free(u32 at)
{
	return SLOTS_BYTES + (u64)(at % NET_QUEUE) * SLOT;
}

static bool post(struct card_work *w)
{
	struct net_piece piece = {.offset = slot_free(w->client.free), .length = SLOT};

	return net_post(&w->client, piece);
}

static void take_received(struct card_work *w)
{
	bool broken;
	u32 waiting = net_received_waiting(&w->client, &broken);

	w->damaged += broken;
	for (u32 i = 0; i < waiting; i++) {
		struct net_received r = net_received_at(&w->client, 0);
		const u8 *at = w->client.data + slot_free(w->client.received + w->shift);

		if (r.length < HEADER + NET_FRAME_MIN && r.flags == 0)
			w->empty++;
		else if (r.length > SLOT || r.flags != 0 ||
			 !frame_good(at + HEADER, r.length - HEADER, &w->next_got))
			w->wrong++;
		else
			w->got++;
		net_received_done(&w->client, 1);
		post(w);
	}
}

void card_work_client(struct card_work *w)
{
	enum epoch_state state;
	bool signal = false;

	do {
		state = net_client_look(&w->client, NET_TAKES_ALL, &signal);
		if (state == EPOCH_ANSWERED) {
			w->shift = w->client.free - w->client.received;
			while (post(w))
				;
		}
	} while (state == EPOCH_LOST);
	take_received(w);
}

void card_work_restart(struct card_work *w)
{
	w->client = net_open(w->client.session, FAKE_SESSION_SIZE - SESSION_SKIP);
	net_client_start(&w->client);
}

bool card_work_send(struct card_work *w, u32 bytes, u32 pieces, bool csum)
{
	struct net_header header = {0};
	struct net_piece piece[CARD_PIECES];
	u8 whole[HEADER + WORK_FRAME_MAX];
	u32 done = 0;
	bool signal = false;

	csum = csum && w->client.takes & NET_TAKES_CSUM;
	if (NET_QUEUE - net_transmitting(&w->client) < pieces)
		return false;
	if (csum)
		header = (struct net_header){.flags = NET_NEEDS_CSUM,
			.csum_start = CSUM_START,
			.csum_offset = CSUM_FIELD};
	memcpy(whole, &header, HEADER);
	frame_make(whole + HEADER, bytes, w->next_sent, csum);
	for (u32 i = 0; i < pieces; i++) {
		u32 part = i + 1 == pieces ? HEADER + bytes - done : (HEADER + bytes) / pieces;
		u64 at = (u64)((w->client.transmit + i) % NET_QUEUE) * SLOT;

		memcpy(w->client.data + at, whole + done, part);
		piece[i] = (struct net_piece){.offset = at, .length = part};
		done += part;
	}
	w->next_sent++;
	return net_send(&w->client, piece, pieces, &signal);
}

void card_work_out(struct card_work *w, const u8 *frame, u32 bytes)
{
	if (frame_good(frame, bytes, &w->next_out))
		w->out++;
	else
		w->wrong++;
}

void card_work_in(struct card_work *w, u8 frame[WORK_FRAME_MAX], u32 bytes)
{
	frame_make(frame, bytes, w->next_in++, false);
}
