/*
 * Memory of a server that keeps volumes itself (`volumes` in its node, guests/systems/README.md):
 * root makes START_STATE so large, and the server lays it out, both by the functions here. A file
 * of the image comes as START_FILE with the `phandle` of its volume.
 *
 * START_STATE: VOLUMES_OWN bytes of the server's own, then for each volume with memory, in the
 * order of the nodes, volume_state_bytes.
 */
#pragma once

#include "kernel/abi/types.h"

#define VOLUMES_MAX       16u
#define VOLUMES_OWN       PAGE_SIZE
#define VOLUME_BYTES_MAX  BIT(40)
#define VOLUME_PAGE_BYTES 4096u

/* Pages that cover `bytes` (at most VOLUME_BYTES_MAX) of a volume. */
static inline u64 volume_pages(u64 bytes)
{
	return (bytes + VOLUME_PAGE_BYTES - 1) / VOLUME_PAGE_BYTES;
}

/* Bytes of the table of a volume of `bytes`: four for each page. */
static inline u64 volume_map_bytes(u64 bytes)
{
	return ALIGN_UP(volume_pages(bytes) * 4, PAGE_SIZE);
}

/* Bytes that tell which of `pages` are in use: a bit for each. */
static inline u64 volume_used_bytes(u64 pages)
{
	return ALIGN_UP((pages + 63) / 64 * 8, PAGE_SIZE);
}

/* Memory for a volume of `bytes`, of which `overlay` bytes can be written. */
static inline u64 volume_state_bytes(u64 bytes, u64 overlay)
{
	u64 pages = volume_pages(overlay);

	return volume_map_bytes(bytes) + volume_used_bytes(pages) + pages * VOLUME_PAGE_BYTES;
}
