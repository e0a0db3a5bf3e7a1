/*
 * A namespace of an NVMe controller for drivers/disk. A request is one command; its tag is the
 * command's id, and says which queue carries it.
 */
#pragma once

#include "drivers/disk/run.h"
#include "drivers/nvme/controller.h"

extern const struct disk_driver nvme_driver;
