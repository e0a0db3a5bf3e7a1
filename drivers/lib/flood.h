/*
 * Peers that set this program's event bits without end. Setting a bit costs the peer little and
 * this program a turn of its loop, at this program's priority; so how often a bit may be set with
 * nothing new in the session's queues is limited. Over the limit the bit is muted for a moment at a
 * time: it does not wake the program, which still looks at the session in each of its turns.
 *
 * Nothing new: the peer's indices (entries.h, ring.h) are where they were at its last event. One
 * step of an index excuses one more such event, for it may have been seen before its event came.
 * Other words do not count, such as those of a connection that begins over and over. A peer whose
 * index moves each time is not found: it asks for work, of which each protocol bounds how much is
 * done in a turn. Pure, but for the indices that it reads.
 */
#pragma once

#include "drivers/lib/start.h"

#define FLOOD_EVENTS  200u /* in a second, with nothing new, beyond what moved: the most */
#define FLOOD_MUTE_US 10000u
#define FLOOD_PEERS   64u
#define FLOOD_INDICES 3u

/* The other end of a session. */
struct flood_peer {
	u64 bits; /* of the own event, that it may set */
	cap_t cap;
	const u32 *index[FLOOD_INDICES]; /* that it writes; NULL behind the last */
	u32 seen[FLOOD_INDICES];
	u32 events; /* since `since`, with nothing new, less what moved */
	cycles_t since;
	bool shared; /* another peer may set the same bit: who did is not known */
};

struct flood {
	struct flood_peer peer[FLOOD_PEERS];
	u32 peers;
	u64 tsc_hz;
	u64 muted;      /* bits not to wait for, */
	cycles_t until; /* up to this TSC; TIME_NEVER: none */
};

/* Watches nobody yet. */
void flood_init(struct flood *f, u64 tsc_hz);

/* Watches the peer of a START_SESSION, whose memory is mapped. Does nothing if its protocol has no
 * queues, or FLOOD_PEERS are watched. */
void flood_add(struct flood *f, const struct start_resource *session);

/* Watches the messages of a device: `bits` of the event, which are news when a counter of what it
 * has done moves. `other`: another, or NULL. They are told of with CAP_NULL. */
void flood_add_device(struct flood *f, u64 bits, const u64 *counter, const u64 *other);

/*
 * The wait of `now` (TSC) has returned event bits `bits`. Returns the muted bits. `tell` is called
 * for a peer that goes over the limit, with the capability of its session, once a second at most.
 */
u64 flood_look(struct flood *f, u64 bits, cycles_t now, void (*tell)(cap_t session));

/* Returns the muted bits at `now`: none any more after f->until. */
u64 flood_muted(struct flood *f, cycles_t now);
