/* Checksums and TCP segmentation in software, for IPv4 (RFC 791), IPv6 (RFC 8200), TCP (RFC 9293).
 */
#include "drivers/switch/offload.h"
#include "drivers/lib/lib.h"

#define ETHERTYPE_AT   12u
#define ETHERTYPE_IPV4 0x0800u
#define ETHERTYPE_IPV6 0x86ddu

#define IPV4_HEADER        20u
#define IPV4_VERSION       4u
#define IPV4_LENGTH        2u /* offsets in the header */
#define IPV4_ID            4u
#define IPV4_FRAGMENT      6u
#define IPV4_PROTOCOL      9u
#define IPV4_CHECKSUM      10u
#define IPV4_SOURCE        12u
#define IPV4_FRAGMENT_MASK 0x3fffu /* more-fragments and the offset */

#define IPV6_HEADER      40u
#define IPV6_VERSION     6u
#define IPV6_LENGTH      4u
#define IPV6_NEXT        6u
#define IPV6_SOURCE      8u
#define IPV6_HOP_BY_HOP  0u
#define IPV6_DESTINATION 60u
#define IPV6_EXTENSIONS  4u /* at most so many are looked through */

#define PROTOCOL_TCP 6u
#define TCP_HEADER   20u
#define TCP_SEQUENCE 4u
#define TCP_OFFSET   12u
#define TCP_FLAGS    13u
#define TCP_CHECKSUM 16u
#define TCP_FIN      0x01u
#define TCP_PSH      0x08u
#define TCP_CWR      0x80u

static u32 get16(const u8 *p)
{
	return (u32)p[0] << 8 | p[1];
}

static void put16(u8 *p, u32 value)
{
	p[0] = (u8)(value >> 8);
	p[1] = (u8)value;
}

static u32 get32(const u8 *p)
{
	return get16(p) << 16 | get16(p + 2);
}

static void put32(u8 *p, u32 value)
{
	put16(p, value >> 16);
	put16(p + 2, value & 0xffff);
}

/*
 * Adds 16-bit words to a sum; an odd last byte counts as the high half of a word. Most is added in
 * larger words of the processor's byte order, whose folded sum is the same but for its own byte
 * order (RFC 1071, 2).
 */
static u64 sum_add(u64 sum, const u8 *p, u32 size)
{
	u64 native = 0;

	for (; size >= 4; size -= 4, p += 4) {
		u32 word;

		memcpy(&word, p, 4);
		native += word;
	}
	while (native >> 16)
		native = (native & 0xffff) + (native >> 16);
	sum += __builtin_bswap16((u16)native);
	for (; size >= 2; size -= 2, p += 2)
		sum += get16(p);
	return size > 0 ? sum + ((u32)p[0] << 8) : sum;
}

static u32 sum_fold(u64 sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~(u32)sum & 0xffff;
}

/* Finds the TCP header behind an IPv4 header at `at`; 0 if there is none. */
static u32 find_tcp4(const struct frame *f, u32 at)
{
	const u8 *ip = f->data + at;
	u32 length;

	if (f->size - at < IPV4_HEADER || ip[0] >> 4 != IPV4_VERSION)
		return 0;
	length = (ip[0] & 15u) * 4;
	if (length < IPV4_HEADER || length > f->size - at || ip[IPV4_PROTOCOL] != PROTOCOL_TCP ||
		get16(ip + IPV4_FRAGMENT) & IPV4_FRAGMENT_MASK)
		return 0;
	return at + length;
}

/* The same for IPv6 and those extension headers that leave the pseudo header as it is: a routing
 * header would not. */
static u32 find_tcp6(const struct frame *f, u32 at)
{
	const u8 *ip = f->data + at;
	u32 next;

	if (f->size - at < IPV6_HEADER || ip[0] >> 4 != IPV6_VERSION)
		return 0;
	next = ip[IPV6_NEXT];
	at += IPV6_HEADER;
	for (u32 i = 0; i <= IPV6_EXTENSIONS; i++) {
		u32 length;

		if (next == PROTOCOL_TCP)
			return at;
		if (next != IPV6_HOP_BY_HOP && next != IPV6_DESTINATION)
			return 0;
		if (f->size - at < 8)
			return 0;
		length = (f->data[at + 1] + 1u) * 8;
		if (length > f->size - at)
			return 0;
		next = f->data[at];
		at += length;
	}
	return 0;
}

/* Checks a frame that claims to be a large TCP segment of GSO type `type`. */
static bool check_gso(struct frame *f, u32 type, u32 link_size)
{
	u32 ether = get16(f->data + ETHERTYPE_AT);
	u32 length;

	f->network = ETHERNET_HEADER;
	if (type == NET_GSO_TCPV4 && ether == ETHERTYPE_IPV4)
		f->transport = find_tcp4(f, f->network);
	else if (type == NET_GSO_TCPV6 && ether == ETHERTYPE_IPV6)
		f->transport = find_tcp6(f, f->network);
	else
		return false;
	if (f->transport == 0 || f->size - f->transport < TCP_HEADER ||
		f->header.csum_start != f->transport || f->header.csum_offset != TCP_CHECKSUM)
		return false;
	length = (f->data[f->transport + TCP_OFFSET] >> 4) * 4u;
	if (length < TCP_HEADER || length > f->size - f->transport)
		return false;
	f->headers = f->transport + length;
	if (f->headers > OFFLOAD_HEADERS || f->size == f->headers)
		return false;
	return f->header.gso_size >= OFFLOAD_GSO_MIN &&
	       f->headers + f->header.gso_size <= link_size;
}

