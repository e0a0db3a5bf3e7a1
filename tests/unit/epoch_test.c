/*
 * Tests of the handshake between two ends of a session: every order of steps, restarts of either
 * end at each of them, and peers that lie.
 */
#include <stdlib.h>

#include "drivers/protocols/entries.h"
#include "drivers/protocols/epoch.h"
#include "tests/unit/test.h"

#define SIZE  8u
#define STEPS 400000

static struct epoch_words words;

static void reset(void)
{
	memset(&words, 0, sizeof(words));
}

/* Runs both ends until neither has anything to do; returns the rounds that it took. */
static int settle(struct epoch_end *client, struct epoch_end *server)
{
	for (int round = 1; round < 10; round++) {
		enum epoch_state c = epoch_client_look(&words, client);
		enum epoch_state s;
		u32 hello;

		if (c == EPOCH_HELLO)
			epoch_hello(&words, client);
		s = epoch_server_look(&words, server, &hello);
		if (s == EPOCH_HELLO)
			epoch_answer(&words, server, hello);
		if (c == EPOCH_CONNECTED && s == EPOCH_CONNECTED)
			return round;
	}
	return 0;
}

TEST(epoch_first_contact)
{
	struct epoch_end client;
	struct epoch_end server;
	u32 hello;

	reset();
	epoch_client_start(&words, &client);
	CHECK_EQ(epoch_client_look(&words, &client), EPOCH_AWAY); /* no server yet */
	epoch_server_start(&words, &server);
	CHECK(server.own != 0);
	CHECK_EQ(epoch_server_look(&words, &server, &hello), EPOCH_AWAY);
	CHECK_EQ(epoch_client_look(&words, &client), EPOCH_HELLO);
	epoch_hello(&words, &client);
	CHECK_EQ(epoch_client_look(&words, &client), EPOCH_AWAY); /* not answered */
	CHECK_EQ(epoch_server_look(&words, &server, &hello), EPOCH_HELLO);
	CHECK_EQ(hello, client.own);
	CHECK_EQ(epoch_server_look(&words, &server, &hello), EPOCH_HELLO);
	epoch_answer(&words, &server, hello);
	CHECK_EQ(epoch_server_look(&words, &server, &hello), EPOCH_CONNECTED);
	CHECK_EQ(epoch_client_look(&words, &client), EPOCH_ANSWERED);
	CHECK_EQ(epoch_client_look(&words, &client), EPOCH_CONNECTED);
}

/* It has overwritten both words when it dies, also what the client asked for. */
TEST(epoch_server_lies_at_its_end)
{
	struct epoch_end client;
	struct epoch_end server;

	for (u32 before = 0; before < 3; before++) {
		reset();
		epoch_client_start(&words, &client);
		epoch_server_start(&words, &server);
		CHECK_EQ(epoch_client_look(&words, &client), EPOCH_HELLO);
		epoch_hello(&words, &client);
		words.server = epoch_pair(server.own - before, 0);
		words.client = epoch_pair(client.own - before, server.own - before);
		epoch_server_start(&words, &server);
		CHECK(settle(&client, &server) > 0);
	}
}

TEST(epoch_server_restarts)
{
	struct epoch_end client;
	struct epoch_end server;
	u32 hello;

	reset();
	epoch_client_start(&words, &client);
	epoch_server_start(&words, &server);
	CHECK(settle(&client, &server) > 0);
	epoch_server_start(&words, &server);
	/* The old hello was not meant for this server, however long the client takes to see it. */
	CHECK_EQ(epoch_server_look(&words, &server, &hello), EPOCH_AWAY);
	CHECK_EQ(epoch_client_look(&words, &client), EPOCH_LOST);
	CHECK(settle(&client, &server) > 0);
	/* Twice before the client looks. */
	epoch_server_start(&words, &server);
	epoch_server_start(&words, &server);
	CHECK_EQ(epoch_client_look(&words, &client), EPOCH_LOST);
	CHECK(settle(&client, &server) > 0);
	/* While a hello is not answered. */
	epoch_hello(&words, &client);
	epoch_server_start(&words, &server);
	CHECK_EQ(epoch_server_look(&words, &server, &hello), EPOCH_AWAY);
	CHECK_EQ(epoch_client_look(&words, &client), EPOCH_HELLO);
	CHECK(settle(&client, &server) > 0);
}

