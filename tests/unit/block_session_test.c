/*
 * Tests of the block protocol: the server's check of every field, facts that cannot be, damaged
 * queues, and two threads that sleep and wake each other.
 */
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "drivers/protocols/block.h"
#include "tests/unit/test.h"

#define DATA  8192u
#define TOTAL 30000u

static struct block_facts facts(void)
{
	return (struct block_facts){
		.sectors = 1000,
		.block_size = 512,
		.physical_size = 4096,
		.features = BLOCK_CAN_FLUSH | BLOCK_CAN_DISCARD | BLOCK_CAN_WRITE_ZEROES,
		.max_sectors = 16,
		.max_pieces = 2,
		.max_discard = 100,
		.max_zeroes = 200,
		.discard_block = 8,
	};
}

static struct block_request request(u8 op, u64 sector, u32 sectors)
{
	struct block_request r = {.op = op, .sector = sector, .sectors = sectors};

	if (op <= BLOCK_WRITE) {
		r.pieces = 1;
		r.piece[0] = (struct block_piece){.length = sectors * 512};
	}
	return r;
}

static enum block_status check_with(struct block_facts f, struct block_request r)
{
	return block_check(&f, &r, DATA, NULL);
}

TEST(block_check_spans)
{
	struct block_facts f = facts();

	CHECK_EQ(check_with(f, request(BLOCK_READ, 0, 16)), BLOCK_OK);
	CHECK_EQ(check_with(f, request(BLOCK_READ, 0, 17)), BLOCK_RANGE);
	CHECK_EQ(check_with(f, request(BLOCK_READ, 0, 0)), BLOCK_RANGE);
	CHECK_EQ(check_with(f, request(BLOCK_WRITE, 999, 1)), BLOCK_OK);
	CHECK_EQ(check_with(f, request(BLOCK_WRITE, 999, 2)), BLOCK_RANGE);
	CHECK_EQ(check_with(f, request(BLOCK_WRITE, 1000, 1)), BLOCK_RANGE);
	CHECK_EQ(check_with(f, request(BLOCK_WRITE, ~0ull, 1)), BLOCK_RANGE);
	CHECK_EQ(check_with(f, request(BLOCK_DISCARD, 0, 100)), BLOCK_OK);
	CHECK_EQ(check_with(f, request(BLOCK_DISCARD, 0, 101)), BLOCK_RANGE);
	CHECK_EQ(check_with(f, request(BLOCK_WRITE_ZEROES, 800, 200)), BLOCK_OK);
	CHECK_EQ(check_with(f, request(BLOCK_WRITE_ZEROES, 801, 200)), BLOCK_RANGE);
	CHECK_EQ(check_with(f, request(BLOCK_FLUSH, 0, 0)), BLOCK_OK);
	CHECK_EQ(check_with(f, request(BLOCK_FLUSH, 0, 1)), BLOCK_RANGE);
	CHECK_EQ(check_with(f, request(5, 0, 1)), BLOCK_UNSUPPORTED);
	f.block_size = 4096;
	CHECK_EQ(check_with(f, request(BLOCK_READ, 8, 8)), BLOCK_OK);
	CHECK_EQ(check_with(f, request(BLOCK_READ, 4, 8)), BLOCK_RANGE);
	CHECK_EQ(check_with(f, request(BLOCK_READ, 8, 4)), BLOCK_RANGE);
}

TEST(block_check_features)
{
	struct block_facts f = facts();
	struct block_request r = request(BLOCK_WRITE, 0, 1);

	r.flags = BLOCK_FUA;
	CHECK_EQ(check_with(f, r), BLOCK_UNSUPPORTED);
	f.features |= BLOCK_CAN_FUA;
	CHECK_EQ(check_with(f, r), BLOCK_OK);
	r.flags = BLOCK_UNMAP;
	CHECK_EQ(check_with(f, r), BLOCK_UNSUPPORTED);
	r = request(BLOCK_WRITE_ZEROES, 0, 1);
	r.flags = BLOCK_UNMAP | BLOCK_FUA;
	CHECK_EQ(check_with(f, r), BLOCK_OK);
	r.flags = 4;
	CHECK_EQ(check_with(f, r), BLOCK_UNSUPPORTED);
	r = request(BLOCK_READ, 0, 1);
	r.flags = BLOCK_FUA;
	CHECK_EQ(check_with(f, r), BLOCK_UNSUPPORTED);
	f.features = BLOCK_READ_ONLY;
	CHECK_EQ(check_with(f, request(BLOCK_READ, 0, 1)), BLOCK_OK);
	CHECK_EQ(check_with(f, request(BLOCK_WRITE, 0, 1)), BLOCK_RANGE);
	CHECK_EQ(check_with(f, request(BLOCK_FLUSH, 0, 0)), BLOCK_UNSUPPORTED);
	CHECK_EQ(check_with(f, request(BLOCK_DISCARD, 0, 1)), BLOCK_UNSUPPORTED);
	CHECK_EQ(check_with(f, request(BLOCK_WRITE_ZEROES, 0, 1)), BLOCK_UNSUPPORTED);
}

