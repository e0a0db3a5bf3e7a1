/* Tests of a VM's doorbells: colliding ports, removal and reuse, limits, and changes meanwhile. */
#include <pthread.h>
#include <stdlib.h>
#include "kernel/doorbell.h"
#include "kernel/domain.h"
#include "tests/unit/test.h"

#define EVENTS 4u
#define STEPS  40000u
#define ROUNDS 20000u

static struct domain payer;
static struct vm vm;
static struct kobj events[EVENTS]; /* as those in threads */
static struct slot names[EVENTS];  /* that name them */
static struct cap caps[EVENTS];    /* as a look-up copies those */
static unsigned allocations;
static unsigned allocations_left;
static u64 random_state;

void *pool_alloc(struct pool *p, size_t size)
{
	CHECK(p == &payer.pool);
	if (!allocations_left)
		return NULL;
	allocations_left--;
	allocations++;
	return calloc(1, size);
}

static u32 random_below(u32 limit)
{
	random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
	return (u32)(random_state >> 33) % limit;
}

static void event_make(unsigned i)
{
	slot_clear(&names[i]);
	events[i] = (struct kobj){0};
	kobj_init(&events[i], KIND_EVENT, NULL, 0);
	CHECK(slot_set(&names[i], &events[i], KIND_EVENT, RIGHT_GRANT, BIT(i)));
	caps[i] = (struct cap){&events[i], BIT(i), RIGHT_GRANT, KIND_EVENT};
}

static void vm_make(void)
{
	for (unsigned i = 0; i < VM_MAX_DOORBELLS; i++) {
		if (vm.doorbells[i])
			slot_clear(&vm.doorbells[i]->slot);
		free(vm.doorbells[i]);
	}
	memset(&vm, 0, sizeof(vm));
	list_init(&payer.objects);
	kobj_init(&vm.obj, KIND_VM, &payer, 0);
	allocations = 0;
	allocations_left = ~0u;
}

static void reset(void)
{
	vm_make();
	memset(caps, 0, sizeof(caps));
	for (unsigned i = 0; i < EVENTS; i++)
		event_make(i);
	random_state = 5;
}

/* The number of the event that a write to the port would set; -1: the write ends vcpu_run. */
static int rings(u16 port)
{
	struct doorbell *b = doorbell_find(&vm, port);

	if (!b || !b->slot.obj)
		return -1;
	CHECK_EQ(b->port, port);
	CHECK_EQ(b->slot.data, BIT(b->slot.obj - events));
	return (int)(b->slot.obj - events);
}

static unsigned length(const struct list *head)
{
	unsigned n = 0;

	list_for_each(l, head) n++;
	return n;
}

static unsigned hash(u16 port)
{
	return (port * 167u >> 3) & 255; /* as vcpu.h has it */
}

/* The nth port with this hash. */
static u16 port_of_hash(unsigned wanted, unsigned n)
{
	for (u32 port = 0; port < 0x10000; port++)
		if (hash((u16)port) == wanted && n-- == 0)
			return (u16)port;
	return 0;
}

TEST(set_and_clear)
{
	reset();
	CHECK_EQ(rings(0x1000), -1);
	CHECK_EQ(doorbell_set(&vm, 0x1000, &caps[1]), STATUS_OK);
	CHECK_EQ(rings(0x1000), 1);
	CHECK_EQ(length(&events[1].slots), 2);
	/* Another event takes its place. */
	CHECK_EQ(doorbell_set(&vm, 0x1000, &caps[2]), STATUS_OK);
	CHECK_EQ(rings(0x1000), 2);
	CHECK_EQ(length(&events[1].slots), 1);
	CHECK_EQ(length(&events[2].slots), 2);
	CHECK_EQ(rings(0xfff), -1);
	CHECK_EQ(rings(0x1001), -1);
	doorbell_clear(&vm, 0x1001, 1);
	CHECK_EQ(rings(0x1000), 2);
	doorbell_clear(&vm, 0x1000, 1);
	CHECK_EQ(rings(0x1000), -1);
	CHECK_EQ(length(&events[2].slots), 1);
	CHECK_EQ(doorbell_set(&vm, 0x1000, &caps[3]), STATUS_OK);
	CHECK_EQ(rings(0x1000), 3);
	CHECK_EQ(allocations, 1);
}