/* A server that is given up, before and after it was connected, and one that comes after all. */
TEST(epoch_gone)
{
	struct epoch_end client;
	struct epoch_end server;

	reset();
	epoch_client_start(&words, &client);
	epoch_give_up(&words); /* it never ran */
	CHECK_EQ(epoch_client_look(&words, &client), EPOCH_GONE);
	CHECK_EQ(epoch_client_look(&words, &client), EPOCH_GONE);
	epoch_server_start(&words, &server);
	CHECK(settle(&client, &server) > 0);
	epoch_give_up(&words);
	CHECK_EQ(epoch_client_look(&words, &client), EPOCH_LOST);
	CHECK_EQ(epoch_client_look(&words, &client), EPOCH_GONE);
	/* A client that is restarted meanwhile says nothing. */
	epoch_client_start(&words, &client);
	CHECK_EQ(epoch_client_look(&words, &client), EPOCH_GONE);
	epoch_server_start(&words, &server);
	CHECK(settle(&client, &server) > 0);
	/* No epoch is the word for it, however many there were. */
	CHECK(epoch_next(EPOCH_GONE_PEER - 1) == 1 && epoch_next(EPOCH_GONE_PEER) == 1);
}

TEST(epoch_client_restarts)
{
	struct epoch_end client;
	struct epoch_end server;
	u32 hello;
	u32 old;

	reset();
	epoch_client_start(&words, &client);
	epoch_server_start(&words, &server);
	CHECK(settle(&client, &server) > 0);
	old = client.own;
	epoch_client_start(&words, &client);
	/* The answer to its predecessor is not for it. */
	CHECK_EQ(epoch_client_look(&words, &client), EPOCH_HELLO);
	epoch_hello(&words, &client);
	CHECK(client.own != old);
	CHECK_EQ(epoch_client_look(&words, &client), EPOCH_AWAY);
	CHECK_EQ(epoch_server_look(&words, &server, &hello), EPOCH_HELLO);
	/* It dies again before the server answers: that answer is for nobody. */
	epoch_client_start(&words, &client);
	CHECK_EQ(epoch_client_look(&words, &client), EPOCH_HELLO);
	epoch_hello(&words, &client);
	epoch_answer(&words, &server, hello);
	CHECK_EQ(epoch_client_look(&words, &client), EPOCH_AWAY);
	CHECK_EQ(epoch_server_look(&words, &server, &hello), EPOCH_HELLO);
	epoch_answer(&words, &server, hello);
	CHECK_EQ(epoch_client_look(&words, &client), EPOCH_ANSWERED);
}

TEST(epoch_closed_for_damage)
{
	struct epoch_end client;
	struct epoch_end server;
	u32 hello;

	reset();
	epoch_client_start(&words, &client);
	epoch_server_start(&words, &server);
	CHECK(settle(&client, &server) > 0);
	epoch_server_close(&words, &server);
	/* The same epoch is not served again. */
	CHECK_EQ(epoch_server_look(&words, &server, &hello), EPOCH_AWAY);
	CHECK_EQ(epoch_client_look(&words, &client), EPOCH_LOST);
	CHECK(settle(&client, &server) > 0);
	/* The client gives up: it waits for another server. */
	epoch_client_close(&client);
	for (int i = 0; i < 5; i++) {
		CHECK_EQ(epoch_client_look(&words, &client), EPOCH_AWAY);
		CHECK_EQ(epoch_server_look(&words, &server, &hello), EPOCH_CONNECTED);
	}
	epoch_server_start(&words, &server);
	CHECK(settle(&client, &server) > 0);
}

TEST(epoch_numbers_wrap)
{
	struct epoch_end client;
	struct epoch_end server;

	reset();
	words.client = epoch_pair(~0u, 7);
	words.server = epoch_pair(~0u, ~0u);
	epoch_client_start(&words, &client);
	epoch_server_start(&words, &server);
	CHECK(server.own != 0 && server.own != EPOCH_GONE_PEER);
	CHECK(settle(&client, &server) > 0);
	CHECK_EQ(client.own, 1);
}

/* Whatever somebody stores, the state stays one of the states, and fresh ends get through
 * afterwards. */
TEST(epoch_lies)
{
	struct epoch_end client;
	struct epoch_end server;
	u32 hello;

	reset();
	epoch_client_start(&words, &client);
	epoch_server_start(&words, &server);
	for (int i = 0; i < 200000; i++) {
		u64 lie = epoch_pair((u32)random() % 4, (u32)random() % 4);
		enum epoch_state s;

		if (random() % 2)
			words.client = lie;
		if (random() % 2)
			words.server = lie;
		s = epoch_server_look(&words, &server, &hello);
		CHECK(s != EPOCH_ANSWERED);
		CHECK(s != EPOCH_HELLO || hello != 0);
		if (s == EPOCH_HELLO)
			epoch_answer(&words, &server, hello);
		CHECK(s != EPOCH_CONNECTED || server.peer != 0);
		s = epoch_client_look(&words, &client);
		CHECK(s != EPOCH_CONNECTED || client.peer != 0);
		if (s == EPOCH_HELLO)
			epoch_hello(&words, &client);
		if (i % 1000 == 0) {
			epoch_server_start(&words, &server);
			epoch_client_start(&words, &client);
			CHECK(settle(&client, &server) > 0);
		}
	}
}

