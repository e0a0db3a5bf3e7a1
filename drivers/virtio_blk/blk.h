/*
 * A virtio block device (VIRTIO 1.2, 5.2) for drivers/disk. One queue; the data of a request lie in
 * its client's session, its header and status in the driver's own memory.
 */
#pragma once

#include "drivers/disk/run.h"
#include "drivers/virtio/pci.h"

extern const struct disk_driver virtio_blk_driver;
