/*
 * A learning Ethernet switch (IEEE 802.1Q-2018, 8.6-8.8, without a spanning tree) between the ends
 * of `net` sessions. Pure: no system call; `signal` of a port says that its peer's event bit must
 * be set.
 *
 * A port with a VLAN is an access port of it. The uplink without a VLAN is a trunk: frames of the
 * ports' VLANs go through it with 802.1Q tags; untagged ones are those of the ports without VLAN. A
 * station behind another port sends no tagged frames: they are refused.
 *
 * What a port can do to others is bounded: each has its turn of frames, after which the next one's
 * frames go; a frame for a port that has no room is dropped for that port; what a port may learn is
 * limited (table.h); an address that the description gave to a port works nowhere else.
 */
#pragma once

#include "drivers/switch/offload.h"
#include "drivers/switch/table.h"

#define SWITCH_PORTS      TABLE_PORTS
#define SWITCH_TURN       16u     /* frames of a port before the next has its turn */
#define SWITCH_TURN_BYTES 131072u /* and so many bytes */
#define SWITCH_BURST_US   10000u  /* how long a port with max-kbps may run ahead of its rate */
#define SWITCH_LINK_SIZE  (NET_MTU + ETHERNET_HEADER)
#define SWITCH_VLAN_NONE  0u
#define SWITCH_VLAN_MAX   4094u
#define SWITCH_NEVER      (~0ull)

/* What the description says of a port. */
struct port_config {
	u32 phandle; /* of the port's node; 0: nobody refers to it */
	u32 backend; /* phandle of the card behind the uplink; 0: a port for a client */
	u32 number;
	u32 vlan;     /* SWITCH_VLAN_NONE or 1 to SWITCH_VLAN_MAX */
	u32 max_kbps; /* 0: no limit */
	u64 mac;      /* of its station, 48 bits; 0: not known */
};

struct port {
	struct port_config config;
	bool client; /* the uplink: this program is the client of a card's driver */
	bool signal; /* set the peer's event bit, and clear this */
	struct net_end end;
	u32 shift;      /* uplink: from an index of `received` to that of the piece in `free` */
	u64 next_at;    /* TSC at which its rate is used up, see SWITCH_BURST_US */
	u64 burst;      /* cycles */
	u64 wait_until; /* frames wait for its rate; SWITCH_NEVER: none */
	u64 taken;      /* frames */
	u64 refused;    /* of those */
	u64 dropped;    /* for this port */
	u64 damages;    /* times that the peer broke the session */
};

struct switch_state {
	u64 tsc_hz;
	u64 now; /* TSC of the turn */
	u32 ports;
	u32 first; /* who has the first turn */
	struct port port[SWITCH_PORTS];
	struct table table;
	struct frame frame;
	u8 buffer[sizeof(struct net_header) + NET_FRAME_MAX];
};

/* Makes a switch without ports. */
void switch_init(struct switch_state *s, u64 secret, u64 tsc_hz);

/*
 * Adds a port with the session at `memory`, `size` bytes: of a client's, or if config->backend is
 * set of a card's driver. `mac` is what a client is offered (48 bits). False: there are
 * SWITCH_PORTS already, or the session is too small. The peer is to be signalled.
 */
bool switch_add(
	struct switch_state *s, const struct port_config *config, void *memory, u64 size, u64 mac);

/* Gives every port a turn at time `now`. True if frames may wait that can go on now. */
bool switch_round(struct switch_state *s, u64 now);

/* When frames that wait for their port's rate can go on; SWITCH_NEVER: none wait. */
u64 switch_deadline(const struct switch_state *s);

/* --- wire.c: the ends of the sessions --- */

/* Opens the port's session; false: it is too small. */
bool wire_open(struct port *p, void *memory, u64 size, u64 mac);

/* Follows the connection; true if it is a new one or was lost: the station may be another. */
bool wire_follow(struct port *p);

/* Takes the next frame into `buffer`; returns its bytes with the net_header, 0: none waits. */
u32 wire_take(struct port *p, u8 buffer[sizeof(struct net_header) + NET_FRAME_MAX]);

/* Gives a frame that lies in `parts`; it is dropped if there is no room. */
void wire_give(
	struct port *p, const struct net_header *header, const struct part *parts, u32 count);

/* --- config.c --- */

/* Reads the ports in `fdt`, a tree of `size` bytes whose root is the program's node; returns their
 * number, 0 if anything is wrong, which root and the checker have refused before. */
u32 ports_read(const void *fdt, u64 size, struct port_config out[SWITCH_PORTS]);
