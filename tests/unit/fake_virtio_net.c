/* A virtio network device: see fake_virtio_net.h. Written from VIRTIO 1.2, 5.1, not from the
 * driver. */
#include <string.h>

#include "tests/unit/fake_virtio_net.h"

#define RECEIVE  0u
#define TRANSMIT 1u
#define CONTROL  2u
#define HEADER   12u
#define MERGED   BIT(15)

struct fake_vnet fake_vnet;

static u8 frame[FAKE_VNET_FRAME_MAX];

/* The configuration, 5.1.4. */
static u32 config_read(u32 offset, u32 size)
{
	u8 space[64] = {0};
	u16 status = fake_vnet.link;
	u16 pairs = 1;
	u32 value = 0;

	memcpy(space, fake_vnet.mac, 6);
	memcpy(space + 6, &status, 2);
	memcpy(space + 8, &pairs, 2);
	memcpy(space + 10, &fake_vnet.mtu, 2);
	if (offset + size <= sizeof(space))
		memcpy(&value, space + offset, size);
	return value;
}

void fake_vnet_init(u64 features, u32 messages)
{
	static const u8 mac[6] = {0x52, 0x54, 0, 1, 2, 3};
	void (*sent)(const u8 *, u32) = fake_vnet.sent;

	fake_virtio_init(features, messages, config_read);
	fake_virtio.queues = 3;
	fake_device.idle = fake_vnet_control;
	fake_vnet = (struct fake_vnet){.mtu = 1500, .link = true, .sent = sent};
	memcpy(fake_vnet.mac, mac, sizeof(mac));
}

/* Finishes the checksum as the header says (5.1.6.2). */
static void finish(u32 bytes)
{
	u16 start, offset;
	u64 sum = 0;
	u8 *f = frame + HEADER;

	memcpy(&start, frame + 6, 2);
	memcpy(&offset, frame + 8, 2);
	if (!(frame[0] & 1))
		return;
	if (!(fake_virtio.features & 1) || start + offset + 2u > bytes) {
		fake_virtio.rules++;
		return;
	}
	for (u32 i = start; i < bytes; i++)
		sum += (i - start) % 2 ? f[i] : (u32)f[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	f[start + offset] = (u8)(~sum >> 8);
	f[start + offset + 1] = (u8)~sum;
}

/* Says that the chain is used, in the way that was asked for. */
static void use(u32 queue, u16 id, u32 written, enum fake_vnet_act act)
{
	u32 size = fake_virtio.queue[queue].size;

	fake_virtio_use(queue,
		act == FAKE_VNET_BAD_ID     ? size + id
		: act == FAKE_VNET_WRONG_ID ? (u32)(id + size / 2) % size
					    : id,
		act == FAKE_VNET_LONG ? written + 0x10000 : written,
		act == FAKE_VNET_JUMP ? 300 : 1);
	if (act == FAKE_VNET_TWICE)
		fake_virtio_use(queue, id, written, 1);
}

bool fake_vnet_transmit(enum fake_vnet_act act)
{
	struct fake_part part[FAKE_VIRTIO_PARTS];
	u32 bytes = 0;
	u32 n;
	u16 id;

	if (act == FAKE_VNET_NEEDS_RESET) {
		fake_virtio_needs_reset();
		return true;
	}
	if (!fake_virtio_take(TRANSMIT, &id, part, &n))
		return false;
	for (u32 i = 0; i < n; i++) {
		if (part[i].write || part[i].length > sizeof(frame) - bytes) {
			fake_virtio.rules++;
			return true;
		}
		memcpy(frame + bytes, part[i].at, part[i].length);
		bytes += part[i].length;
	}
	if (bytes < HEADER + 14 || frame[10] || frame[11]) { /* num_buffers is 0 */
		fake_virtio.rules++;
		return true;
	}
	finish(bytes - HEADER);
	fake_vnet.sent(frame, bytes);
	use(TRANSMIT, id, 0, act);
	return true;
}

bool fake_vnet_receive(const u8 *in, u32 bytes, enum fake_vnet_act act)
{
	struct fake_part part[FAKE_VIRTIO_PARTS];
	u8 header[HEADER] = {[10] = 1};
	u32 n;
	u16 id;

	if (act == FAKE_VNET_NEEDS_RESET) {
		fake_virtio_needs_reset();
		return true;
	}
	if (act == FAKE_VNET_ORDER)
		fake_virtio_take(RECEIVE, &id, part, &n);
	if (!fake_virtio_take(RECEIVE, &id, part, &n)) {
		fake_vnet.dropped++;
		return false;
	}
	if (n != 1 || !part[0].write || part[0].length < HEADER + bytes) {
		fake_virtio.rules++;
		return true;
	}
	if (act == FAKE_VNET_PIECES)
		header[10] = fake_virtio.features & MERGED ? 0 : 1;
	if (act == FAKE_VNET_CLAIM) {
		header[0] = 1; /* a checksum behind the frame's end, in one that was not offered */
		header[7] = 0xff;
	}
	memcpy(part[0].at, header, HEADER);
	memcpy(part[0].at + HEADER, in, bytes);
	use(RECEIVE, id, act == FAKE_VNET_SHORT ? 5 : HEADER + bytes, act);
	return true;
}

void fake_vnet_control(void)
{
	struct fake_part part[FAKE_VIRTIO_PARTS];
	u32 n;
	u16 id;

	while (!fake_vnet.no_control && fake_virtio_take(CONTROL, &id, part, &n)) {
		/* class and command, a byte, the answer */
		if (n != 3 || part[0].length != 2 || part[1].length != 1 || !part[2].write) {
			fake_virtio.rules++;
			return;
		}
		if (part[0].at[0] == 0 && part[0].at[1] == 0)
			fake_vnet.promiscuous = part[1].at[0];
		*part[2].at = fake_vnet.refuses;
		fake_virtio_use(CONTROL, id, 1, 1);
	}
}

void fake_vnet_link(bool up)
{
	fake_vnet.link = up;
	fake_interrupt(fake_virtio.config_vector);
}
