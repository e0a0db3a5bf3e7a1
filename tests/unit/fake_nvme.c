/* An NVMe controller: see fake_nvme.h. Written from the specification, not from the driver. */
#include <string.h>

#include "tests/unit/fake_nvme.h"

#define QUEUES 5u
#define STRIDE 8u /* CAP.DSTRD 1 */

struct fake_nvme fake_nvme;

static struct {
	u32 cc;
	u32 csts;
	u32 aqa;
	u64 asq;
	u64 acq;
	u32 next; /* I/O queue that is looked at next */
} c;

struct queue {
	bool cq;
	bool sq;
	u64 sq_base;
	u64 cq_base;
	u32 sq_size;
	u32 cq_size;
	u32 sq_head;
	u32 sq_tail;
	u32 cq_head;
	u32 cq_tail;
	u32 phase;
	u32 vector;
};

static struct queue q[QUEUES];

static void complete(struct queue *v, u16 id, u16 sq, u32 result, u32 status, u32 head)
{
	u8 *at = fake_memory(v->cq_base + v->cq_tail * 16ull, 16);
	u16 words[4] = {(u16)head, sq, id, (u16)(status << 1 | v->phase)};

	if ((v->cq_tail + 1) % v->cq_size == v->cq_head) {
		fake_nvme.rules++; /* the driver asks for more than it takes */
		return;
	}
	if (!at)
		return;
	memcpy(at, &result, 4);
	memcpy(at + 8, words, 8);
	if (++v->cq_tail == v->cq_size) {
		v->cq_tail = 0;
		v->phase ^= 1;
	}
	fake_interrupt(v->vector);
}

static void put(u8 *page, u32 at, u64 value, u32 size)
{
	memcpy(page + at, &value, size);
}

static u32 identify(const u32 *d)
{
	u64 prp1;
	u8 *page;

	memcpy(&prp1, d + 6, 8);
	page = fake_memory(prp1, 4096);
	fake_nvme.rules += !page || prp1 % 4096;
	if (!page)
		return 2;
	memset(page, 0, 4096);
	switch (d[10]) {
	case 0:
		if (d[1] != fake_nvme.nsid)
			return 0;
		put(page, 0, FAKE_NVME_SECTORS * 512ull >> fake_nvme.shift, 8);
		put(page, 25, 1, 1);
		put(page, 26, 1, 1); /* format 1 */
		put(page, 24, BIT(4), 1);
		put(page, 64, 7, 2);
		put(page, 68, 7, 2);
		put(page, 128, 9u << 16 | 8, 4);
		put(page, 132, fake_nvme.shift << 16 | fake_nvme.metadata, 4);
		return 0;
	case 1:
		put(page, 77, fake_nvme.mdts, 1);
		put(page, 520, fake_nvme.oncs, 2);
		put(page, 525, fake_nvme.vwc, 1);
		return 0;
	case 2:
		put(page, 0, fake_nvme.nsid, 4);
		return 0;
	default:
		fake_nvme.rules++;
		return 2;
	}
}

static u32 create(const u32 *d, bool sq)
{
	u32 n = d[10] & 0xffff;
	u32 size = (d[10] >> 16) + 1;
	struct queue *v;
	u64 base;

	memcpy(&base, d + 6, 8);
	if (n == 0 || n > fake_nvme.queues || n >= QUEUES || !(d[11] & 1) || base % 4096 ||
		size - 1 > (fake_nvme.cap & 0xffff)) {
		fake_nvme.rules++;
		return 0x101;
	}
	v = &q[n];
	if (sq) {
		fake_nvme.rules += !v->cq || d[11] >> 16 != n;
		v->sq = true;
		v->sq_base = base;
		v->sq_size = size;
		fake_nvme.made++;
		return 0;
	}
	memset(v, 0, sizeof(*v));
	v->cq = true;
	v->cq_base = base;
	v->cq_size = size;
	v->phase = 1;
	v->vector = d[11] >> 16;
	fake_nvme.rules += !(d[11] & 2);
	return 0;
}

static void admin(const u8 *entry)
{
	u32 d[16];
	u32 status = 0;
	u32 result = 0;

	memcpy(d, entry, sizeof(d));
	if (fake_nvme.mute_admin)
		return;
	switch (d[0] & 0xff) {
	case 0x01:
	case 0x05:
		status = create(d, (d[0] & 0xff) == 0x01);
		break;
	case 0x06:
		status = identify(d);
		break;
	case 0x09:
		fake_nvme.rules += d[10] != 7;
		result = (fake_nvme.queues - 1) << 16 | (fake_nvme.queues - 1);
		break;
	default:
		fake_nvme.rules++;
		status = 1;
	}
	complete(&q[0], (u16)((d[0] >> 16) + fake_nvme.lie_admin), 0, result,
		fake_nvme.fail_admin ? 6 : status, q[0].sq_head);
}

