/*
 * A virtio network device as hardware would be, over fake_virtio.h: what it transmits goes to
 * `sent`, what comes in is put into the buffers that it was given. It does what VIRTIO forbids when
 * it is told to.
 */
#pragma once

#include "tests/unit/fake_virtio.h"

#define FAKE_VNET_FRAME_MAX 65562u /* with its header */

/* How it treats the next frame. */
enum fake_vnet_act {
	FAKE_VNET_GOOD,
	FAKE_VNET_BAD_ID,   /* an id beyond the queue */
	FAKE_VNET_WRONG_ID, /* one that is not under way */
	FAKE_VNET_LONG,     /* more bytes than it may write */
	FAKE_VNET_TWICE,    /* the same id again */
	FAKE_VNET_JUMP,     /* an index that jumps */
	FAKE_VNET_SHORT,    /* received: less than a header */
	FAKE_VNET_PIECES,   /* received: a number of buffers that cannot be */
	FAKE_VNET_CLAIM,    /* received: a header that claims what the frame is not */
	FAKE_VNET_ORDER,    /* received: in the buffer behind the next */
	FAKE_VNET_NEEDS_RESET,
	FAKE_VNET_ACTS,
};

struct fake_vnet {
	u8 mac[6];
	u16 mtu;
	bool link;
	bool no_control; /* it answers no command */
	bool refuses;    /* it answers commands with an error */
	bool promiscuous;
	u32 dropped; /* frames that came in when there were no buffers */
	/* A frame with its header, of which the checksum is finished if that was asked for. */
	void (*sent)(const u8 *frame, u32 bytes);
};

extern struct fake_vnet fake_vnet;

/* A fresh device that offers `features`, with `messages` MSI-X messages. */
void fake_vnet_init(u64 features, u32 messages);

/* Transmits one frame. False: none waits. */
bool fake_vnet_transmit(enum fake_vnet_act act);

/* A frame comes in, with a header that says nothing. False: it is dropped, as there is no buffer.
 */
bool fake_vnet_receive(const u8 *frame, u32 bytes, enum fake_vnet_act act);

/* Carries out what waits in the control queue. */
void fake_vnet_control(void);

/* The link changes, and the driver is told. */
void fake_vnet_link(bool up);
