/*
 * The state of the controller of fake_xhci.h: what its registers (fake_xhci_regs.c) and its work
 * (fake_xhci.c) have in common.
 */
#pragma once

#include "tests/unit/fake_stick.h"
#include "tests/unit/fake_usb.h"

#define FAKE_HC_PORTS     4u
#define FAKE_HC_SLOTS     20u
#define FAKE_HC_ENDPOINTS 32u

struct fake_endpoint {
	u32 state; /* 0 disabled, 1 running, 2 halted, 3 stopped */
	u32 type;
	u32 packet;
	u64 dequeue;
	u32 cycle;
	bool rung; /* its doorbell was, and it has not run dry since */
	bool silent;
};

struct fake_slot {
	bool enabled;
	bool addressed;
	u32 device; /* of fake_usb; 0: none is there any more */
	u32 port;   /* of the root hub */
	struct fake_endpoint ep[FAKE_HC_ENDPOINTS];
};

struct fake_hc {
	u32 cmd;
	u32 sts;
	u32 config;
	u64 crcr;
	u64 dcbaap;
	u32 portsc[FAKE_HC_PORTS + 1];
	u32 iman;
	u32 erstsz;
	u64 erstba;
	u64 erdp;
	u32 legacy;
	u32 smis;
	/* the rings: of events, of commands */
	u64 event_base;
	u32 event_size;
	u32 event_at;
	u32 event_cycle;
	u64 command;
	u32 command_cycle;
	struct fake_slot slot[FAKE_HC_SLOTS + 1];
};

extern struct fake_hc fake_hc;

/* A port of the root hub has a device of that speed; 0: none. */
void fake_hc_connect(u32 port, u32 speed);

/* The device is there no more. */
void fake_hc_pulled(u32 device);

/* A doorbell is rung. */
void fake_hc_doorbell(u32 slot, u32 value);
