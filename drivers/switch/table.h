/*
 * Which port a MAC address was last seen at, for each VLAN: what a bridge learns (IEEE 802.1Q-2018,
 * 8.7 and 8.8).
 *
 * The table is made so that no port can spoil it for another: a port has at most TABLE_PER_PORT
 * entries, an entry makes room only for one of the same port or when it has aged, and where an
 * address goes in the table depends on a secret.
 */
#pragma once

#include "kernel/abi/types.h"

#define TABLE_SETS     256u
#define TABLE_WAYS     4u
#define TABLE_PORTS    32u
#define TABLE_PER_PORT 128u
#define TABLE_AGE_S    300u /* 802.1Q's default ageing time */
#define TABLE_NO_PORT  ~0u

struct table_entry {
	u64 key;  /* VLAN << 48 | address; 0: free */
	u64 seen; /* TSC */
	u32 port;
	u32 reserved;
};

struct table {
	u64 secret;
	u64 age; /* cycles after which an entry counts no more */
	u32 count[TABLE_PORTS];
	struct table_entry entry[TABLE_SETS][TABLE_WAYS];
};

/* Makes an empty table. */
void table_init(struct table *t, u64 secret, u64 age);

/* The address was seen at `port` (below TABLE_PORTS) at time `now`. `mac`: a station's, 48 bits. */
void table_learn(struct table *t, u64 mac, u32 vlan, u32 port, u64 now);

/* Where the address is, or TABLE_NO_PORT. */
u32 table_find(const struct table *t, u64 mac, u32 vlan, u64 now);

/* Forgets all that was seen at `port`. */
void table_forget(struct table *t, u32 port);
