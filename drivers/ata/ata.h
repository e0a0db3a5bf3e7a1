/*
 * The first disk of an ATA channel with a PIIX-style bus master, for drivers/disk. One request at a
 * time, as the channel has no queue.
 */
#pragma once

#include "drivers/disk/run.h"

extern const struct disk_driver ata_driver;
