/* A program's own part of the system description. Pure. */
#pragma once

#include "kernel/abi/types.h"

/*
 * Makes, in `to` of `size` bytes, a device tree whose root is `node` of the checked tree `fdt`,
 * with everything below it. A node in an `ethernet-ports` there also gets the local-mac-address of
 * the guest's card that has it as `backend`. The nodes of PCI functions that it has access to stand
 * in a node `devices`. Returns its size in bytes, or 0 if it does not fit.
 */
u64 config_make(const void *fdt, int node, void *to, u64 size);
