/* Serves a volume in memory to the client of one `block` session. */
#include "drivers/ramdisk/disk.h"

#define PAGE_SECTORS (VOLUME_PAGE_BYTES / BLOCK_SECTOR)

void disk_start(struct disk *d, void *memory, u64 size, struct volume *volume, const char *name)
{
	struct block_facts *f = &d->end.facts;

	*d = (struct disk){.end = block_open(memory, size), .volume = volume, .signal = true};
	f->sectors = volume->bytes / BLOCK_SECTOR;
	f->block_size = BLOCK_SECTOR;
	f->physical_size = VOLUME_PAGE_BYTES;
	f->max_sectors = DISK_MAX_SECTORS;
	f->max_pieces = BLOCK_PIECES;
	if (volume->read_only) {
		f->features = BLOCK_READ_ONLY;
	} else {
		f->features = BLOCK_CAN_FLUSH | BLOCK_CAN_DISCARD | BLOCK_CAN_WRITE_ZEROES;
		f->max_discard = DISK_MAX_CLEAR;
		f->max_zeroes = DISK_MAX_CLEAR;
		f->discard_block = PAGE_SECTORS;
	}
	memcpy(f->name, name, strnlen(name, sizeof(f->name)));
	block_server_start(&d->end);
}

/* Carries out a request that block_check found right. */
static enum block_status carry_out(struct disk *d, const struct block_request *r)
{
	struct volume *v = d->volume;
	u64 at = r->sector * BLOCK_SECTOR;
	u64 bytes = (u64)r->sectors * BLOCK_SECTOR;

	switch (r->op) {
	case BLOCK_FLUSH: /* an answered write is where it will stay */
		return BLOCK_OK;
	case BLOCK_DISCARD:
		volume_discard(v, at, bytes);
		return BLOCK_OK;
	case BLOCK_WRITE_ZEROES:
		return volume_zero(v, at, bytes) ? BLOCK_OK : BLOCK_IO;
	default:
		break;
	}
	for (u32 i = 0; i < r->pieces; i++) {
		u8 *data = d->end.data + r->piece[i].offset;

		if (r->op == BLOCK_READ)
			volume_read(v, at, data, r->piece[i].length);
		else if (!volume_write(v, at, data, r->piece[i].length))
			return BLOCK_IO;
		at += r->piece[i].length;
	}
	return BLOCK_OK;
}

static void follow(struct disk *d)
{
	u32 hello;

	if (block_server_look(&d->end, &hello) == EPOCH_HELLO) {
		block_server_answer(&d->end, hello);
		d->signal = true;
	}
}

bool disk_turn(struct disk *d)
{
	struct block_request r;
	bool broken = false;
	u32 n = 0;

	follow(d);
	while (n < DISK_TURN && block_take(&d->end, &r, &broken)) {
		enum block_status s = block_check(&d->end.facts, &r, d->end.data_size, NULL);

		if (s == BLOCK_OK)
			s = carry_out(d, &r);
		d->signal |= block_answer(&d->end, r.id, s);
		n++;
	}
	if (broken) {
		epoch_server_close(&d->end.session->epochs, &d->end.epoch);
		d->damages++;
		d->signal = true;
	}
	return n == DISK_TURN;
}
