/*
 * Frames whose sender left work to whoever sends them on: an unfinished checksum, or a TCP segment
 * that is larger than the link takes (virtio 1.2, 5.1.6.2). Checks what such a header claims
 * against the frame, and does the work for a receiver that cannot.
 */
#pragma once

#include "drivers/protocols/net.h"

#define ETHERNET_HEADER 14u
#define ETHERNET_MAC    6u
#define OFFLOAD_HEADERS 256u /* room for all headers of a segment: 14 + 40 + options + 60 */
#define OFFLOAD_GSO_MIN 48u  /* bytes of a segment's payload; bounds the segments of a frame */

/* A frame in private memory, and what offload_check found out about it. */
struct frame {
	struct net_header header;
	u8 *data; /* from the destination address on */
	u32 size;
	u32 network;   /* GSO: where the IP header is */
	u32 transport; /* where the TCP header is */
	u32 headers;   /* bytes of all headers */
};

/* Part of a frame to be put together from several. */
struct part {
	const u8 *data;
	u32 size;
};

/*
 * Checks f->header, as a client sent it, against the frame (ETHERNET_HEADER bytes or more), and
 * makes it what every receiver may be given. `link_size`: the largest frame, with its Ethernet
 * header, that the link takes. False: the header claims what is not so, or what is not offered
 * (NET_TAKES_ALL): the frame is to be refused.
 */
bool offload_check(struct frame *f, u32 link_size);

/* The NET_TAKES_... that a receiver must have to be given the frame as it is. */
u32 offload_needs(const struct frame *f);

/* Finishes the checksum of a frame with NET_NEEDS_CSUM that is not GSO. */
void offload_finish(struct frame *f);

/* The number of segments of a GSO frame. */
u32 offload_segments(const struct frame *f);

/*
 * Makes segment `n` of a GSO frame: its headers, with all checksums, in `headers`; returns the part
 * of the frame that is its payload.
 */
struct part offload_segment(const struct frame *f, u32 n, u8 headers[OFFLOAD_HEADERS]);
