/*
 * How the two ends of a session with entry queues (block.h, net.h) find each other, at first and
 * after either of them was restarted.
 *
 * Each end that starts takes a new *epoch*, a number other than 0 and than the one that its
 * predecessor left in the session. A *connection* is a pair of epochs, one of each end; each end
 * says with one 8-byte store which pair it means. Queues, facts and data count for one connection:
 * what an earlier one left is never looked at.
 *
 *   server starts   1 server = {own, 0}                           and sets the client's event bit
 *   client starts   2 when server.own is not 0:
 *                     client = {own, server's}                    and sets the server's event bit
 *   server, seeing a pair with its own epoch and a client's epoch that it does not serve:
 *                   3 finishes or drops all that is under way: afterwards it touches no data of
 *                     the old connection any more
 *                   4 in each queue, sets its own index to the other end's: the queues are empty
 *                   5 writes its facts
 *                   6 server = {own, client's}                    and sets the client's event bit
 *   client, seeing server = {the epoch it asked, own}: connected. It copies the facts, checks them,
 *                   and sends again all that was not acknowledged.
 *   client, seeing any other pair: the server was restarted, or closed the connection because of
 *                   damage. It begins at 2 with a new epoch.
 *
 * The client writes nothing but its pair between 2 and connected: no index, no entry, no data. So
 * the server reads at 4 an index that stands still, and a client's index never goes back. A client
 * may begin at 2 at any time, also to have everything dropped that is under way (its device was
 * reset) or to change what it said of itself. Stores are release, loads acquire: 4 and 5 are seen
 * by whoever sees 6. The compiler and the processor may not move them; nothing else is needed, as
 * each end writes one word and reads the other's.
 *
 * A server that is not started again is *gone*: root writes {its last epoch, EPOCH_GONE}. The
 * client then fails what it has, until a server starts at 1.
 *
 * Both words can be overwritten by a hostile peer, so each end keeps its own epochs in private
 * memory (struct epoch_end) and only the next process of the same end reads them back. A peer that
 * lies can delay or break its own connection, and has no other effect.
 */
#pragma once

#include "kernel/abi/types.h"

/* At the beginning of each session: {epoch of the writer << 32 | the other end's epoch}. */
struct epoch_words {
	u64 client __attribute__((aligned(64)));
	u64 server __attribute__((aligned(64)));
};
static_assert(sizeof(struct epoch_words) == 128);
static_assert(offsetof(struct epoch_words, server) == 64);

/* What one end knows; private to its process. */
struct epoch_end {
	u32 own;
	u32 peer;    /* the other end's epoch while connected, else 0 */
	u32 asked;   /* client: the server's epoch that the last pair meant, 0: none yet */
	u32 refused; /* server: the client's epoch that is closed because of damage */
};

#define EPOCH_GONE_PEER (~0u) /* no epoch: the server is gone */

enum epoch_state {
	EPOCH_AWAY,      /* not connected, nothing to do until the peer says something */
	EPOCH_CONNECTED, /* as before */
	EPOCH_LOST,      /* the connection has just ended; look again */
	EPOCH_HELLO,     /* client: may call epoch_hello; server: must quiesce and epoch_answer */
	EPOCH_ANSWERED,  /* client only: connected from now on */
	EPOCH_GONE,      /* client only: not connected, and nobody will be there */
};

static inline u64 epoch_pair(u32 own, u32 peer)
{
	return (u64)own << 32 | peer;
}

/* The epoch after `epoch`: never 0, which means none, nor EPOCH_GONE_PEER. */
static inline u32 epoch_next(u32 epoch)
{
	return epoch >= EPOCH_GONE_PEER - 1 ? 1 : epoch + 1;
}

/* Root: the server has ended and is not restarted. Root then sets the client's event bit. */
static inline void epoch_give_up(struct epoch_words *w)
{
	u64 old = __atomic_load_n(&w->server, __ATOMIC_RELAXED);

	__atomic_store_n(
		&w->server, epoch_pair((u32)(old >> 32), EPOCH_GONE_PEER), __ATOMIC_RELEASE);
}

/*
 * Step 1. The server then sets the client's event bit. The epoch is the low half of the TSC, not
 * the one after the last: a hostile predecessor could leave the word such that the next were the
 * one that the client has asked already, and overwrite the question; both would wait for ever.
 */
