/* Tests of the rings: bytes in order over many wraps, damage by the peer, and two threads at once.
 */
#include <pthread.h>
#include <stdlib.h>

#include "drivers/protocols/console.h"
#include "drivers/root/queue.h"
#include "tests/unit/test.h"

#define SIZE  16u
#define TOTAL 2000000u

static union {
	struct ring ring;
	u8 space[sizeof(struct ring) + CONSOLE_RING_SIZE];
} shared;

static void reset(void)
{
	memset(&shared, 0, sizeof(shared));
}

TEST(ring_keeps_order)
{
	struct ring *r = &shared.ring;
	u8 out = 0;
	u8 in = 0;

	reset();
	for (int round = 0; round < 10000; round++) {
		u8 bytes[32];
		u32 n = (u32)(round * 7) % 20;
		u32 used = r->head - r->tail;
		u32 went;

		for (u32 i = 0; i < n; i++)
			bytes[i] = (u8)(in + i);
		went = ring_write(r, SIZE, bytes, n);
		CHECK_EQ(went, n < SIZE - used ? n : SIZE - used);
		in = (u8)(in + went);
		n = ring_read(r, SIZE, bytes, (u32)(round * 5) % 24);
		for (u32 i = 0; i < n; i++)
			CHECK_EQ(bytes[i], out++);
	}
}

TEST(ring_indices_wrap)
{
	struct ring *r = &shared.ring;
	u8 bytes[8] = {1, 2, 3, 4, 5, 6, 7, 8};
	bool broken;

	reset();
	r->head = r->tail = ~0u - 3;
	CHECK_EQ(ring_write(r, SIZE, bytes, 8), 8);
	CHECK_EQ(ring_used(r, SIZE, &broken), 8);
	CHECK(!broken);
	memset(bytes, 0, sizeof(bytes));
	CHECK_EQ(ring_read(r, SIZE, bytes, 8), 8);
	CHECK_EQ(bytes[0], 1);
	CHECK_EQ(bytes[7], 8);
}

/* Whatever the peer writes into its index, no byte outside of data[] is touched. */
TEST(ring_broken)
{
	struct ring *r = &shared.ring;
	u8 bytes[64];
	bool broken;

	for (u32 i = 0; i < 100000; i++) {
		reset();
		r->head = (u32)random() ^ (u32)random() << 16;
		r->tail = i % 3 ? (u32)random() ^ (u32)random() << 16 : r->head - i % 32;
		shared.space[sizeof(*r) + SIZE] = 0x5a;
		ring_used(r, SIZE, &broken);
		CHECK_EQ(broken, r->head - r->tail > SIZE);
		if (broken) {
			CHECK_EQ(ring_read(r, SIZE, bytes, 64), 0);
			CHECK_EQ(ring_write(r, SIZE, bytes, 64), 0);
		}
		CHECK(ring_read(r, SIZE, bytes, 64) <= SIZE);
		CHECK(ring_write(r, SIZE, bytes, 64) <= SIZE);
		CHECK_EQ(shared.space[sizeof(*r) + SIZE], 0x5a);
	}
}

static void *produce(void *unused)
{
	u32 sent = 0;

	while (sent < TOTAL) {
		u8 bytes[64];
		u32 n = TOTAL - sent < 64 ? TOTAL - sent : 64;

		for (u32 i = 0; i < n; i++)
			bytes[i] = (u8)((sent + i) * 31);
		sent += ring_write(&shared.ring, CONSOLE_RING_SIZE, bytes, n);
	}
	return unused;
}

TEST(ring_two_threads)
{
	pthread_t thread;
	u32 wrong = 0;
	u32 got = 0;

	reset();
	pthread_create(&thread, NULL, produce, NULL);
	while (got < TOTAL) {
		u8 bytes[100];
		u32 n = ring_read(&shared.ring, CONSOLE_RING_SIZE, bytes, sizeof(bytes));

		for (u32 i = 0; i < n; i++)
			wrong += bytes[i] != (u8)((got + i) * 31);
		got += n;
	}
	pthread_join(thread, NULL);
	CHECK_EQ(wrong, 0);
}

TEST(queue_order_and_limit)
{
	static struct queue q;
	struct record r = {.op = ROOT_LOG, .size = 5};
	const struct record *got;

	for (u32 i = 0; i < QUEUE_RECORDS; i++) {
		r.badge = i;
		CHECK(queue_put(&q, &r, "hello"));
	}
	CHECK(!queue_put(&q, &r, "hello"));
	for (u32 i = 0; i < QUEUE_RECORDS; i++) {
		got = queue_peek(&q);
		CHECK(got != NULL);
		if (!got)
			return;
		CHECK_EQ(got->badge, i);
		CHECK(memcmp(got->text, "hello", 5) == 0);
		queue_done(&q);
	}
	CHECK(queue_peek(&q) == NULL);
	r.size = ROOT_LOG_MAX;
	CHECK(queue_put(&q, &r, (char[ROOT_LOG_MAX]){1}));
}
