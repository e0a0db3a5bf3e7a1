/*
 * Calls to root's service port (START_CAP_ROOT, START_ROOT); the badge tells root who calls. RSI is
 * the operation; the reply's RSI is a status: OK; BUSY: root is behind with its work, try again
 * later; BAD_CALL, BAD_ARG.
 */
#pragma once

#include "kernel/abi/types.h"

enum root_op {
	ROOT_LOG = 1,     /* RDX bytes (at most ROOT_LOG_MAX) of the message page are a line of this
			     program's log */
	ROOT_STOP = 2,    /* a partition's VMM: the guest ended; RDX enum root_stop_reason */
	ROOT_BROKEN = 3,  /* the peer of the session whose capability is RDX broke its protocol */
	ROOT_FLOODED = 4, /* it sets the own event bit over and over with nothing new (flood.h) */
};

#define ROOT_LOG_MAX 240u

/* A bit of the event of each partition's first thread: root asks the VMM to log the registers of
 * its vCPUs. Sessions have the bits below. */
#define ROOT_BIT_REPORT 31

enum root_stop_reason {
	ROOT_STOP_POWEROFF = 0, /* the guest switched its machine off */
	ROOT_STOP_RESET = 1,    /* the guest reset its machine: start it again */
	ROOT_STOP_ERROR = 2,    /* the VMM stopped the guest and has logged why */
};
