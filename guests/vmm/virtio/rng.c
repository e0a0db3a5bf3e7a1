/* virtio entropy device: see rng.h. */
#include "guests/vmm/virtio/rng.h"
#include "drivers/lib/lib.h"

#define CLASS_OTHER 0xff0000
#define CHUNK       256u

/* Fills the start of a chain; returns how many bytes. */
static u32 fill(struct virtio_rng *s, const struct virtqueue_chain *c)
{
	u32 most = c->write_bytes < VIRTIO_RNG_MOST ? c->write_bytes : VIRTIO_RNG_MOST;
	u8 bytes[CHUNK];

	for (u32 done = 0; done < most; done += CHUNK) {
		u32 size = most - done < CHUNK ? most - done : CHUNK;

		random_bytes(&s->random, bytes, size);
		virtqueue_write(c, done, bytes, size);
	}
	return most;
}

static void process(struct machine *m, struct virtio *d, u32 queue)
{
	struct virtio_rng *s = (struct virtio_rng *)d;
	struct virtqueue_chain c;
	u32 bytes = 0;

	while (bytes < VIRTIO_RNG_EVENT && virtio_look(m, d, queue, 0, &c)) {
		u32 size;

		if (c.read_bytes) { /* 5.4.6.1 */
			virtio_broken(m, d);
			return;
		}
		size = fill(s, &c);
		virtio_finish(m, d, queue, c.head, size);
		bytes += size;
	}
	virtio_interrupt(m, d, queue);
	if (bytes >= VIRTIO_RNG_EVENT)
		virtio_again(m, d, queue);
}

const struct virtio_model virtio_rng_model = {
	.class_code = CLASS_OTHER,
	.process = process,
};

bool virtio_rng_init(struct machine *m, struct virtio_rng *s, u8 devfn, const u8 seed[RANDOM_SEED])
{
	const struct virtio_setup setup = {
		.magic = VIRTIO_RNG_MAGIC,
		.bytes = sizeof(*s),
		.type = VIRTIO_TYPE_ENTROPY,
		.devfn = devfn,
		.queues = 1,
		.size = VIRTIO_RNG_SIZE,
	};

	memset(s, 0, sizeof(*s));
	random_init(&s->random, seed);
	return virtio_init(m, &s->virtio, &setup);
}