/*
 * A session with one queue, of entries that say which connection they belong to. Each end does one
 * store or load at a time in a random order, and dies at random points.
 */
struct world {
	struct entries queue;
	u64 entry[SIZE];
	struct epoch_end client;
	struct epoch_end server;
	u32 head;
	u32 tail;
	u32 hello;
	int server_step; /* 0: looks, 1: quiesced, 2: index set */
	u64 connections;
	u64 taken;
};

static void client_step(struct world *w)
{
	bool broken;

	switch (epoch_client_look(&words, &w->client)) {
	case EPOCH_HELLO:
		epoch_hello(&words, &w->client);
		break;
	case EPOCH_ANSWERED:
		CHECK_EQ(w->head, w->queue.head);
		CHECK_EQ(w->queue.tail, w->head); /* a clean queue */
		w->connections++;
		break;
	case EPOCH_CONNECTED:
		if (entries_room(&w->queue, w->head, SIZE, &broken) == 0 || broken)
			break;
		w->entry[w->head % SIZE] = epoch_pair(w->client.own, w->client.peer);
		if (random() % 4 > 0) /* else it may die with the entry half made */
			entries_publish(&w->queue, &w->head, 1);
		break;
	default:
		break;
	}
}

static void server_step(struct world *w)
{
	bool broken;

	if (w->server_step == 1) {
		w->tail = entries_reset_tail(&w->queue);
		w->server_step = 2;
		return;
	}
	if (w->server_step == 2) {
		epoch_answer(&words, &w->server, w->hello);
		w->server_step = 0;
		return;
	}
	switch (epoch_server_look(&words, &w->server, &w->hello)) {
	case EPOCH_HELLO:
		w->server_step = 1;
		break;
	case EPOCH_CONNECTED:
		if (entries_waiting(&w->queue, w->tail, SIZE, &broken) > 0) {
			CHECK_EQ(w->entry[w->tail % SIZE],
				epoch_pair(w->server.peer, w->server.own));
			entries_release(&w->queue, &w->tail, 1);
			w->taken++;
		}
		CHECK(!broken);
		break;
	default:
		break;
	}
}

TEST(epoch_random_orders_and_deaths)
{
	static struct world w;

	reset();
	memset(&w, 0, sizeof(w));
	epoch_client_start(&words, &w.client);
	epoch_server_start(&words, &w.server);
	for (int i = 0; i < STEPS; i++) {
		switch (random() % 64) {
		case 0:
			epoch_client_start(&words, &w.client);
			w.head = w.queue.head;
			break;
		case 1:
			epoch_server_start(&words, &w.server);
			w.server_step = 0;
			break;
		default:
			if (random() % 2)
				client_step(&w);
			else
				server_step(&w);
		}
	}
	CHECK(w.connections > STEPS / 200);
	CHECK(w.taken > STEPS / 100);
}

TEST(entries_broken)
{
	struct entries q = {0};
	u32 tail = 0;
	u32 head = 5;
	bool broken;

	q.head = SIZE + 1;
	CHECK_EQ(entries_waiting(&q, tail, SIZE, &broken), 0);
	CHECK(broken);
	q.head = SIZE;
	CHECK_EQ(entries_waiting(&q, tail, SIZE, &broken), SIZE);
	CHECK(!broken);
	q.tail = 6; /* more than was published */
	CHECK_EQ(entries_room(&q, head, SIZE, &broken), 0);
	CHECK(broken);
	q.tail = 5;
	CHECK_EQ(entries_room(&q, head, SIZE, &broken), SIZE);
	CHECK(!broken);
}

TEST(entries_tell_a_sleeper_only)
{
	struct entries q = {.head = ~0u, .tail = ~0u};
	u32 head = ~0u;
	u32 tail = ~0u;

	CHECK(entries_publish(&q, &head, 1)); /* all was released: it may sleep */
	CHECK(!entries_publish(&q, &head, 2));
	entries_release(&q, &tail, 1);
	CHECK(!entries_publish(&q, &head, 1));
	entries_release(&q, &tail, 3);
	CHECK(!entries_publish(&q, &head, 0));
	CHECK(entries_publish(&q, &head, 1));
	CHECK_EQ(q.head, 4);
}
