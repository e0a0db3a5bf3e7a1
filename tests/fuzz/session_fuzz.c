/*
 * Fuzzes the server side of the block and net protocols, and the switch's side towards a driver:
 * the input is what a hostile peer does to its session, word by word, between turns of the server.
 * At the end an honest client of the same server must still be served.
 */
#include <string.h>

#include "drivers/ramdisk/disk.h"
#include "drivers/switch/switch.h"
#include "tests/fuzz/fuzz.h"

#define SECTORS   64u
#define BYTES     (SECTORS * 512u)
#define SLOT      2048u
#define HZ        1000000000ull
#define STEPS_MAX 400

/* One act of the peer's; the input is an array of these. */
struct act {
	u8 kind;   /* enum act_kind + KINDS * which session */
	u8 width;  /* bytes that are written, 1, 2, 4 or 8 */
	u16 place; /* of a word in the session's header, or of its data */
	u32 value;
	u32 high;
};
static_assert(sizeof(struct act) == 12);

enum act_kind {
	WRITE_HEADER,
	WRITE_DATA,
	WRITE_ENTRY, /* a plausible entry, at the place that comes next */
	PUBLISH,     /* adds to an index */
	HELLO,
	TURN,
	KINDS,
};

enum {
	DISK,
	PORT,
	UPLINK,
	SESSIONS
};

static union {
	struct block_session block;
	struct net_session net;
	u8 space[BLOCK_SESSION_SIZE];
} session[SESSIONS], honest[2];

static_assert(NET_SESSION_SIZE <= BLOCK_SESSION_SIZE);

static struct disk disk[2];
static struct volume volume[2];
static struct switch_state state;
static u64 volume_memory[2][131072 / 8];
static const struct port_config port[3] = {
	{.phandle = 1, .vlan = 10}, {.phandle = 9, .backend = 8}, {.phandle = 2, .vlan = 10}};

void check_failed(const char *file, int line, const char *what);
void check_failed(const char *file, int line, const char *what)
{
	(void)file;
	(void)line;
	(void)what;
	abort();
}

static void reset(void)
{
	require(sizeof(volume_memory[0]) >= volume_state_bytes(BYTES, BYTES));
	for (u32 i = 0; i < SESSIONS; i++)
		memset(&session[i], 0, BLOCK_DATA);
	memset(volume_memory, 0, sizeof(volume_memory));
	for (u32 i = 0; i < 2; i++) {
		memset(&honest[i], 0, BLOCK_DATA);
		volume[i] = (struct volume){.bytes = BYTES};
		volume_attach(&volume[i], volume_memory[i], BYTES);
	}
	disk_start(&disk[0], &session[DISK], BLOCK_SESSION_SIZE, &volume[0], "hostile");
	disk_start(&disk[1], &honest[0], BLOCK_SESSION_SIZE, &volume[1], "honest");
	switch_init(&state, 1, HZ);
	require(switch_add(&state, &port[0], &session[PORT], NET_SESSION_SIZE, 1));
	require(switch_add(&state, &port[1], &session[UPLINK], NET_SESSION_SIZE, 1));
	require(switch_add(&state, &port[2], &honest[1], NET_SESSION_SIZE, 1));
	session[UPLINK].net.epochs.server = epoch_pair(1, 0);
}

static void turn(void)
{
	static u64 now;

	disk_turn(&disk[0]);
	disk_turn(&disk[1]);
	switch_round(&state, now += 1000);
	require(disk[0].end.under_way <= BLOCK_QUEUE);
}

static void hello(u32 to, u32 number)
{
	if (to == UPLINK)
		session[UPLINK].net.epochs.server = epoch_pair(
			(u32)(session[UPLINK].net.epochs.client), state.port[1].end.epoch.own);
	else
		session[to].net.epochs.client = epoch_pair(
			number, to == DISK ? disk[0].end.epoch.own : state.port[0].end.epoch.own);
}

