/* The server of volumes in memory: of zeroes, or files of the image. */
#include "drivers/lib/loop.h"
#include "drivers/ramdisk/config.h"
#include "drivers/ramdisk/disk.h"

#define DISKS_MAX 32u

static struct volume_config config[VOLUMES_MAX];
static struct volume volume[VOLUMES_MAX];
static u32 volumes;

static struct disk disk[DISKS_MAX];
static const struct start_resource *session[DISKS_MAX];
static u64 damages[DISKS_MAX]; /* that root was told of */
static u32 disks;

/* The file of the volume with that phandle, or NULL. */
static const struct start_resource *find_file(const struct start_info *info, u32 phandle)
{
	const struct start_resource *r;

	for (u32 i = 0; (r = start_find(info, START_FILE, i)) != NULL; i++) {
		if (r->phandle == phandle && phandle != 0)
			return r;
	}
	return NULL;
}

/* Sets up volume `i`, whose memory begins `at` bytes into START_STATE; returns where the next
 * one's begins. A volume that cannot be has no bytes. */
static u64 make_volume(
	const struct start_info *info, const struct start_resource *state, u32 i, u64 at)
{
	const struct volume_config *c = &config[i];
	struct volume *v = &volume[i];
	const struct start_resource *file = c->has_file ? find_file(info, c->phandle) : NULL;
	u64 bytes = c->bytes;
	u64 overlay;
	u64 need;
	u32 dropped;

	if (c->phandle == 0)
		return at;
	if (c->has_file && !file) {
		log_line("%s: its file is missing", c->name);
		return at;
	}
	if (file) {
		v->file = (const u8 *)file->address;
		v->file_size = file->size;
		if (bytes == 0)
			bytes = ALIGN_UP(file->size, BLOCK_SECTOR);
		if (v->file_size > bytes)
			v->file_size = bytes;
	}
	v->read_only = c->read_only;
	overlay = c->read_only ? 0 : c->overlay < bytes ? c->overlay : bytes;
	need = c->read_only ? 0 : volume_state_bytes(bytes, overlay);
	if (bytes > VOLUME_BYTES_MAX || at > state->size || need > state->size - at) {
		log_line("%s: no memory for it", c->name);
		return at;
	}
	v->bytes = bytes;
	if (!c->read_only) {
		dropped = volume_attach(v, (u8 *)state->address + at, overlay);
		if (dropped > 0)
			log_line("%s: %u pages of it are damaged and were dropped", c->name,
				dropped);
	}
	log_line("%s: %lu KiB%s%s, %u pages written", c->name, bytes >> 10,
		v->file ? " of a file" : "", c->read_only ? ", read-only" : "", v->taken);
	return at + need;
}

static void make_volumes(const struct start_info *info)
{
	const struct start_resource *tree = start_find(info, START_CONFIG, 0);
	const struct start_resource *state = start_find(info, START_STATE, 0);
	u64 at = VOLUMES_OWN;

	if (!tree || !state)
		return;
	volumes = volumes_read((const void *)tree->address, tree->size, config);
	for (u32 i = 0; i < volumes; i++)
		at = make_volume(info, state, i, at);
}

static void open_session(const struct start_resource *r)
{
	for (u32 i = 0; i < volumes; i++) {
		if (r->phandle == 0 || config[i].phandle != r->phandle || volume[i].bytes == 0)
			continue;
		if (disks == DISKS_MAX) {
			log_line("%s: more than %u sessions", r->name, DISKS_MAX);
			return;
		}
		session[disks] = r;
		disk_start(&disk[disks++], (void *)r->address, r->size, &volume[i], config[i].name);
		return;
	}
	log_line("%s: asks for a volume that is not here", r->name);
}

/* Tells the client what its turn asked for. A client that is away looks when it comes back. */
static void tell(u32 i)
{
	if (disk[i].damages != damages[i]) {
		damages[i] = disk[i].damages;
		loop_peer_broken(session[i]->cap);
	}
	if (!disk[i].signal)
		return;
	disk[i].signal = false;
	sys_event_signal(session[i]->cap, session[i]->value);
}

int main(struct start_info *info);

int main(struct start_info *info)
{
	const struct start_resource *r;

	make_volumes(info);
	for (u32 i = 0; (r = start_find(info, START_SESSION, i)) != NULL; i++) {
		if (r->role == START_SERVER && strcmp(r->protocol, "block") == 0 &&
			r->size > BLOCK_DATA)
			open_session(r);
	}
	if (disks == 0) {
		log_line("no volume that anybody uses: nothing to do");
		return 0;
	}
	loop_open(info, NULL);
	for (;;) {
		bool again = false;

		for (u32 i = 0; i < disks; i++) {
			again |= disk_turn(&disk[i]);
			tell(i);
		}
		loop_wait(again ? 0 : TIME_NEVER);
	}
}
