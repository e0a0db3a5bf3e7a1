/*
 * The client's end of `net` sessions, behind virtio network cards (drivers/protocols/net.h).
 *
 * The first half of the bounce memory is a ring of frames to send, the second is cut into pieces
 * for reception, which are posted again in the order in which they were filled. The server may be
 * hostile: lengths are checked, and a connection that it damages begins anew. While a server is
 * away, frames to send wait and the link stays as it was; when it is gone, the link is down.
 */
#pragma once

#include "drivers/lib/start.h"
#include "guests/vmm/virtio/net.h"

#define BACKEND_NET_PIECE  4096u
#define BACKEND_NET_PIECES 128u /* at most */

struct backend_net {
	bool used;
	bool connected;
	bool lost; /* a server was restarted, and the driver has not been asked to announce itself
		    */
	struct net_end end;
	cap_t peer;
	u64 peer_bits;
	u64 own_bit;
	u32 wants;            /* NET_TAKES_* that the driver takes */
	u32 said;             /* what the last hello said of that */
	u32 ring;             /* bytes of the ring of frames to send */
	u64 head;             /* byte of the ring that the next frame begins at; runs freely */
	u64 begin[NET_QUEUE]; /* by entry of `transmit`: where its frame begins */
	u32 pieces;           /* for reception */
	u32 next;             /* piece that is filled next */
};

/* Opens card `number`'s session; false: its memory is too small. */
bool backend_net_open(struct machine *m, u32 number, const struct start_resource *r);

/* The card's model has just been made: it learns what the server said before. */
void backend_net_attach(struct machine *m, u32 number);

/* The server set our event bit, or may have. */
void backend_net_event(struct machine *m, u32 number);