/* The first and the last port, and ranges that end there. */
TEST(range_of_ports)
{
	static const u16 ports[] = {0, 1, 0x7fff, 0x8000, 0xfffe, 0xffff};

	reset();
	for (unsigned i = 0; i < ARRAY_SIZE(ports); i++)
		CHECK_EQ(doorbell_set(&vm, ports[i], &caps[i % EVENTS]), STATUS_OK);
	for (unsigned i = 0; i < ARRAY_SIZE(ports); i++)
		CHECK_EQ(rings(ports[i]), i % EVENTS);
	doorbell_clear(&vm, 0x8000, 0x8000);
	for (unsigned i = 0; i < ARRAY_SIZE(ports); i++)
		CHECK_EQ(rings(ports[i]), ports[i] < 0x8000 ? (int)(i % EVENTS) : -1);
	doorbell_clear(&vm, 0, 0x10000);
	for (unsigned i = 0; i < ARRAY_SIZE(ports); i++)
		CHECK_EQ(rings(ports[i]), -1);
}

/* Ports of two hashes in turn; either half taken away, and in any order set again. */
TEST(colliding_ports)
{
	u16 ports[VM_MAX_DOORBELLS];

	for (unsigned half = 0; half < 2; half++) {
		reset();
		for (unsigned i = 0; i < VM_MAX_DOORBELLS; i++) {
			ports[i] = port_of_hash(i % 2 ? 17 : 200, i / 2);
			CHECK_EQ(hash(ports[i]), i % 2 ? 17 : 200);
			CHECK_EQ(doorbell_set(&vm, ports[i], &caps[i % EVENTS]), STATUS_OK);
		}
		for (unsigned i = 0; i < VM_MAX_DOORBELLS; i++)
			CHECK_EQ(rings(ports[i]), i % EVENTS);
		for (unsigned i = half; i < VM_MAX_DOORBELLS; i += 2)
			doorbell_clear(&vm, ports[i], 1);
		for (unsigned i = 0; i < VM_MAX_DOORBELLS; i++)
			CHECK_EQ(rings(ports[i]), i % 2 == half ? -1 : (int)(i % EVENTS));
		for (unsigned i = VM_MAX_DOORBELLS; i-- > 0;)
			CHECK_EQ(doorbell_set(&vm, ports[i], &caps[0]), STATUS_OK);
		for (unsigned i = 0; i < VM_MAX_DOORBELLS; i++)
			CHECK_EQ(rings(ports[i]), 0);
		CHECK_EQ(allocations, VM_MAX_DOORBELLS);
	}
}

TEST(no_more_than_the_limit)
{
	reset();
	for (unsigned i = 0; i < VM_MAX_DOORBELLS; i++)
		CHECK_EQ(doorbell_set(&vm, (u16)(i * 4), &caps[0]), STATUS_OK);
	CHECK_EQ(doorbell_set(&vm, 0x8000, &caps[0]), STATUS_NO_SPACE);
	CHECK_EQ(rings(0x8000), -1);
	CHECK_EQ(doorbell_set(&vm, 8, &caps[1]), STATUS_OK);
	CHECK_EQ(rings(8), 1);
}

/* The limit is on doorbells that are there, not on ports that ever had one. */
TEST(reuse_for_other_ports)
{
	reset();
	for (unsigned round = 0; round < 20; round++) {
		u16 first = (u16)(round * 0x333);

		for (unsigned i = 0; i < VM_MAX_DOORBELLS; i++)
			CHECK_EQ(doorbell_set(&vm, (u16)(first + i), &caps[i % EVENTS]), STATUS_OK);
		CHECK_EQ(doorbell_set(&vm, 0xffff, &caps[0]), STATUS_NO_SPACE);
		for (unsigned i = 0; i < VM_MAX_DOORBELLS; i++)
			CHECK_EQ(rings((u16)(first + i)), i % EVENTS);
		if (round)
			CHECK_EQ(rings((u16)(first - 0x333)), -1);
		doorbell_clear(&vm, first, VM_MAX_DOORBELLS);
	}
	CHECK_EQ(allocations, VM_MAX_DOORBELLS);
}

