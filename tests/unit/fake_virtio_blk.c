/* A virtio block device: see fake_virtio_blk.h. Written from VIRTIO 1.2, not from the driver. */
#include <string.h>

#include "tests/unit/fake_virtio_blk.h"

#define COMMON 0x0000u
#define ISR    0x1000u
#define CONFIG 0x2000u
#define NOTIFY 0x3000u
#define CHAIN  32u

struct fake_blk fake_blk;

static struct {
	u32 device_select;
	u32 driver_select;
	u64 desc;
	u64 available;
	u64 used;
	u16 config_vector;
	u16 vector;
	u16 enabled;
	u16 size;
	u16 seen; /* available requests taken */
	u16 done; /* used ones */
	u16 last; /* id of the last */
	u8 isr;
} q;

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

static u32 common_read(u32 offset)
{
	switch (offset) {
	case 4:
		return (u32)(fake_blk.offered >> 32 * (q.device_select & 1));
	case 16:
		return q.config_vector;
	case 18:
		return 1;
	case 20:
		return fake_blk.status;
	case 24:
		return q.size;
	case 26:
		return q.vector;
	case 28:
		return q.enabled;
	default:
		return 0;
	}
}

static u32 reg_read(u32 offset, u32 size)
{
	u32 isr = q.isr;

	if (offset == ISR) {
		q.isr = 0;
		return isr;
	}
	if (offset >= CONFIG && offset < NOTIFY)
		return config_read(offset - CONFIG, size);
	return offset < ISR ? common_read(offset) : 0;
}

static void clear(void)
{
	memset(&q, 0, sizeof(q));
	q.size = fake_blk.queue_size;
	q.vector = q.config_vector = 0xffff;
	fake_blk.status = 0;
	fake_blk.features = 0;
}

