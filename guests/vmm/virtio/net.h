/*
 * virtio network device: virtio 1.2, 5.1.
 *
 * Queues: receive 2n, transmit 2n + 1 for pair n, then the control queue. Frames go to the backend
 * with their virtio_net_hdr, checked against what the driver negotiated, and come back so: a frame
 * that does not fit what was negotiated is dropped. While the link is up, frames that the backend
 * has no room for wait in their queue; while it is down they are dropped.
 *
 * Received frames are steered to the pair on which the flow was last transmitted (5.1.6.5.6.1), and
 * filtered by address, kind and VLAN (5.1.6.5.1 to 3).
 */
#pragma once

#include "drivers/protocols/net.h"
#include "guests/vmm/virtio/virtio.h"

#define VIRTIO_NET_MAGIC   DEVICE_MAGIC('V', 'N', 'E', 'T')
#define VIRTIO_NET_SIZE    256u /* entries of each queue */
#define VIRTIO_NET_PAIRS   4u
#define VIRTIO_NET_MACS    64u /* of each table; more: as if all were asked for */
#define VIRTIO_NET_VLANS   4096u
#define VIRTIO_NET_FLOWS   256u
#define VIRTIO_NET_HEAD    96u /* bytes of a frame that the device itself looks at */
#define VIRTIO_NET_MTU_MIN 68u

#define VIRTIO_NET_F_CSUM                BIT(0)
#define VIRTIO_NET_F_GUEST_CSUM          BIT(1)
#define VIRTIO_NET_F_CTRL_GUEST_OFFLOADS BIT(2)
#define VIRTIO_NET_F_MTU                 BIT(3)
#define VIRTIO_NET_F_MAC                 BIT(5)
#define VIRTIO_NET_F_GUEST_TSO4          BIT(7)
#define VIRTIO_NET_F_GUEST_TSO6          BIT(8)
#define VIRTIO_NET_F_GUEST_ECN           BIT(9)
#define VIRTIO_NET_F_HOST_TSO4           BIT(11)
#define VIRTIO_NET_F_HOST_TSO6           BIT(12)
#define VIRTIO_NET_F_HOST_ECN            BIT(13)
#define VIRTIO_NET_F_MRG_RXBUF           BIT(15)
#define VIRTIO_NET_F_STATUS              BIT(16)
#define VIRTIO_NET_F_CTRL_VQ             BIT(17)
#define VIRTIO_NET_F_CTRL_RX             BIT(18)
#define VIRTIO_NET_F_CTRL_VLAN           BIT(19)
#define VIRTIO_NET_F_CTRL_RX_EXTRA       BIT(20)
#define VIRTIO_NET_F_GUEST_ANNOUNCE      BIT(21)
#define VIRTIO_NET_F_MQ                  BIT(22)
#define VIRTIO_NET_F_CTRL_MAC_ADDR       BIT(23)
#define VIRTIO_NET_GUEST_OFFLOADS                                                                  \
	(VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_TSO4 | VIRTIO_NET_F_GUEST_TSO6 |             \
		VIRTIO_NET_F_GUEST_ECN)

#define VIRTIO_NET_S_LINK_UP  0x1u
#define VIRTIO_NET_S_ANNOUNCE 0x2u

struct virtio_net_config { /* 5.1.4 */
	u8 mac[6];
	u16 status;
	u16 max_virtqueue_pairs;
	u16 mtu;
};
static_assert(sizeof(struct virtio_net_config) == 12, "5.1.4");

enum virtio_net_class { /* 5.1.6.5 */
	VIRTIO_NET_CTRL_RX = 0,
	VIRTIO_NET_CTRL_MAC = 1,
	VIRTIO_NET_CTRL_VLAN = 2,
	VIRTIO_NET_CTRL_ANNOUNCE = 3,
	VIRTIO_NET_CTRL_MQ = 4,
	VIRTIO_NET_CTRL_GUEST_OFFLOADS = 5,
};
enum virtio_net_command {
	VIRTIO_NET_RX_PROMISC = 0, /* class RX */
	VIRTIO_NET_RX_ALLMULTI = 1,
	VIRTIO_NET_RX_ALLUNI = 2,
	VIRTIO_NET_RX_NOMULTI = 3,
	VIRTIO_NET_RX_NOUNI = 4,
	VIRTIO_NET_RX_NOBCAST = 5,
	VIRTIO_NET_RX_MODES = 6,
	VIRTIO_NET_MAC_TABLE_SET = 0,
	VIRTIO_NET_MAC_ADDR_SET = 1,
	VIRTIO_NET_VLAN_ADD = 0,
	VIRTIO_NET_VLAN_DEL = 1,
	VIRTIO_NET_ANNOUNCE_ACK = 0,
	VIRTIO_NET_MQ_PAIRS_SET = 0,
	VIRTIO_NET_OFFLOADS_SET = 0,
};
#define VIRTIO_NET_OK  0u
#define VIRTIO_NET_ERR 1u