TEST(block_check_pieces_of_data)
{
	struct block_facts f = facts();
	struct block_request r = request(BLOCK_READ, 0, 2);

	r.pieces = 2;
	r.piece[0] = (struct block_piece){.offset = DATA - 512, .length = 512};
	r.piece[1] = (struct block_piece){.offset = 4, .length = 512};
	CHECK_EQ(check_with(f, r), BLOCK_OK);
	r.sectors = 3; /* not their sum */
	CHECK_EQ(check_with(f, r), BLOCK_RANGE);
	r.sectors = 2;
	r.piece[0].offset = DATA - 508;
	CHECK_EQ(check_with(f, r), BLOCK_RANGE);
	r.piece[0].offset = ~0ull - 511;
	CHECK_EQ(check_with(f, r), BLOCK_RANGE);
	r.piece[0].offset = 2;
	CHECK_EQ(check_with(f, r), BLOCK_RANGE);
	r.piece[0].offset = 0;
	r.piece[0].region = 1;
	CHECK_EQ(check_with(f, r), BLOCK_RANGE);
	r.piece[0].region = 0;
	r.piece[0].length = 0;
	r.piece[1].length = 1024;
	CHECK_EQ(check_with(f, r), BLOCK_RANGE);
	r.piece[0].length = 1;
	r.piece[1].length = 1023;
	CHECK_EQ(check_with(f, r), BLOCK_RANGE);
	r = request(BLOCK_READ, 0, 2);
	r.pieces = 0;
	CHECK_EQ(check_with(f, r), BLOCK_RANGE);
	r.pieces = 3; /* more than the facts say */
	CHECK_EQ(check_with(f, r), BLOCK_RANGE);
	r.pieces = 0xffff;
	CHECK_EQ(check_with(f, r), BLOCK_RANGE);
	r = request(BLOCK_DISCARD, 0, 1);
	r.pieces = 1;
	CHECK_EQ(check_with(f, r), BLOCK_RANGE);
}

TEST(block_facts_that_cannot_be)
{
	struct block_facts f = facts();

	CHECK(block_facts_ok(&f));
#define WRONG(field, value)                                                                        \
	do {                                                                                       \
		f = facts();                                                                       \
		f.field = (value);                                                                 \
		CHECK(!block_facts_ok(&f));                                                        \
	} while (0)
	WRONG(block_size, 0);
	WRONG(block_size, 256);
	WRONG(block_size, 1000);
	WRONG(block_size, 131072);
	WRONG(physical_size, 256);
	WRONG(physical_size, 5000);
	WRONG(sectors, 0);
	WRONG(sectors, ~0ull);
	WRONG(max_sectors, 0);
	WRONG(max_pieces, 0);
	WRONG(max_pieces, BLOCK_PIECES + 1);
	WRONG(max_discard, 0);
	WRONG(discard_block, 0);
	WRONG(max_zeroes, 0);
	f = facts();
	f.block_size = 4096;
	f.sectors = 1001;
	CHECK(!block_facts_ok(&f));
}

/* Two ends in one memory. */
static union {
	struct block_session session;
	u8 space[BLOCK_SESSION_SIZE];
} shared;

static void connect_ends(struct block_end *c, struct block_end *s)
{
	bool signal = false;
	u32 hello;

	memset(&shared, 0, sizeof(shared));
	*c = block_open(&shared, sizeof(shared));
	*s = block_open(&shared, sizeof(shared));
	s->facts = facts();
	block_server_start(s);
	block_client_start(c);
	CHECK_EQ(block_client_look(c, &signal), EPOCH_HELLO);
	CHECK(signal);
	CHECK_EQ(block_server_look(s, &hello), EPOCH_HELLO);
	block_server_answer(s, hello);
	CHECK_EQ(block_client_look(c, &signal), EPOCH_ANSWERED);
	CHECK(memcmp(&c->facts, &s->facts, sizeof(c->facts)) == 0);
}

