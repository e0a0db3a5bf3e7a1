/* The operator's view of a partition's vCPUs: where their time goes. */
#pragma once

#include "drivers/root/member.h"

/* Prints counters, shares of time and exits by kind of each vCPU of a partition. */
void watch_show(const struct member *m);

/*
 * Prints a line for the member: cycles that its threads ran, of them those outside the guest, of
 * them those in the VMM. A process counts from its start on.
 */
void watch_times(const struct member *m);

/* Adds what a VMM needs for its counters of `vcpus` vCPUs to the size of its state, bytes. */
u64 watch_room(u64 state, u32 vcpus);