static inline void epoch_server_start(struct epoch_words *w, struct epoch_end *e)
{
	u64 old = __atomic_load_n(&w->server, __ATOMIC_RELAXED);
	u32 own = (u32)__builtin_ia32_rdtsc();

	if (own == 0 || own == EPOCH_GONE_PEER || own == (u32)(old >> 32))
		own = epoch_next((u32)(old >> 32));
	*e = (struct epoch_end){.own = own};
	__atomic_store_n(&w->server, epoch_pair(e->own, 0), __ATOMIC_RELEASE);
}

/*
 * What the client's word says to the server: AWAY, CONNECTED, LOST or HELLO, in which case *hello
 * is what epoch_answer wants. At LOST and HELLO the server does step 3.
 */
static inline enum epoch_state epoch_server_look(
	const struct epoch_words *w, struct epoch_end *e, u32 *hello)
{
	u64 said = __atomic_load_n(&w->client, __ATOMIC_ACQUIRE);

	*hello = (u32)(said >> 32);
	if ((u32)said != e->own || *hello == 0 || *hello == e->refused) {
		bool was = e->peer != 0;

		e->peer = 0;
		return was ? EPOCH_LOST : EPOCH_AWAY;
	}
	return *hello == e->peer ? EPOCH_CONNECTED : EPOCH_HELLO;
}

/* Step 6, after 3 to 5. The server then sets the client's event bit. */
static inline void epoch_answer(struct epoch_words *w, struct epoch_end *e, u32 hello)
{
	e->peer = hello;
	e->refused = 0;
	__atomic_store_n(&w->server, epoch_pair(e->own, hello), __ATOMIC_RELEASE);
}

/* The server ends a connection that the client has damaged; the next is with a new epoch of the
 * client's. The server then sets the client's event bit. */
static inline void epoch_server_close(struct epoch_words *w, struct epoch_end *e)
{
	e->refused = e->peer;
	e->peer = 0;
	__atomic_store_n(&w->server, epoch_pair(e->own, 0), __ATOMIC_RELEASE);
}

/* A client's process begins. */
static inline void epoch_client_start(const struct epoch_words *w, struct epoch_end *e)
{
	u64 old = __atomic_load_n(&w->client, __ATOMIC_RELAXED);

	*e = (struct epoch_end){.own = (u32)(old >> 32)};
}

/* What the server's word says to the client. At LOST, what was not acknowledged has to be sent
 * again after the next ANSWERED. */
static inline enum epoch_state epoch_client_look(const struct epoch_words *w, struct epoch_end *e)
{
	u64 said = __atomic_load_n(&w->server, __ATOMIC_ACQUIRE);
	u32 server = (u32)(said >> 32);

	if (e->peer != 0) {
		if (said == epoch_pair(e->peer, e->own))
			return EPOCH_CONNECTED;
		e->peer = 0;
		e->asked = 0;
		return EPOCH_LOST;
	}
	if ((u32)said == EPOCH_GONE_PEER) {
		e->asked = 0;
		return EPOCH_GONE;
	}
	if (server == 0)
		return EPOCH_AWAY;
	if (server != e->asked)
		return EPOCH_HELLO;
	if ((u32)said != e->own)
		return EPOCH_AWAY;
	e->peer = server;
	return EPOCH_ANSWERED;
}

/* Step 2, at HELLO or whenever the client wants to begin anew and the server has an epoch (not at
 * AWAY before the first HELLO). The client then sets the server's event bit. */
static inline void epoch_hello(struct epoch_words *w, struct epoch_end *e)
{
	u64 said = __atomic_load_n(&w->server, __ATOMIC_ACQUIRE);

	e->own = epoch_next(e->own);
	e->peer = 0;
	e->asked = (u32)(said >> 32);
	__atomic_store_n(&w->client, epoch_pair(e->own, e->asked), __ATOMIC_RELEASE);
}

/* The client gives up a connection whose server says what cannot be: no new hello before the
 * server's next epoch. */
static inline void epoch_client_close(struct epoch_end *e)
{
	e->peer = 0;
	e->own = epoch_next(e->own); /* nobody answers this one, as it was not said */
}
