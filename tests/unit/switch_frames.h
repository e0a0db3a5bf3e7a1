/* Frames for the tests of the switch: TCP over IPv4 and IPv6, and checksums summed up naively. */
#pragma once

#include "drivers/switch/offload.h"

#define FRAMES_MSS 1460u

/* The one's-complement sum of `size` bytes, an odd last one padded with zero, added to `sum`. */
static inline u32 frames_sum(u32 sum, const u8 *p, u32 size)
{
	for (u32 i = 0; i < size; i++) {
		sum += i % 2 ? p[i] : (u32)p[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return sum;
}

static inline u32 frames_get16(const u8 *p)
{
	return (u32)p[0] << 8 | p[1];
}

static inline void frames_put16(u8 *p, u32 value)
{
	p[0] = (u8)(value >> 8);
	p[1] = (u8)value;
}

/* The sum over the pseudo header of a TCP segment of `size` bytes. */
static inline u32 frames_pseudo(const u8 *frame, bool ipv6, u32 size)
{
	const u8 tail[4] = {0, 6, (u8)(size >> 8), (u8)size};
	const u8 *ip = frame + 14;

	return frames_sum(frames_sum(0, ipv6 ? ip + 8 : ip + 12, ipv6 ? 32 : 8), tail, 4);
}

/* True if a frame of TCP without options in IP has right checksums and lengths. */
static inline bool frames_right(const u8 *frame, u32 size, bool ipv6)
{
	u32 transport = ipv6 ? 54 : 34;
	u32 sum = frames_pseudo(frame, ipv6, size - transport);

	if (frames_sum(sum, frame + transport, size - transport) != 0xffff)
		return false;
	if (ipv6)
		return frames_get16(frame + 14 + 4) == size - 54;
	return frames_get16(frame + 14 + 2) == size - 14 && frames_sum(0, frame + 14, 20) == 0xffff;
}

/*
 * Makes a TCP frame with `payload` bytes from `from` to `to` (the last bytes of MAC addresses
 * 02:00:00:00:00:xx) as a guest's driver does: with its checksum unfinished, and GSO if it is
 * larger than the link. `at` has room for it. Returns its bytes.
 */
static inline u32 frames_tcp(struct net_header *h, u8 *at, u8 to, u8 from, bool ipv6, u32 payload)
{
	u32 transport = ipv6 ? 54 : 34;
	u32 size = transport + 20 + payload;
	u8 *ip = at + 14;
	u8 *tcp = at + transport;

	memset(at, 0, size);
	at[0] = at[6] = 2;
	at[5] = to;
	at[11] = from;
	frames_put16(at + 12, ipv6 ? 0x86dd : 0x0800);
	if (ipv6) {
		ip[0] = 0x60;
		frames_put16(ip + 4, size - 54);
		ip[6] = 6;
		ip[23] = from;
		ip[39] = to;
	} else {
		ip[0] = 0x45;
		frames_put16(ip + 2, size - 14);
		frames_put16(ip + 4, 0xfffe);
		ip[8] = 64;
		ip[9] = 6;
		ip[15] = from;
		ip[19] = to;
		frames_put16(ip + 10, ~frames_sum(0, ip, 20) & 0xffff);
	}
	frames_put16(tcp + 4, 0xffff); /* the sequence number is about to carry */
	frames_put16(tcp + 6, 0xff00);
	tcp[12] = 0x50;
	tcp[13] = 0x99; /* CWR ACK PSH FIN */
	frames_put16(tcp + 16, frames_pseudo(at, ipv6, size - transport));
	for (u32 i = 0; i < payload; i++)
		tcp[20 + i] = (u8)(i * 7 + (i >> 8));
	*h = (struct net_header){
		.flags = NET_NEEDS_CSUM, .csum_start = (u16)transport, .csum_offset = 16};
	if (size > 1514) {
		h->gso_type = ipv6 ? NET_GSO_TCPV6 : NET_GSO_TCPV4;
		h->gso_size = (u16)(ipv6 ? FRAMES_MSS - 20 : FRAMES_MSS);
		h->header_length = (u16)(transport + 20);
	}
	return size;
}