TEST(block_many_under_way)
{
	struct block_request r = request(BLOCK_READ, 0, 1);
	struct block_completion got;
	struct block_end c;
	struct block_end s;
	bool signal = false;
	bool broken;

	connect_ends(&c, &s);
	CHECK(c.data == shared.space + BLOCK_DATA && c.data_size == BLOCK_DATA_SIZE);
	for (u32 i = 0; i < BLOCK_QUEUE; i++) {
		r.id = i * 3;
		CHECK(block_send(&c, &r, &signal));
	}
	CHECK(!block_send(&c, &r, &signal));
	for (u32 i = 0; i < BLOCK_QUEUE; i++) {
		CHECK(block_take(&s, &r, &broken));
		CHECK_EQ(r.id, i * 3);
	}
	CHECK(!block_take(&s, &r, &broken) && !broken);
	for (u32 i = BLOCK_QUEUE; i-- > 0;)
		CHECK_EQ(block_answer(&s, i * 3, i % 4), i == BLOCK_QUEUE - 1);
	/* A client that sends more than may be under way is not served before it takes answers. */
	CHECK(block_send(&c, &r, &signal));
	CHECK(!block_take(&s, &r, &broken) && !broken);
	for (u32 i = BLOCK_QUEUE; i-- > 0;) {
		CHECK(block_answer_take(&c, &got, &broken));
		CHECK(got.id == i * 3 && got.status == i % 4);
	}
	CHECK(!block_answer_take(&c, &got, &broken) && !broken);
	CHECK(block_take(&s, &r, &broken));
}

/* What a request has of pieces arrives, and no more is copied than there can be. */
TEST(block_pieces_of_requests)
{
	struct block_request r = request(BLOCK_READ, 0, 1);
	struct {
		struct block_request r;
		u8 behind[64];
	} got;
	struct block_end c;
	struct block_end s;
	bool signal = false;
	bool broken;

	connect_ends(&c, &s);
	for (u32 i = 0; i < BLOCK_PIECES; i++)
		r.piece[i] = (struct block_piece){.length = 512 + i * 512, .offset = i * 4096};
	for (u32 n = 0; n <= BLOCK_PIECES + 2; n++) {
		u32 there = n < BLOCK_PIECES ? n : BLOCK_PIECES;

		memset(&shared.session.request, 0x55, sizeof(shared.session.request));
		memset(&got, 0xaa, sizeof(got));
		r.pieces = (u16)n;
		CHECK(block_send(&c, &r, &signal));
		CHECK(block_take(&s, &got.r, &broken));
		CHECK_EQ(got.r.pieces, n);
		CHECK(memcmp(got.r.piece, r.piece, there * sizeof(r.piece[0])) == 0);
		CHECK(got.behind[0] == 0xaa);
		CHECK(n <= BLOCK_PIECES || block_check(&s.facts, &got.r, 4096, NULL) != BLOCK_OK);
		block_answer(&s, r.id, BLOCK_OK);
		CHECK(block_answer_take(&c, &(struct block_completion){0}, &broken));
	}
	r.pieces = 0xffff;
	CHECK(block_send(&c, &r, &signal));
	CHECK(block_take(&s, &got.r, &broken));
	CHECK(got.behind[0] == 0xaa && block_check(&s.facts, &got.r, 4096, NULL) != BLOCK_OK);
}

TEST(block_broken_queues)
{
	struct block_request r = request(BLOCK_READ, 0, 1);
	struct block_completion got;
	struct block_end c;
	struct block_end s;
	bool signal = false;
	bool broken;
	u32 hello;

	connect_ends(&c, &s);
	shared.session.requests.head += BLOCK_QUEUE + 1;
	CHECK(!block_take(&s, &r, &broken) && broken);
	epoch_server_close(&shared.session.epochs, &s.epoch);
	CHECK(!block_take(&s, &r, &broken) && !broken);
	CHECK_EQ(block_client_look(&c, &signal), EPOCH_LOST);
	CHECK(!block_send(&c, &r, &signal));
	/* The next connection has clean queues again. */
	CHECK_EQ(block_client_look(&c, &signal), EPOCH_HELLO);
	shared.session.requests.head = c.head;
	CHECK_EQ(block_server_look(&s, &hello), EPOCH_HELLO);
	block_server_answer(&s, hello);
	CHECK_EQ(block_client_look(&c, &signal), EPOCH_ANSWERED);
	CHECK(block_send(&c, &r, &signal));
	CHECK(block_take(&s, &r, &broken));
	shared.session.completions.tail -= 1; /* as if more were held than the queue has */
	shared.session.completions.tail -= BLOCK_QUEUE;
	CHECK(!block_take(&s, &r, &broken) && broken);
	shared.session.completions.head = c.tail + BLOCK_QUEUE + 1;
	CHECK(!block_answer_take(&c, &got, &broken) && broken);
	block_client_reset(&c, &signal);
	CHECK_EQ(block_client_look(&c, &signal), EPOCH_AWAY);
}

