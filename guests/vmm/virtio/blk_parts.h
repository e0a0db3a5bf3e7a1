/* What the files of the block device share; for nobody else. */
#pragma once

#include "guests/vmm/virtio/blk.h"

#define VIRTIO_BLK_ALL (~0u)

/* Takes what waits in a queue, as long as there are places. */
void virtio_blk_process(struct machine *m, struct virtio_blk *s, u32 queue);

/* Forgets the requests of a queue, or of VIRTIO_BLK_ALL, which was reset. */
void virtio_blk_abandon(struct machine *m, struct virtio_blk *s, u32 queue);