/* An entry before the first of a hash is given to a port of that hash. */
TEST(reuse_before_the_first_of_a_hash)
{
	u16 late[2] = {port_of_hash(9, 0), port_of_hash(9, 1)};

	reset();
	for (unsigned i = 0; i < VM_MAX_DOORBELLS - 1; i++)
		CHECK_EQ(doorbell_set(&vm, port_of_hash(10, i), &caps[0]), STATUS_OK);
	CHECK_EQ(doorbell_set(&vm, late[0], &caps[1]), STATUS_OK);
	doorbell_clear(&vm, port_of_hash(10, 3), 1);
	CHECK_EQ(doorbell_set(&vm, late[1], &caps[2]), STATUS_OK);
	CHECK_EQ(rings(late[0]), 1);
	CHECK_EQ(rings(late[1]), 2);
	CHECK_EQ(rings(port_of_hash(10, 3)), -1);
	CHECK_EQ(rings(port_of_hash(10, 4)), 0);
	CHECK_EQ(doorbell_set(&vm, port_of_hash(10, 3), &caps[0]), STATUS_NO_SPACE);
}

TEST(out_of_memory)
{
	reset();
	allocations_left = 1;
	CHECK_EQ(doorbell_set(&vm, 1, &caps[0]), STATUS_OK);
	CHECK_EQ(doorbell_set(&vm, 2, &caps[0]), STATUS_NO_MEMORY);
	CHECK_EQ(rings(2), -1);
	CHECK_EQ(rings(1), 0);
	allocations_left = 1;
	CHECK_EQ(doorbell_set(&vm, 2, &caps[1]), STATUS_OK);
	CHECK_EQ(rings(2), 1);
}

TEST(destroyed_events)
{
	reset();
	CHECK_EQ(doorbell_set(&vm, 1, &caps[0]), STATUS_OK);
	CHECK_EQ(doorbell_set(&vm, 2, &caps[1]), STATUS_OK);
	kobj_revoke(&events[0]);
	CHECK_EQ(rings(1), -1);
	CHECK_EQ(rings(2), 1);
	/* The event died between the look-up of its capability and here. */
	CHECK_EQ(doorbell_set(&vm, 2, &caps[0]), STATUS_GONE);
	CHECK_EQ(rings(2), -1);
	CHECK_EQ(length(&events[1].slots), 1);
	CHECK_EQ(doorbell_set(&vm, 3, &caps[0]), STATUS_GONE);
	CHECK_EQ(rings(3), -1);
	CHECK(list_empty(&events[0].slots));
	event_make(0);
	CHECK_EQ(doorbell_set(&vm, 3, &caps[0]), STATUS_OK);
	CHECK_EQ(rings(3), 0);
	CHECK_EQ(allocations, 2); /* the entry of port 1 is out of use */
}

TEST(destroyed_vm)
{
	reset();
	CHECK_EQ(doorbell_set(&vm, 1, &caps[0]), STATUS_OK);
	kobj_revoke(&vm.obj);
	doorbell_clear(&vm, 0, 0x10000);
	CHECK_EQ(doorbell_set(&vm, 1, &caps[0]), STATUS_GONE);
	CHECK_EQ(doorbell_set(&vm, 2, &caps[0]), STATUS_GONE);
	CHECK_EQ(length(&events[0].slots), 1);
	CHECK_EQ(vm.obj.lock.next, vm.obj.lock.owner);
}

