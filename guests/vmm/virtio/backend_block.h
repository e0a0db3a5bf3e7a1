/*
 * The client's end of `block` sessions, behind virtio disks (drivers/protocols/block.h).
 *
 * A request under way keeps its copy and its place in the bounce memory until it is answered; when
 * the server was restarted, all of them are sent again; when it is gone, they and those that follow
 * fail. The server may be hostile: an answer counts only if its id is under way.
 *
 * With `zero-copy`, and a server whose device reaches the guest's RAM, requests name that RAM,
 * unless their data lie in more pieces, or otherwise, than the server takes: those are copied as
 * ever.
 */
#pragma once

#include "drivers/lib/start.h"
#include "drivers/protocols/block.h"
#include "guests/vmm/virtio/blk.h"

#define BACKEND_BLOCK_CHUNKS 64u /* pieces that the bounce memory is divided in */
#define BACKEND_BLOCK_RUN    8u /* chunks that one request gets at most, unless a block is larger */

struct backend_block_slot {
	struct block_request request;
	u32 first;  /* chunk */
	u32 count;  /* chunks; 0: no data, or in guest's RAM */
	u32 pieces; /* of that, in the request */
	bool under_way;
};

struct backend_block {
	bool used;
	bool connected;
	bool gone;       /* no server, and none will come: requests fail */
	bool zero_copy;  /* the description grants it */
	bool told;       /* that the server cannot do it */
	bool settled;    /* what an earlier process asked for is over */
	bool replay_off; /* for tests: what a server did not answer before it died fails */
	struct block_end end;
	cap_t peer;
	u64 peer_bits;
	u64 own_bit;
	u64 taken; /* bitmap of chunks */
	u32 chunk; /* bytes of one */
	struct backend_block_slot slot[VIRTIO_BLK_REQUESTS];
};

/* Opens disk `number`'s session; false: its memory is too small. */
bool backend_block_open(struct machine *m, u32 number, const struct start_resource *r);

/* What the server says, once connected; else all 0. */
struct virtio_blk_facts backend_block_facts(const struct machine *m, u32 number);

/* The server set our event bit, or may have: goes on with the connection and takes answers. */
void backend_block_event(struct machine *m, u32 number);
