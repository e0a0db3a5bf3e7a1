/*
 * Deaths of a VMM at every store while it handles a disk's requests: virtio is not rolled back, so
 * its own order must hold. Each request is answered once, and the data are right.
 */
#include "tests/unit/block_server.h"
#include "tests/unit/journal_deaths.h"

#define SECTOR 100u
#define BYTES  0x30000u /* three pieces of the backend's */
#define ROUNDS 50u
#define RESET  0xaau

static struct journal journal;
static struct journal_log *logs;
static struct machine *m = &host_machine;

/* A fresh process takes over; it may die as well. */
static bool take_over(u64 store)
{
	const struct start_resource session = {.address = (u64)server_session,
		.size = BLOCK_SESSION_SIZE,
		.bit = OWN_BIT,
		.value = BIT(1)};
	static struct machine fresh;

	life_begin(store);
	if (setjmp(death))
		return true;
	real_memset(&fresh, 0, sizeof(fresh));
	fresh.state = m->state;
	fresh.vcpus = 1;
	fresh.memory = m->memory;
	fresh.clock = m->clock;
	fresh.cpuid = m->cpuid;
	fresh.vcpu[0].run = m->vcpu[0].run;
	fresh.lapic[0].page = m->lapic[0].page;
	real_memcpy(m, &fresh, sizeof(fresh));
	memset(host.doorbell_bits, 0, sizeof(host.doorbell_bits));
	machine_journal(m, 0, &journal, logs);
	CHECK(machine_resume(m));
	CHECK(backend_block_open(m, 0, &session));
	machine_virtio_resume(m);
	life_begin(0);
	return false;
}

static void fill(u8 *at, u32 key)
{
	for (u32 i = 0; i < BYTES; i++)
		at[i] = (u8)(i / 512 + i * key);
}

/* The request at the guest's driver has its one answer. */
static bool answered(void)
{
	for (u32 i = 0; i < ROUNDS; i++) {
		if (disk_done(VIRTIO_BLK_S_OK)) {
			CHECK(!disk_done(VIRTIO_BLK_S_OK));
			return true;
		}
		server_look();
		server_event();
		server_serve_all();
	}
	return false;
}

/* One request, with a death before that store, and one of the process that takes over. */
static bool try(u32 type, u64 store, u64 second)
{
	volatile bool died = false;

	life_begin(store);
	if (setjmp(death)) {
		died = true;
	} else {
		disk_request(type, SECTOR, BYTES, type == VIRTIO_BLK_T_IN);
		server_serve_all();
	}
	life_begin(0);
	if (died && second)
		take_over(second);
	if (died)
		CHECK(!take_over(0));
	if (!answered())
		test_fail(__FILE__, __LINE__, "killed at store %llu, then %llu: no answer",
			(unsigned long long)store, (unsigned long long)second);
	return died;
}

static u64 try_all(u32 type, u64 step, u64 second)
{
	u8 *data = host_ram + DATA;
	u8 *sectors = server_medium + SECTOR * 512;
	u64 store = 1;
	bool died = true;

	for (; died; store += step) {
		u8 *from = type == VIRTIO_BLK_T_IN ? sectors : data;

		memset(data, RESET, BYTES);
		memset(sectors, RESET, BYTES);
		fill(from, (u32)store);
		died = try(type, store, second);
		if (memcmp(data, sectors, BYTES) != 0) {
			test_fail(__FILE__, __LINE__, "killed at store %llu: the data are wrong",
				(unsigned long long)store);
			break;
		}
	}
	return store;
}

static void setup(void)
{
	life_begin(0);
	journal_tested = NULL;
	disk_start(true);
	logs = m->vcpu[0].log;
}

TEST(reads)
{
	setup();
	CHECK(try_all(VIRTIO_BLK_T_IN, 1, 0) > 100);
}

TEST(writes)
{
	setup();
	CHECK(try_all(VIRTIO_BLK_T_OUT, 1, 0) > 100);
}

TEST(deaths_of_the_next_too)
{
	setup();
	for (u64 second = 1; second < 400; second += 7) {
		try_all(VIRTIO_BLK_T_IN, 13, second);
		try_all(VIRTIO_BLK_T_OUT, 13, second);
	}
}
