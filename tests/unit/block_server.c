/* See block_server.h. */
#include <stdlib.h>
#include "tests/unit/block_server.h"

void *server_session;
struct block_end server;
u8 *server_medium;
u32 server_features;
u32 server_pieces;

static const struct block_facts volume = {
	.sectors = SECTORS,
	.block_size = 512,
	.physical_size = 4096,
	.features = BLOCK_CAN_FLUSH | BLOCK_CAN_DISCARD | BLOCK_CAN_WRITE_ZEROES,
	.max_sectors = 1024,
	.max_pieces = 1,
	.max_discard = 4096,
	.max_zeroes = 4096,
	.discard_block = 8,
	.name = "volume",
};

void server_event(void)
{
	machine_virtio_event(&host_machine, BIT(OWN_BIT));
}

/* The server begins, and answers a client's hello. */
void server_start(void)
{
	server = block_open(server_session, BLOCK_SESSION_SIZE);
	server.facts = volume;
	server.facts.features |= server_features;
	if (server_features & BLOCK_GUEST_MEMORY)
		server.facts.max_pieces = 3;
	block_server_start(&server);
}

void server_look(void)
{
	u32 hello;

	if (block_server_look(&server, &hello) == EPOCH_HELLO)
		block_server_answer(&server, hello);
}

/* What the machine's start waits for. */
static void serve_hello(void)
{
	server_look();
}

/* Carries out a request that was taken. */
static enum block_status carry_out(const struct block_request *r)
{
	bool reaches = server.facts.features & BLOCK_GUEST_MEMORY;
	enum block_status s = block_check(
		&server.facts, r, server.data_size, reaches ? &host_machine.virtio.ram : NULL);
	u8 *at = server_medium + r->sector * BLOCK_SECTOR;

	CHECK_EQ(s, BLOCK_OK);
	if (s != BLOCK_OK)
		return s;
	for (u32 i = 0; i < r->pieces; i++) {
		u8 *data = server.data + r->piece[i].offset;

		if (r->piece[i].region == BLOCK_REGION_GUEST) {
			data = host_ram + r->piece[i].offset;
			server_pieces++;
		}
		if (r->op == BLOCK_READ)
			memcpy(data, at, r->piece[i].length);
		else
			memcpy(at, data, r->piece[i].length);
		at += r->piece[i].length;
	}
	return BLOCK_OK;
}

/* Serves what waits; returns how many requests. */
u32 server_serve(void)
{
	struct block_request r;
	bool broken;
	u32 count = 0;

	while (block_take(&server, &r, &broken)) {
		block_answer(&server, r.id, carry_out(&r));
		count++;
	}
	CHECK(!broken);
	server_event();
	return count;
}

void server_serve_all(void)
{
	while (server_serve())
		;
}

void disk_start(bool with_server)
{
	struct machine *m = &host_machine;
	const struct start_resource r = {
		.size = BLOCK_SESSION_SIZE, .bit = OWN_BIT, .value = BIT(1)};
	struct start_resource session = r;
	struct virtio_blk_facts facts;

	if (!server_session) {
		server_session = aligned_alloc(PAGE_SIZE, BLOCK_SESSION_SIZE);
		server_medium = malloc(SECTORS * 512);
	}
	for (u32 i = 0; i < SECTORS * 512; i++)
		server_medium[i] = (u8)(i / 512 * 3 + i);
	memset(server_session, 0, BLOCK_SESSION_SIZE);
	host_setup(false);
	session.address = (u64)server_session;
	if (with_server)
		server_start();
	CHECK(backend_block_open(m, 0, &session));
	host.wait = with_server ? serve_hello : NULL;
	host.wait_bits = ~0ull;
	machine_virtio_await(m, &m->virtio.block[0].connected, m->virtio.block[0].own_bit);
	CHECK_EQ(m->virtio.block[0].connected, with_server);
	facts = backend_block_facts(m, 0);
	CHECK(virtio_blk_init(m, &m->state->virtio.disk[0], 0, DISK, 1, &facts));
	machine_virtio_bells(m, &m->state->virtio.disk[0].virtio);
	pci_configure(m, &m->state->pci, PM_BASE_DEFAULT);
	guest_start(DISK, VIRTIO_BLK_F_FLUSH);
}

void disk_request(u32 type, u64 sector, u32 length, bool write)
{
	const struct virtio_blk_header h = {type, 0, sector};
	const struct guest_part part[] = {
		{HEADER, 16, false}, {DATA, length, write}, {STATUS, 1, true}};

	memcpy(host_ram + HEADER, &h, sizeof(h));
	host_ram[STATUS] = 0xaa;
	guest_add(DISK, 0, part, 3);
}

bool disk_done(u8 status)
{
	u32 id, length;

	return guest_used(0, &id, &length) && host_ram[STATUS] == status;
}
