/*
 * Fuzzes the virtio devices: the input is a list of steps of a driver (registers, configuration
 * space, guest memory, notifications, whole chains), of backends (answers, bytes, frames) and of
 * time. The first byte says which device it is. RAM ends where the allocation does, so a byte
 * outside it is found by the sanitizer.
 */
#include "guests/vmm/virtio/blk.h"
#include "guests/vmm/virtio/console.h"
#include "guests/vmm/virtio/net.h"
#include "guests/vmm/virtio/rng.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/virtio_driver.h"

#define STEPS  400u
#define BUFFER 4096u

/* The unit tests' frame, which virtio_driver.c uses. */
void test_fail(const char *file, int line, const char *format, ...)
{
	(void)file;
	(void)line;
	(void)format;
	abort();
}

static union {
	struct virtio virtio;
	struct virtio_blk blk;
	struct virtio_net net;
	struct virtio_console console;
	struct virtio_rng rng;
} device;

static struct {
	const u8 *at;
	size_t left;
} input;

static u8 buffers[VIRTIO_BLK_REQUESTS][BUFFER];
static bool under_way[VIRTIO_BLK_REQUESTS];
static u8 frame[NET_FRAME_MAX + sizeof(struct net_header)];
static u32 room; /* of the backends */

static u32 take(unsigned bytes)
{
	u32 value = 0;

	for (unsigned i = 0; i < bytes && input.left; i++, input.left--)
		value |= (u32)*input.at++ << i * 8;
	return value;
}

const struct virtio_model *virtio_model(u8 type)
{
	switch (type) {
	case VIRTIO_TYPE_NET:
		return &virtio_net_model;
	case VIRTIO_TYPE_BLOCK:
		return &virtio_blk_model;
	case VIRTIO_TYPE_CONSOLE:
		return &virtio_console_model;
	default:
		return &virtio_rng_model;
	}
}

/* --- backends --- */

u32 virtio_blk_backend_buffer(struct machine *m, u8 number, u32 slot, u32 bytes, u8 **buffer)
{
	(void)m;
	require(number == 0 && slot < VIRTIO_BLK_REQUESTS && !under_way[slot]);
	if (!room)
		return 0;
	*buffer = buffers[slot];
	return bytes == 0 ? 1 : bytes < BUFFER ? bytes : BUFFER;
}

void virtio_blk_backend_start(struct machine *m, u8 number, u32 slot, enum virtio_blk_op op,
	u64 sector, u32 sectors, bool unmap)
{
	(void)m;
	(void)number;
	(void)unmap;
	require(!under_way[slot] && device.blk.request[slot].state == VIRTIO_BLK_SENT);
	require(op == VIRTIO_BLK_OP_FLUSH || (sectors && sector + sectors <= 1000));
	require(op > VIRTIO_BLK_OP_WRITE || sectors * 512 <= BUFFER);
	under_way[slot] = true;
	room--;
}

bool virtio_blk_backend_direct(struct machine *m, u8 number, u32 slot,
	const struct virtqueue_chain *c, bool writable, u32 offset, u32 bytes)
{
	(void)m;
	(void)number;
	(void)slot;
	if (offset + (u64)bytes > (writable ? c->write_bytes : c->read_bytes))
		abort();
	return false;
}

bool virtio_blk_backend_unsettled(struct machine *m, u8 number, bool orphans)
{
	(void)m;
	(void)number;
	return orphans;
}

const u8 *virtio_blk_backend_data(struct machine *m, u8 number, u32 slot)
{
	(void)m;
	(void)number;
	return buffers[slot];
}

u8 *virtio_net_backend_buffer(struct machine *m, u8 number, u32 bytes)
{
	(void)m;
	(void)number;
	require(bytes <= sizeof(frame));
	return room ? frame : NULL;
}

void virtio_net_backend_send(struct machine *m, u8 number, u32 bytes)
{
	(void)m;
	(void)number;
	require(bytes >= sizeof(struct net_header) + NET_FRAME_MIN && bytes <= sizeof(frame));
	room--;
}

void virtio_net_backend_pull(struct machine *m, u8 number)
{
	(void)m;
	(void)number;
}

void virtio_net_backend_wants(struct machine *m, u8 number, u32 takes)
{
	(void)m;
	(void)number;
	require(takes <= NET_TAKES_ALL);
}

