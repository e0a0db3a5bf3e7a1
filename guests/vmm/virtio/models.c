/* The virtio device types that this VMM has. */
#include "guests/vmm/virtio/blk.h"
#include "guests/vmm/virtio/console.h"
#include "guests/vmm/virtio/net.h"
#include "guests/vmm/virtio/rng.h"

const struct virtio_model *virtio_model(u8 type)
{
	switch (type) {
	case VIRTIO_TYPE_NET:
		return &virtio_net_model;
	case VIRTIO_TYPE_BLOCK:
		return &virtio_blk_model;
	case VIRTIO_TYPE_CONSOLE:
		return &virtio_console_model;
	case VIRTIO_TYPE_ENTROPY:
		return &virtio_rng_model;
	default:
		return NULL;
	}
}
