/* The virtio device types that this VMM has. */
#include "guests/vmm/dev_virtio_blk.h"
#include "guests/vmm/dev_virtio_console.h"
#include "guests/vmm/dev_virtio_net.h"
#include "guests/vmm/dev_virtio_rng.h"

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
