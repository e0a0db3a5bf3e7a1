/* The operator's view of a partition's vCPUs: where their time goes. */
#pragma once

#include "drivers/root/member.h"

/* Prints counters, shares of time and exits by kind of each vCPU of a partition. */
void watch_show(const struct member *m);

/* Adds what a VMM needs for its counters of `vcpus` vCPUs to the size of its state, bytes. */
u64 watch_room(u64 state, u32 vcpus);
