/* Takes frames from the ports in turn, checks them, and gives them to where they belong. */
#include "drivers/switch/switch.h"
#include "drivers/lib/lib.h"

#define TAG_SIZE       4u
#define TAG_AT         12u
#define TAG_VLAN_MASK  0x0fffu
#define ETHERTYPE_CTAG 0x8100u /* 802.1Q-2018, table 9-1 */
#define ETHERTYPE_STAG 0x88a8u
#define MAC_GROUP      BIT(40)           /* of an address in 48 bits: multicast or broadcast */
#define MAC_RESERVED   0x0180c2000000ull /* 802.1Q-2018, table 8-1: not forwarded by any bridge */
#define MAC_RESERVED_N 16u

static u64 get_mac(const u8 *p)
{
	u64 mac = 0;

	for (u32 i = 0; i < ETHERNET_MAC; i++)
		mac = mac << 8 | p[i];
	return mac;
}

static u32 get16(const u8 *p)
{
	return (u32)p[0] << 8 | p[1];
}

void switch_init(struct switch_state *s, u64 secret, u64 tsc_hz)
{
	memset(s, 0, sizeof(*s));
	s->tsc_hz = tsc_hz;
	table_init(&s->table, secret, TABLE_AGE_S * tsc_hz);
}

bool switch_add(
	struct switch_state *s, const struct port_config *config, void *memory, u64 size, u64 mac)
{
	struct port *p;

	if (s->ports == SWITCH_PORTS)
		return false;
	p = &s->port[s->ports];
	*p = (struct port){
		.config = *config,
		.client = config->backend != 0,
		.burst = tsc_from_us(s->tsc_hz, SWITCH_BURST_US),
		.wait_until = SWITCH_NEVER,
	};
	if (!wire_open(p, memory, size, mac))
		return false;
	s->ports++;
	return true;
}

static bool is_trunk(const struct port *p)
{
	return p->client && p->config.vlan == SWITCH_VLAN_NONE;
}

/* True if frames of `vlan` may leave through the port. */
static bool carries(const struct port *p, u32 vlan)
{
	return is_trunk(p) || p->config.vlan == vlan;
}

static void refuse(struct port *p)
{
	p->refused++;
	if (!p->client)
		net_count_error(&p->end);
}

/* Takes the tag off a frame that came through the trunk. */
static bool strip_tag(struct frame *f, u32 *vlan)
{
	u32 id;

	if (f->size < ETHERNET_HEADER + TAG_SIZE)
		return false;
	id = get16(f->data + ETHERNET_HEADER) & TAG_VLAN_MASK;
	if (id > SWITCH_VLAN_MAX)
		return false;
	if (f->header.flags & NET_NEEDS_CSUM) {
		if (f->header.csum_start < ETHERNET_HEADER + TAG_SIZE)
			return false;
		f->header.csum_start = (u16)(f->header.csum_start - TAG_SIZE);
	}
	memmove(f->data + TAG_SIZE, f->data, TAG_AT);
	f->data += TAG_SIZE;
	f->size -= TAG_SIZE;
	*vlan = id;
	return true;
}

/*
 * Checks a frame that port `p` sent, all of it in private memory, and finds its VLAN. False: it is
 * to be refused.
 */
static bool admit(const struct switch_state *s, const struct port *p, struct frame *f, u32 *vlan)
{
	u32 type = get16(f->data + TAG_AT);
	u64 source = get_mac(f->data + ETHERNET_MAC);

	*vlan = p->config.vlan;
	if (p->client) /* the driver says that the checksum is right: the receiver looks itself */
		f->header.flags &= (u8)~NET_DATA_VALID;
	if (type == ETHERTYPE_STAG)
		return false;
	if (type == ETHERTYPE_CTAG) {
		if (!is_trunk(p) || !strip_tag(f, vlan))
			return false;
		type = get16(f->data + TAG_AT);
		if (type == ETHERTYPE_CTAG || type == ETHERTYPE_STAG)
			return false;
	}
	if (source & MAC_GROUP || source == 0)
		return false;
	for (u32 i = 0; i < s->ports; i++) {
		if (s->port[i].config.mac == source && &s->port[i] != p)
			return false;
	}
	return offload_check(f, SWITCH_LINK_SIZE);
}

/* Gives what `parts` hold, with the VLAN's tag if `p` is a trunk. */
static void give(
	struct port *p, struct net_header header, const struct part *parts, u32 count, u32 vlan)
{
	const u8 tag[TAG_SIZE] = {
		ETHERTYPE_CTAG >> 8, ETHERTYPE_CTAG & 0xff, (u8)(vlan >> 8), (u8)vlan};
	struct part tagged[4];

	if (!is_trunk(p) || vlan == SWITCH_VLAN_NONE) {
		wire_give(p, &header, parts, count);
		return;
	}
	check(count >= 1 && count <= 2 && parts[0].size >= TAG_AT);
	tagged[0] = (struct part){parts[0].data, TAG_AT};
	tagged[1] = (struct part){tag, TAG_SIZE};
	tagged[2] = (struct part){parts[0].data + TAG_AT, parts[0].size - TAG_AT};
	if (count == 2)
		tagged[3] = parts[1];
	if (header.flags & NET_NEEDS_CSUM)
		header.csum_start = (u16)(header.csum_start + TAG_SIZE);
	if (header.gso_type != NET_GSO_NONE)
		header.header_length = (u16)(header.header_length + TAG_SIZE);
	wire_give(p, &header, tagged, count + 2);
}

