/* Direct boot: everything that firmware would do, and the guest's kernel in memory. */
#pragma once

#include "guests/vmm/config/config.h"

/* Loads the guest and sets the first vCPU to its entry; false, with a log line, if that cannot be.
 */
bool start_direct(const struct config *c, struct machine *m);
