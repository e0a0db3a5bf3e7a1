/*
 * Packets of GDB's remote serial protocol (GDB manual, appendix E.1): `$data#checksum`, where `}`
 * escapes a byte. Pure; what comes in is anybody's.
 */
#pragma once

#include "kernel/abi/types.h"

#define GDB_PACKET_MAX 2048u /* bytes between `$` and `#`, as PacketSize says */

enum gdb_event {
	GDB_NOTHING,
	GDB_PACKET,    /* data[0..size) is one, with its NUL; until the next byte is fed */
	GDB_BAD,       /* a packet with a wrong checksum, or too long */
	GDB_ACK,       /* + */
	GDB_NAK,       /* - */
	GDB_INTERRUPT, /* 03h outside a packet */
};

struct gdb_packet {
	u32 state; /* enum in packet.c; 0 at first */
	u32 size;
	u8 sum;
	u8 want;
	bool broken;
	char data[GDB_PACKET_MAX + 1];
};

/* Takes one byte of the line. */
enum gdb_event gdb_feed(struct gdb_packet *p, u8 byte);

/* A packet that is made: `text[0..size)` is what goes onto the line. */
struct gdb_reply {
	u32 size;
	u8 sum;
	bool overflow; /* it was longer than GDB_PACKET_MAX: gdb_end makes it an error */
	char text[GDB_PACKET_MAX + 4];
};

void gdb_begin(struct gdb_reply *r);

/* Adds bytes, escaped where the protocol wants it. */
void gdb_put(struct gdb_reply *r, const void *bytes, u32 count);
void gdb_put_text(struct gdb_reply *r, const char *text);

/* Adds bytes as pairs of hexadecimal digits; a number in as many digits as it has. */
void gdb_put_hex(struct gdb_reply *r, const void *bytes, u32 count);
void gdb_put_number(struct gdb_reply *r, u64 value);

/* Adds the checksum. */
void gdb_end(struct gdb_reply *r);

/* Value of a hexadecimal digit, or -1. */
int gdb_digit(char c);

/* Reads a hexadecimal number of 1 to 16 digits at *at and moves behind it; false: there is none. */
bool gdb_number(const char **at, u64 *value);

/* Reads `count` bytes as pairs of digits; false: there are not so many. */
bool gdb_bytes(const char **at, void *bytes, u32 count);
