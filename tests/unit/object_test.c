/* Tests of capability slots: filling, emptying, revocation, and each status of a look-up. */
#include <pthread.h>
#include <stdlib.h>
#include "kernel/domain.h"
#include "tests/unit/test.h"

#define PAGES   3u /* of slots; the table's other pages are missing */
#define OBJECTS 6u
#define STEPS   200000u
#define ROUNDS  3000u
#define RIGHTS  (RIGHT_GRANT | RIGHT_CTL | RIGHT_CALL)

static struct slot *table[CAP_MAX / SLOTS_PER_FRAME];
static struct slot pages[PAGES][SLOTS_PER_FRAME];
static struct domain domain;
static struct kobj objects[OBJECTS];
static u64 random_state;

static u32 random_below(u32 limit)
{
	random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
	return (u32)(random_state >> 33) % limit;
}

/* An empty domain, whose table has its first, second and last page. */
static void reset(void)
{
	memset(&domain, 0, sizeof(domain));
	memset(table, 0, sizeof(table));
	memset(pages, 0, sizeof(pages));
	memset(objects, 0, sizeof(objects));
	list_init(&domain.objects);
	domain.slots = table;
	table[0] = pages[0];
	table[1] = pages[1];
	table[ARRAY_SIZE(table) - 1] = pages[2];
	for (unsigned i = 0; i < OBJECTS; i++)
		kobj_init(&objects[i], KIND_THREAD + i % 3, &domain, 0);
	random_state = 3;
}

static unsigned length(const struct list *head)
{
	unsigned n = 0;

	list_for_each(l, head)
	{
		CHECK(l->next->prev == l);
		n++;
	}
	return n;
}

static status_t lookup(u64 cap, enum kind kind, u32 rights)
{
	struct cap found = {0};
	struct slot *named = NULL;
	struct kobj *fast = kind == KIND_NONE ? NULL : cap_find(table, cap, kind, rights, &named);
	status_t s = cap_lookup(&domain, cap, kind, rights, &found);

	if (s == STATUS_OK) {
		struct slot *slot = &table[cap / SLOTS_PER_FRAME][cap % SLOTS_PER_FRAME];

		CHECK(found.obj == slot->obj && found.data == slot->data);
		CHECK(found.rights == slot->rights && found.kind == slot->kind);
		/* The fast form is for objects. */
		CHECK(!found.obj || kind == KIND_NONE || (fast == found.obj && named == slot));
	} else {
		CHECK(!fast);
	}
	return s;
}

TEST(init_charges_the_payer)
{
	struct kobj orphan = {0};

	reset();
	CHECK_EQ(length(&domain.objects), OBJECTS);
	CHECK(objects[1].payer == &domain);
	CHECK_EQ(objects[1].kind, KIND_PORT);
	CHECK(list_empty(&objects[1].slots));
	kobj_init(&orphan, KIND_MEM, NULL, 0);
	CHECK(!orphan.payer);
	CHECK(list_empty(&orphan.charged));
	CHECK_EQ(domain.space.lock.next, domain.space.lock.owner);
}

TEST(set_and_clear)
{
	struct slot *s = &pages[0][5];

	reset();
	CHECK(slot_set(s, &objects[0], KIND_THREAD, RIGHTS, 77));
	CHECK(s->obj == &objects[0]);
	CHECK_EQ(s->kind, KIND_THREAD);
	CHECK_EQ(s->rights, RIGHTS);
	CHECK_EQ(s->data, 77);
	CHECK_EQ(length(&objects[0].slots), 1);
	CHECK(slot_set(&pages[0][6], &objects[0], KIND_THREAD, 0, 0));
	CHECK_EQ(length(&objects[0].slots), 2);
	slot_clear(s);
	CHECK_EQ(length(&objects[0].slots), 1);
	CHECK(!s->obj);
	CHECK_EQ(s->kind, KIND_NONE);
	slot_clear(s);
	slot_clear(&pages[0][7]);
	CHECK_EQ(length(&objects[0].slots), 1);
	/* KIND_SYS names no object. */
	CHECK(slot_set(s, NULL, KIND_SYS, RIGHT_POWER, 0));
	CHECK_EQ(lookup(5, KIND_SYS, RIGHT_POWER), STATUS_OK);
	slot_clear(s);
	CHECK_EQ(lookup(5, KIND_SYS, 0), STATUS_BAD_CAP);
}

