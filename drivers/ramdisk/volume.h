/*
 * A volume in memory: zeroes or a file of the image, and over it pages that were written.
 *
 * What was written lies in START_STATE (protocols/volumes.h), so it outlives this process: a table
 * with an entry for each page of the volume, and the pages that it names. An entry changes after
 * the page's content is complete; which pages are in use is found anew from the table at each
 * start. So a death at any point loses no answered write and no page.
 *
 * Pure: no system call, nothing of sessions.
 */
#pragma once

#include "drivers/lib/lib.h"
#include "drivers/protocols/volumes.h"

struct volume {
	const u8 *file; /* NULL: zeroes */
	u64 file_size;
	u64 bytes; /* of the volume, whole sectors, file_size or more */
	bool read_only;
	u32 *map; /* for each page: VOLUME_BELOW, VOLUME_ZERO or the page's number + 1 */
	u64 *used;
	u8 *page;
	u32 pages; /* that can be written */
	u32 taken; /* of those, in use */
	u32 next;  /* where to look for a free one */
};

#define VOLUME_BELOW 0u  /* as in the file, or zeroes */
#define VOLUME_ZERO  ~0u /* zeroes, whatever the file has */

/*
 * Takes up the memory of a writable volume: volume_state_bytes(v->bytes, overlay), zeroed before
 * its first use. v->file, file_size and bytes are set. Returns the number of table entries that
 * could not be and were dropped: 0 unless this program damaged them.
 */
u32 volume_attach(struct volume *v, void *memory, u64 overlay);

/* Copies `size` bytes from byte `at` of the volume on; the span lies in it. */
void volume_read(const struct volume *v, u64 at, u8 *to, u64 size);

/* Writes; false if all its pages are in use: part of it may be written then. The volume is not
 * read-only, nor below. */
bool volume_write(struct volume *v, u64 at, const u8 *from, u64 size);

/* Makes the span read as zeroes; gives up the whole pages in it. False as above. */
bool volume_zero(struct volume *v, u64 at, u64 size);

/* Gives up the whole pages in the span, which read as zeroes then; the rest stays. */
void volume_discard(struct volume *v, u64 at, u64 size);