/* Gives a frame to a port, doing first what the port's peer cannot. */
static void deliver(struct port *p, struct frame *f, u32 vlan)
{
	u32 needs = offload_needs(f);
	bool tagged = is_trunk(p) && vlan != SWITCH_VLAN_NONE;
	struct part whole = {f->data, f->size};
	u8 headers[OFFLOAD_HEADERS];
	u32 segments;

	if (p->end.epoch.peer == 0) {
		p->dropped++;
		if (!p->client)
			net_count_drop(&p->end);
		return;
	}
	if ((needs & ~p->end.takes) == 0 && !(tagged && f->size > NET_FRAME_MAX - TAG_SIZE)) {
		give(p, f->header, &whole, 1, vlan);
		return;
	}
	if (f->header.gso_type == NET_GSO_NONE) {
		offload_finish(f);
		give(p, f->header, &whole, 1, vlan);
		return;
	}
	segments = offload_segments(f);
	for (u32 i = 0; i < segments; i++) {
		struct part parts[2] = {{headers, f->headers}};

		parts[1] = offload_segment(f, i, headers);
		give(p, (struct net_header){0}, parts, 2, vlan);
	}
}

/* The port that the address belongs to in the VLAN, or TABLE_NO_PORT. */
static u32 find(const struct switch_state *s, u64 mac, u32 vlan)
{
	for (u32 i = 0; i < s->ports; i++) {
		if (mac != 0 && s->port[i].config.mac == mac && carries(&s->port[i], vlan))
			return i;
	}
	return table_find(&s->table, mac, vlan, s->now);
}

static void forward(struct switch_state *s, u32 from, struct frame *f, u32 vlan)
{
	u64 target = get_mac(f->data);
	u64 source = get_mac(f->data + ETHERNET_MAC);
	u32 to = TABLE_NO_PORT;

	if (s->port[from].config.mac != source)
		table_learn(&s->table, source, vlan, from, s->now);
	if (target - MAC_RESERVED < MAC_RESERVED_N)
		return;
	if (!(target & MAC_GROUP))
		to = find(s, target, vlan);
	if (to != TABLE_NO_PORT) {
		if (to != from && carries(&s->port[to], vlan))
			deliver(&s->port[to], f, vlan);
		return;
	}
	for (u32 i = 0; i < s->ports; i++) {
		if (i != from && carries(&s->port[i], vlan))
			deliver(&s->port[i], f, vlan);
	}
}

/* True if the port may send now; else sets when. */
static bool rate_allows(const struct switch_state *s, struct port *p)
{
	if (p->config.max_kbps == 0 || p->next_at <= s->now + p->burst)
		return true;
	p->wait_until = p->next_at - p->burst;
	return false;
}

/* The port has sent a frame: its time at the port's rate is used up. */
static void rate_charge(const struct switch_state *s, struct port *p, u32 bytes)
{
	if (p->config.max_kbps == 0)
		return;
	if (p->next_at < s->now)
		p->next_at = s->now;
	p->next_at += (u64)bytes * 8 * s->tsc_hz / ((u64)p->config.max_kbps * 1000);
}

/* One turn of a port; true if it was cut short while frames may wait. */
static bool turn(struct switch_state *s, u32 index)
{
	struct port *p = &s->port[index];
	struct frame *f = &s->frame;
	u32 sum = 0;

	if (wire_follow(p))
		table_forget(&s->table, index);
	p->wait_until = SWITCH_NEVER;
	for (u32 i = 0; i < SWITCH_TURN && sum < SWITCH_TURN_BYTES; i++) {
		u32 vlan;
		u32 bytes;

		if (!rate_allows(s, p))
			return false;
		bytes = wire_take(p, s->buffer);
		if (bytes == 0)
			return false;
		sum += bytes;
		p->taken++;
		rate_charge(s, p, bytes);
		if (bytes < sizeof(f->header) + ETHERNET_HEADER) {
			refuse(p);
			continue;
		}
		memcpy(&f->header, s->buffer, sizeof(f->header));
		f->data = s->buffer + sizeof(f->header);
		f->size = bytes - (u32)sizeof(f->header);
		if (admit(s, p, f, &vlan))
			forward(s, index, f, vlan);
		else
			refuse(p);
	}
	return true;
}

bool switch_round(struct switch_state *s, u64 now)
{
	bool again = false;

	s->now = now;
	for (u32 i = 0; i < s->ports; i++)
		again |= turn(s, (s->first + i) % s->ports);
	if (s->ports > 0)
		s->first = (s->first + 1) % s->ports;
	return again;
}

u64 switch_deadline(const struct switch_state *s)
{
	u64 next = SWITCH_NEVER;

	for (u32 i = 0; i < s->ports; i++) {
		if (s->port[i].wait_until < next)
			next = s->port[i].wait_until;
	}
	return next;
}
