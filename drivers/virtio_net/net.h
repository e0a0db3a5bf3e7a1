/*
 * A virtio network device (VIRTIO 1.2, 5.1) for drivers/netcard: one queue each way, and the
 * control queue to receive frames for all addresses. Frames lie in the client's session; headers of
 * those to transmit in the driver's own memory.
 *
 * The device must use the pieces for reception in the order in which it was given them, as all do
 * that are known: the client's queue has no other.
 */
#pragma once

#include "drivers/netcard/run.h"
#include "drivers/virtio/pci.h"

extern const struct card_driver virtio_net_driver;