u32 virtio_console_backend_put(struct machine *m, u32 port, const u8 *bytes, u32 count)
{
	static volatile u8 sink;
	u32 taken = count < room ? count : room;

	(void)m;
	require(port < VIRTIO_CONSOLE_PORTS);
	for (u32 i = 0; i < taken; i++)
		sink = bytes[i];
	(void)sink;
	room -= taken;
	return taken;
}

void virtio_console_backend_pull(struct machine *m, u32 port)
{
	static const u8 text[] = "some bytes of the backend's";

	virtio_console_receive(m, &device.console, port, text, sizeof(text));
}

/* --- steps --- */

static void make_device(u32 kind)
{
	static const char names[4][VIRTIO_CONSOLE_NAME] = {"", "a", "b", ""};
	static const u8 bytes[RANDOM_SEED] = {2};
	const struct virtio_blk_facts facts = {
		.sectors = 1000,
		.block_bytes = 512,
		.physical_bytes = 4096,
		.piece_sectors = 64,
		.discard_sectors = 100,
		.discard_alignment = 1,
		.zeroes_sectors = 100,
		.read_only = kind >> 2 & 1,
		.can_flush = 1,
	};
	struct machine *m = driver_machine();

	memset(&device, 0, sizeof(device));
	memset(under_way, 0, sizeof(under_way));
	room = 0;
	switch (kind & 3) {
	case 0:
		virtio_blk_init(m, &device.blk, 0, DRIVER_DEVFN, 2, &facts);
		break;
	case 1:
		virtio_net_init(m, &device.net, 0, DRIVER_DEVFN, 2, bytes);
		virtio_net_connected(m, &device.net, NET_TAKES_ALL, 1500);
		virtio_net_link(m, &device.net, true);
		break;
	case 2:
		virtio_console_init(m, &device.console, DRIVER_DEVFN, kind & 4 ? 4 : 1, names);
		break;
	default:
		virtio_rng_init(m, &device.rng, DRIVER_DEVFN, bytes);
		break;
	}
	driver_attach(&device.virtio);
}

/* Takes the device in use as a driver does, with any of its features. */
static void set_up(void)
{
	u64 features = ((u64)take(4) << 32 | take(4)) & driver_offered();
	static const u16 sizes[] = {1, 4, 16, 64};
	u16 size = sizes[take(1) & 3];

	if (!driver_negotiate(features | VIRTIO_F_VERSION_1) &&
		!driver_negotiate(VIRTIO_F_VERSION_1))
		return;
	for (u32 i = 0; i < device.virtio.queues; i++)
		driver_queue(i, size);
	driver_ok();
}

/* A chain whose first buffer holds bytes of the input. */
static void add_chain(void)
{
	u32 queue = take(1) % device.virtio.queues;
	u32 shape = take(1);
	u32 parts = 1 + (shape & 3);
	u32 bytes = take(1) & 31;
	struct driver_part part[4];

	if (!driver.queue[queue].size)
		return;
	for (u32 i = 0; i < bytes; i++)
		driver_ram[DRIVER_DATA + i] = (u8)take(1);
	for (u32 i = 0; i < parts; i++) {
		u32 length = i ? take(2) : bytes;

		part[i] = (struct driver_part){
			DRIVER_DATA + i * 0x8000, length, shape >> (4 + i) & 1};
	}
	if (shape & 8)
		driver_add_indirect(queue, part, parts);
	else if (parts <= driver.queue[queue].size)
		driver_add(queue, part, parts);
	driver_kick(queue);
}

static void give_frame(void)
{
	struct virtio_net_frame f = {.pieces = 1 + take(1) % NET_PIECES};
	u32 at = 0;

	for (u32 i = 0; i < 40; i++)
		frame[i] = (u8)take(1);
	for (u32 i = 0; i < f.pieces; i++) {
		u32 length = 1 + take(1) * 4;

		f.piece[i].at = frame + at;
		f.piece[i].length = length;
		at += length;
		require(at <= sizeof(frame));
	}
	virtio_net_receive(&driver.m, &device.net, &f);
	virtio_net_received(&driver.m, &device.net);
}