/* Some hundred ports of few hashes; a map from ports to events is the model. */
TEST(random_against_model)
{
	enum {
		PORTS = 240
	};
	u16 ports[PORTS];
	int want[PORTS];
	unsigned used = 0;

	reset();
	for (unsigned i = 0; i < PORTS; i++) {
		ports[i] = i < 120 ? port_of_hash(i % 3 * 100, i / 3) : (u16)(0xc000 + i * 0x20);
		want[i] = -1;
	}
	for (unsigned step = 0; step < STEPS; step++) {
		unsigned i = random_below(PORTS);
		unsigned e = random_below(EVENTS);

		if (random_below(500) == 0) {
			kobj_revoke(&events[e]);
			event_make(e);
			for (unsigned j = 0; j < PORTS; j++)
				want[j] = want[j] == (int)e ? -1 : want[j];
		} else if (random_below(3) == 0) {
			doorbell_clear(&vm, ports[i], 1);
			want[i] = -1;
		} else {
			bool room = want[i] >= 0 || used < VM_MAX_DOORBELLS;
			status_t s = doorbell_set(&vm, ports[i], &caps[e]);

			CHECK_EQ(s, room ? STATUS_OK : STATUS_NO_SPACE);
			want[i] = room ? (int)e : -1;
		}
		used = 0;
		for (unsigned j = 0; j < PORTS; j++) {
			CHECK_EQ(rings(ports[j]), want[j]);
			used += want[j] >= 0;
		}
	}
	CHECK_EQ(allocations, VM_MAX_DOORBELLS);
}

static bool over;

/* Looks up the ports that stay, as CPUs in an exit do. Returns how often one was not there. */
static void *look_up(void *unused)
{
	uintptr_t missing = 0;
	u16 ports[8];

	(void)unused;
	for (unsigned i = 0; i < 8; i++)
		ports[i] = port_of_hash(9, i);
	while (!__atomic_load_n(&over, __ATOMIC_ACQUIRE))
		for (unsigned i = 0; i < 8; i++)
			missing += rings(ports[i]) != 3;
	return (void *)missing;
}

/* A CPU that looks up a port while others come and go finds it. */
TEST(lookup_meanwhile)
{
	pthread_t thread;
	void *missing;

	reset();
	for (unsigned i = 0; i < 8; i++)
		CHECK_EQ(doorbell_set(&vm, port_of_hash(9, i), &caps[3]), STATUS_OK);
	__atomic_store_n(&over, false, __ATOMIC_RELEASE);
	pthread_create(&thread, NULL, look_up, NULL);
	for (unsigned step = 0; step < 200000; step++) {
		u16 port = (u16)(0x4000 + random_below(300));

		if (random_below(2))
			doorbell_clear(&vm, port, 1);
		else if (doorbell_set(&vm, port, &caps[0]) != STATUS_OK)
			doorbell_clear(&vm, 0x4000, 300);
	}
	__atomic_store_n(&over, true, __ATOMIC_RELEASE);
	pthread_join(thread, &missing);
	CHECK_EQ((uintptr_t)missing, 0);
}

static pthread_barrier_t barrier;

static void *set_many(void *unused)
{
	(void)unused;
	for (unsigned round = 0; round < ROUNDS; round++) {
		pthread_barrier_wait(&barrier);
		spin_lock(&vm.space.lock);
		for (u16 port = 0; port < 8; port++)
			if (doorbell_set(&vm, port, &caps[0]) != STATUS_OK)
				break;
		spin_unlock(&vm.space.lock);
		pthread_barrier_wait(&barrier);
	}
	return NULL;
}

/*
 * The VM is destroyed, as destroy.c does it, while another CPU sets doorbells: none may be left in
 * the event's list, since the entries are freed.
 */
TEST(destruction_meanwhile)
{
	pthread_t thread;
	unsigned left = 0;

	reset();
	pthread_barrier_init(&barrier, NULL, 2);
	pthread_create(&thread, NULL, set_many, NULL);
	for (unsigned round = 0; round < ROUNDS; round++) {
		vm_make();
		pthread_barrier_wait(&barrier);
		for (volatile unsigned i = 0; i < round % 1024; i++)
			;
		kobj_revoke(&vm.obj);
		for (unsigned i = 0; i < VM_MAX_DOORBELLS; i++)
			if (__atomic_load_n(&vm.doorbells[i], __ATOMIC_ACQUIRE))
				slot_clear(&vm.doorbells[i]->slot);
		pthread_barrier_wait(&barrier);
		left += length(&events[0].slots) != 1;
	}
	pthread_join(thread, NULL);
	CHECK_EQ(left, 0);
	vm_make();
}
