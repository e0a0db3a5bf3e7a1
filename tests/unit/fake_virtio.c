/* A modern virtio device: see fake_virtio.h. Written from VIRTIO 1.2, not from the driver. */
#include <string.h>

#include "tests/unit/fake_virtio.h"

#define COMMON 0x0000u
#define ISR    0x1000u
#define CONFIG 0x2000u
#define NOTIFY 0x3000u

struct fake_virtio fake_virtio;

static u32 device_select;
static u32 driver_select;
static u32 queue_select;

static void capability(u32 at, u32 next, u32 type, u32 offset, u32 size)
{
	u8 *c = fake_device.config + at;
	u8 length = type == 2 ? 20 : 16;
	const u8 head[] = {0x09, (u8)next, length, (u8)type, 0};
	u32 multiplier = 4;

	memcpy(c, head, sizeof(head));
	memcpy(c + 8, &offset, 4);
	memcpy(c + 12, &size, 4);
	if (type == 2)
		memcpy(c + 16, &multiplier, 4);
}

/* The selected queue; one that is not there has size 0. */
static struct fake_virtqueue *selected(void)
{
	static struct fake_virtqueue none;

	if (queue_select < fake_virtio.queues)
		return &fake_virtio.queue[queue_select];
	memset(&none, 0, sizeof(none));
	return &none;
}

static u32 common_read(u32 offset)
{
	const struct fake_virtqueue *q = selected();

	switch (offset) {
	case 4:
		return (u32)(fake_virtio.offered >> 32 * (device_select & 1));
	case 16:
		return fake_virtio.config_vector;
	case 18:
		return (u16)fake_virtio.queues;
	case 20:
		return fake_virtio.status;
	case 24:
		return q->size;
	case 26:
		return q->vector;
	case 28:
		return q->enabled;
	case 30:
		return queue_select;
	default:
		return 0;
	}
}

static u32 reg_read(u32 offset, u32 size)
{
	if (offset >= CONFIG && offset < NOTIFY)
		return fake_virtio.config(offset - CONFIG, size);
	return offset < ISR ? common_read(offset) : 0;
}

static void clear(void)
{
	memset(fake_virtio.queue, 0, sizeof(fake_virtio.queue));
	for (u32 i = 0; i < FAKE_VIRTIO_QUEUES; i++) {
		fake_virtio.queue[i].size = fake_virtio.queue_size;
		fake_virtio.queue[i].vector = 0xffff;
	}
	fake_virtio.config_vector = 0xffff;
	fake_virtio.status = 0;
	fake_virtio.features = 0;
}

static void status_write(u32 value)
{
	if (value == 0) {
		fake_virtio.resets++;
		if (!fake_virtio.no_reset)
			clear();
		return;
	}
	if (fake_virtio.refuse)
		value &= ~8u;
	/* 3.1.1: FEATURES_OK before the queues and DRIVER_OK */
	if (value & 4 && !(fake_virtio.status & 8) && !fake_virtio.refuse)
		fake_virtio.rules++;
	fake_virtio.status = (u8)value;
}

static void half(u64 *whole, u32 high, u32 value)
{
	if (high)
		*whole = (*whole & 0xffffffffu) | (u64)value << 32;
	else
		*whole = (*whole & ~0xffffffffull) | value;
}

static void common_write(u32 offset, u32 value)
{
	struct fake_virtqueue *q = selected();
	u64 *const address[] = {&q->desc, &q->available, &q->used};

	switch (offset) {
	case 0:
		device_select = value;
		break;
	case 8:
		driver_select = value;
		break;
	case 12:
		half(&fake_virtio.features, driver_select & 1, value);
		fake_virtio.rules += (fake_virtio.features & ~fake_virtio.offered) != 0;
		break;
	case 16:
		fake_virtio.config_vector = (u16)value;
		break;
	case 20:
		status_write(value);
		break;
	case 22:
		queue_select = value;
		break;
	case 24:
		q->size = (u16)value;
		break;
	case 26:
		q->vector = (u16)value;
		break;
	case 28:
		q->enabled = (u16)value;
		break;
	default:
		if (offset >= 32 && offset < 56)
			half(address[(offset - 32) / 8], offset & 4, value);
	}
}

