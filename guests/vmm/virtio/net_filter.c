/* What the network device sees in frames: addresses, VLANs, flows, offloads. */
#include "guests/vmm/virtio/net_parts.h"
#include "drivers/lib/lib.h"

#define MAC            6u
#define ETHERNET       14u
#define TYPE           12u /* offset of the type */
#define TAG            4u
#define TYPE_VLAN      0x8100u
#define TYPE_IPV4      0x0800u
#define TYPE_IPV6      0x86ddu
#define VLAN_ID        0x0fffu
#define GROUP          0x01u /* in the first byte of an address */
#define IPV4_LENGTH    0x0fu /* header, in words */
#define IPV4_PROTOCOL  9u
#define IPV4_FRAGMENT  6u
#define IPV4_OFFSET    0x3fffu /* offset and more-fragments */
#define IPV4_ADDRESSES 12u
#define IPV4_MIN       20u
#define IPV6_NEXT      6u
#define IPV6_ADDRESSES 8u
#define IPV6_HEADER    40u
#define PROTOCOL_TCP   6u
#define PROTOCOL_UDP   17u
#define PORTS          4u
#define CSUM_BYTES     2u

static u32 big_endian_16(const u8 *p)
{
	return (u32)p[0] << 8 | p[1];
}

static bool in_table(const struct virtio_net_table *t, const u8 *mac)
{
	if (t->overflow)
		return true;
	for (u32 i = 0; i < t->count && i < VIRTIO_NET_MACS; i++) {
		if (memcmp(t->mac[i], mac, MAC) == 0)
			return true;
	}
	return false;
}

static bool is_broadcast(const u8 *mac)
{
	static const u8 all[MAC] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

	return memcmp(mac, all, MAC) == 0;
}

static bool vlan_wanted(const struct virtio_net *s, const u8 *head, u32 size)
{
	u32 id;

	if (!virtio_has(&s->virtio, VIRTIO_NET_F_CTRL_VLAN) || size < ETHERNET + TAG ||
		big_endian_16(head + TYPE) != TYPE_VLAN)
		return true;
	id = big_endian_16(head + ETHERNET) & VLAN_ID;
	return s->vlan[id / 64] & BIT(id % 64);
}

static bool address_wanted(const struct virtio_net *s, const u8 *mac)
{
	if (!virtio_has(&s->virtio, VIRTIO_NET_F_CTRL_RX) || s->mode[VIRTIO_NET_RX_PROMISC])
		return true;
	if (is_broadcast(mac))
		return !s->mode[VIRTIO_NET_RX_NOBCAST];
	if (mac[0] & GROUP)
		return !s->mode[VIRTIO_NET_RX_NOMULTI] &&
		       (s->mode[VIRTIO_NET_RX_ALLMULTI] || in_table(&s->multicast, mac));
	return !s->mode[VIRTIO_NET_RX_NOUNI] &&
	       (s->mode[VIRTIO_NET_RX_ALLUNI] || memcmp(mac, s->mac, MAC) == 0 ||
		       in_table(&s->unicast, mac));
}

bool virtio_net_wanted(const struct virtio_net *s, const u8 *head, u32 size)
{
	return size >= ETHERNET && vlan_wanted(s, head, size) && address_wanted(s, head);
}

/* Adds bytes so that a sum over source and destination does not depend on which is which. */
static u32 sum(const u8 *p, u32 bytes)
{
	u32 s = 0;

	for (u32 i = 0; i < bytes; i++)
		s += (u32)p[i] << i % 2 * 8;
	return s;
}

/* Adds the ports of TCP and UDP, which begin at `at`. */
static u32 ports(const u8 *head, u32 size, u32 at, u8 protocol)
{
	if ((protocol != PROTOCOL_TCP && protocol != PROTOCOL_UDP) || at + PORTS > size)
		return 0;
	return sum(head + at, PORTS);
}

u32 virtio_net_flow(const u8 *head, u32 size)
{
	u32 at = ETHERNET;
	u32 hash = 0;
	u32 type;

	if (size < ETHERNET)
		return 0;
	type = big_endian_16(head + TYPE);
	if (type == TYPE_VLAN && size >= ETHERNET + TAG) {
		type = big_endian_16(head + TYPE + TAG);
		at += TAG;
	}
	if (type == TYPE_IPV4 && at + IPV4_MIN <= size) {
		const u8 *ip = head + at;
		u32 header = (ip[0] & IPV4_LENGTH) * 4u;

		hash = sum(ip + IPV4_ADDRESSES, 8);
		if (!(big_endian_16(ip + IPV4_FRAGMENT) & IPV4_OFFSET))
			hash += ports(head, size, at + header, ip[IPV4_PROTOCOL]);
	} else if (type == TYPE_IPV6 && at + IPV6_HEADER <= size) {
		const u8 *ip = head + at;

		hash = sum(ip + IPV6_ADDRESSES, 32) +
		       ports(head, size, at + IPV6_HEADER, ip[IPV6_NEXT]);
	} else {
		hash = sum(head, 2 * MAC);
	}
	hash *= 0x9e3779b1u; /* Fibonacci hashing: the high bits are well mixed */
	return hash >> 24;
}