struct virtio_net_table {
	u32 count;    /* entries in use */
	u32 overflow; /* the driver gave more than fit: all match */
	u8 mac[VIRTIO_NET_MACS][6];
};
static_assert(sizeof(struct virtio_net_table) % 8 == 0, "part of the state");

struct virtio_net {
	union {
		struct virtio virtio;
		struct device_header header;
	};
	u64 offloads;                 /* VIRTIO_NET_F_GUEST_* that the driver takes now */
	u32 takes;                    /* NET_TAKES_*: what the backend takes */
	u16 mtu;                      /* 0: not told */
	u8 link;                      /* up */
	u8 announce;                  /* the driver shall send gratuitous packets */
	u8 number;                    /* which card it is, for the backend */
	u8 pairs;                     /* there are */
	u8 pairs_active;              /* in use */
	u8 mac[6];                    /* which receive filtering accepts */
	u8 own_mac[6];                /* at reset */
	u8 mode[VIRTIO_NET_RX_MODES]; /* by command */
	u8 reserved[7];
	struct virtio_net_table unicast;
	struct virtio_net_table multicast;
	u64 vlan[VIRTIO_NET_VLANS / 64];
	u8 flow[VIRTIO_NET_FLOWS]; /* pair by hash */
};
DEVICE_STATE(struct virtio_net);

/*
 * Makes a network card at a place of the bus, with 1 to VIRTIO_NET_PAIRS pairs of queues; number:
 * the backend's. False: the place is taken.
 */
bool virtio_net_init(
	struct machine *m, struct virtio_net *s, u8 number, u8 devfn, u8 pairs, const u8 mac[6]);

/*
 * The backend is connected, and takes NET_TAKES_* offloads; mtu: 0, or what the link carries. What
 * it takes is offered to the driver from the next reset of the device on; a frame that needs what
 * the backend does not take any more is dropped.
 */
void virtio_net_connected(struct machine *m, struct virtio_net *s, u32 takes, u16 mtu);

/* The link is up or down; may be told again. */
void virtio_net_link(struct machine *m, struct virtio_net *s, bool up);

/* Has the driver tell the network where it is (5.1.6.5.4). */
void virtio_net_announce(struct machine *m, struct virtio_net *s);

/* The backend has room again. */
void virtio_net_ready(struct machine *m, struct virtio_net *s);

/* NET_TAKES_* that the driver takes now. */
u32 virtio_net_wants(const struct virtio_net *s);

/* A received frame: struct net_header and Ethernet frame, in pieces that another program sees. */
struct virtio_net_frame {
	u32 pieces; /* 1 to NET_PIECES */
	struct {
		const u8 *at;
		u32 length; /* not 0 */
	} piece[NET_PIECES];
};

enum virtio_net_result {
	VIRTIO_NET_TAKEN,   /* delivered */
	VIRTIO_NET_DROPPED, /* filtered, or not what was negotiated, or the device is not at work */
	VIRTIO_NET_WAIT,    /* no receive buffers now: virtio_net_backend_pull follows */
};
enum virtio_net_result virtio_net_receive(
	struct machine *m, struct virtio_net *s, const struct virtio_net_frame *frame);

/* Interrupts for what virtio_net_receive delivered: after the last frame. */
void virtio_net_received(struct machine *m, struct virtio_net *s);

/* There are more frames than one event may take: virtio_net_backend_pull is called again soon. */
void virtio_net_more(struct machine *m, struct virtio_net *s);

extern const struct virtio_model virtio_net_model;

/* --- the VMM provides these, and a fake does in unit tests --- */

/*
 * Room for a frame of `bytes` with its net_header, in memory that another program sees; NULL: none
 * now, virtio_net_ready follows.
 */
u8 *virtio_net_backend_buffer(struct machine *m, u8 number, u32 bytes);

/* Sends the frame of `bytes` that was put there. */
void virtio_net_backend_send(struct machine *m, u8 number, u32 bytes);

/* There may be receive buffers again: virtio_net_receive is called for what waits. */
void virtio_net_backend_pull(struct machine *m, u8 number);

/* virtio_net_wants changed. */
void virtio_net_backend_wants(struct machine *m, u8 number, u32 takes);