bool offload_check(struct frame *f, u32 link_size)
{
	struct net_header *h = &f->header;
	u32 type = h->gso_type & ~NET_GSO_ECN;

	f->network = 0;
	f->transport = 0;
	f->headers = 0;
	if (h->flags & ~NET_NEEDS_CSUM)
		return false;
	if (h->flags & NET_NEEDS_CSUM && (h->csum_start < ETHERNET_HEADER ||
						 (u32)h->csum_start + h->csum_offset + 2 > f->size))
		return false;
	if (h->gso_type == NET_GSO_NONE) {
		if (f->size > link_size)
			return false;
		h->gso_size = 0;
		h->header_length = 0;
	} else {
		if (!(h->flags & NET_NEEDS_CSUM) || !check_gso(f, type, link_size))
			return false;
		h->header_length = (u16)f->headers;
	}
	if (h->flags == 0) {
		h->csum_start = 0;
		h->csum_offset = 0;
	}
	h->num_buffers = 0;
	return true;
}

u32 offload_needs(const struct frame *f)
{
	u32 needs = f->header.flags & NET_NEEDS_CSUM ? NET_TAKES_CSUM : 0;

	if ((f->header.gso_type & ~NET_GSO_ECN) == NET_GSO_TCPV4)
		needs |= NET_TAKES_TSO4;
	if ((f->header.gso_type & ~NET_GSO_ECN) == NET_GSO_TCPV6)
		needs |= NET_TAKES_TSO6;
	if (f->header.gso_type & NET_GSO_ECN)
		needs |= NET_TAKES_ECN;
	return needs;
}

void offload_finish(struct frame *f)
{
	u32 start = f->header.csum_start;
	u8 *field = f->data + start + f->header.csum_offset;
	u32 sum = sum_fold(sum_add(0, f->data + start, f->size - start));

	/* UDP's 0 means none (RFC 768); for the others both are the same number. */
	put16(field, sum == 0 ? 0xffff : sum);
	f->header = (struct net_header){0};
}

u32 offload_segments(const struct frame *f)
{
	u32 payload = f->size - f->headers;

	return (payload + f->header.gso_size - 1) / f->header.gso_size;
}

/* The sum over TCP's pseudo header (RFC 9293, 3.1; RFC 8200, 8.1). */
static u64 pseudo_sum(const u8 *ip, bool ipv6, u32 tcp_size)
{
	u64 sum = ipv6 ? sum_add(0, ip + IPV6_SOURCE, 32) : sum_add(0, ip + IPV4_SOURCE, 8);

	return sum + PROTOCOL_TCP + tcp_size;
}

struct part offload_segment(const struct frame *f, u32 n, u8 headers[OFFLOAD_HEADERS])
{
	u32 done = n * f->header.gso_size;
	u32 left = f->size - f->headers - done;
	bool last = left <= f->header.gso_size;
	struct part payload = {f->data + f->headers + done, last ? left : f->header.gso_size};
	bool ipv6 = (f->header.gso_type & ~NET_GSO_ECN) == NET_GSO_TCPV6;
	u8 *ip = headers + f->network;
	u8 *tcp = headers + f->transport;
	u32 tcp_size = f->headers - f->transport + payload.size;
	u32 flags;
	u64 sum;

	memcpy(headers, f->data, f->headers);
	if (ipv6) {
		put16(ip + IPV6_LENGTH, f->headers - f->network - IPV6_HEADER + payload.size);
	} else {
		put16(ip + IPV4_LENGTH, f->headers - f->network + payload.size);
		put16(ip + IPV4_ID, get16(ip + IPV4_ID) + n);
		put16(ip + IPV4_CHECKSUM, 0);
		put16(ip + IPV4_CHECKSUM, sum_fold(sum_add(0, ip, f->transport - f->network)));
	}
	put32(tcp + TCP_SEQUENCE, get32(tcp + TCP_SEQUENCE) + done);
	flags = tcp[TCP_FLAGS];
	if (!last)
		flags &= ~(TCP_FIN | TCP_PSH);
	if (n > 0)
		flags &= ~TCP_CWR; /* RFC 3168, 6.1.2: said once */
	tcp[TCP_FLAGS] = (u8)flags;
	put16(tcp + TCP_CHECKSUM, 0);
	sum = pseudo_sum(ip, ipv6, tcp_size);
	sum = sum_add(sum, tcp, f->headers - f->transport);
	sum = sum_add(sum, payload.data, payload.size);
	put16(tcp + TCP_CHECKSUM, sum_fold(sum));
	return payload;
}
