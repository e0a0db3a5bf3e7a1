/*
 * Who broke the protocol of a session. Either end of one can write every word in it, so an end that
 * says so of its peer proves nothing; what all peers of a program say of it is taken for true,
 * since none of them is harmed against its will when it is restarted. Pure.
 */
#pragma once

#include "kernel/abi/types.h"

/* The other end of one of the program's sessions. */
struct blame_peer {
	bool root;        /* it is root, whose word is enough */
	bool runs;        /* it could say something */
	cycles_t accused; /* TSC at which it last did; 0: never */
};

/* True if the program is to be restarted at `now`, for what was said in the `span` cycles before.
 */
static inline bool blame_agreed(
	const struct blame_peer *peer, u32 peers, cycles_t now, cycles_t span)
{
	u32 agree = 0;
	u32 run = 0;

	for (u32 i = 0; i < peers; i++) {
		bool says = peer[i].accused && now - peer[i].accused < span;

		if (peer[i].root && says)
			return true;
		run += peer[i].runs;
		agree += peer[i].runs && says;
	}
	return run > 0 && agree == run;
}
