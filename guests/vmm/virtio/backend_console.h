/* `console` sessions behind the ports of a virtio console (drivers/protocols/console.h). */
#pragma once

#include "drivers/lib/start.h"
#include "drivers/protocols/console.h"
#include "guests/vmm/virtio/console.h"

struct backend_console {
	struct console_session *session; /* NULL: what the driver writes is dropped */
	cap_t peer;
	u64 peer_bits;
	u64 own_bit;
	bool broken; /* the server's indices cannot be, and root was told */
};

/* Opens port `port`'s session; false: its memory is too small. */
bool backend_console_open(struct machine *m, u32 port, const struct start_resource *r);

/* The server set our event bit: it has bytes for us, or room, or it is there again. */
void backend_console_event(struct machine *m, u32 port);

/* Whether bytes that the driver wrote have not been taken by the server. */
bool backend_console_waiting(struct machine *m);
