/* A USB mass storage device on a root port of an xHCI controller, for drivers/disk. */
#pragma once

#include "drivers/disk/run.h"

extern const struct disk_driver xhci_driver;
