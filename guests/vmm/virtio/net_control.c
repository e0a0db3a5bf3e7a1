/* The control queue of a virtio network device: virtio 1.2, 5.1.6.5. */
#include "guests/vmm/virtio/net_parts.h"
#include "drivers/lib/lib.h"

#define MAC       6u
#define ACK_BYTES 1u

struct command { /* struct virtio_net_ctrl, its readable head */
	u8 class;
	u8 command;
};

/* The command's data: exactly `size` bytes. */
static bool data_get(const struct virtqueue_chain *c, void *to, u32 size)
{
	return c->read_bytes == sizeof(struct command) + size &&
	       virtqueue_read(c, sizeof(struct command), to, size);
}

static bool receive_mode(struct virtio_net *s, const struct virtqueue_chain *c, u8 mode)
{
	bool extra = mode > VIRTIO_NET_RX_ALLMULTI;
	u8 on;

	if (mode >= VIRTIO_NET_RX_MODES ||
		!virtio_has(
			&s->virtio, extra ? VIRTIO_NET_F_CTRL_RX_EXTRA : VIRTIO_NET_F_CTRL_RX) ||
		!data_get(c, &on, sizeof(on)) || on > 1)
		return false;
	s->mode[mode] = on;
	return true;
}

/* Reads one of the two tables at *at, and moves *at behind it. */
static bool table_get(const struct virtqueue_chain *c, u32 *at, struct virtio_net_table *t)
{
	u32 count;

	if (!virtqueue_read(c, *at, &count, sizeof(count)))
		return false;
	*at += sizeof(count);
	if ((u64)count * MAC > c->read_bytes - *at)
		return false;
	memset(t, 0, sizeof(*t));
	t->overflow = count > VIRTIO_NET_MACS;
	t->count = t->overflow ? 0 : count;
	if (t->count)
		virtqueue_read(c, *at, t->mac, count * MAC);
	*at += count * MAC;
	return true;
}

static bool mac_command(
	struct machine *m, struct virtio_net *s, const struct virtqueue_chain *c, u8 command)
{
	u32 at = sizeof(struct command);
	struct virtio_net_table unicast;
	struct virtio_net_table multicast;
	u8 mac[MAC];

	if (command == VIRTIO_NET_MAC_ADDR_SET) {
		if (!virtio_has(&s->virtio, VIRTIO_NET_F_CTRL_MAC_ADDR) ||
			!data_get(c, mac, sizeof(mac)))
			return false;
		memcpy(s->mac, mac, sizeof(mac));
		s->virtio.changed = 1; /* the driver knows: no interrupt */
		return true;
	}
	(void)m;
	if (command != VIRTIO_NET_MAC_TABLE_SET || !virtio_has(&s->virtio, VIRTIO_NET_F_CTRL_RX) ||
		!table_get(c, &at, &unicast) || !table_get(c, &at, &multicast))
		return false;
	s->unicast = unicast;
	s->multicast = multicast;
	return true;
}

static bool vlan_command(struct virtio_net *s, const struct virtqueue_chain *c, u8 command)
{
	u16 id;

	if (!virtio_has(&s->virtio, VIRTIO_NET_F_CTRL_VLAN) || command > VIRTIO_NET_VLAN_DEL ||
		!data_get(c, &id, sizeof(id)) || id >= VIRTIO_NET_VLANS)
		return false;
	if (command == VIRTIO_NET_VLAN_ADD)
		s->vlan[id / 64] |= BIT(id % 64);
	else
		s->vlan[id / 64] &= ~BIT(id % 64);
	return true;
}

static bool pairs_command(struct virtio_net *s, const struct virtqueue_chain *c, u8 command)
{
	u16 pairs;

	if (!virtio_has(&s->virtio, VIRTIO_NET_F_MQ) || command != VIRTIO_NET_MQ_PAIRS_SET ||
		!data_get(c, &pairs, sizeof(pairs)) || pairs < 1 || pairs > s->pairs)
		return false;
	s->pairs_active = (u8)pairs;
	return true;
}

static bool offloads_command(
	struct machine *m, struct virtio_net *s, const struct virtqueue_chain *c, u8 command)
{
	u64 offloads;

	if (!virtio_has(&s->virtio, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) ||
		command != VIRTIO_NET_OFFLOADS_SET || !data_get(c, &offloads, sizeof(offloads)) ||
		offloads & ~(s->virtio.accepted & VIRTIO_NET_GUEST_OFFLOADS))
		return false;
	if (s->offloads != offloads) {
		s->offloads = offloads;
		virtio_net_backend_wants(m, s->number, virtio_net_wants(s));
	}
	return true;
}

static bool announce_command(struct virtio_net *s, u8 command)
{
	if (!virtio_has(&s->virtio, VIRTIO_NET_F_GUEST_ANNOUNCE) ||
		command != VIRTIO_NET_ANNOUNCE_ACK)
		return false;
	s->announce = 0;
	s->virtio.changed = 1;
	return true;
}

static bool carry_out(struct machine *m, struct virtio_net *s, const struct virtqueue_chain *c,
	const struct command *command)
{
	switch (command->class) {
	case VIRTIO_NET_CTRL_RX:
		return receive_mode(s, c, command->command);
	case VIRTIO_NET_CTRL_MAC:
		return mac_command(m, s, c, command->command);
	case VIRTIO_NET_CTRL_VLAN:
		return vlan_command(s, c, command->command);
	case VIRTIO_NET_CTRL_ANNOUNCE:
		return announce_command(s, command->command);
	case VIRTIO_NET_CTRL_MQ:
		return pairs_command(s, c, command->command);
	case VIRTIO_NET_CTRL_GUEST_OFFLOADS:
		return offloads_command(m, s, c, command->command);
	default:
		return false;
	}
}

void virtio_net_control(struct machine *m, struct virtio_net *s)
{
	u32 queue = virtio_net_control_queue(s);
	struct virtqueue_chain c;
	struct command command;
	u8 ack;

	for (u32 i = 0; i < VIRTIO_NET_SIZE; i++) {
		if (!virtio_look(m, &s->virtio, queue, 0, &c)) {
			virtio_interrupt(m, &s->virtio, queue);
			return;
		}
		if (c.write_bytes < ACK_BYTES ||
			!virtqueue_read(&c, 0, &command, sizeof(command))) {
			virtio_broken(m, &s->virtio);
			return;
		}
		ack = carry_out(m, s, &c, &command) ? VIRTIO_NET_OK : VIRTIO_NET_ERR;
		virtqueue_write(&c, 0, &ack, ACK_BYTES);
		virtio_finish(m, &s->virtio, queue, c.head, ACK_BYTES);
	}
	virtio_interrupt(m, &s->virtio, queue);
	virtio_again(m, &s->virtio, queue);
}
