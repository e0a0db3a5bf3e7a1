/* What the files of the network device share; for nobody else. */
#pragma once

#include "guests/vmm/virtio/net.h"

#define VIRTIO_NET_QUEUE_RX(pair) ((pair)*2u)
#define VIRTIO_NET_QUEUE_TX(pair) ((pair)*2u + 1)

/* Pairs that the driver may use: the others are not there without VIRTIO_NET_F_MQ (5.1.2). */
static inline u32 virtio_net_pairs(const struct virtio_net *s)
{
	return virtio_has(&s->virtio, VIRTIO_NET_F_MQ) ? s->pairs : 1;
}

/* The control queue comes after the pairs; it is processed only if it was negotiated. */
static inline u32 virtio_net_control_queue(const struct virtio_net *s)
{
	return virtio_net_pairs(s) * 2;
}

/* net_control.c */

/* Carries out the commands in the control queue. */
void virtio_net_control(struct machine *m, struct virtio_net *s);

/* net_filter.c: by the first `size` bytes of a frame, at most VIRTIO_NET_HEAD. */

/* Whether the driver wants a frame. */
bool virtio_net_wanted(const struct virtio_net *s, const u8 *head, u32 size);

/* Index of a frame's flow in s->flow: the same for both directions. */
u32 virtio_net_flow(const u8 *head, u32 size);
