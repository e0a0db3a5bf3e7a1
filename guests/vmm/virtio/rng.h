/*
 * virtio entropy device: virtio 1.2, 5.4. Bytes come from a generator of the device's own, which
 * begins with a seed of the machine's and does not depend on the driver.
 */
#pragma once

#include "drivers/lib/chacha20.h"
#include "guests/vmm/virtio/virtio.h"

#define VIRTIO_RNG_MAGIC DEVICE_MAGIC('V', 'R', 'N', 'G')
#define VIRTIO_RNG_SIZE  64u    /* entries of the queue */
#define VIRTIO_RNG_MOST  4096u  /* bytes that one chain gets */
#define VIRTIO_RNG_EVENT 65536u /* bytes that one notification gets; more follows soon */

struct virtio_rng {
	union {
		struct virtio virtio;
		struct device_header header;
	};
	struct random random;
};
DEVICE_STATE(struct virtio_rng);

/* Makes an entropy device at a place of the bus. False: the place is taken. */
bool virtio_rng_init(struct machine *m, struct virtio_rng *s, u8 devfn, const u8 seed[RANDOM_SEED]);

extern const struct virtio_model virtio_rng_model;
