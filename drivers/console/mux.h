/*
 * The console's line discipline: several byte streams shown on one terminal, and one keyboard given
 * to one of them. Each terminal of the console has one of its own.
 *
 * Shown together, every line of a client carries the prefix "[name] "; lines of different clients
 * never mix. A line that is not complete (a prompt) is shown when its client has been quiet for a
 * while; when another client's line comes between, that of the client with the keyboard is shown
 * anew, the others' with what follows. Shown alone (`alone`), a client's bytes go to the terminal
 * as they are. The operator's client has no prefix. Each client has a bounded store of bytes that
 * wait to be shown: while it is shown the client has to wait when that is full; while it is hidden
 * the oldest bytes go. Pure: time comes as a number.
 */
#pragma once

#include "kernel/abi/types.h"

#define MUX_CLIENTS 24u
#define MUX_NAME    32u
#define MUX_LINE    1024u
#define MUX_STORE   4096u  /* a power of two */
#define MUX_OUT     16384u /* a power of two */
#define MUX_QUANTUM 128u   /* bytes of a client before it is the next one's turn */
#define MUX_NONE    0xffffffffu
#define MUX_ESCAPE  0x1d /* Ctrl-] */

struct mux_client {
	char name[MUX_NAME];
	bool operator; /* root's prompt */
	char store[MUX_STORE];
	u32 store_head; /* bytes stored, ever */
	u32 store_tail;
	u32 dropped;         /* bytes that were lost while it was hidden */
	char line[MUX_LINE]; /* its incomplete line */
	u32 length;
	u32 shown;    /* bytes of `line` on the screen, if it is the owner of the cursor */
	bool cr;      /* its last byte was a carriage return */
	bool pending; /* `line` is to be shown at `due` */
	u64 due;
};

struct mux {
	u32 clients;
	struct mux_client client[MUX_CLIENTS];
	u32 selected; /* gets what is typed; MUX_NONE without clients */
	bool alone;   /* only the selected one is shown */
	u32 owner;    /* whose incomplete line the cursor stands in, or MUX_NONE */
	u32 turn;     /* the client that comes first in the next round */
	bool escape;  /* the escape key was typed */
	u64 quiet;    /* time after which an incomplete line is shown */
	void (*deliver)(u32 client, u8 byte); /* a typed byte */
	char out[MUX_OUT];                    /* to the terminal */
	u32 out_head;
	u32 out_tail;
};

void mux_init(struct mux *m, u64 quiet, void (*deliver)(u32 client, u8 byte));

/* Adds a client and returns its index, or MUX_NONE. Clients are added before anything else. */
u32 mux_add(struct mux *m, const char *name, bool operator);

/* Number of bytes that the client's store takes now. */
u32 mux_room(const struct mux *m, u32 client);

/* Stores bytes of a client; at most mux_room of them. */
void mux_put(struct mux *m, u32 client, const char *bytes, u32 count);

/* Shows as much of what is stored as the terminal's buffer has room for. True if something is left.
 */
bool mux_show(struct mux *m, u64 now);

/* Shows incomplete lines whose time has come; returns when to call again, ~0 for never. */
u64 mux_time(struct mux *m, u64 now);

/* Handles a typed byte. */
void mux_key(struct mux *m, u64 now, u8 byte);

/* Gives the keyboard to a client. */
void mux_select(struct mux *m, u64 now, u32 client);

/* What the terminal may show beside the text (struct console_status): who has the keyboard, and the
 * keys that change it. `text` has `size` bytes. */
void mux_status(const struct mux *m, char *text, u32 size);

/* The terminal forgets what a client that was shown alone has set: modes, colours, scrolling region
 * (DECSTR), and its other screen. */
void mux_plain(struct mux *m);

/* A line of the console's own: "[console] TEXT". */
void mux_notice(struct mux *m, u64 now, const char *text, ...)
	__attribute__((format(printf, 3, 4)));

/* Copies up to `count` bytes for the terminal without taking them; mux_taken then takes them. */
u32 mux_peek(const struct mux *m, char *bytes, u32 count);
void mux_taken(struct mux *m, u32 count);