static void status_write(u32 value)
{
	if (value == 0) {
		fake_blk.resets++;
		if (!fake_blk.no_reset)
			clear();
		return;
	}
	if (fake_blk.refuse)
		value &= ~8u;
	/* 3.1.1: FEATURES_OK before the queues and DRIVER_OK */
	if (value & 4 && !(fake_blk.status & 8) && !fake_blk.refuse)
		fake_blk.rules++;
	fake_blk.status = (u8)value;
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
	u64 *const address[] = {&q.desc, &q.available, &q.used};

	switch (offset) {
	case 0:
		q.device_select = value;
		break;
	case 8:
		q.driver_select = value;
		break;
	case 12:
		half(&fake_blk.features, q.driver_select & 1, value);
		fake_blk.rules += (fake_blk.features & ~fake_blk.offered) != 0;
		break;
	case 16:
		q.config_vector = (u16)value;
		break;
	case 20:
		status_write(value);
		break;
	case 24:
		q.size = (u16)value;
		break;
	case 26:
		q.vector = (u16)value;
		break;
	case 28:
		q.enabled = (u16)value;
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

void fake_blk_init(u64 features, u32 messages)
{
	fake_device_reset();
	memset(&fake_blk, 0, offsetof(struct fake_blk, medium)); /* what it holds is anything */
	fake_blk.offered = features;
	fake_blk.queue_size = 128;
	fake_blk.block_size = 512;
	fake_blk.seg_max = 126;
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

struct part {
	u8 *at;
	u32 length;
	bool write;
};

static u16 *ring16(u64 base, u64 index)
{
	return fake_memory(base + index * 2, 2);
}

/* Reads a chain (2.7.5), direct or indirect. */
static u32 read_chain(u16 head, struct part *part)
{
	u64 table = q.desc;
	u32 entries = q.size;
	u32 n = 0;
	u16 at = head;

	for (;;) {
		u8 *d = at < entries ? fake_memory(table + at * 16ull, 16) : NULL;
		u64 address;
		u32 length;
		u16 flags, next;

		if (!d || n == CHAIN) {
			fake_blk.rules++;
			return 0;
		}
		memcpy(&address, d, 8);
		memcpy(&length, d + 8, 4);
		memcpy(&flags, d + 12, 2);
		memcpy(&next, d + 14, 2);
		if (flags & 4) {
			fake_blk.rules += !(fake_blk.features & BIT(28)) || n != 0;
			table = address;
			entries = length / 16;
			at = 0;
			continue;
		}
		part[n] = (struct part){fake_memory(address, length), length, flags & 2};
		if (!part[n].at || length == 0 || (n > 0 && part[n - 1].write && !part[n].write)) {
			fake_blk.rules++;
			return 0;
		}
		n++;
		if (!(flags & 1))
			return n;
		at = next;
	}
}

static void clear_span(const u8 *segment)
{
	u64 sector;
	u32 sectors;

	memcpy(&sector, segment, 8);
	memcpy(&sectors, segment + 8, 4);
	if (sector > FAKE_BLK_SECTORS || sectors > FAKE_BLK_SECTORS - sector)
		fake_blk.rules++;
	else
		memset(fake_blk.medium + sector * 512, 0, sectors * 512ull);
}

/* Carries the request out; returns the bytes written, with the status. */
static u32 carry_out(struct part *p, u32 n, u8 status)
{
	u32 type;
	u64 sector;
	u32 written = 1;

	memcpy(&type, p[0].at, 4);
	memcpy(&sector, p[0].at + 8, 8);
	if (p[0].length != 16 || p[n - 1].length != 1 || !p[n - 1].write)
		fake_blk.rules++;
	if (type == 11 || type == 13)
		clear_span(p[1].at);
	for (u32 i = 1; i + 1 < n && type < 2; i++) {
		u64 at = sector * 512;

		if (at + p[i].length > sizeof(fake_blk.medium) || p[i].write != (type == 0)) {
			fake_blk.rules++;
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

static void publish(u32 id, u32 written, u16 more)
{
	u8 *entry = fake_memory(q.used + 4 + q.done % q.size * 8ull, 8);
	u16 *index = ring16(q.used, 1);
	u16 *event = ring16(q.available, 2 + q.size);

	if (!entry || !index || !event)
		return;
	memcpy(entry, &id, 4);
	memcpy(entry + 4, &written, 4);
	q.last = (u16)id;
	if (fake_blk.features & BIT(29) ? *event == q.done : !(*ring16(q.available, 0) & 1))
		fake_interrupt(q.vector);
	q.done += more;
	*index = q.done;
}

bool fake_blk_step(enum fake_blk_act act)
{
	struct part part[CHAIN];
	u16 *index = q.enabled && fake_device.started ? ring16(q.available, 1) : NULL;
	u16 *head;
	u32 n;
	u32 written;

	if (act == FAKE_BLK_NEEDS_RESET) {
		fake_blk.status |= 64;
		fake_interrupt(q.config_vector);
		return true;
	}
	if (!index || !(fake_blk.status & 4) || *index == q.seen)
		return false;
	head = ring16(q.available, 2 + q.seen % q.size);
	q.seen++;
	if (fake_blk.features & BIT(29)) /* tell me of the next */
		*ring16(q.used, 2 + 4 * q.size) = q.seen;
	if (act == FAKE_BLK_SILENT || !head)
		return true;
	n = read_chain(*head, part);
	if (n < 2)
		return true;
	written = carry_out(part, n, act == FAKE_BLK_ERROR ? 1 : act == FAKE_BLK_STATUS ? 77 : 0);
	publish(act == FAKE_BLK_BAD_ID     ? q.size + *head
		: act == FAKE_BLK_WRONG_ID ? (u32)(*head + q.size / 2) % q.size
					   : *head,
		act == FAKE_BLK_LONG ? written + 0x10000 : written, act == FAKE_BLK_JUMP ? 300 : 1);
	if (act == FAKE_BLK_TWICE)
		publish(*head, written, 1);
	return true;
}