TEST(revoke_empties_all)
{
	reset();
	for (unsigned i = 0; i < 10; i++)
		CHECK(slot_set(&pages[i % 2][i], &objects[i % 2 * 3], KIND_THREAD, RIGHTS, i));
	kobj_revoke(&objects[0]);
	CHECK(objects[0].dying);
	CHECK(list_empty(&objects[0].slots));
	CHECK_EQ(length(&objects[3].slots), 5);
	for (unsigned i = 0; i < 10; i++) {
		u64 cap = i % 2 * SLOTS_PER_FRAME + i;

		CHECK_EQ(lookup(cap, KIND_THREAD, 0), i % 2 ? STATUS_OK : STATUS_GONE);
	}
	/* A second time it does nothing; what it emptied can be cleared and filled again. */
	kobj_revoke(&objects[0]);
	slot_clear(&pages[0][0]);
	CHECK_EQ(lookup(0, KIND_THREAD, 0), STATUS_BAD_CAP);
	CHECK(slot_set(&pages[0][2], &objects[1], KIND_PORT, RIGHTS, 0));
	CHECK_EQ(lookup(2, KIND_PORT, RIGHTS), STATUS_OK);
	CHECK_EQ(length(&objects[1].slots), 1);
	CHECK_EQ(objects[0].lock.next, objects[0].lock.owner);
}

TEST(dying_objects_are_not_named)
{
	reset();
	kobj_revoke(&objects[0]);
	CHECK(!slot_set(&pages[0][0], &objects[0], KIND_THREAD, RIGHTS, 0));
	CHECK(!pages[0][0].obj);
	CHECK(list_empty(&objects[0].slots));
	CHECK_EQ(lookup(0, KIND_THREAD, 0), STATUS_GONE);
	slot_clear(&pages[0][0]);
	CHECK_EQ(lookup(0, KIND_THREAD, 0), STATUS_BAD_CAP);
}

/* Where several are due: kind, then whether it is gone, then rights. */
TEST(statuses)
{
	reset();
	CHECK(slot_set(&pages[0][1], &objects[0], KIND_THREAD, RIGHTS, 0));
	CHECK(slot_set(&pages[0][2], &objects[1], KIND_PORT, RIGHTS, 0));
	CHECK(slot_set(&pages[2][SLOTS_PER_FRAME - 1], &objects[0], KIND_THREAD, RIGHTS, 0));
	kobj_revoke(&objects[1]);

	CHECK_EQ(lookup(1, KIND_THREAD, 0), STATUS_OK);
	CHECK_EQ(lookup(1, KIND_THREAD, RIGHTS), STATUS_OK);
	CHECK_EQ(lookup(1, KIND_NONE, RIGHTS), STATUS_OK);
	CHECK_EQ(lookup(CAP_MAX - 1, KIND_THREAD, RIGHTS), STATUS_OK);
	CHECK_EQ(lookup(1, KIND_THREAD, RIGHTS | RIGHT_RUN), STATUS_DENIED);
	CHECK_EQ(lookup(1, KIND_NONE, RIGHT_RUN), STATUS_DENIED);
	CHECK_EQ(lookup(1, KIND_THREAD, RIGHT_ALL), STATUS_DENIED);
	CHECK_EQ(lookup(1, KIND_PORT, 0), STATUS_BAD_KIND);
	CHECK_EQ(lookup(1, KIND_PORT, RIGHT_RUN), STATUS_BAD_KIND);
	CHECK_EQ(lookup(2, KIND_PORT, 0), STATUS_GONE);
	CHECK_EQ(lookup(2, KIND_NONE, 0), STATUS_GONE);
	CHECK_EQ(lookup(2, KIND_PORT, RIGHT_RUN), STATUS_GONE);
	CHECK_EQ(lookup(2, KIND_THREAD, 0), STATUS_BAD_KIND);
	CHECK_EQ(lookup(3, KIND_THREAD, 0), STATUS_BAD_CAP);
	CHECK_EQ(lookup(3, KIND_NONE, 0), STATUS_BAD_CAP);
	CHECK_EQ(lookup(2 * SLOTS_PER_FRAME, KIND_THREAD, 0), STATUS_BAD_CAP); /* no page */
	CHECK_EQ(lookup(CAP_MAX, KIND_THREAD, 0), STATUS_BAD_CAP);
	CHECK_EQ(lookup(CAP_MAX + 1ull, KIND_THREAD, 0), STATUS_BAD_CAP);
	CHECK_EQ(lookup((1ull << 32) + 1, KIND_THREAD, 0), STATUS_BAD_CAP);
	CHECK_EQ(lookup(~0ull, KIND_NONE, 0), STATUS_BAD_CAP);
}

/* What a slot should hold. */
struct expected {
	enum kind kind;
	u32 rights;
	unsigned object;
	bool named; /* the object is alive */
};

static struct expected expected[PAGES * SLOTS_PER_FRAME];

static status_t expect(const struct expected *e, enum kind kind, u32 rights)
{
	if (e->kind == KIND_NONE)
		return STATUS_BAD_CAP;
	if (kind != KIND_NONE && kind != e->kind)
		return STATUS_BAD_KIND;
	if (!e->named)
		return STATUS_GONE;
	return rights & ~e->rights ? STATUS_DENIED : STATUS_OK;
}