static void run_admin(void)
{
	while (q[0].sq_head != q[0].sq_tail) {
		u8 entry[64];
		u8 *at = fake_memory(q[0].sq_base + q[0].sq_head * 64ull, 64);

		q[0].sq_head = (q[0].sq_head + 1) % q[0].sq_size;
		if (!at)
			return;
		memcpy(entry, at, sizeof(entry));
		admin(entry);
	}
}

static void enable(u32 value)
{
	if (value & 1 && !(c.cc & 1)) {
		fake_nvme.rules += (value >> 16 & 0xf) != 6 || (value >> 20 & 0xf) != 4;
		fake_nvme.rules += c.asq % 4096 || c.acq % 4096;
		memset(q, 0, sizeof(q));
		q[0] = (struct queue){.sq_base = c.asq,
			.cq_base = c.acq,
			.sq_size = (c.aqa & 0xfff) + 1,
			.cq_size = (c.aqa >> 16 & 0xfff) + 1,
			.phase = 1};
		c.csts = fake_nvme.never_ready ? 0 : 1;
	} else if (!(value & 1) && c.cc & 1) {
		fake_nvme.resets++;
		fake_nvme.made = 0;
		memset(q, 0, sizeof(q));
		if (!fake_nvme.never_reset)
			c.csts = 0;
	}
	c.cc = value;
}

static u32 reg_read(u32 offset, u32 size)
{
	fake_nvme.rules += size != 4;
	switch (offset) {
	case 0x00:
		return (u32)fake_nvme.cap;
	case 0x04:
		return (u32)(fake_nvme.cap >> 32);
	case 0x14:
		return c.cc;
	case 0x1c:
		return c.csts;
	default:
		return 0;
	}
}

static void half(u64 *whole, bool high, u32 value)
{
	*whole = high ? (*whole & 0xffffffffu) | (u64)value << 32
		      : (*whole & ~0xffffffffull) | value;
}

static void doorbell(u32 offset, u32 value)
{
	u32 n = offset / (2 * STRIDE);

	if (n >= QUEUES || offset % STRIDE || !(c.csts & 1) || q[n].sq_size == 0 ||
		value >= q[n].sq_size) {
		fake_nvme.rules++;
		return;
	}
	if (offset / STRIDE % 2) {
		fake_nvme.rules += value >= q[n].cq_size;
		q[n].cq_head = value;
		return;
	}
	fake_nvme.rules += value >= q[n].sq_size;
	q[n].sq_tail = value;
	if (n == 0 && fake_device.started)
		run_admin();
}

static void reg_write(u32 offset, u32 size, u32 value)
{
	fake_nvme.rules += size != 4;
	switch (offset) {
	case 0x14:
		enable(value);
		break;
	case 0x24:
		c.aqa = value;
		break;
	case 0x28:
	case 0x2c:
		half(&c.asq, offset == 0x2c, value);
		break;
	case 0x30:
	case 0x34:
		half(&c.acq, offset == 0x34, value);
		break;
	default:
		if (offset >= 0x1000)
			doorbell(offset - 0x1000, value);
		else
			fake_nvme.rules++;
	}
}

void fake_nvme_init(u32 messages)
{
	fake_device_reset();
	memset(&c, 0, sizeof(c));
	memset(q, 0, sizeof(q));
	memset(&fake_nvme, 0, offsetof(struct fake_nvme, medium)); /* what it holds is anything */
	/* 64 entries or more, contiguous, 1 s, stride of 8, the NVM command set */
	fake_nvme.cap = 1023 | BIT(16) | 2ull << 24 | BIT(32) | BIT(37);
	fake_nvme.shift = 9;
	fake_nvme.queues = 4;
	fake_nvme.vwc = 1;
	fake_nvme.oncs = 0xc;
	fake_nvme.nsid = 7;
	c.cc = 1; /* the firmware left it running */
	c.csts = 1;
	fake_device.read = reg_read;
	fake_device.write = reg_write;
	fake_device.messages = messages;
}

