/* Tests of the timers' pairing heap against a model: least first, removal anywhere, sound links. */
#include <stdlib.h>
#include "kernel/timer.h"
#include "tests/unit/test.h"

#define TIMERS 300u
#define STEPS  200000u
#define MANY   200000u

static struct timer timers[TIMERS];
static u64 random_state = 1;

static u32 random_below(u32 limit)
{
	random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
	return (u32)(random_state >> 33) % limit;
}

static void reset(struct timer_heap *h)
{
	memset(timers, 0, sizeof(timers));
	h->root = NULL;
}

static bool is_detached(const struct timer *t)
{
	return !t->queued && !t->child && !t->next && !t->prev;
}

/* Checks the links below `t` and that nothing there is earlier; returns the number of timers. */
static unsigned check_below(const struct timer *t)
{
	const struct timer *before = t;
	unsigned count = 1;

	for (const struct timer *c = t->child; c; before = c, c = c->next) {
		CHECK(c->prev == before);
		CHECK(c->deadline >= t->deadline);
		CHECK(c->queued);
		count += check_below(c);
	}
	return count;
}

static void check_heap(const struct timer_heap *h)
{
	unsigned queued = 0;
	cycles_t least = ~0ull;

	for (unsigned i = 0; i < TIMERS; i++) {
		const struct timer *t = &timers[i];

		queued += t->queued;
		if (t->queued && t->deadline < least)
			least = t->deadline;
		if (!t->queued)
			CHECK(is_detached(t));
	}
	if (!h->root) {
		CHECK_EQ(queued, 0);
		return;
	}
	CHECK(!h->root->prev && !h->root->next);
	CHECK_EQ(h->root->deadline, least);
	CHECK_EQ(check_below(h->root), queued);
}

static void insert(struct timer_heap *h, struct timer *t, cycles_t deadline)
{
	t->deadline = deadline;
	timer_insert(h, t);
}

static void random_steps(u32 deadlines, unsigned insertions_of_4)
{
	struct timer_heap h;

	reset(&h);
	for (unsigned step = 0; step < STEPS; step++) {
		struct timer *t = &timers[random_below(TIMERS)];

		if (random_below(4) >= insertions_of_4 && h.root && random_below(2))
			t = h.root;
		if (t->queued)
			timer_remove(&h, t);
		else if (random_below(4) < insertions_of_4)
			insert(&h, t, random_below(deadlines));
		if (step % 16 == 0)
			check_heap(&h);
	}
	check_heap(&h);
}

TEST(empty_and_single)
{
	struct timer_heap h;

	reset(&h);
	insert(&h, &timers[0], 5);
	CHECK(h.root == &timers[0]);
	CHECK(timers[0].queued);
	timer_remove(&h, &timers[0]);
	CHECK(!h.root);
	CHECK(is_detached(&timers[0]));
	insert(&h, &timers[0], 7);
	CHECK_EQ(h.root->deadline, 7);
}

TEST(random_against_model)
{
	random_steps(1u << 31, 2);
	random_steps(1u << 31, 3);
	random_steps(1u << 31, 1);
}

TEST(duplicate_deadlines)
{
	random_steps(1, 3);
	random_steps(3, 3);
	random_steps(16, 2);
}

/* Removal of the root, of a first child, of a middle and of a last one, of one with children. */
TEST(removal_of_each)
{
	for (unsigned size = 1; size <= 24; size++)
		for (unsigned victim = 0; victim < size; victim++)
			for (unsigned shape = 0; shape < 3; shape++) {
				struct timer_heap h;

				reset(&h);
				for (unsigned i = 0; i < size; i++)
					insert(&h, &timers[i],
						shape == 0   ? i
						: shape == 1 ? size - i
							     : i * 7 % 11);
				/* Without its least the heap has some depth. */
				insert(&h, &timers[size], 0);
				timer_remove(&h, h.root);
				check_heap(&h);
				if (timers[victim].queued)
					timer_remove(&h, &timers[victim]);
				CHECK(is_detached(&timers[victim]));
				check_heap(&h);
			}
}

/* The extremes of the clock: a deadline that never comes is later than any other. */
TEST(extreme_deadlines)
{
	static const cycles_t deadlines[] = {0, (1ull << 63) - 1, 1ull << 63, ~0ull};
	struct timer_heap h;

	for (unsigned order = 0; order < 256; order++) {
		reset(&h);
		for (unsigned i = 0; i < 4; i++)
			insert(&h, &timers[i], deadlines[order >> 2 * i & 3]);
		check_heap(&h);
		for (unsigned i = 0; i < 4; i++) {
			timer_remove(&h, h.root);
			check_heap(&h);
		}
	}
}

static void drain(struct timer *many, cycles_t (*deadline)(u32 i))
{
	struct timer_heap h = {0};
	cycles_t last = 0;
	unsigned wrong = 0;
	unsigned count = 0;

	for (u32 i = 0; i < MANY; i++)
		insert(&h, &many[i], deadline(i));
	for (; h.root; count++) {
		wrong += h.root->deadline < last;
		last = h.root->deadline;
		timer_remove(&h, h.root);
	}
	CHECK_EQ(wrong, 0);
	CHECK_EQ(count, MANY);
}

static cycles_t rising(u32 i)
{
	return i;
}

static cycles_t falling(u32 i)
{
	return MANY - i;
}

static cycles_t equal(u32 i)
{
	(void)i;
	return 42;
}

static cycles_t scattered(u32 i)
{
	return i * 2654435761u;
}

/* Many timers come out in order, whatever the order they came in, on a small stack. */
TEST(drains_in_order)
{
	struct timer *many = calloc(MANY, sizeof(*many));

	drain(many, rising);
	drain(many, falling);
	drain(many, equal);
	drain(many, scattered);
	free(many);
}
