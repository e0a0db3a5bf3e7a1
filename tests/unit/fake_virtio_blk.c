/* A virtio block device: see fake_virtio_blk.h. Written from VIRTIO 1.2, not from the driver. */
#include <string.h>

#include "tests/unit/fake_virtio_blk.h"

struct fake_blk fake_blk;

/* The configuration, 5.2.4. */
static u32 config_read(u32 offset, u32 size)
{
	u8 space[64] = {0};
	const u64 capacity = FAKE_BLK_SECTORS;
	const u32 words[] = {0x10000, fake_blk.seg_max, 0, fake_blk.block_size, 0x00000003, 0, 4096,
		1, 8, 4096, 1, 1};
	u32 value = 0;

	memcpy(space, &capacity, 8);
	memcpy(space + 8, words, 4 * 4);
	memcpy(space + 24, words + 4, 2 * 4);
	memcpy(space + 36, words + 6, 6 * 4);
	if (offset + size <= sizeof(space))
		memcpy(&value, space + offset, size);
	return value;
}

void fake_blk_init(u64 features, u32 messages)
{
	fake_virtio_init(features, messages, config_read);
	fake_blk.block_size = 512; /* what the medium holds is anything */
	fake_blk.seg_max = 126;
}

static void clear_span(const u8 *segment)
{
	u64 sector;
	u32 sectors;

	memcpy(&sector, segment, 8);
	memcpy(&sectors, segment + 8, 4);
	if (sector > FAKE_BLK_SECTORS || sectors > FAKE_BLK_SECTORS - sector)
		fake_virtio.rules++;
	else
		memset(fake_blk.medium + sector * 512, 0, sectors * 512ull);
}

/* Carries the request out; returns the bytes written, with the status. */
static u32 carry_out(struct fake_part *p, u32 n, u8 status)
{
	u32 type;
	u64 sector;
	u32 written = 1;

	memcpy(&type, p[0].at, 4);
	memcpy(&sector, p[0].at + 8, 8);
	if (p[0].length != 16 || p[n - 1].length != 1 || !p[n - 1].write)
		fake_virtio.rules++;
	if (type == 11 || type == 13)
		clear_span(p[1].at);
	for (u32 i = 1; i + 1 < n && type < 2; i++) {
		u64 at = sector * 512;

		if (at + p[i].length > sizeof(fake_blk.medium) || p[i].write != (type == 0)) {
			fake_virtio.rules++;
			break;
		}
		if (type == 0)
			memcpy(p[i].at, fake_blk.medium + at, p[i].length);
		else
			memcpy(fake_blk.medium + at, p[i].at, p[i].length);
		written += p[i].write ? p[i].length : 0;
		sector += p[i].length / 512;
	}
	*p[n - 1].at = status;
	return written;
}

bool fake_blk_step(enum fake_blk_act act)
{
	struct fake_part part[FAKE_VIRTIO_PARTS];
	u32 size = fake_virtio.queue[0].size;
	u16 head;
	u32 n;
	u32 written;

	if (act == FAKE_BLK_NEEDS_RESET) {
		fake_virtio_needs_reset();
		return true;
	}
	if (!fake_virtio_take(0, &head, part, &n))
		return false;
	if (act == FAKE_BLK_SILENT || n < 2)
		return true;
	written = carry_out(part, n, act == FAKE_BLK_ERROR ? 1 : act == FAKE_BLK_STATUS ? 77 : 0);
	fake_virtio_use(0,
		act == FAKE_BLK_BAD_ID     ? size + head
		: act == FAKE_BLK_WRONG_ID ? (u32)(head + size / 2) % size
					   : head,
		act == FAKE_BLK_LONG ? written + 0x10000 : written, act == FAKE_BLK_JUMP ? 300 : 1);
	if (act == FAKE_BLK_TWICE)
		fake_virtio_use(0, head, written, 1);
	return true;
}