/* Copies between the medium and what PRP entries name (4.3). */
static u32 transfer(const u32 *d, u64 at, u64 bytes, bool read)
{
	u64 prp[2];
	u64 where;
	u64 list = 0;

	memcpy(prp, d + 6, 16);
	where = prp[0];
	fake_nvme.rules += where % 4 != 0;
	for (u64 done = 0, page = 0; done < bytes; page++) {
		u64 left = 4096 - where % 4096;
		u64 n = bytes - done < left ? bytes - done : left;
		u8 *memory = fake_memory(where, n);

		if (!memory)
			return 4;
		if (read)
			memcpy(memory, fake_nvme.medium + at + done, n);
		else
			memcpy(fake_nvme.medium + at + done, memory, n);
		done += n;
		if (done == bytes)
			break;
		if (page == 0 && bytes - done <= 4096) {
			where = prp[1];
		} else {
			const u8 *entry;

			list = page == 0 ? prp[1] : list + 8;
			fake_nvme.rules += list % 8 != 0 || (page > 0 && list % 4096 == 0);
			entry = fake_memory(list, 8);
			if (!entry)
				return 4;
			memcpy(&where, entry, 8);
		}
		fake_nvme.rules += where % 4096 != 0;
	}
	return 0;
}

static u32 carry_out(const u8 *entry)
{
	u32 d[16];
	u64 lba;
	u64 at;
	u64 bytes;
	u64 prp1;
	const u8 *range;

	memcpy(d, entry, sizeof(d));
	memcpy(&lba, d + 10, 8);
	memcpy(&prp1, d + 6, 8);
	fake_nvme.rules += d[1] != fake_nvme.nsid;
	bytes = ((u64)(d[12] & 0xffff) + 1) << fake_nvme.shift;
	if ((d[0] & 0xff) == 0)
		return 0;
	if ((d[0] & 0xff) == 9) {
		u32 blocks;

		range = fake_memory(prp1, 16);
		fake_nvme.rules += !range || d[10] != 0 || d[11] != 4 || !(fake_nvme.oncs & 4);
		if (!range)
			return 2;
		memcpy(&blocks, range + 4, 4);
		memcpy(&lba, range + 8, 8);
		bytes = (u64)blocks << fake_nvme.shift;
	}
	at = lba << fake_nvme.shift;
	if (at > sizeof(fake_nvme.medium) || bytes > sizeof(fake_nvme.medium) - at) {
		fake_nvme.rules++;
		return 0x80;
	}
	switch (d[0] & 0xff) {
	case 1:
	case 2:
		fake_nvme.rules += fake_nvme.mdts && bytes > 4096ull << fake_nvme.mdts;
		return transfer(d, at, bytes, (d[0] & 0xff) == 2);
	case 8:
		fake_nvme.rules += !(fake_nvme.oncs & 8);
		memset(fake_nvme.medium + at, 0, bytes);
		return 0;
	case 9:
		memset(fake_nvme.medium + at, 0x99, bytes);
		return 0;
	default:
		fake_nvme.rules++;
		return 1;
	}
}

/* Turns the phase of every entry of the ring. */
static void turn_phases(struct queue *v)
{
	for (u32 i = 0; i < v->cq_size; i++) {
		u8 *at = fake_memory(v->cq_base + i * 16ull, 16);

		if (at && i >= v->cq_tail)
			at[14] = (u8)((at[14] & ~1u) | v->phase);
	}
	fake_interrupt(v->vector);
}

static void answer(struct queue *v, u16 number, const u8 *entry, enum fake_nvme_act act)
{
	u32 status = carry_out(entry);
	u32 head = v->sq_head;
	u16 sq = number;
	u16 id;

	memcpy(&id, entry + 2, 2);
	if (act == FAKE_NVME_TWICE)
		complete(v, id, sq, 0, status, head);
	status = act == FAKE_NVME_ERROR ? 0x281 : status;
	sq = act == FAKE_NVME_BAD_SQ ? (u16)(number + 1) : sq;
	head = act == FAKE_NVME_BAD_HEAD ? v->sq_size + 1 : head;
	/* ids of other queues are not under way in this */
	id = act == FAKE_NVME_BAD_ID ? (u16)((id + 1) % 64) : id;
	id = act == FAKE_NVME_HUGE_ID ? 0xffff : id;
	complete(v, id, sq, 0, status, head);
	if (act == FAKE_NVME_PHASE)
		turn_phases(v);
}

bool fake_nvme_step(enum fake_nvme_act act)
{
	if (act == FAKE_NVME_FATAL) {
		c.csts |= 2;
		return true;
	}
	for (u32 i = 0; i < QUEUES - 1; i++) {
		u32 n = 1 + (c.next + i) % (QUEUES - 1);
		struct queue *v = &q[n];
		u8 entry[64];
		u8 *at;

		if (!v->sq || v->sq_head == v->sq_tail)
			continue;
		c.next = n;
		at = fake_memory(v->sq_base + v->sq_head * 64ull, 64);
		v->sq_head = (v->sq_head + 1) % v->sq_size;
		if (!at || act == FAKE_NVME_SILENT)
			return true;
		memcpy(entry, at, sizeof(entry));
		answer(v, (u16)n, entry, act);
		return true;
	}
	return false;
}
