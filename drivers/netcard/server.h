/*
 * Serves a network card to the client of one `net` session, in practice a switch whose uplink it
 * is: what is common to all drivers of cards but makes no system call.
 *
 * Data are not copied here: the card reads and writes the session's memory itself, of which the
 * driver attaches the bounce memory, not the queues. What the client posts for reception goes to
 * the card as it is, so it is filled in the order in which it was posted; a frame to transmit is
 * copied and checked, all but its data, and given to the card under a *tag*.
 *
 * A connection begins (epoch.h) with a reset of the card, after which it touches nothing of the
 * last one's any more. What was under way is lost, as the protocol allows.
 */
#pragma once

#include "drivers/protocols/net.h"

#define CARD_FRAMES_MAX NET_QUEUE /* tags */
#define CARD_PIECES     8u        /* of a frame, after those that adjoin were made one */
#define CARD_MTU_MIN    68u       /* RFC 791: what every link of IPv4 takes */

/* What a driver says of its card. */
struct card_facts {
	u8 mac[6];
	u16 mtu;     /* CARD_MTU_MIN to NET_MTU; its frames may be larger by NET_LINK_HEAD */
	u32 takes;   /* NET_TAKES_... of the frames that it may be given */
	u32 frames;  /* that may be under way, 1 to CARD_FRAMES_MAX */
	u32 buffers; /* that may be posted, 1 to NET_QUEUE */
};

/* An empty piece: a net_header, to be written by card_received, and behind it the frame. */
struct card_buffer {
	u64 bus; /* any alignment */
	u8 *data;
	u32 length; /* NET_PIECE_MIN to NET_PIECE_MAX */
};

struct card_piece {
	u64 bus;
	u32 length;
};

/* A frame that the driver can transmit as it stands: `size` bytes from the destination address on.
 * They may change at any time; nothing else here does. */
struct card_frame {
	struct net_header header; /* num_buffers 0; asks for what the facts have in `takes` */
	u32 size;                 /* NET_FRAME_MIN or more; within the MTU if not GSO */
	u32 pieces;               /* 1 to CARD_PIECES */
	struct card_piece piece[CARD_PIECES];
};

/* What the card does for the server: see struct card_driver. */
struct card_operations {
	bool (*start)(u32 takes);
	bool (*room)(void);
	void (*transmit)(u32 tag, const struct card_frame *f);
	void (*post)(const struct card_buffer *b);
};

/* A frame that the client transmits, by its tag. */
struct card_tag {
	bool done;
	u32 pieces; /* entries of the queue */
	u64 since;
};

struct card_server {
	struct card_facts facts;
	const struct card_operations *card;
	struct net_end end;
	u64 bus; /* bus address of region 0 */
	u64 now;
	bool connected;
	bool link;
	bool failed;  /* the card could not be started: give up */
	bool signal;  /* set the client's event bit, and clear this */
	u64 damages;  /* times that the client broke the session */
	u64 sent;     /* frames that the card is done with */
	u64 received; /* frames */
	u64 lost;     /* pieces with nothing good in them */

	/* Frames that the card transmits, and those behind them that it has done. */
	u32 first; /* tag */
	u32 tags;
	u32 taken; /* their pieces */
	struct card_tag tag[CARD_FRAMES_MAX];

	/* Pieces that the card fills. */
	u32 oldest; /* in `piece` */
	u32 posted;
	struct net_piece piece[NET_QUEUE];

	/* A frame of which the rest is still to come. */
	struct net_header header;
	u32 parts;
	u32 bytes;
	struct net_piece part[NET_PIECES];
};

/* True if the facts can be. */
bool card_facts_ok(const struct card_facts *f);

/*
 * Begins to serve the session of `size` bytes (more than NET_DATA) at `memory`, whose region 0 has
 * the bus address `bus`. The facts are right. The client is to be signalled.
 */
void card_server_init(struct card_server *s, const struct card_facts *f,
	const struct card_operations *card, void *memory, u64 size, u64 bus);

/* Follows the connection, gives the card frames to transmit and pieces to fill. `now`: any
 * monotonous time. True if more waits that could be done at once. */
bool card_server_round(struct card_server *s, u64 now);

/* Transmits a frame of the driver's own, if there is room. */
void card_server_own(struct card_server *s, const struct card_frame *f);

/* Starts the card anew, for it does not do what it should: what it had to transmit is lost, what it
 * had to fill is posted again. False: it cannot be started. */
bool card_server_again(struct card_server *s);

/* The time at which the oldest frame that the card has was given to it; false: it has none. */
bool card_server_oldest(const struct card_server *s, u64 *since);

/* --- for drivers, in `poll` --- */

/* The card is done with the frame. False: it has none with that tag. */
bool card_sent(struct card_server *s, u32 tag);

/*
 * The oldest piece that the card has holds `bytes` (from the piece's start, so with the header in a
 * frame's first) of a frame that goes on in the next with `more`. `header`, of a frame's first
 * piece, is what the card says of it: copied from wherever the card can write, not checked yet.
 * False: that cannot be.
 */
bool card_received(struct card_server *s, const struct net_header *header, u32 bytes, bool more);

/* The oldest piece that the card has holds a frame, or what is left of one, that is not good.
 * False: the card has none. */
bool card_lost(struct card_server *s);

/* The state of the card's link. Before the first call it is down. */
void card_link(struct card_server *s, bool up);