/* Something happens at the backend. */
static void backend(void)
{
	u32 kind = device.virtio.type;
	u32 slot = take(1);

	room = take(1);
	if (kind == VIRTIO_TYPE_BLOCK && slot < VIRTIO_BLK_REQUESTS) {
		virtio_blk_answered(&driver.m, &device.blk, slot, (enum virtio_blk_status)take(1));
		under_way[slot] = false;
		virtio_blk_ready(&driver.m, &device.blk);
	} else if (kind == VIRTIO_TYPE_NET) {
		if (slot & 1)
			give_frame();
		else
			virtio_net_ready(&driver.m, &device.net);
		virtio_net_link(&driver.m, &device.net, !(slot & 16));
		if (slot & 32)
			virtio_net_announce(&driver.m, &device.net);
	} else if (kind == VIRTIO_TYPE_CONSOLE) {
		virtio_console_ready(&driver.m, &device.console, slot);
		virtio_console_backend_pull(&driver.m, slot % VIRTIO_CONSOLE_PORTS);
		if (slot & 32)
			virtio_console_resize(&driver.m, &device.console, (u16)slot, 25);
	}
}

/* A process dies and another one takes over, after a session was dropped. */
static void take_over(void)
{
	memset(under_way, 0, sizeof(under_way));
	if (device.virtio.type == VIRTIO_TYPE_BLOCK)
		virtio_blk_resume(&driver.m, &device.blk);
	virtio_resume(&driver.m, &device.virtio);
}

static void step(void)
{
	static const unsigned sizes[] = {1, 2, 4, 4};
	u32 code = take(1);
	unsigned size = sizes[code >> 4 & 3];

	switch (code & 15) {
	case 0:
	case 1: {
		u32 offset = take(2) % (VIRTIO_MEMORY_SIZE + 4);

		driver_write(offset, size, take(size));
		break;
	}
	case 2:
		driver_read(take(2) % (VIRTIO_MEMORY_SIZE + 4), size);
		break;
	case 3: {
		u32 offset = take(1);

		driver_config_space(offset, size, take(size));
		break;
	}
	case 4:
		pci_config_read(&driver.m, &driver.pci, DRIVER_DEVFN, take(1), size);
		break;
	case 5: { /* any word of the rings */
		u32 at = DRIVER_RINGS + (take(3) & 0x3ffff & ~3u);
		u32 value = take(4);

		memcpy(driver_ram + at, &value, 4);
		break;
	}
	case 6:
		driver_kick(take(1));
		break;
	case 7:
		set_up();
		break;
	case 8:
	case 9:
	case 10:
		add_chain();
		break;
	case 11:
	case 12:
		backend();
		break;
	case 13:
		if (fake_due(&driver.m, MACHINE_TIMER_VIRTIO))
			virtio_timer(&driver.m, &device.virtio);
		break;
	case 14:
		take_over();
		break;
	default:
		driver_config_space(PCI_COMMAND, 2, PCI_CMD_MEMORY | PCI_CMD_IO | PCI_CMD_MASTER);
		break;
	}
}

/* What holds after every step. */
static void check_state(void)
{
	const struct virtio *d = &device.virtio;
	u32 orphans = 0;

	require(d->queues && d->queues <= VIRTIO_QUEUES);
	require(!(d->status & VIRTIO_STATUS_DRIVER_OK) || d->status & VIRTIO_STATUS_FEATURES_OK);
	require(!(d->status & VIRTIO_STATUS_FEATURES_OK) || d->accepted & VIRTIO_F_VERSION_1);
	for (u32 i = 0; i < d->queues; i++) {
		const struct virtqueue *q = &d->queue[i];

		require(q->size && q->size <= q->size_max && !(q->size & (q->size - 1)));
		require(!q->enabled || virtqueue_areas_valid(&driver.m.memory, q));
	}
	if (d->type != VIRTIO_TYPE_BLOCK)
		return;
	for (u32 i = 0; i < VIRTIO_BLK_REQUESTS; i++) {
		u8 state = device.blk.request[i].state;

		require(state != VIRTIO_BLK_DONE);
		require(under_way[i] == (state == VIRTIO_BLK_SENT || state == VIRTIO_BLK_ORPHAN));
		orphans += state == VIRTIO_BLK_ORPHAN;
	}
	require(orphans == device.blk.orphans);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	input.at = data;
	input.left = size;
	make_device(take(1));
	for (u32 i = 0; i < STEPS && input.left; i++) {
		step();
		fuzz_operations++;
		check_state();
	}
	return 0;
}