/* An entry that gets far, but for what the input says. */
static void write_entry(u32 to, const struct act *a)
{
	if (to == DISK) {
		struct block_session *s = &session[DISK].block;

		s->request[s->requests.head % BLOCK_QUEUE] = (struct block_request){
			.id = a->high,
			.op = (u8)(a->place % 6),
			.flags = (u8)(a->place >> 13),
			.pieces = a->place >> 8 & 7 ? 1 : 2,
			.sector = a->value % (SECTORS + 1),
			.sectors = 1 + a->high % 20,
			.piece = {{.length = (1 + a->high % 20) * 512, .offset = a->value & ~3u}},
		};
	} else if (to == PORT) {
		struct net_session *s = &session[PORT].net;
		struct net_piece p = {.offset = a->value % NET_DATA_SIZE,
			.length = a->high % 70000,
			.flags = a->place & 1};

		s->transmit[s->transmit_queue.head % NET_QUEUE] = p;
		p.flags = 0;
		s->free[s->free_queue.head % NET_QUEUE] = p;
	} else {
		struct net_session *s = &session[UPLINK].net;

		s->received[s->received_queue.head % NET_QUEUE] =
			(struct net_received){a->high % (SLOT + 2), a->place & 1};
	}
}

static void publish(u32 to, const struct act *a)
{
	u32 *const index[SESSIONS][2] = {
		{&session[DISK].block.requests.head, &session[DISK].block.completions.tail},
		{&session[PORT].net.transmit_queue.head, &session[PORT].net.free_queue.head},
		{&session[UPLINK].net.received_queue.head,
			&session[UPLINK].net.transmit_queue.tail},
	};

	*index[to][a->place % 2] += a->value % 4;
}

static void act(const struct act *a)
{
	u32 to = a->kind / KINDS % SESSIONS;
	u32 width = 1u << a->width % 4;
	u64 value = (u64)a->high << 32 | a->value;
	u8 *at = session[to].space;

	switch (a->kind % KINDS) {
	case WRITE_HEADER:
		memcpy(at + (size_t)a->place % (BLOCK_DATA / 8) * 8, &value, width);
		break;
	case WRITE_DATA: /* in the first pages, where frames of short inputs lie */
		memcpy(at + (to == DISK ? BLOCK_DATA : NET_DATA) + a->place % 4096u, &value, width);
		break;
	case WRITE_ENTRY:
		write_entry(to, a);
		break;
	case PUBLISH:
		publish(to, a);
		break;
	case HELLO:
		hello(to, a->value);
		break;
	default:
		turn();
	}
}

/* The other clients of the same servers get what they ask for. */
static void check_honest(void)
{
	static const u8 frame[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 6};
	struct block_end b = block_open(&honest[0], BLOCK_SESSION_SIZE);
	struct net_end n = net_open(&honest[1], NET_SESSION_SIZE);
	struct block_request r = {.op = BLOCK_WRITE, .sectors = 1, .pieces = 1};
	struct net_piece p = {.length = sizeof(struct net_header) + sizeof(frame)};
	struct block_completion got;
	bool signal = false;
	bool broken;

	block_client_start(&b);
	net_client_start(&n);
	for (int i = 0; i < 3; i++) {
		block_client_look(&b, &signal);
		net_client_look(&n, 0, &signal);
		turn();
	}
	r.piece[0].length = 512;
	require(block_send(&b, &r, &signal));
	memset(n.data, 0, sizeof(struct net_header));
	memcpy(n.data + sizeof(struct net_header), frame, sizeof(frame));
	require(net_send(&n, &p, 1, &signal));
	for (int i = 0; i < 3; i++)
		turn();
	require(block_answer_take(&b, &got, &broken) && got.status == BLOCK_OK);
	require(net_transmitting(&n) == 0 && honest[1].net.server.errors == 0);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct act a;

	reset();
	for (u32 i = 0; i < SESSIONS; i++)
		hello(i, 1);
	turn();
	session[UPLINK].net.epochs.server =
		epoch_pair((u32)session[UPLINK].net.epochs.client, state.port[1].end.epoch.own);
	turn();
	for (u32 i = 0; i < STEPS_MAX && (i + 1) * sizeof(a) <= size; i++) {
		memcpy(&a, data + i * sizeof(a), sizeof(a));
		act(&a);
		fuzz_operations++;
	}
	turn();
	check_honest();
	return 0;
}
