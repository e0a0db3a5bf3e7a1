/* A SATA disk on one port of an AHCI host bus adapter, for drivers/disk. */
#pragma once

#include "drivers/disk/run.h"

extern const struct disk_driver ahci_driver;