static void reg_write(u32 offset, u32 size, u32 value)
{
	(void)size;
	if (offset < ISR)
		common_write(offset, value);
}

void fake_virtio_init(u64 features, u32 messages, u32 (*config)(u32 offset, u32 size))
{
	fake_device_reset();
	fake_virtio = (struct fake_virtio){
		.offered = features, .queue_size = 128, .queues = 1, .config = config};
	fake_device.read = reg_read;
	fake_device.write = reg_write;
	fake_device.messages = messages;
	fake_device.config[0x34] = 0x40;
	capability(0x40, 0x54, 1, COMMON, 56);
	capability(0x54, 0x64, 3, ISR, 1);
	capability(0x64, 0x74, 4, CONFIG, 64);
	capability(0x74, 0, 2, NOTIFY, 0x1000);
	clear();
}

static u16 *ring16(u64 base, u64 index)
{
	return fake_memory(base + index * 2, 2);
}

/* Reads a chain (2.7.5), direct or indirect. */
static u32 read_chain(const struct fake_virtqueue *q, u16 head, struct fake_part *part)
{
	u64 table = q->desc;
	u32 entries = q->size;
	u32 n = 0;
	u16 at = head;

	for (;;) {
		u8 *d = at < entries ? fake_memory(table + at * 16ull, 16) : NULL;
		u64 address;
		u32 length;
		u16 flags, next;

		if (!d || n == FAKE_VIRTIO_PARTS) {
			fake_virtio.rules++;
			return 0;
		}
		memcpy(&address, d, 8);
		memcpy(&length, d + 8, 4);
		memcpy(&flags, d + 12, 2);
		memcpy(&next, d + 14, 2);
		if (flags & 4) {
			fake_virtio.rules += !(fake_virtio.features & BIT(28)) || n != 0;
			table = address;
			entries = length / 16;
			at = 0;
			continue;
		}
		part[n] = (struct fake_part){fake_memory(address, length), length, flags & 2};
		if (!part[n].at || length == 0 || (n > 0 && part[n - 1].write && !part[n].write)) {
			fake_virtio.rules++;
			return 0;
		}
		n++;
		if (!(flags & 1))
			return n;
		at = next;
	}
}

bool fake_virtio_take(u32 queue, u16 *id, struct fake_part part[FAKE_VIRTIO_PARTS], u32 *parts)
{
	struct fake_virtqueue *q = &fake_virtio.queue[queue];
	u16 *index = q->enabled && fake_device.started ? ring16(q->available, 1) : NULL;
	u16 *head;

	if (!index || !(fake_virtio.status & 4) || *index == q->seen)
		return false;
	head = ring16(q->available, 2 + q->seen % q->size);
	q->seen++;
	if (fake_virtio.features & BIT(29)) /* tell me of the next */
		*ring16(q->used, 2 + 4 * q->size) = q->seen;
	*parts = 0;
	if (!head)
		return true;
	*id = *head;
	*parts = read_chain(q, *head, part);
	return true;
}

void fake_virtio_use(u32 queue, u32 id, u32 written, u16 more)
{
	struct fake_virtqueue *q = &fake_virtio.queue[queue];
	u8 *entry = fake_memory(q->used + 4 + q->done % q->size * 8ull, 8);
	u16 *index = ring16(q->used, 1);
	u16 *event = ring16(q->available, 2 + q->size);

	if (!entry || !index || !event)
		return;
	memcpy(entry, &id, 4);
	memcpy(entry + 4, &written, 4);
	if (fake_virtio.features & BIT(29) ? *event == q->done : !(*ring16(q->available, 0) & 1))
		fake_interrupt(q->vector);
	q->done += more;
	*index = q->done;
}

void fake_virtio_needs_reset(void)
{
	fake_virtio.status |= 64;
	fake_interrupt(fake_virtio.config_vector);
}
