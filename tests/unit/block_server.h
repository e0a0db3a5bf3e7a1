/*
 * A virtio disk on a `block` session whose server the test plays, in a machine on the fake host.
 */
#pragma once

#include "tests/unit/virtio_guest.h"

#define DISK    PCI_DEVFN(4, 0)
#define OWN_BIT 5u
#define SECTORS 4096u
#define HEADER  GUEST_DATA
#define STATUS  (GUEST_DATA + 0x100)
#define DATA    (GUEST_DATA + 0x1000)

extern void *server_session;
extern struct block_end server;
extern u8 *server_medium;   /* SECTORS of 512 bytes */
extern u32 server_features; /* it has more than usual, from its next start on */
extern u32 server_pieces;   /* of the guest's RAM that it was given */

/* Makes the machine with the disk, started by its driver; the server is there or not. */
void disk_start(bool with_server);

/* The session's event comes to the VMM. */
void server_event(void);

/* The server begins; looks at what the client says; serves what waits, and returns how many. */
void server_start(void);
void server_look(void);
u32 server_serve(void);
void server_serve_all(void);

/* A request with its data at DATA; whether the next one that is done has this status. */
void disk_request(u32 type, u64 sector, u32 length, bool write);
bool disk_done(u8 status);