static void check_lists(void)
{
	unsigned named[OBJECTS] = {0};

	for (unsigned i = 0; i < ARRAY_SIZE(expected); i++)
		if (expected[i].named)
			named[expected[i].object]++;
	for (unsigned i = 0; i < OBJECTS; i++)
		CHECK_EQ(length(&objects[i].slots), named[i]);
}

/* Fills an empty slot or empties it; an object that dies is made anew. */
static void random_change(unsigned i, u32 rights)
{
	struct slot *s = &pages[0][0] + i;
	struct expected *e = &expected[i];
	unsigned o = random_below(OBJECTS);

	if (random_below(400) == 0) {
		kobj_revoke(&objects[o]);
		CHECK(!slot_set(&(struct slot){0}, &objects[o], KIND_THREAD, 0, 0));
		for (unsigned j = 0; j < ARRAY_SIZE(expected); j++)
			if (expected[j].object == o)
				expected[j].named = false;
		list_remove(&objects[o].charged);
		objects[o] = (struct kobj){0};
		kobj_init(&objects[o], KIND_THREAD + o % 3, &domain, 0);
	} else if (!e->named && random_below(2)) {
		*e = (struct expected){KIND_THREAD + o % 3, rights, o, true};
		CHECK(slot_set(s, &objects[o], e->kind, rights, i));
	} else if (random_below(3) == 0) {
		*e = (struct expected){0};
		slot_clear(s);
	}
}

TEST(random_against_model)
{
	reset();
	memset(expected, 0, sizeof(expected));
	for (unsigned step = 0; step < STEPS; step++) {
		unsigned i = random_below(ARRAY_SIZE(expected));
		unsigned page = i / SLOTS_PER_FRAME;
		u64 at = page == 2 ? ARRAY_SIZE(table) - 1 : page;
		u64 cap = at * SLOTS_PER_FRAME + i % SLOTS_PER_FRAME;
		enum kind kind = random_below(KIND_VM);
		u32 rights = random_below(16);

		CHECK_EQ(lookup(cap, kind, rights), expect(&expected[i], kind, rights));
		random_change(i, random_below(16) | random_below(16));
		if (step % 1024 == 0)
			check_lists();
	}
	check_lists();
}

static struct slot own[2][8];
static pthread_barrier_t barrier;

/* Fills and empties slots of its own, while the object may die. */
static void *churn(void *slots)
{
	struct slot *s = slots;

	for (unsigned round = 0; round < ROUNDS; round++) {
		pthread_barrier_wait(&barrier);
		for (unsigned i = 0; i < 64; i++) {
			slot_clear(&s[i % 8]);
			slot_set(&s[i % 8], &objects[0], KIND_THREAD, RIGHTS, i);
		}
		for (unsigned i = 0; i < 8; i += 2)
			slot_clear(&s[i]);
		pthread_barrier_wait(&barrier);
	}
	return NULL;
}

/* Whatever other CPUs do meanwhile, nothing names an object after its revocation. */
TEST(revocation_against_other_cpus)
{
	pthread_t threads[2];
	unsigned named = 0;

	reset();
	pthread_barrier_init(&barrier, NULL, 3);
	for (unsigned i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, churn, own[i]);
	for (unsigned round = 0; round < ROUNDS; round++) {
		objects[0] = (struct kobj){0};
		kobj_init(&objects[0], KIND_THREAD, NULL, 0);
		pthread_barrier_wait(&barrier);
		for (volatile unsigned i = 0; i < round % 512; i++)
			;
		kobj_revoke(&objects[0]);
		pthread_barrier_wait(&barrier);
		named += !list_empty(&objects[0].slots);
		for (unsigned i = 0; i < 16; i++)
			named += own[i / 8][i % 8].obj != NULL;
	}
	for (unsigned i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	CHECK_EQ(named, 0);
}

static bool swapping;

/* One slot names two objects in turn, each with rights and data of its own. */
static void *swap(void *slot)
{
	for (u64 i = 0; __atomic_load_n(&swapping, __ATOMIC_RELAXED); i = !i) {
		slot_clear(slot);
		slot_set(slot, &objects[i * 3], KIND_THREAD, i ? RIGHTS : 0, i);
	}
	return NULL;
}

/* Rights and data are those of the object that is found with them. */
TEST(copies_are_of_one_time)
{
	unsigned seen[2] = {0};
	unsigned wrong = 0;
	pthread_t thread;

	reset();
	swapping = true;
	pthread_create(&thread, NULL, swap, &pages[0][1]);
	while (seen[0] < 20 * STEPS || seen[1] < 20 * STEPS) {
		struct cap found;
		bool second;

		slot_copy(&pages[0][1], &found);
		if (!found.obj || found.kind == KIND_NONE)
			continue;
		second = found.obj == &objects[3];
		seen[second]++;
		wrong += found.rights != (second ? RIGHTS : 0) || found.data != second ||
			 found.kind != KIND_THREAD;
	}
	__atomic_store_n(&swapping, false, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	CHECK_EQ(wrong, 0);
}
