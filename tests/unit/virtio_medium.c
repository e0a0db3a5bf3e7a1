/* See virtio_medium.h. */
#include "tests/unit/virtio_medium.h"

struct virtio_blk disk;
u8 medium[SECTORS * 512];
struct pending pending[VIRTIO_BLK_REQUESTS];
u32 buffers;
bool direct;
u32 operations[VIRTIO_BLK_OP_WRITE_ZEROES + 1];

const struct virtio_model *virtio_model(u8 type)
{
	return type == VIRTIO_TYPE_BLOCK ? &virtio_blk_model : NULL;
}

u32 virtio_blk_backend_buffer(struct machine *m, u8 number, u32 slot, u32 bytes, u8 **buffer)
{
	(void)m;
	CHECK_EQ(number, MEDIUM_NUMBER);
	CHECK(slot < VIRTIO_BLK_REQUESTS && !pending[slot].used && bytes % 512 == 0);
	if (!buffers)
		return 0;
	*buffer = pending[slot].buffer;
	pending[slot].direct = false;
	return bytes == 0 ? 1 : bytes < PIECE ? bytes : PIECE;
}

void virtio_blk_backend_start(struct machine *m, u8 number, u32 slot, enum virtio_blk_op op,
	u64 sector, u32 sectors, bool unmap)
{
	struct pending *p = &pending[slot];

	(void)m;
	(void)number;
	buffers--;
	CHECK(!p->used);
	p->used = true;
	p->op = op;
	p->sector = sector;
	p->sectors = sectors;
	p->unmap = unmap;
	CHECK(sector + sectors <= SECTORS);
}

bool virtio_blk_backend_direct(struct machine *m, u8 number, u32 slot,
	const struct virtqueue_chain *c, bool writable, u32 offset, u32 bytes)
{
	struct pending *p = &pending[slot];

	(void)m;
	(void)number;
	p->direct = direct && buffers > 0 && bytes <= PIECE;
	if (!p->direct)
		return false;
	p->chain = *c;
	p->writable = writable;
	p->offset = offset;
	return true;
}

bool virtio_blk_backend_unsettled(struct machine *m, u8 number, bool orphans)
{
	(void)m;
	(void)number;
	return direct && orphans;
}

const u8 *virtio_blk_backend_data(struct machine *m, u8 number, u32 slot)
{
	(void)m;
	(void)number;
	return pending[slot].direct ? NULL : pending[slot].buffer;
}

static void carry_out(struct pending *p)
{
	u8 *at = medium + p->sector * 512;

	operations[p->op]++;
	if (p->direct && p->op == VIRTIO_BLK_OP_READ)
		CHECK(virtqueue_write(&p->chain, p->offset, at, p->sectors * 512));
	else if (p->direct && p->op == VIRTIO_BLK_OP_WRITE)
		CHECK(virtqueue_read(&p->chain, p->offset, at, p->sectors * 512));
	else if (p->op == VIRTIO_BLK_OP_READ)
		memcpy(p->buffer, at, p->sectors * 512);
	else if (p->op == VIRTIO_BLK_OP_WRITE)
		memcpy(at, p->buffer, p->sectors * 512);
	else if (p->op == VIRTIO_BLK_OP_WRITE_ZEROES)
		memset(at, 0, p->sectors * 512);
}

bool answer(enum virtio_blk_status status)
{
	for (u32 i = 0; i < VIRTIO_BLK_REQUESTS; i++) {
		if (!pending[i].used)
			continue;
		if (status == VIRTIO_BLK_S_OK)
			carry_out(&pending[i]);
		virtio_blk_answered(&driver.m, &disk, i, status);
		pending[i].used = false;
		buffers++;
		virtio_blk_ready(&driver.m, &disk);
		return true;
	}
	return false;
}

void answer_all(void)
{
	while (answer(VIRTIO_BLK_S_OK))
		;
}