TEST(block_server_with_bad_facts)
{
	struct block_end c;
	struct block_end s;
	bool signal = false;
	u32 hello;

	connect_ends(&c, &s);
	s.facts.block_size = 3;
	block_server_start(&s);
	CHECK_EQ(block_client_look(&c, &signal), EPOCH_LOST);
	CHECK_EQ(block_client_look(&c, &signal), EPOCH_HELLO);
	CHECK_EQ(block_server_look(&s, &hello), EPOCH_HELLO);
	block_server_answer(&s, hello);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(block_client_look(&c, &signal), EPOCH_AWAY);
	s.facts = facts();
	block_server_start(&s);
	CHECK_EQ(block_client_look(&c, &signal), EPOCH_HELLO);
}

/* An event bit: set by the peer, waited for with a limit. */
struct event {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool set;
};

static struct event to_server = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};
static struct event to_client = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};
static bool finished;
static u32 sleeps;

static void event_set(struct event *e)
{
	pthread_mutex_lock(&e->lock);
	e->set = true;
	pthread_cond_signal(&e->changed);
	pthread_mutex_unlock(&e->lock);
}

/* False: nobody set it in 20 seconds. */
static bool event_wait(struct event *e)
{
	struct timespec limit;
	bool set = true;

	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += 20;
	pthread_mutex_lock(&e->lock);
	while (!e->set && set)
		set = pthread_cond_timedwait(&e->changed, &e->lock, &limit) == 0;
	e->set = false;
	pthread_mutex_unlock(&e->lock);
	return set;
}

static void *serve(void *arg)
{
	struct block_end *s = arg;

	while (!__atomic_load_n(&finished, __ATOMIC_ACQUIRE)) {
		struct block_request r;
		bool broken;
		u32 hello;

		if (block_server_look(s, &hello) == EPOCH_HELLO) {
			block_server_answer(s, hello);
			event_set(&to_client);
		}
		while (block_take(s, &r, &broken)) {
			u32 *word = (u32 *)(s->data + r.piece[0].offset);

			*word = ~*word;
			if (block_answer(s, r.id, BLOCK_OK))
				event_set(&to_client);
		}
		if (!event_wait(&to_server))
			break;
	}
	return NULL;
}

/* Sends numbers, up to `depth` at once, and gets their complements; begins anew now and then. */
static u32 run_client(struct block_end *c, u32 total, u32 depth)
{
	bool busy[BLOCK_QUEUE] = {false};
	struct block_request r = request(BLOCK_WRITE, 0, 1);
	struct block_completion got;
	u32 under_way = 0;
	u32 done = 0;
	bool broken;

	while (done < total) {
		bool signal = false;
		enum epoch_state state = block_client_look(c, &signal);

		if (state == EPOCH_ANSWERED) {
			memset(busy, 0, sizeof(busy));
			under_way = 0;
		}
		for (u32 id = 0; id < depth && state == EPOCH_CONNECTED; id++) {
			if (busy[id])
				continue;
			r.id = id;
			r.piece[0].offset = id * 512;
			*(u32 *)(c->data + id * 512ul) = id + done;
			busy[id] = block_send(c, &r, &signal);
			under_way += busy[id] ? 1 : 0;
		}
		if (signal)
			event_set(&to_server);
		while (block_answer_take(c, &got, &broken)) {
			CHECK(got.id < depth && busy[got.id]);
			busy[got.id % BLOCK_QUEUE] = false;
			under_way--;
			done++;
		}
		if (done % 1000 == 999) {
			signal = false;
			block_client_reset(c, &signal);
			event_set(&to_server);
			done++;
			continue;
		}
		if (under_way == depth || (state == EPOCH_AWAY && done < total)) {
			sleeps++;
			if (!event_wait(&to_client))
				break;
		}
	}
	return done;
}

TEST(block_two_threads)
{
	static const u32 depth[] = {1, 2, BLOCK_QUEUE};

	for (u32 i = 0; i < 3; i++) {
		struct block_end c;
		struct block_end s;
		pthread_t thread;

		connect_ends(&c, &s);
		finished = false;
		pthread_create(&thread, NULL, serve, &s);
		CHECK(run_client(&c, TOTAL, depth[i]) >= TOTAL);
		__atomic_store_n(&finished, true, __ATOMIC_RELEASE);
		event_set(&to_server);
		pthread_join(thread, NULL);
	}
	CHECK(sleeps > 100);
}
